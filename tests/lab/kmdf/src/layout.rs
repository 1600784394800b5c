//! Structures of the KMDF 1.33 headers, as they lie in memory on x64.
//!
//! Pointers are `usize` or wrapped function types: the stand-in only passes them on.

use crate::{ffi::UnicodeString, handle::Handle};

/// An NTSTATUS.
pub type NtStatus = i32;

/// `WDF_BIND_INFO` with the fields that `WDF_BIND_INFO2` adds (fxldr.h).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct BindInfo {
    /// In bytes, 48 or 88.
    pub size: u32,
    /// L"KmdfLibrary"
    pub component: usize,
    /// Major, minor, build.
    pub version: [u32; 3],
    /// Entries of the function table.
    pub function_count: u32,
    /// Where to put the function table's address.
    pub function_table: usize,
    /// The loader's own.
    pub module: usize,
}

/// What only `WDF_BIND_INFO2` has, behind a [`BindInfo`].
#[derive(Clone, Copy)]
#[repr(C)]
pub struct BindInfo2 {
    /// The lowest minor version the driver runs on.
    pub minimum_version: usize,
    /// `BOOLEAN *`
    pub client_version_higher: usize,
    /// `ULONG *`
    pub function_count: usize,
    /// `ULONG *`
    pub structure_count: usize,
    /// `size_t **`
    pub structure_table: usize,
}

/// `WDF_DRIVER_GLOBALS`
#[repr(C)]
pub struct DriverGlobals {
    /// The `WDFDRIVER`.
    pub driver: Handle,
    /// Flags given to `WdfDriverCreate`.
    pub flags: u32,
    /// Pool tag.
    pub tag: u32,
    /// The service's name.
    pub name: [u8; 32],
    /// Whether the entry code is to put itself in front of `DriverUnload`.
    pub displace_unload: u8,
}

/// `WDF_DRIVER_CONFIG`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct DriverConfig {
    /// In bytes.
    pub size: u32,
    /// `EvtDriverDeviceAdd`
    pub device_add: usize,
    /// `EvtDriverUnload`
    pub unload: Option<extern "system" fn(Handle)>,
    /// `WDF_DRIVER_INIT_FLAGS`
    pub flags: u32,
    /// Pool tag.
    pub tag: u32,
}

/// `WDF_OBJECT_ATTRIBUTES`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct ObjectAttributes {
    /// In bytes.
    pub size: u32,
    /// `EvtCleanupCallback`
    pub cleanup: Option<extern "system" fn(Handle)>,
    /// `EvtDestroyCallback`
    pub destroy: Option<extern "system" fn(Handle)>,
    /// `WDF_EXECUTION_LEVEL`
    pub execution_level: u32,
    /// `WDF_SYNCHRONIZATION_SCOPE`
    pub synchronization_scope: u32,
    /// The parent object.
    pub parent: Handle,
    /// Replaces the type's size, unless 0.
    pub context_size: usize,
    /// `PCWDF_OBJECT_CONTEXT_TYPE_INFO`
    pub context_type: usize,
}

/// `WdfExecutionLevelPassive`
pub const EXECUTION_PASSIVE: u32 = 2;
/// `WdfSynchronizationScopeInheritFromParent`
pub const SCOPE_INHERIT: u32 = 1;
/// `WdfSynchronizationScopeNone`
pub const SCOPE_NONE: u32 = 4;

/// `WDF_OBJECT_CONTEXT_TYPE_INFO`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct ContextType {
    /// In bytes.
    pub size: u32,
    /// `LPCSTR`
    pub name: usize,
    /// Of the context.
    pub context_size: usize,
    /// The address that identifies the type.
    pub unique: usize,
    /// For types of another driver.
    pub get_unique: usize,
}

/// `WDF_FILEOBJECT_CONFIG`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct FileConfig {
    /// In bytes.
    pub size: u32,
    /// `EvtDeviceFileCreate`
    pub create: Option<extern "system" fn(Handle, Handle, Handle)>,
    /// `EvtFileClose`
    pub close: Option<extern "system" fn(Handle)>,
    /// `EvtFileCleanup`
    pub cleanup: Option<extern "system" fn(Handle)>,
    /// `WDF_TRI_STATE`
    pub forward: u32,
    /// `WDF_FILEOBJECT_CLASS`
    pub class: u32,
}

/// `EvtIoDeviceControl`
pub type DeviceControl = extern "system" fn(Handle, Handle, usize, usize, u32);

/// `WDF_IO_QUEUE_CONFIG`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct QueueConfig {
    /// In bytes.
    pub size: u32,
    /// `WDF_IO_QUEUE_DISPATCH_TYPE`
    pub dispatch: u32,
    /// `WDF_TRI_STATE`
    pub power_managed: u32,
    /// `BOOLEAN`
    pub allow_zero_length: u8,
    /// `BOOLEAN`
    pub default: u8,
    /// `EvtIoDefault`
    pub io_default: usize,
    /// `EvtIoRead`
    pub io_read: usize,
    /// `EvtIoWrite`
    pub io_write: usize,
    /// `EvtIoDeviceControl`
    pub device_control: Option<DeviceControl>,
    /// `EvtIoInternalDeviceControl`
    pub internal_control: usize,
    /// `EvtIoStop`
    pub io_stop: usize,
    /// `EvtIoResume`
    pub io_resume: usize,
    /// `EvtIoCanceledOnQueue`
    pub canceled_on_queue: usize,
    /// `Settings.Parallel.NumberOfPresentedRequests`
    pub presented: u32,
    /// For companions.
    pub driver: Handle,
}

/// `WdfIoQueueDispatchParallel`
pub const DISPATCH_PARALLEL: u32 = 2;
/// `WdfTrue`
pub const TRI_STATE_TRUE: u32 = 1;

/// `WDF_REQUEST_PARAMETERS` of a device control or create request.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct RequestParameters {
    /// In bytes.
    pub size: u16,
    /// `IRP_MN_...`
    pub minor: u8,
    /// `WDF_REQUEST_TYPE`
    pub kind: u32,
    /// `Parameters.DeviceIoControl.OutputBufferLength`
    pub output_length: usize,
    /// `Parameters.DeviceIoControl.InputBufferLength`
    pub input_length: usize,
    /// `Parameters.DeviceIoControl.IoControlCode`
    pub code: u32,
    /// `Parameters.DeviceIoControl.Type3InputBuffer`
    pub type3: usize,
}

/// `WDF_TIMER_CONFIG`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct TimerConfig {
    /// In bytes.
    pub size: u32,
    /// `EvtTimerFunc`
    pub expired: Option<extern "system" fn(Handle)>,
    /// Milliseconds; 0 for a timer that fires once.
    pub period: u32,
    /// `BOOLEAN`
    pub serialize: u8,
    /// Milliseconds.
    pub tolerable_delay: u32,
    /// `BOOLEAN`, aligned to eight bytes.
    pub high_resolution: u64,
}

/// `WDF_WORKITEM_CONFIG`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct WorkItemConfig {
    /// In bytes.
    pub size: u32,
    /// `EvtWorkItemFunc`
    pub run: Option<extern "system" fn(Handle)>,
    /// `BOOLEAN`
    pub serialize: u8,
}

const _: () = {
    assert!(size_of::<BindInfo>() == 48);
    assert!(size_of::<BindInfo2>() == 40);
    assert!(size_of::<DriverGlobals>() == 56);
    assert!(size_of::<DriverConfig>() == 32);
    assert!(size_of::<ObjectAttributes>() == 56);
    assert!(size_of::<ContextType>() == 40);
    assert!(size_of::<FileConfig>() == 40);
    assert!(size_of::<QueueConfig>() == 96);
    assert!(std::mem::offset_of!(QueueConfig, device_control) == 40);
    assert!(std::mem::offset_of!(QueueConfig, presented) == 80);
    assert!(size_of::<RequestParameters>() == 40);
    assert!(std::mem::offset_of!(RequestParameters, code) == 24);
    assert!(size_of::<TimerConfig>() == 40);
    assert!(std::mem::offset_of!(TimerConfig, high_resolution) == 32);
    assert!(size_of::<WorkItemConfig>() == 24);
    assert!(size_of::<UnicodeString>() == 16);
};
