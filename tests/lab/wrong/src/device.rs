//! The device, named like the service, and the way from an IOCTL to its fault.

use crate::{
    events,
    faults::Fault,
    kmdf::{attributes, complete, complete_with, poke, size, wdf},
    later, lists, locks, objects, pool, registry, requests, sspi, stack, threads, time, tokens,
    unload, version,
};
use core::{ptr, slice};
use wdk_sys::{
    _WDF_DRIVER_INIT_FLAGS::WdfDriverInitNonPnpDriver,
    _WDF_EXECUTION_LEVEL::WdfExecutionLevelPassive,
    _WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchParallel,
    _WDF_SYNCHRONIZATION_SCOPE::WdfSynchronizationScopeNone, _WDF_TRI_STATE::WdfUseDefault,
    DRIVER_OBJECT, NT_SUCCESS, NTSTATUS, PCUNICODE_STRING, PWDFDEVICE_INIT,
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST, STATUS_SUCCESS, UNICODE_STRING,
    WDF_DRIVER_CONFIG, WDF_IO_QUEUE_CONFIG, WDF_OBJECT_ATTRIBUTES, WDF_REQUEST_PARAMETERS,
    WDFDEVICE, WDFDRIVER, WDFQUEUE, WDFREQUEST,
};

/// What the service's name follows.
const DEVICES: &[u16] = &wide(br"\Device\");
const LINKS: &[u16] = &wide(br"\DosDevices\Global\");
/// Where programs look for the driver under test.
const OTHER_LINK: &[u16] = &wide(br"\DosDevices\Global\TlsGate");
const SDDL: &[u16] = &wide(b"D:P(A;;GA;;;SY)(A;;GA;;;BA)");

const fn wide<const N: usize>(text: &[u8; N]) -> [u16; N] {
    let mut units = [0; N];
    let mut index = 0;
    while index < N {
        units[index] = text[index] as u16;
        index += 1;
    }
    units
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the strings above are short"
)]
fn counted(text: &[u16]) -> UNICODE_STRING {
    let bytes = size_of_val(text) as u16;
    UNICODE_STRING {
        Length: bytes,
        MaximumLength: bytes,
        Buffer: text.as_ptr().cast_mut(),
    }
}

/// Units of a name, at most.
const LONGEST: usize = 64;

/// A name made of two parts, and its units.
struct Name([u16; LONGEST], usize);

impl Name {
    fn of(folder: &[u16], service: &[u16]) -> Self {
        let mut name = Self([0; LONGEST], 0);
        for unit in folder.iter().chain(service) {
            if let Some(place) = name.0.get_mut(name.1) {
                *place = *unit;
                name.1 += 1;
            }
        }
        name
    }

    fn units(&self) -> &[u16] {
        self.0.get(..self.1).unwrap_or_default()
    }
}

/// The service's name: the last part of its registry key's.
fn service(path: PCUNICODE_STRING) -> &'static [u16] {
    // SAFETY: the I/O manager's, as long as `DriverEntry` runs.
    let path = unsafe { path.read() };
    // SAFETY: as above.
    let units = unsafe { slice::from_raw_parts(path.Buffer, usize::from(path.Length) / 2) };
    units
        .rsplit(|unit| *unit == u16::from(b'\\'))
        .next()
        .unwrap_or_default()
}

/// The fault that the service's name ends with, for what is wrong before there is a device.
fn fault(service: &[u16]) -> Option<Fault> {
    let digits = service
        .iter()
        .filter_map(|unit| char::from_u32(u32::from(*unit))?.to_digit(10));
    Fault::from_function(digits.fold(0, |number: u32, digit| number * 10 + digit))
}

/// Creates everything.
pub fn create(driver: &mut DRIVER_OBJECT, path: PCUNICODE_STRING) -> NTSTATUS {
    let service = service(path);
    let fault = fault(service);
    if fault == Some(Fault::CallBeforeDriver) {
        objects::create_object(&mut attributes());
    }
    let status = create_driver(driver, path, fault);
    if !NT_SUCCESS(status) {
        return status;
    }
    if fault == Some(Fault::DriverTwice) {
        return create_driver(driver, path, fault);
    }
    let init = allocate_init();
    if init.is_null() {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    create_device(init, service, fault)
}

fn create_driver(
    driver: &mut DRIVER_OBJECT,
    path: PCUNICODE_STRING,
    fault: Option<Fault>,
) -> NTSTATUS {
    let mut config = WDF_DRIVER_CONFIG {
        Size: size::<WDF_DRIVER_CONFIG>(),
        EvtDriverUnload: (fault != Some(Fault::DriverWithoutUnload)).then_some(evt_unload as _),
        DriverInitFlags: WdfDriverInitNonPnpDriver.cast_unsigned(),
        ..WDF_DRIVER_CONFIG::default()
    };
    let mut made: WDFDRIVER = ptr::null_mut();
    // SAFETY: the driver object and the path are the I/O manager's.
    let status = unsafe {
        wdf!(PFN_WDFDRIVERCREATE[WdfDriverCreateTableIndex](
            &raw mut *driver,
            path,
            ptr::null_mut(),
            &raw mut config,
            &raw mut made,
        ))
    };
    registry::driver_is(made);
    status
}

fn allocate_init() -> PWDFDEVICE_INIT {
    let sddl = counted(SDDL);
    // SAFETY: the driver was created before.
    unsafe {
        wdf!(PFN_WDFCONTROLDEVICEINITALLOCATE
            [WdfControlDeviceInitAllocateTableIndex](
            registry::driver(),
            &raw const sddl,
        ))
    }
}

fn create_device(mut init: PWDFDEVICE_INIT, service: &[u16], fault: Option<Fault>) -> NTSTATUS {
    let (device_name, own_link) = (Name::of(DEVICES, service), Name::of(LINKS, service));
    let link = if version::is_other() {
        OTHER_LINK
    } else {
        own_link.units()
    };
    let (name, link) = (counted(device_name.units()), counted(link));
    let mut status = STATUS_SUCCESS;
    if fault != Some(Fault::DeviceWithoutName) {
        // SAFETY: `init` is still the driver's; the name is copied.
        status = unsafe {
            wdf!(PFN_WDFDEVICEINITASSIGNNAME
                [WdfDeviceInitAssignNameTableIndex](
                init, &raw const name
            ))
        };
    }
    if !NT_SUCCESS(status) {
        return status;
    }
    // SAFETY: as above.
    unsafe {
        wdf!(PFN_WDFDEVICEINITSETIOINCALLERCONTEXTCALLBACK
            [WdfDeviceInitSetIoInCallerContextCallbackTableIndex](
            init,
            Some(in_caller_context as _),
        ));
    }
    let mut passive = WDF_OBJECT_ATTRIBUTES {
        ExecutionLevel: WdfExecutionLevelPassive,
        SynchronizationScope: WdfSynchronizationScopeNone,
        ..attributes()
    };
    let mut device: WDFDEVICE = ptr::null_mut();
    // SAFETY: the device takes `init` over.
    status = unsafe {
        wdf!(PFN_WDFDEVICECREATE[WdfDeviceCreateTableIndex](
            &raw mut init,
            &raw mut passive,
            &raw mut device,
        ))
    };
    if !NT_SUCCESS(status) {
        return status;
    }
    // SAFETY: the device was created above; the name is copied.
    status = unsafe {
        wdf!(PFN_WDFDEVICECREATESYMBOLICLINK
            [WdfDeviceCreateSymbolicLinkTableIndex](
            device,
            &raw const link,
        ))
    };
    if !NT_SUCCESS(status) {
        return status;
    }
    status = create_queue(device);
    // SAFETY: the device was created above.
    unsafe {
        wdf!(PFN_WDFCONTROLFINISHINITIALIZING[WdfControlFinishInitializingTableIndex](device));
    };
    status
}

fn create_queue(device: WDFDEVICE) -> NTSTATUS {
    let mut config = WDF_IO_QUEUE_CONFIG {
        Size: size::<WDF_IO_QUEUE_CONFIG>(),
        DispatchType: WdfIoQueueDispatchParallel,
        PowerManaged: WdfUseDefault,
        DefaultQueue: 1,
        EvtIoDeviceControl: Some(device_control),
        ..WDF_IO_QUEUE_CONFIG::default()
    };
    config.Settings.Parallel.NumberOfPresentedRequests = u32::MAX;
    // SAFETY: the device was created by the caller.
    unsafe {
        wdf!(PFN_WDFIOQUEUECREATE[WdfIoQueueCreateTableIndex](
            device,
            &raw mut config,
            ptr::null_mut(),
            ptr::null_mut(),
        ))
    }
}

/// Commits the fault if it is one with what there is once a driver.
fn commit(fault: Fault, queue: WDFQUEUE) {
    match fault {
        Fault::DeviceInitLeak => _ = allocate_init(),
        Fault::SecondDefaultQueue => {
            // SAFETY: the queue has just delivered a request.
            let device = unsafe {
                wdf!(PFN_WDFIOQUEUEGETDEVICE[WdfIoQueueGetDeviceTableIndex](
                    queue
                ))
            };
            _ = create_queue(device);
        }
        _ => (),
    }
}

extern "C" fn evt_unload(_driver: WDFDRIVER) {
    unload::run();
}

extern "C" fn in_caller_context(device: WDFDEVICE, request: WDFREQUEST) {
    let mut parameters = WDF_REQUEST_PARAMETERS {
        #[expect(clippy::cast_possible_truncation, reason = "40 bytes")]
        Size: size::<WDF_REQUEST_PARAMETERS>() as u16,
        ..WDF_REQUEST_PARAMETERS::default()
    };
    // SAFETY: the request has just been delivered.
    unsafe {
        wdf!(PFN_WDFREQUESTGETPARAMETERS
            [WdfRequestGetParametersTableIndex](
            request,
            &raw mut parameters,
        ));
    }
    // SAFETY: only device control requests come this way.
    let code = unsafe { parameters.Parameters.DeviceIoControl.IoControlCode };
    let early =
        Fault::from_code(code).is_some_and(|fault| requests::commit_early(fault, device, request));
    if !early {
        requests::enqueue(device, request);
    }
}

extern "C" fn device_control(
    queue: WDFQUEUE,
    request: WDFREQUEST,
    output_length: usize,
    input_length: usize,
    code: u32,
) {
    if version::answer(request, code) {
        return;
    }
    let Some(fault) = Fault::from_code(code) else {
        complete_with(request, STATUS_INVALID_DEVICE_REQUEST, 0);
        return;
    };
    match fault {
        Fault::Nothing => {
            complete_with(request, STATUS_SUCCESS, output_length.min(input_length));
            return;
        }
        Fault::Exception => poke(ptr::null_mut(), 0),
        _ if requests::commit(fault, queue, request) => return,
        _ => {
            objects::commit(fault, request);
            locks::commit(fault, request);
            pool::commit(fault);
            lists::commit(fault);
            threads::commit(fault);
            tokens::commit(fault);
            sspi::commit(fault);
            events::commit(fault);
            registry::commit(fault);
            time::commit(fault);
            stack::commit(fault);
            later::commit(fault, queue);
            unload::commit(fault);
            commit(fault, queue);
        }
    }
    complete(request);
}
