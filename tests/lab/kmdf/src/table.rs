//! The function table of KMDF 1.33: index, name, highest IRQL and signature of every function that
//! is here, from the `_IRQL_requires_max_` annotations of the public headers.

use crate::{
    call, device, device_init,
    device_init::InitHandle,
    driver,
    ffi::{In, Out, UnicodeString},
    file,
    handle::Handle,
    irql::{APC, DISPATCH, PASSIVE},
    layout::{
        DriverConfig, FileConfig, NtStatus, ObjectAttributes, QueueConfig, RequestParameters,
        TimerConfig, WorkItemConfig,
    },
    lookaside, memory, object, queue, registry, request, spinlock, stack,
    stop::stop,
    timer, wdm, workitem,
};
use seq_macro::seq;
use std::sync::OnceLock;

/// `WdfFunctionTableNumEntries` of version 1.33.
pub const COUNT: usize = 458;

/// The entries' addresses.
type Table = [usize; COUNT];

/// `DISPATCH_LEVEL + 1`: the headers' way to say "from anywhere".
const ABOVE_DISPATCH: u8 = DISPATCH + 1;

/// Where the driver finds the table; made once.
pub fn address() -> usize {
    static TABLE: OnceLock<Table> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let mut table = missing();
        fill(&mut table);
        table
    });
    table.as_ptr() as usize
}

/// What stands in every place that is not filled.
extern "system" fn absent<const INDEX: usize>() {
    stop!("unimplemented", "WDF function {INDEX} of the table");
}

fn missing() -> Table {
    seq!(INDEX in 0..458 { [#(absent::<INDEX> as *const () as usize,)*] })
}

/// Entries of the table with the limit of their IRQL and what implements them. Every WDF function
/// has the driver's globals in front, which nothing here needs: there is one driver.
macro_rules! entries {
    ($table:ident; $($index:literal $name:ident <= $most:ident
        => $target:path, ($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)?;)+) => {
        $({
            extern "system" fn entry(_globals: usize, $($argument: $type),*) $(-> $result)? {
                stack::look();
                call::from_driver(concat!("Wdf", stringify!($name)), $most, move || $target($($argument),*))
            }
            $table[$index] = entry as *const () as usize;
        })+
    };
}

type Attributes = In<ObjectAttributes>;

fn fill(table: &mut Table) {
    devices(table);
    requests(table);
    objects(table);
}

fn devices(table: &mut Table) {
    entries! { table;
        25 ControlDeviceInitAllocate <= PASSIVE
            => device_init::allocate, (driver: Handle, sddl: In<UnicodeString>) -> InitHandle;
        27 ControlFinishInitializing <= DISPATCH => device::finish_initializing, (device: Handle);
        31 DeviceWdmGetDeviceObject <= DISPATCH => device::wdm_object, (device: Handle) -> usize;
        39 DeviceGetDriver <= DISPATCH => device::driver, (device: Handle) -> Handle;
        54 DeviceInitFree <= DISPATCH => device_init::free, (init: InitHandle);
        61 DeviceInitSetIoType <= DISPATCH
            => device_init::set_io_type, (init: InitHandle, kind: u32);
        62 DeviceInitSetExclusive <= DISPATCH
            => device_init::set_exclusive, (init: InitHandle, exclusive: u8);
        66 DeviceInitSetDeviceType <= DISPATCH
            => device_init::set_device_type, (init: InitHandle, kind: u32);
        67 DeviceInitAssignName <= PASSIVE
            => device_init::assign_name, (init: InitHandle, name: In<UnicodeString>) -> NtStatus;
        68 DeviceInitAssignSDDLString <= PASSIVE
            => device_init::assign_sddl, (init: InitHandle, sddl: In<UnicodeString>) -> NtStatus;
        70 DeviceInitSetCharacteristics <= DISPATCH
            => device_init::set_characteristics, (init: InitHandle, characteristics: u32, or: u8);
        71 DeviceInitSetFileObjectConfig <= DISPATCH
            => device_init::set_file_config, (
                init: InitHandle, config: In<FileConfig>, attributes: Attributes,
            );
        72 DeviceInitSetRequestAttributes <= DISPATCH
            => device_init::set_request_attributes, (init: InitHandle, attributes: Attributes);
        74 DeviceInitSetIoInCallerContextCallback <= DISPATCH
            => device_init::set_in_caller_context, (
                init: InitHandle, callback: Option<extern "system" fn(Handle, Handle)>,
            );
        75 DeviceCreate <= PASSIVE
            => device::create, (
                init: Out<InitHandle>, attributes: Attributes, device: Out<Handle>,
            ) -> NtStatus;
        80 DeviceCreateSymbolicLink <= PASSIVE
            => device::create_link, (device: Handle, link: In<UnicodeString>) -> NtStatus;
        90 DeviceGetFileObject <= DISPATCH => file::get, (device: Handle, file: Out<u8>) -> Handle;
        91 DeviceEnqueueRequest <= DISPATCH
            => queue::enqueue, (device: Handle, request: Handle) -> NtStatus;
        92 DeviceGetDefaultQueue <= DISPATCH => device::default_queue, (device: Handle) -> Handle;
        116 DriverCreate <= PASSIVE
            => driver::create, (
                object: wdm::Driver, path: In<UnicodeString>, attributes: Attributes,
                config: In<DriverConfig>, driver: Out<Handle>,
            ) -> NtStatus;
        118 DriverWdmGetDriverObject <= DISPATCH
            => driver::wdm_object, (driver: Handle) -> wdm::Driver;
        119 DriverOpenParametersRegistryKey <= PASSIVE
            => registry::open_parameters, (
                driver: Handle, access: u32, attributes: Attributes, key: Out<Handle>,
            ) -> NtStatus;
        137 FileObjectGetFileName <= PASSIVE => file::name, (file: Handle) -> usize;
        138 FileObjectGetFlags <= DISPATCH => file::flags, (file: Handle) -> u32;
        139 FileObjectGetDevice <= DISPATCH => file::device, (file: Handle) -> Handle;
        140 FileObjectWdmGetFileObject <= DISPATCH => file::wdm_object, (file: Handle) -> usize;
        152 IoQueueCreate <= DISPATCH
            => queue::create, (
                device: Handle, config: In<QueueConfig>, attributes: Attributes,
                queue: Out<Handle>,
            ) -> NtStatus;
        157 IoQueueGetDevice <= DISPATCH => queue::device, (queue: Handle) -> Handle;
        446 FileObjectGetInitiatorProcessId <= DISPATCH => file::creator, (file: Handle) -> u32;
    }
}

fn requests(table: &mut Table) {
    entries! { table;
        256 RequestUnmarkCancelable <= DISPATCH
            => request::unmark_cancelable, (request: Handle) -> NtStatus;
        257 RequestIsCanceled <= DISPATCH => request::is_cancelled, (request: Handle) -> u8;
        263 RequestComplete <= DISPATCH
            => request::complete_plain, (request: Handle, status: NtStatus);
        264 RequestCompleteWithPriorityBoost <= DISPATCH
            => request::complete_boosted, (request: Handle, status: NtStatus, boost: i8);
        265 RequestCompleteWithInformation <= DISPATCH
            => request::complete, (request: Handle, status: NtStatus, information: usize);
        266 RequestGetParameters <= DISPATCH
            => request::parameters, (request: Handle, parameters: Out<RequestParameters>);
        269 RequestRetrieveInputBuffer <= DISPATCH
            => request::input, (
                request: Handle, least: usize, buffer: Out<usize>, length: Out<usize>,
            ) -> NtStatus;
        270 RequestRetrieveOutputBuffer <= DISPATCH
            => request::output, (
                request: Handle, least: usize, buffer: Out<usize>, length: Out<usize>,
            ) -> NtStatus;
        275 RequestSetInformation <= DISPATCH
            => request::set_information, (request: Handle, information: usize);
        276 RequestGetInformation <= DISPATCH => request::information, (request: Handle) -> usize;
        277 RequestGetFileObject <= DISPATCH => request::file, (request: Handle) -> Handle;
        280 RequestGetRequestorMode <= DISPATCH => request::mode, (request: Handle) -> i8;
        282 RequestGetIoQueue <= DISPATCH => request::io_queue, (request: Handle) -> Handle;
        393 RequestMarkCancelableEx <= DISPATCH
            => request::mark_cancelable, (
                request: Handle, callback: Option<request::EvtCancel>,
            ) -> NtStatus;
        447 RequestGetRequestorProcessId <= DISPATCH => request::process, (request: Handle) -> u32;
    }
}

fn objects(table: &mut Table) {
    entries! { table;
        // APC_LEVEL for paged pool, DISPATCH_LEVEL otherwise; the stricter of the two.
        192 MemoryCreate <= APC
            => memory::create, (
                attributes: Attributes, pool: u32, tag: u32, size: usize, memory: Out<Handle>,
                buffer: Out<usize>,
            ) -> NtStatus;
        194 MemoryGetBuffer <= DISPATCH
            => memory::buffer, (memory: Handle, size: Out<usize>) -> usize;
        198 LookasideListCreate <= APC
            => lookaside::create, (
                attributes: Attributes, size: usize, pool: u32, memory: Attributes, tag: u32,
                lookaside: Out<Handle>,
            ) -> NtStatus;
        199 MemoryCreateFromLookaside <= DISPATCH
            => lookaside::take, (lookaside: Handle, memory: Out<Handle>) -> NtStatus;
        202 ObjectGetTypedContextWorker <= ABOVE_DISPATCH
            => object::wdf_context, (object: Handle, kind: usize) -> usize;
        203 ObjectAllocateContext <= DISPATCH
            => object::wdf_allocate_context, (
                object: Handle, attributes: Attributes, context: Out<usize>,
            ) -> NtStatus;
        205 ObjectReferenceActual <= DISPATCH
            => object::wdf_reference, (object: Handle, tag: usize, line: i32, file: usize);
        206 ObjectDereferenceActual <= DISPATCH
            => object::wdf_dereference, (object: Handle, tag: usize, line: i32, file: usize);
        207 ObjectCreate <= DISPATCH
            => object::wdf_create, (attributes: Attributes, object: Out<Handle>) -> NtStatus;
        208 ObjectDelete <= DISPATCH => object::wdf_delete, (object: Handle);
        231 RegistryClose <= PASSIVE => registry::close, (key: Handle);
        235 RegistryQueryValue <= PASSIVE
            => registry::query_value, (
                key: Handle, name: In<UnicodeString>, room: u32, value: Out<u8>, length: Out<u32>,
                kind: Out<u32>,
            ) -> NtStatus;
        238 RegistryQueryUnicodeString <= PASSIVE
            => registry::query_string, (
                key: Handle, name: In<UnicodeString>, length: Out<u16>,
                value: Out<UnicodeString>,
            ) -> NtStatus;
        240 RegistryQueryULong <= PASSIVE
            => registry::query_ulong, (
                key: Handle, name: In<UnicodeString>, value: Out<u32>,
            ) -> NtStatus;
        315 SpinLockCreate <= DISPATCH
            => spinlock::create, (attributes: Attributes, lock: Out<Handle>) -> NtStatus;
        316 SpinLockAcquire <= DISPATCH => spinlock::acquire, (lock: Handle);
        317 SpinLockRelease <= DISPATCH => spinlock::release, (lock: Handle);
        318 TimerCreate <= DISPATCH
            => timer::create, (
                config: In<TimerConfig>, attributes: Attributes, timer: Out<Handle>,
            ) -> NtStatus;
        319 TimerStart <= DISPATCH => timer::start, (timer: Handle, due: i64) -> u8;
        320 TimerStop <= DISPATCH => timer::cancel, (timer: Handle, wait: u8) -> u8;
        321 TimerGetParentObject <= DISPATCH => timer::parent, (timer: Handle) -> Handle;
        379 WorkItemCreate <= DISPATCH
            => workitem::create, (
                config: In<WorkItemConfig>, attributes: Attributes, item: Out<Handle>,
            ) -> NtStatus;
        380 WorkItemEnqueue <= DISPATCH => workitem::enqueue, (item: Handle);
        381 WorkItemGetParentObject <= DISPATCH => workitem::parent, (item: Handle) -> Handle;
        382 WorkItemFlush <= PASSIVE => workitem::flush, (item: Handle);
    }
}
