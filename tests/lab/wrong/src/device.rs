//! The device `\\.\TlsGateWrong`, and the way from an IOCTL to its fault.

use crate::{
    events,
    faults::Fault,
    kmdf::{attributes, complete, complete_with, poke, size, wdf},
    locks, objects, pool, registry, requests, sspi, threads, time, tokens, version,
};
use core::ptr;
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

const NAME: &[u16] = &wide(br"\Device\TlsGateWrong");
const LINK: &[u16] = &wide(br"\DosDevices\Global\TlsGateWrong");
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

/// Creates everything.
pub fn create(driver: &mut DRIVER_OBJECT, path: PCUNICODE_STRING) -> NTSTATUS {
    let mut config = WDF_DRIVER_CONFIG {
        Size: size::<WDF_DRIVER_CONFIG>(),
        EvtDriverUnload: Some(unload),
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
    if !NT_SUCCESS(status) {
        return status;
    }
    registry::driver_is(made);
    let sddl = counted(SDDL);
    // SAFETY: the driver was created above.
    let init = unsafe {
        wdf!(PFN_WDFCONTROLDEVICEINITALLOCATE
            [WdfControlDeviceInitAllocateTableIndex](
            made,
            &raw const sddl,
        ))
    };
    if init.is_null() {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    create_device(init)
}

fn create_device(mut init: PWDFDEVICE_INIT) -> NTSTATUS {
    let link = if version::is_other() {
        OTHER_LINK
    } else {
        LINK
    };
    let (name, link) = (counted(NAME), counted(link));
    // SAFETY: `init` is still the driver's; the name is copied.
    let mut status = unsafe {
        wdf!(PFN_WDFDEVICEINITASSIGNNAME
            [WdfDeviceInitAssignNameTableIndex](
            init, &raw const name
        ))
    };
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

extern "C" fn unload(_driver: WDFDRIVER) {
    threads::join();
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
    if Fault::from_code(code) == Some(Fault::RequestLost) {
        return;
    }
    requests::enqueue(device, request);
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
            threads::commit(fault);
            tokens::commit(fault);
            sspi::commit(fault);
            events::commit(fault);
            registry::commit(fault);
            time::commit(fault);
        }
    }
    complete(request);
}
