//! Calls that go wrong on purpose, by function and effect.

use super::{arguments::AcquireMemory, connected::Connected, driver::Driver, issuing::with_fault};
use crate::handles;
use openssl::ssl::SslVersion;
use std::{
    thread,
    time::{Duration, Instant},
};
use tlsgate_lab_control::ksecdd::{Completion, Effect, Fault, Function, Switches};
use windows_sys::Win32::Foundation::{
    SEC_E_INSUFFICIENT_MEMORY, SEC_E_INTERNAL_ERROR, SEC_E_OK, SEC_I_ASYNC_CALL_PENDING,
};

const fn acquiring(nth: u64, effect: Effect) -> Fault {
    Fault {
        function: Function::SspiAcquireCredentialsHandleAsyncW,
        nth,
        effect,
    }
}

#[test]
fn faults_hit_the_call_they_are_meant_for() {
    let fault = |nth, effect| Fault {
        function: Function::SspiAcquireCredentialsHandleAsyncW,
        nth,
        effect,
    };
    let driver = Driver::new(Switches {
        faults: vec![
            fault(2, Effect::Refused(SEC_E_INSUFFICIENT_MEMORY)),
            fault(3, Effect::Completed(SEC_E_INTERNAL_ERROR)),
            fault(4, Effect::RefusedWithCallback(SEC_E_INTERNAL_ERROR)),
            fault(5, Effect::CallbackLost(SEC_E_INTERNAL_ERROR)),
        ],
        ..Switches::default()
    });
    driver.acquire();
    let (call, mut asked) = (driver.async_call(), AcquireMemory::new());
    assert_eq!(asked.issue(&driver, &call), Ok(SEC_E_INSUFFICIENT_MEMORY));
    assert!(call.came().is_none());
    assert_eq!(asked.issue(&driver, &call), Ok(SEC_E_OK));
    assert_eq!(call.wait().status, SEC_E_INTERNAL_ERROR);
    call.reinit();
    assert_eq!(asked.issue(&driver, &call), Ok(SEC_E_INTERNAL_ERROR));
    assert!(call.came().is_some());
    call.reinit();
    assert_eq!(asked.issue(&driver, &call), Ok(SEC_E_OK));
    while driver.ksecdd.get_async_call_status(call.context()) == Ok(SEC_I_ASYNC_CALL_PENDING) {
        thread::yield_now();
    }
    assert!(call.came().is_none());
    driver.acquire();
    assert_eq!(driver.ksecdd.state().credentials, 2);
    assert_eq!(driver.stops(), [""; 0]);
}

#[test]
fn late_and_never_answers_do_their_work_then() {
    let driver = Driver::new(Switches {
        completion: Completion::Inline,
        faults: vec![
            acquiring(
                1,
                Effect::CompletedLateAfter {
                    status: None,
                    ms: 60,
                },
            ),
            acquiring(
                2,
                Effect::CompletedLateAfter {
                    status: Some(SEC_E_INTERNAL_ERROR),
                    ms: 60,
                },
            ),
            acquiring(3, Effect::Never),
        ],
        ..Switches::default()
    });
    for status in [SEC_E_OK, SEC_E_INTERNAL_ERROR] {
        let (call, mut asked) = (driver.async_call(), AcquireMemory::new());
        let begun = Instant::now();
        assert_eq!(asked.issue(&driver, &call), Ok(SEC_E_OK));
        assert_eq!(call.wait().status, status);
        assert!(begun.elapsed() >= Duration::from_millis(60));
    }
    assert_eq!(driver.ksecdd.state().credentials, 1);
    let (call, mut asked) = (driver.async_call(), AcquireMemory::new());
    assert_eq!(asked.issue(&driver, &call), Ok(SEC_E_OK));
    assert_eq!(
        (driver.ksecdd.state().held, call.came().is_none()),
        (1, true)
    );
    assert_eq!(driver.ksecdd.release(Some(1)), 1);
    assert_eq!(call.wait().status, SEC_E_OK);
    assert_eq!(driver.ksecdd.state().credentials, 2);
}

#[test]
fn lost_callbacks_are_counted_and_come_late_if_they_are_to() {
    let driver = Driver::new(with_fault(
        Function::SspiAcquireCredentialsHandleAsyncW,
        Effect::CallbackLost(SEC_E_INTERNAL_ERROR),
    ));
    let (call, mut asked) = (driver.async_call(), AcquireMemory::new());
    assert_eq!(asked.issue(&driver, &call), Ok(SEC_E_OK));
    while driver.ksecdd.state().in_flight > 0 {
        thread::yield_now();
    }
    let state = driver.ksecdd.state();
    assert_eq!((state.callbacks_lost, state.callbacks_owed), (1, 1));
    assert!(state.is_clean(), "what cannot be freed is not left behind");
    assert_eq!(driver.ksecdd.release(None), 0);
    assert!(call.came().is_none());
    driver.ksecdd.set_switches(Switches {
        lost_callbacks_delivered: true,
        ..Switches::default()
    });
    assert_eq!(driver.ksecdd.release(Some(5)), 1);
    assert_eq!(call.wait().status, SEC_E_INTERNAL_ERROR);
    let state = driver.ksecdd.state();
    assert_eq!((state.callbacks_lost, state.callbacks_owed), (1, 0));
    assert!(!state.is_clean(), "it can be freed now");
    call.free();
}

#[test]
fn a_completion_that_is_not_announced_owes_no_callback() {
    let driver = Driver::new(with_fault(
        Function::SspiAcquireCredentialsHandleAsyncW,
        Effect::Unannounced,
    ));
    let (call, mut asked) = (driver.async_call(), AcquireMemory::new());
    assert_eq!(asked.issue(&driver, &call), Ok(SEC_E_OK));
    while driver.ksecdd.state().in_flight > 0 {
        thread::yield_now();
    }
    let status = driver.ksecdd.get_async_call_status(call.context());
    assert_eq!(status, Ok(SEC_E_OK));
    let requires = driver.ksecdd.async_context_requires_notify(call.context());
    assert_eq!(requires, Ok(0));
    assert!(call.came().is_none());
    let state = driver.ksecdd.state();
    assert_eq!((state.credentials, state.callbacks_lost), (1, 0));
    call.free();
    assert_eq!(driver.stops(), [""; 0]);
}

#[test]
fn functions_that_answer_at_once_fail_as_they_are_told_and_do_nothing() {
    let status = SEC_E_INSUFFICIENT_MEMORY;
    let driver = Driver::completing(Completion::Late);
    let mut connected = Connected::new(&driver, SslVersion::TLS1_3, 32 * 1024);
    let ksecdd = &driver.ksecdd;
    let fail = |function| {
        ksecdd.set_switches(with_fault(function, Effect::Refused(status)));
    };
    fail(Function::SspiCreateAsyncContext);
    assert!(ksecdd.create_async_context().unwrap().is_null());
    fail(Function::SspiReinitAsyncContext);
    assert_eq!(
        ksecdd.reinit_async_context(connected.call.context()),
        Ok(status)
    );
    fail(Function::SspiSetAsyncNotifyCallback);
    let bare = ksecdd.create_async_context().unwrap();
    let set = ksecdd.set_async_notify_callback(bare, None, std::ptr::null_mut());
    assert_eq!(set, Ok(status));
    fail(Function::QueryContextAttributesW);
    assert_eq!(connected.query::<[u8; 20]>(&driver, 4).0, status);
    let (_, mut record) = connected.seal(&driver, 0, b"x");
    let heard = record.clone();
    connected.peer.read(&heard);
    // Sealing asks for the sizes first.
    fail(Function::SealMessage);
    assert_eq!(connected.seal(&driver, 0, b"x").0, status);
    record = connected.peer.write(b"unread");
    let sealed = record.clone();
    fail(Function::UnsealMessage);
    assert_eq!(connected.unseal(&driver, &mut record).0, status);
    assert_eq!(record, sealed);
    assert_eq!(connected.unseal(&driver, &mut record).0, SEC_E_OK);
    let (_, record) = connected.seal(&driver, 0, b"after all");
    assert_eq!(connected.peer.read(&record).0, b"after all");
    fail(Function::DeleteSecurityContext);
    // SAFETY: the handle is there.
    let deleted = unsafe { ksecdd.delete_security_context(&raw const connected.memory.context) };
    assert_eq!((deleted, ksecdd.state().contexts), (Ok(status), 1));
    driver.delete(&connected.memory.context);
    fail(Function::FreeCredentialsHandle);
    // SAFETY: the handle is there.
    let freed = unsafe { ksecdd.free_credentials_handle(&raw const connected.credential) };
    assert_eq!((freed, ksecdd.state().credentials), (Ok(status), 1));
    // SAFETY: the handle is there.
    let freed = unsafe { ksecdd.free_credentials_handle(&raw const connected.credential) };
    assert_eq!((freed, ksecdd.state().credentials), (Ok(SEC_E_OK), 0));
    assert!(handles::id_of_pointer(bare.addr()).is_some());
}
