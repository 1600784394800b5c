//! The part of WDM that the stand-in touches: IRPs, driver and device objects, and the functions of
//! Wine's `ntoskrnl.exe` that it stands on. Layouts are those of wdm.h on x64.

use crate::{
    ffi::{Out, UnicodeString},
    layout::NtStatus,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use windows_sys::Win32::{
    Foundation::STATUS_PENDING,
    System::Memory::{GetProcessHeap, HeapFree},
};

/// `IRP_MJ_CREATE`
pub const CREATE: u8 = 0;
/// `IRP_MJ_CLOSE`
pub const CLOSE: u8 = 2;
/// `IRP_MJ_DEVICE_CONTROL`
pub const DEVICE_CONTROL: u8 = 14;
/// `IRP_MJ_CLEANUP`
pub const CLEANUP: u8 = 18;

/// `SL_PENDING_RETURNED`
const PENDING_RETURNED: u8 = 1;
/// `DO_BUFFERED_IO`
const BUFFERED_IO: u32 = 4;
/// `DO_DEVICE_INITIALIZING`
const DEVICE_INITIALIZING: u32 = 0x80;

#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    fn IoCreateDevice(
        driver: usize,
        extension: u32,
        name: *const UnicodeString,
        kind: u32,
        characteristics: u32,
        exclusive: u8,
        device: *mut usize,
    ) -> NtStatus;
    fn IoDeleteDevice(device: usize);
    fn IoCreateSymbolicLink(link: *const UnicodeString, name: *const UnicodeString) -> NtStatus;
    fn IoDeleteSymbolicLink(link: *const UnicodeString) -> NtStatus;
    fn IofCompleteRequest(irp: usize, boost: i8);
    fn IoReleaseCancelSpinLock(irql: u8);
    fn PsGetCurrentProcessId() -> usize;
}

/// `DRIVER_OBJECT`
#[repr(C)]
pub struct DriverObject {
    kind: i16,
    size: i16,
    device: usize,
    flags: u32,
    start: usize,
    image_size: u32,
    section: usize,
    extension: usize,
    name: UnicodeString,
    hardware: usize,
    fast_io: usize,
    init: usize,
    start_io: usize,
    unload: usize,
    major: [usize; 28],
}

/// `IO_STACK_LOCATION`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct StackLocation {
    /// `IRP_MJ_...`
    pub major: u8,
    /// `IRP_MN_...`
    pub minor: u8,
    flags: u8,
    control: u8,
    /// Of `IRP_MJ_DEVICE_CONTROL`: output length, input length, code, type 3 buffer; each in the
    /// lower half.
    pub parameters: [u64; 4],
    /// `PDEVICE_OBJECT`
    pub device: usize,
    /// `PFILE_OBJECT`
    pub file: usize,
    completion: usize,
    context: usize,
}

/// Offsets in an IRP of the fields in use.
mod irp {
    pub const SYSTEM_BUFFER: usize = 0x18;
    pub const STATUS: usize = 0x30;
    pub const INFORMATION: usize = 0x38;
    pub const CANCEL: usize = 0x44;
    pub const CANCEL_IRQL: usize = 0x45;
    pub const CANCEL_ROUTINE: usize = 0x68;
    pub const STACK_LOCATION: usize = 0xB8;
}

/// Offsets in a `DEVICE_OBJECT`.
mod device {
    pub const FLAGS: usize = 0x30;
    pub const EXTENSION: usize = 0x40;
}

const _: () = {
    assert!(size_of::<DriverObject>() == 0x150);
    assert!(std::mem::offset_of!(DriverObject, unload) == 0x68);
    assert!(size_of::<StackLocation>() == 0x48);
};

/// `DRIVER_DISPATCH`
pub type Dispatch = extern "system" fn(Device, Irp) -> NtStatus;

/// `PIO_COMPLETION_ROUTINE`
#[derive(Clone, Copy)]
pub struct Completion(extern "system" fn(usize, Irp, usize) -> NtStatus);

impl Completion {
    /// That of an IRP's stack location.
    pub fn at(address: usize) -> Self {
        // SAFETY: taken out of an IRP of Wine's, where it stands for Wine to call it with this signature.
        Self(unsafe {
            std::mem::transmute::<usize, extern "system" fn(usize, Irp, usize) -> NtStatus>(address)
        })
    }

    /// Calls it.
    pub fn call(self, device: usize, irp: Irp, context: usize) -> NtStatus {
        (self.0)(device, irp, context)
    }
}

/// `PDRIVER_OBJECT`
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Driver(pub usize);

impl Driver {
    fn at(self, offset: usize) -> Out<usize> {
        Out::at(self.0 + offset)
    }

    /// Where the driver's image starts.
    pub fn image(self) -> usize {
        self.at(std::mem::offset_of!(DriverObject, start))
            .get()
            .unwrap_or_default()
    }

    /// Whether an address lies in the driver's image.
    pub fn has(self, address: usize) -> bool {
        let size = Out::<u32>::at(self.0 + std::mem::offset_of!(DriverObject, image_size));
        let size = size.get().unwrap_or_default() as usize;
        (self.image()..self.image() + size).contains(&address)
    }

    /// Sets `DriverUnload`.
    pub fn set_unload(self, unload: extern "system" fn(Self)) {
        self.at(std::mem::offset_of!(DriverObject, unload))
            .set(unload as *const () as usize);
    }

    /// Sends every IRP to `dispatch`.
    pub fn set_dispatch(self, dispatch: Dispatch) {
        let first = std::mem::offset_of!(DriverObject, major);
        for major in 0..28 {
            self.at(first + 8 * major)
                .set(dispatch as *const () as usize);
        }
    }
}

/// `PDEVICE_OBJECT`
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Device(pub usize);

impl Device {
    /// Creates one with a name and eight bytes of extension.
    pub fn create(driver: Driver, name: &[u16], kind: u32, mark: u64) -> Result<Self, NtStatus> {
        let name = UnicodeString::of(name);
        let mut device = 0;
        // SAFETY: the driver object is Wine's; name and result live through the call.
        let status =
            unsafe { IoCreateDevice(driver.0, 8, &raw const name, kind, 0, 0, &raw mut device) };
        if status < 0 {
            return Err(status);
        }
        let extension = Out::<usize>::at(device + self::device::EXTENSION)
            .get()
            .unwrap_or_default();
        Out::at(extension).set(mark);
        let flags = Out::<u32>::at(device + self::device::FLAGS);
        flags.set(flags.get().unwrap_or_default() | BUFFERED_IO);
        Ok(Self(device))
    }

    /// What [`Self::create`] was given as `mark`.
    pub fn mark(self) -> u64 {
        let extension = Out::<usize>::at(self.0 + device::EXTENSION)
            .get()
            .unwrap_or_default();
        Out::<u64>::at(extension).get().unwrap_or_default()
    }

    /// Lets user mode in.
    pub fn finish_initializing(self) {
        let flags = Out::<u32>::at(self.0 + device::FLAGS);
        flags.set(flags.get().unwrap_or_default() & !DEVICE_INITIALIZING);
    }

    /// Deletes it.
    pub fn delete(self) {
        // SAFETY: made by `create`, and its owner deletes it once.
        unsafe { IoDeleteDevice(self.0) };
    }
}

/// Makes a symbolic link to a device.
pub fn create_link(link: &[u16], name: &[u16]) -> NtStatus {
    let (link, name) = (UnicodeString::of(link), UnicodeString::of(name));
    // SAFETY: both strings live through the call.
    unsafe { IoCreateSymbolicLink(&raw const link, &raw const name) }
}

/// Removes a symbolic link.
pub fn delete_link(link: &[u16]) -> NtStatus {
    let link = UnicodeString::of(link);
    // SAFETY: the string lives through the call.
    unsafe { IoDeleteSymbolicLink(&raw const link) }
}

/// The process on whose behalf Wine's dispatch thread is at work.
pub fn current_process() -> u32 {
    // SAFETY: no arguments, no conditions.
    let id = unsafe { PsGetCurrentProcessId() };
    u32::try_from(id).unwrap_or_default()
}

/// `PIRP`
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(transparent)]
pub struct Irp(pub usize);

impl Irp {
    fn field<T: Copy>(self, offset: usize) -> Out<T> {
        Out::at(self.0 + offset)
    }

    /// The current stack location.
    pub fn stack(self) -> StackLocation {
        let stack = self
            .field::<usize>(irp::STACK_LOCATION)
            .get()
            .unwrap_or_default();
        Out::at(stack)
            .get()
            .unwrap_or_else(|| crate::stop::lab_failed!("an IRP without stack"))
    }

    /// `AssociatedIrp.SystemBuffer`
    pub fn system_buffer(self) -> usize {
        self.field(irp::SYSTEM_BUFFER).get().unwrap_or_default()
    }

    /// `Cancel`
    pub fn is_cancelled(self) -> bool {
        self.field::<u8>(irp::CANCEL).get() != Some(0)
    }

    /// `IoMarkIrpPending`; the result is what dispatch returns then.
    pub fn pend(self) -> NtStatus {
        let stack = self
            .field::<usize>(irp::STACK_LOCATION)
            .get()
            .unwrap_or_default();
        let control = Out::<u8>::at(stack + std::mem::offset_of!(StackLocation, control));
        control.set(control.get().unwrap_or_default() | PENDING_RETURNED);
        STATUS_PENDING
    }

    /// `IoSetCancelRoutine`: puts `routine` in (0 for none) and returns what was there.
    pub fn exchange_cancel_routine(self, routine: usize) -> usize {
        let slot = (self.0 + irp::CANCEL_ROUTINE) as *mut usize;
        // SAFETY: the field is aligned, valid as long as the IRP, and everybody changes it by
        // atomic exchange.
        let slot = unsafe { AtomicUsize::from_ptr(slot) };
        slot.swap(routine, Ordering::SeqCst)
    }

    /// Releases the cancel spin lock that `IoCancelIrp` took for the cancel routine.
    pub fn release_cancel_lock(self) {
        let level = self.field::<u8>(irp::CANCEL_IRQL).get().unwrap_or_default();
        // SAFETY: called once by the cancel routine, as it must.
        unsafe { IoReleaseCancelSpinLock(level) };
    }

    /// Puts another completion routine in the place of that of whoever sent the IRP, and gives the old one.
    pub fn exchange_completion(self, routine: usize) -> usize {
        let stack = self
            .field::<usize>(irp::STACK_LOCATION)
            .get()
            .unwrap_or_default();
        let place = Out::<usize>::at(stack + std::mem::offset_of!(StackLocation, completion));
        let before = place.get().unwrap_or_default();
        place.set(routine);
        before
    }

    /// Frees `AssociatedIrp.SystemBuffer`, which Wine takes from the process heap and frees with the IRP.
    pub fn free_system_buffer(self) {
        let buffer = self.system_buffer();
        self.field(irp::SYSTEM_BUFFER).set(0_usize);
        // SAFETY: no arguments, no conditions.
        let heap = unsafe { GetProcessHeap() };
        // SAFETY: allocated there by Wine, which finds none any more; NULL is borne.
        unsafe { HeapFree(heap, 0, buffer as *const _) };
    }

    /// Goes on with a completion whose last routine has kept the IRP: Wine frees it.
    pub fn complete_again(self) {
        // SAFETY: the completion routine had it from Wine, and forgets it.
        unsafe { IofCompleteRequest(self.0, 0) };
    }

    /// `IoCompleteRequest`: from here on the IRP is gone.
    pub fn complete(self, status: NtStatus, information: usize) {
        self.field(irp::STATUS).set(status);
        self.field(irp::INFORMATION).set(information);
        // SAFETY: the caller owns the IRP and forgets it.
        unsafe { IofCompleteRequest(self.0, 0) };
    }
}
