//! The kernel functions that the driver gets instead of Wine's, and the IRQL up to which their
//! reference pages (windows-driver-docs-ddi) allow them. What is not here and not harmless is
//! refused when the driver loads.

use crate::{
    call, clock, etw,
    ffi::{In, Out},
    irql::{self, ANY, APC, DISPATCH, PASSIVE},
    kernel_lookaside,
    layout::NtStatus,
    pool, reference, stack, thread, token, wait,
};

/// Imports that Wine serves well enough, that may be called at any IRQL, and whose stack is hardly any.
const HARMLESS: &[&str] = &[
    "DbgPrint",
    "ExQueryDepthSList",
    "PsGetCurrentThreadId",
    "PsThreadType",
    "memcmp",
    "memcpy",
    "memmove",
    "memset",
    "strlen",
];

/// Functions of the kernel with the limit of their IRQL and what stands in for them.
macro_rules! replacements {
    ($wanted:ident; $($name:ident <= $most:ident
        => $target:path, ($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)?;)+) => {
        $(if $wanted == stringify!($name) {
            extern "system" fn replacement($($argument: $type),*) $(-> $result)? {
                stack::look();
                call::from_driver(stringify!($name), $most, move || $target($($argument),*))
            }
            return Some(replacement as *const () as usize);
        })+
    };
}

/// The address of what stands in for the kernel function `name`.
pub fn replacement(name: &str) -> Option<usize> {
    #[cfg(feature = "bench")]
    if name == "memset" {
        return Some(crate::bench::memory::set as *const () as usize);
    }
    replacements! { name;
        EtwRegister <= PASSIVE
            => etw::register, (
                provider: In<etw::Guid>, callback: Option<etw::Enabled>, context: usize,
                handle: Out<u64>,
            ) -> NtStatus;
        EtwSetInformation <= PASSIVE
            => etw::set_information, (
                handle: u64, class: u32, information: usize, length: u32,
            ) -> NtStatus;
        EtwUnregister <= PASSIVE => etw::unregister, (handle: u64) -> NtStatus;
        EtwWriteTransfer <= ANY
            => etw::write, (
                handle: u64, event: In<etw::Descriptor>, activity: usize, related: usize,
                count: u32, data: usize,
            ) -> NtStatus;
        ExAllocatePool2 <= DISPATCH => pool::allocate, (flags: u64, size: usize, tag: u32) -> usize;
        ExDeleteLookasideListEx <= DISPATCH => kernel_lookaside::delete, (list: usize);
        ExFreePool <= DISPATCH => pool::free, (block: usize);
        ExFreePoolWithTag <= DISPATCH => pool::free_with_tag, (block: usize, tag: u32);
        ExInitializeLookasideListEx <= DISPATCH
            => kernel_lookaside::initialize, (
                list: usize, allocate: usize, free: usize, kind: i32, flags: u32, size: usize,
                tag: u32, depth: u16,
            ) -> NtStatus;
        ExpInterlockedPopEntrySList <= ANY => kernel_lookaside::pop, (head: usize) -> usize;
        ExpInterlockedPushEntrySList <= ANY
            => kernel_lookaside::push, (head: usize, entry: usize) -> usize;
        KeClearEvent <= DISPATCH => wait::clear_event, (event: usize);
        KeDelayExecutionThread <= APC
            => wait::delay, (mode: i8, alertable: u8, interval: In<i64>) -> NtStatus;
        KeGetCurrentIrql <= ANY => irql::current, () -> u8;
        KeInitializeEvent <= ANY
            => wait::initialize_event, (event: usize, kind: i32, state: u8);
        KeInitializeSemaphore <= ANY
            => wait::initialize_semaphore, (semaphore: usize, count: i32, limit: i32);
        KeLowerIrql <= ANY => irql::lower, (level: u8);
        KeQueryActiveProcessorCountEx <= ANY => clock::processors, (group: u16) -> u32;
        KeQueryInterruptTime <= ANY => clock::interrupt, () -> u64;
        KeQueryInterruptTimePrecise <= ANY
            => clock::interrupt_precise, (counter: Out<u64>) -> u64;
        KeQueryUnbiasedInterruptTime <= ANY => clock::unbiased, () -> u64;
        KeReleaseSemaphore <= DISPATCH
            => wait::release_semaphore, (
                semaphore: usize, increment: i32, adjustment: i32, wait: u8,
            ) -> i32;
        KeSetEvent <= DISPATCH => wait::set_event, (event: usize, increment: i32, wait: u8) -> i32;
        KeWaitForSingleObject <= DISPATCH
            => wait::single, (
                object: usize, reason: i32, mode: i8, alertable: u8, timeout: In<i64>,
            ) -> NtStatus;
        KfRaiseIrql <= ANY => irql::raise, (level: u8) -> u8;
        ObReferenceObjectByHandle <= PASSIVE
            => reference::by_handle, (
                handle: usize, access: u32, kind: usize, mode: i8, object: Out<usize>,
                information: usize,
            ) -> NtStatus;
        ObfDereferenceObject <= DISPATCH => reference::release, (object: usize) -> isize;
        PsCreateSystemThread <= PASSIVE
            => thread::create, (
                handle: Out<usize>, access: u32, attributes: usize, process: usize,
                client: usize, start: thread::Start, context: usize,
            ) -> NtStatus;
        PsDereferenceImpersonationToken <= PASSIVE => token::dereference, (token: token::Token);
        PsDereferencePrimaryToken <= PASSIVE => token::dereference, (token: token::Token);
        PsGetCurrentProcessId <= ANY => token::process_id, () -> usize;
        PsRevertToSelf <= PASSIVE => token::revert, ();
        PsTerminateSystemThread <= PASSIVE => thread::terminate, (status: NtStatus) -> NtStatus;
        RtlPcToFileHeader <= ANY => clock::file_header, (address: usize, base: Out<usize>) -> usize;
        SeCaptureSubjectContext <= PASSIVE
            => token::capture, (context: Out<token::SubjectContext>);
        SeCreateClientSecurity <= PASSIVE
            => token::create_client_security_of_thread, (
                thread: usize, quality: In<token::Quality>, remote: u8,
                context: Out<token::ClientContext>,
            ) -> NtStatus;
        SeCreateClientSecurityFromSubjectContext <= PASSIVE
            => token::create_client_security, (
                subject: In<token::SubjectContext>, quality: In<token::Quality>, remote: u8,
                context: Out<token::ClientContext>,
            ) -> NtStatus;
        SeImpersonateClientEx <= PASSIVE
            => token::impersonate, (context: In<token::ClientContext>, thread: usize) -> NtStatus;
        SeReleaseSubjectContext <= PASSIVE
            => token::release, (context: Out<token::SubjectContext>);
        SeTokenType <= APC => token::kind, (token: token::Token) -> u32;
        ZwClose <= PASSIVE => reference::close, (handle: usize) -> NtStatus;
    }
    None
}

/// Whether Wine's own function will do.
pub fn is_harmless(name: &str) -> bool {
    HARMLESS.contains(&name)
}
