//! When, where and whether asynchronous calls complete and call back.

use super::{
    arguments::AcquireMemory,
    connected::Connected,
    driver::{AsyncCall, Driver},
};
use crate::rules;
use openssl::ssl::SslVersion;
use std::{
    ffi::c_void,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tlsgate_lab_control::ksecdd::{
    CallbackThread, Completion, Effect, Fault, Function, RequiresNotify, Switches,
};
use windows_sys::Win32::Foundation::{SEC_E_INTERNAL_ERROR, SEC_E_OK, SEC_I_ASYNC_CALL_PENDING};

const MODES: [Completion; 3] = [Completion::Inline, Completion::Early, Completion::Late];

/// Switches under which the next call of `function` goes wrong.
pub fn with_fault(function: Function, effect: Effect) -> Switches {
    Switches {
        faults: vec![Fault {
            function,
            nth: 1,
            effect,
        }],
        ..Switches::default()
    }
}

#[test]
fn callback_comes_where_the_mode_says() {
    let here = thread::current().id();
    for completion in MODES {
        let driver = Driver::completing(completion);
        let (call, mut asked) = (driver.async_call(), AcquireMemory::new());
        assert_eq!(asked.issue(&driver, &call), Ok(SEC_E_OK));
        let notified = match completion {
            Completion::Inline | Completion::Early => call.came().expect("before the return"),
            Completion::Late | Completion::Held | Completion::Mixed(_) => call.wait(),
        };
        assert_eq!(notified.thread == here, completion == Completion::Inline);
    }
}

#[test]
fn held_calls_wait_for_their_release() {
    let driver = Driver::completing(Completion::Held);
    let calls: Vec<_> = (0..3)
        .map(|_| (driver.async_call(), AcquireMemory::new()))
        .collect();
    let mut calls = calls;
    for (call, asked) in &mut calls {
        assert_eq!(asked.issue(&driver, call), Ok(SEC_E_OK));
        assert_eq!(
            driver.ksecdd.get_async_call_status(call.context()),
            Ok(SEC_I_ASYNC_CALL_PENDING)
        );
    }
    assert_eq!(
        (driver.ksecdd.state().held, driver.ksecdd.state().in_flight),
        (3, 3)
    );
    assert_eq!(driver.ksecdd.release(Some(1)), 1);
    assert_eq!(calls[0].0.wait().status, SEC_E_OK);
    assert!(calls[1].0.came().is_none());
    assert_eq!(driver.ksecdd.release(None), 2);
    for (call, _) in &calls[1..] {
        assert_eq!(call.wait().status, SEC_E_OK);
    }
    assert_eq!(driver.ksecdd.state().held, 0);
}

#[test]
fn callbacks_run_at_the_irql_of_the_switch() {
    for callback_irql in [0, 1, 2] {
        let driver = Driver::new(Switches {
            callback_irql,
            ..Switches::default()
        });
        let (call, mut asked) = (driver.async_call(), AcquireMemory::new());
        assert_eq!(asked.issue(&driver, &call), Ok(SEC_E_OK));
        assert_eq!(call.wait().irql, callback_irql);
    }
}

#[test]
fn reinit_is_refused_as_the_switches_say() {
    let driver = Driver::new(Switches {
        reinit_refused: true,
        ..Switches::default()
    });
    let call = driver.async_call();
    assert!(driver.ksecdd.reinit_async_context(call.context()).unwrap() < 0);
    driver.ksecdd.set_switches(Switches::default());
    assert_eq!(driver.ksecdd.reinit_async_context(call.context()), Ok(0));
}

#[test]
fn deletion_without_callback_leaves_its_async_context_free_to_go() {
    let driver = Driver::completing(Completion::Held);
    driver.ksecdd.set_switches(Switches::default());
    let connected = Connected::new(&driver, SslVersion::TLS1_3, 32 * 1024);
    driver.ksecdd.set_switches(Switches {
        completion: Completion::Held,
        ..Switches::default()
    });
    let context = driver.ksecdd.create_async_context().unwrap();
    // SAFETY: the handle outlives the call.
    let queued = unsafe {
        driver
            .ksecdd
            .delete_security_context_async(context, &raw const connected.memory.context)
    };
    assert_eq!(queued, Ok(SEC_E_OK));
    assert_eq!(driver.ksecdd.free_async_context(context), Ok(()));
    assert_eq!(driver.ksecdd.state().contexts, 1);
    driver.ksecdd.release(None);
    while driver.ksecdd.state().in_flight > 0 {
        thread::yield_now();
    }
    assert_eq!(driver.ksecdd.state().contexts, 0);
}

#[test]
fn mixed_calls_complete_in_every_way_and_repeat_with_their_seed() {
    let here = thread::current().id();
    let ways = |seed| -> Vec<(bool, bool)> {
        let driver = Driver::completing(Completion::Mixed(seed));
        let ways = (0..30).map(|_| {
            let (call, mut asked) = (driver.async_call(), AcquireMemory::new());
            assert_eq!(asked.issue(&driver, &call), Ok(SEC_E_OK));
            let drawn = call.wait();
            (drawn.thread == here, drawn.status == SEC_E_OK)
        });
        ways.collect()
    };
    let drawn = ways(1);
    assert!(drawn.iter().all(|way| way.1));
    assert!(drawn.contains(&(true, true)) && drawn.contains(&(false, true)));
    assert_eq!(drawn, ways(1));
    assert_ne!(drawn, ways(2));
}

#[test]
fn callback_on_another_thread_comes_after_the_final_status() {
    for callback_thread in [CallbackThread::Same, CallbackThread::Other] {
        for completion in [Completion::Early, Completion::Late] {
            let driver = Driver::new(Switches {
                completion,
                callback_thread,
                workers: 1,
                ..Switches::default()
            });
            // One worker: what it did twice in a row, it did on one thread.
            let mut threads = Vec::new();
            for _ in 0..2 {
                let (call, mut asked) = (driver.async_call(), AcquireMemory::new());
                assert_eq!(asked.issue(&driver, &call), Ok(SEC_E_OK));
                let notified = call.wait();
                assert_eq!(notified.status, SEC_E_OK);
                threads.push(notified.thread);
            }
            let (done, worker) = std::sync::mpsc::channel();
            driver.ksecdd.workers.run(Box::new(move || {
                done.send(thread::current().id()).unwrap();
            }));
            let same = threads.contains(&worker.recv().unwrap());
            assert_eq!(same, callback_thread == CallbackThread::Same);
        }
    }
}

/// Nobody could bear a second one: what the first was about is gone by then.
#[test]
fn a_call_is_called_back_once_whatever_becomes_of_it() {
    let function = Function::SspiAcquireCredentialsHandleAsyncW;
    let effects = [
        None,
        Some(Effect::RefusedWithCallback(SEC_E_INTERNAL_ERROR)),
        Some(Effect::Completed(SEC_E_INTERNAL_ERROR)),
        Some(Effect::CompletedLateAfter {
            status: None,
            ms: 1,
        }),
    ];
    for completion in [Completion::Inline, Completion::Early, Completion::Late] {
        for callback_thread in [CallbackThread::Same, CallbackThread::Other] {
            for effect in effects {
                let faults = effect.map_or_else(Switches::default, |it| with_fault(function, it));
                let driver = Driver::new(Switches {
                    completion,
                    callback_thread,
                    lost_callbacks_delivered: true,
                    ..faults
                });
                let (call, mut asked) = (driver.async_call(), AcquireMemory::new());
                asked.issue(&driver, &call).unwrap();
                call.wait();
                driver.ksecdd.release(None);
                while driver.ksecdd.state().in_flight > 0 {
                    thread::yield_now();
                }
                assert!(call.came().is_none(), "{completion:?}, {effect:?}");
            }
        }
    }
}

/// The async context of a call, while its callback is kept from running by busy notifiers.
fn with_due_callback(act: impl FnOnce(&Driver, &AsyncCall)) {
    let driver = Driver::new(Switches {
        callback_thread: CallbackThread::Other,
        ..Switches::default()
    });
    let gate = Arc::new(std::sync::Mutex::new(()));
    let closed = gate.lock().unwrap();
    for _ in 0..2 {
        let gate = Arc::clone(&gate);
        driver
            .ksecdd
            .notifiers
            .run(Box::new(move || drop(gate.lock())));
    }
    let (call, mut asked) = (driver.async_call(), AcquireMemory::new());
    assert_eq!(asked.issue(&driver, &call), Ok(SEC_E_OK));
    while driver.ksecdd.get_async_call_status(call.context()) == Ok(SEC_I_ASYNC_CALL_PENDING) {
        thread::yield_now();
    }
    act(&driver, &call);
    drop(closed);
    assert_eq!(call.wait().status, SEC_E_OK);
}

#[test]
fn nothing_is_freed_or_reused_between_final_status_and_callback() {
    with_due_callback(|driver, call| {
        let freed = driver.ksecdd.free_async_context(call.context());
        assert_eq!(
            freed.unwrap_err().rule,
            rules::ASYNC_CONTEXT_FREED_BEFORE_CALLBACK
        );
        assert!(driver.ksecdd.reinit_async_context(call.context()).unwrap() < 0);
    });
}

#[test]
fn requires_notify_tells_whether_a_callback_is_owed_or_set() {
    let driver = Driver::completing(Completion::Held);
    let (call, mut asked) = (driver.async_call(), AcquireMemory::new());
    let requires = |context| {
        driver
            .ksecdd
            .async_context_requires_notify(context)
            .unwrap()
    };
    let bare = driver.ksecdd.create_async_context().unwrap();
    assert_eq!((requires(call.context()), requires(bare)), (0, 0));
    assert_eq!(asked.issue(&driver, &call), Ok(SEC_E_OK));
    assert_eq!(requires(call.context()), 1);
    driver.ksecdd.release(None);
    call.wait();
    assert_eq!(requires(call.context()), 0);
    driver.ksecdd.set_switches(Switches {
        requires_notify: RequiresNotify::WhenSet,
        ..with_fault(
            Function::SspiAcquireCredentialsHandleAsyncW,
            Effect::Refused(SEC_E_INTERNAL_ERROR),
        )
    });
    assert_eq!((requires(call.context()), requires(bare)), (1, 0));
    call.reinit();
    assert_eq!(asked.issue(&driver, &call), Ok(SEC_E_INTERNAL_ERROR));
    assert_eq!(requires(call.context()), 1);
    driver.ksecdd.set_switches(Switches::default());
    assert_eq!(requires(call.context()), 0);
    with_due_callback(|driver, call| {
        let requires = driver.ksecdd.async_context_requires_notify(call.context());
        assert_eq!(requires, Ok(1));
    });
}

/// What a callback does that issues a call.
struct Issuing {
    ksecdd: Arc<crate::ksecdd::Ksecdd>,
    next: *mut c_void,
    handle: windows_sys::Win32::Security::Credentials::SecHandle,
    came: std::sync::mpsc::Sender<Result<i32, &'static str>>,
}

unsafe extern "system" fn issue_in_callback(_: *mut c_void, data: *mut c_void) {
    // SAFETY: the test keeps it until it has the answer.
    let issuing = unsafe { &*data.cast::<Issuing>() };
    // SAFETY: the handle is there.
    let issued = unsafe {
        issuing
            .ksecdd
            .delete_security_context_async(issuing.next, &raw const issuing.handle)
    };
    let came = issuing.came.clone();
    came.send(issued.map_err(|broken| broken.rule)).unwrap();
}

#[test]
fn a_callback_issues_only_where_that_is_allowed() {
    for issue_in_callback_allowed in [false, true] {
        let driver = Driver::new(Switches {
            completion: Completion::Inline,
            ..Switches::default()
        });
        let connected = Connected::new(&driver, SslVersion::TLS1_3, 32 * 1024);
        driver.ksecdd.set_switches(Switches {
            issue_in_callback_allowed,
            ..(*driver.ksecdd.switches()).clone()
        });
        let (came, answer) = std::sync::mpsc::channel();
        let issuing = Issuing {
            ksecdd: Arc::clone(&driver.ksecdd),
            next: driver.ksecdd.create_async_context().unwrap(),
            handle: connected.memory.context,
            came,
        };
        let (call, mut asked) = (driver.async_call(), AcquireMemory::new());
        let data = (&raw const issuing).cast_mut().cast();
        driver
            .ksecdd
            .set_async_notify_callback(call.context(), Some(issue_in_callback), data)
            .unwrap();
        assert_eq!(asked.issue(&driver, &call), Ok(SEC_E_OK));
        let expected = if issue_in_callback_allowed {
            Ok(SEC_E_OK)
        } else {
            Err(rules::ISSUED_IN_CALLBACK)
        };
        assert_eq!(answer.recv().unwrap(), expected);
    }
}

#[test]
fn latency_is_taken_before_the_work() {
    let driver = Driver::new(Switches {
        latency: tlsgate_lab_control::ksecdd::Latency::Fixed(50_000),
        ..Switches::default()
    });
    let begun = Instant::now();
    driver.acquire();
    assert!(begun.elapsed() >= Duration::from_millis(50));
}
