//! The control device: a name, a symbolic link, callbacks, one parallel queue.

use super::{
    YES,
    call::wdf,
    object::{ContextType, ZeroContext, plain_attributes},
    size,
};
use crate::nt;
use core::{mem::MaybeUninit, ptr};
use tlsgate_protocol::NtStatus;
use wdk_sys::{
    _WDF_EXECUTION_LEVEL::WdfExecutionLevelPassive,
    _WDF_FILEOBJECT_CLASS::WdfFileObjectWdfCannotUseFsContexts,
    _WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchParallel,
    _WDF_SYNCHRONIZATION_SCOPE::WdfSynchronizationScopeNone,
    _WDF_TRI_STATE::{WdfFalse, WdfUseDefault},
    PFN_WDF_DEVICE_FILE_CREATE, PFN_WDF_FILE_CLEANUP, PFN_WDF_IO_IN_CALLER_CONTEXT,
    PFN_WDF_IO_QUEUE_IO_DEVICE_CONTROL, PFN_WDF_OBJECT_CONTEXT_CLEANUP, PWDFDEVICE_INIT,
    UNICODE_STRING, WDF_FILEOBJECT_CONFIG, WDF_IO_QUEUE_CONFIG, WDF_OBJECT_ATTRIBUTES, WDFDEVICE,
    WDFDRIVER, WDFFILEOBJECT, WDFQUEUE,
};

/// What the driver does for its device.
pub struct Callbacks<F: 'static, R: 'static> {
    /// A handle is being opened.
    pub create: PFN_WDF_DEVICE_FILE_CREATE,
    /// The last handle to a file object was closed; requests may still be pending.
    pub cleanup: PFN_WDF_FILE_CLEANUP,
    /// A request has arrived, in its caller's thread.
    pub in_caller_context: PFN_WDF_IO_IN_CALLER_CONTEXT,
    /// A device control request was taken from the queue.
    pub device_control: PFN_WDF_IO_QUEUE_IO_DEVICE_CONTROL,
    /// Context space of file objects.
    pub file_context: &'static ContextType<F>,
    /// The end of a file object.
    pub file_gone: PFN_WDF_OBJECT_CONTEXT_CLEANUP,
    /// Context space of requests.
    pub request_context: &'static ContextType<R>,
    /// The end of a request.
    pub request_gone: PFN_WDF_OBJECT_CONTEXT_CLEANUP,
}

/// A counted string over UTF-16 text that the caller keeps.
pub fn unicode_string(text: &[u16]) -> UNICODE_STRING {
    let bytes = u16::try_from(size_of_val(text)).unwrap_or(!1);
    UNICODE_STRING {
        Length: bytes,
        MaximumLength: bytes,
        // The kernel only reads through these strings. An empty one has no address.
        Buffer: if text.is_empty() {
            ptr::null_mut()
        } else {
            text.as_ptr().cast_mut()
        },
    }
}

/// Makes the device and lets I/O in. IRQL: PASSIVE_LEVEL, from `DriverEntry`.
///
/// The framework deletes the device after EvtDriverUnload, or when `DriverEntry` fails (Microsoft's
/// documentation of "Using Control Device Objects").
///
/// # Errors
///
/// What the framework says.
///
/// # Safety
///
/// `driver` is this driver's framework object.
pub unsafe fn create<F: ZeroContext, R: ZeroContext>(
    driver: WDFDRIVER,
    name: &[u16],
    link: &[u16],
    sddl: &[u16],
    callbacks: &Callbacks<F, R>,
) -> Result<(), NtStatus> {
    let sddl = unicode_string(sddl);
    // SAFETY: the driver object is live, the string is kept across the call.
    let init = unsafe {
        wdf!(PFN_WDFCONTROLDEVICEINITALLOCATE
            [WdfControlDeviceInitAllocateTableIndex](
            driver,
            &raw const sddl
        ))
    };
    if init.is_null() {
        return Err(NtStatus::STATUS_INSUFFICIENT_RESOURCES);
    }
    let mut init = Init(init);
    init.configure(name, callbacks)?;
    let device = init.into_device()?;
    let link = unicode_string(link);
    // SAFETY: the device was just made; the string is kept across the call.
    nt::check(unsafe {
        wdf!(PFN_WDFDEVICECREATESYMBOLICLINK
            [WdfDeviceCreateSymbolicLinkTableIndex](
            device,
            &raw const link
        ))
    })?;
    create_queue(device, callbacks.device_control)?;
    // SAFETY: the device is ready.
    unsafe {
        wdf!(PFN_WDFCONTROLFINISHINITIALIZING[WdfControlFinishInitializingTableIndex](device));
    };
    Ok(())
}

/// The name of `file` below the device: empty for `\\.\TlsGate` itself. IRQL: PASSIVE_LEVEL.
///
/// # Safety
///
/// `file` is being created.
pub unsafe fn has_name(file: WDFFILEOBJECT) -> bool {
    // SAFETY: the file object is live (this function's contract).
    let name =
        unsafe { wdf!(PFN_WDFFILEOBJECTGETFILENAME[WdfFileObjectGetFileNameTableIndex](file)) };
    // SAFETY: null, or a string that lives as long as the file object.
    unsafe { name.as_ref() }.is_some_and(|name| name.Length != 0)
}

/// Device settings before there is a device; freed when the device cannot be made.
struct Init(PWDFDEVICE_INIT);

impl Init {
    fn configure<F: ZeroContext, R: ZeroContext>(
        &mut self,
        name: &[u16],
        callbacks: &Callbacks<F, R>,
    ) -> Result<(), NtStatus> {
        let name = unicode_string(name);
        // SAFETY: the settings are ours; the string is copied.
        nt::check(unsafe {
            wdf!(PFN_WDFDEVICEINITASSIGNNAME
                [WdfDeviceInitAssignNameTableIndex](
                self.0, &raw const name
            ))
        })?;
        let mut config = WDF_FILEOBJECT_CONFIG {
            Size: size::<WDF_FILEOBJECT_CONFIG>(),
            EvtDeviceFileCreate: callbacks.create,
            EvtFileClose: None,
            EvtFileCleanup: callbacks.cleanup,
            AutoForwardCleanupClose: WdfUseDefault,
            // The framework finds the file object without touching the I/O manager's fields.
            FileObjectClass: WdfFileObjectWdfCannotUseFsContexts,
        };
        let mut attributes = WDF_OBJECT_ATTRIBUTES {
            // EvtFileCleanup closes sessions, which is for PASSIVE_LEVEL.
            ExecutionLevel: WdfExecutionLevelPassive,
            SynchronizationScope: WdfSynchronizationScopeNone,
            ..callbacks.file_context.attributes(callbacks.file_gone)
        };
        // SAFETY: the settings are ours; both structures are copied.
        unsafe {
            wdf!(PFN_WDFDEVICEINITSETFILEOBJECTCONFIG
                [WdfDeviceInitSetFileObjectConfigTableIndex](
                self.0,
                &raw mut config,
                &raw mut attributes
            ));
        }
        let mut attributes = callbacks.request_context.attributes(callbacks.request_gone);
        // SAFETY: as above.
        unsafe {
            wdf!(PFN_WDFDEVICEINITSETREQUESTATTRIBUTES
                [WdfDeviceInitSetRequestAttributesTableIndex](
                self.0,
                &raw mut attributes
            ));
        }
        // SAFETY: as above; the callback is code of this image.
        unsafe {
            wdf!(PFN_WDFDEVICEINITSETIOINCALLERCONTEXTCALLBACK
                [WdfDeviceInitSetIoInCallerContextCallbackTableIndex](
                self.0,
                callbacks.in_caller_context
            ));
        }
        Ok(())
    }

    fn into_device(mut self) -> Result<WDFDEVICE, NtStatus> {
        let mut attributes = WDF_OBJECT_ATTRIBUTES {
            ExecutionLevel: WdfExecutionLevelPassive,
            SynchronizationScope: WdfSynchronizationScopeNone,
            ..plain_attributes()
        };
        let mut device: WDFDEVICE = ptr::null_mut();
        // SAFETY: the settings are ours; the framework takes them over, and clears the pointer,
        // when it succeeds.
        nt::check(unsafe {
            wdf!(PFN_WDFDEVICECREATE[WdfDeviceCreateTableIndex](
                &raw mut self.0,
                &raw mut attributes,
                &raw mut device
            ))
        })?;
        Ok(device)
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: no device was made of the settings.
            unsafe { wdf!(PFN_WDFDEVICEINITFREE[WdfDeviceInitFreeTableIndex](self.0)) };
        }
    }
}

fn create_queue(
    device: WDFDEVICE,
    device_control: PFN_WDF_IO_QUEUE_IO_DEVICE_CONTROL,
) -> Result<(), NtStatus> {
    // SAFETY: integers and nullable pointers: all zeros is a value.
    let mut config: WDF_IO_QUEUE_CONFIG = unsafe { MaybeUninit::zeroed().assume_init() };
    config.Size = size::<WDF_IO_QUEUE_CONFIG>();
    config.DispatchType = WdfIoQueueDispatchParallel;
    config.PowerManaged = WdfFalse;
    config.DefaultQueue = YES;
    config.EvtIoDeviceControl = device_control;
    // As many at a time as arrive (WDF_IO_QUEUE_CONFIG_INIT).
    config.Settings.Parallel.NumberOfPresentedRequests = u32::MAX;
    let mut attributes = WDF_OBJECT_ATTRIBUTES {
        ExecutionLevel: WdfExecutionLevelPassive,
        SynchronizationScope: WdfSynchronizationScopeNone,
        ..plain_attributes()
    };
    let mut queue: WDFQUEUE = ptr::null_mut();
    // SAFETY: the device is live; all three structures are ours and kept across the call.
    nt::check(unsafe {
        wdf!(PFN_WDFIOQUEUECREATE[WdfIoQueueCreateTableIndex](
            device,
            &raw mut config,
            &raw mut attributes,
            &raw mut queue
        ))
    })
}
