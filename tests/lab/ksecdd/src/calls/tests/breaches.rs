//! Every rule bites: each test breaks one and must be caught.

use super::arguments::{AcquireMemory, LegMemory};
use super::driver::{AsyncCall, Driver, TestMachine};
use crate::{
    context::Use,
    peer::Peer,
    rules::{self, Checked},
};
use openssl::ssl::SslVersion;
use std::{ptr, sync::atomic::Ordering, thread};
use tlsgate_lab_control::ksecdd::{Completion, Effect, Fault, Function, Switches, TokenUse};
use windows_sys::Win32::{
    Foundation::SEC_E_OK,
    Security::{Authentication::Identity::SECBUFFER_EMPTY, Credentials::SecHandle},
};

pub fn rule<T>(checked: Checked<T>) -> &'static str {
    checked.err().expect("no rule was broken").rule
}

/// A leg about to be issued.
pub struct Ready {
    pub driver: Driver,
    pub credential: SecHandle,
    pub call: AsyncCall,
    pub memory: Box<LegMemory>,
}

impl Ready {
    pub fn new(completion: Completion) -> Self {
        let driver = Driver::completing(Completion::Late);
        let credential = driver.acquire();
        driver.ksecdd.set_switches(Switches {
            completion,
            ..Switches::default()
        });
        let call = driver.async_call();
        let mut memory = LegMemory::new(16 * 1024);
        memory.input = Peer::client(SslVersion::TLS1_3, b"").handshake(&[]);
        memory.describe();
        Self {
            driver,
            credential,
            call,
            memory,
        }
    }

    pub fn issue(&mut self) -> Checked<i32> {
        self.memory
            .issue(&self.driver, &self.call, &self.credential)
    }

    /// Issues a leg that is held, changes something, and says what that broke.
    pub fn changed_while_held(change: impl FnOnce(&mut LegMemory)) -> Vec<&'static str> {
        let mut ready = Self::new(Completion::Held);
        assert_eq!(ready.issue(), Ok(SEC_E_OK));
        change(&mut ready.memory);
        ready.driver.ksecdd.release(None);
        ready.call.wait();
        ready.driver.stops()
    }
}

#[test]
fn async_context_misused() {
    let mut ready = Ready::new(Completion::Held);
    let ksecdd = std::sync::Arc::clone(&ready.driver.ksecdd);
    let context = ready.call.context();
    assert_eq!(
        rule(ksecdd.get_async_call_status(context)),
        rules::STATUS_WITHOUT_CALL
    );
    let bare = ksecdd.create_async_context().unwrap();
    let mut asked = AcquireMemory::new();
    ksecdd
        .set_async_notify_callback(context, None, ptr::null_mut())
        .unwrap();
    assert_eq!(
        rule(asked.issue(&ready.driver, &ready.call)),
        rules::CALLBACK_MISSING
    );
    ready.call = ready.driver.async_call();
    let context = ready.call.context();
    assert_eq!(ready.issue(), Ok(SEC_E_OK));
    assert_eq!(rule(ready.issue()), rules::ASYNC_CONTEXT_BUSY);
    let set = ksecdd.set_async_notify_callback(context, None, ptr::null_mut());
    assert_eq!(rule(set), rules::ASYNC_CONTEXT_BUSY);
    assert!(ksecdd.reinit_async_context(context).unwrap() < 0);
    assert_eq!(
        rule(ksecdd.free_async_context(context)),
        rules::ASYNC_CONTEXT_FREED_PENDING
    );
    ksecdd.release(None);
    ready.call.wait();
    ready.memory.describe();
    assert_eq!(rule(ready.issue()), rules::ASYNC_CONTEXT_NOT_REINITIALISED);
    assert_eq!(ksecdd.free_async_context(bare), Ok(()));
    assert_eq!(
        rule(ksecdd.free_async_context(bare)),
        rules::UNKNOWN_ASYNC_CONTEXT
    );
    let wild = ptr::without_provenance_mut(0x1234_5678);
    assert_eq!(
        rule(ksecdd.get_async_call_status(wild)),
        rules::UNKNOWN_ASYNC_CONTEXT
    );
}

#[test]
fn async_context_freed_before_its_callback() {
    let driver = Driver::new(Switches {
        completion: Completion::Inline,
        faults: vec![Fault {
            function: Function::SspiAcquireCredentialsHandleAsyncW,
            nth: 1,
            effect: Effect::CallbackLost(0),
        }],
        ..Switches::default()
    });
    let (call, mut asked) = (driver.async_call(), AcquireMemory::new());
    assert_eq!(asked.issue(&driver, &call), Ok(SEC_E_OK));
    let freed = driver.ksecdd.free_async_context(call.context());
    assert_eq!(rule(freed), rules::ASYNC_CONTEXT_FREED_BEFORE_CALLBACK);
}

#[test]
fn wrong_arguments_of_a_leg() {
    type Change = fn(&mut LegMemory);
    let changes: [(Change, &str); 10] = [
        // The numbers of the other family.
        (|memory| memory.flags = 0x1_C018, rules::WRONG_REQUEST_FLAGS),
        (
            |memory| memory.flags &= !0x1_0000,
            rules::WRONG_REQUEST_FLAGS,
        ),
        (
            |memory| memory.data_representation = 1,
            rules::WRONG_DATA_REPRESENTATION,
        ),
        (
            |memory| memory.input_descriptor.ulVersion = 1,
            rules::DESCRIPTOR_VERSION,
        ),
        (
            |memory| memory.input_descriptor.cBuffers = 1,
            rules::DESCRIPTOR_SHAPE,
        ),
        (
            |memory| memory.input_buffers.swap(0, 1),
            rules::DESCRIPTOR_SHAPE,
        ),
        (
            |memory| memory.output_buffers[0].BufferType = SECBUFFER_EMPTY,
            rules::DESCRIPTOR_SHAPE,
        ),
        (
            |memory| memory.output_descriptor.cBuffers = 1,
            rules::ALERT_BUFFER_MISSING,
        ),
        (
            |memory| memory.output_buffers[1].cbBuffer = 1,
            rules::ALERT_BUFFER_MISSING,
        ),
        (
            |memory| memory.input_descriptor.pBuffers = ptr::without_provenance_mut(8),
            rules::BAD_POINTER,
        ),
    ];
    for (number, (change, broken)) in changes.into_iter().enumerate() {
        let mut ready = Ready::new(Completion::Late);
        change(&mut ready.memory);
        assert_eq!(rule(ready.issue()), broken, "change {number}");
    }
}

#[test]
fn application_protocols_in_a_later_call() {
    let mut ready = Ready::new(Completion::Late);
    let Ready {
        driver,
        credential,
        call,
        memory,
    } = &mut ready;
    memory.leg(driver, call, credential);
    assert!(!memory.is_first());
    memory.describe();
    memory
        .input_buffers
        .push(super::arguments::buffer(18, ptr::null_mut(), 0));
    memory.input_descriptor = super::arguments::descriptor(&mut memory.input_buffers);
    assert_eq!(rule(ready.issue()), rules::APPLICATION_PROTOCOLS);
}

#[test]
fn context_used_twice() {
    let mut ready = Ready::new(Completion::Late);
    let Ready {
        driver,
        credential,
        call,
        memory,
    } = &mut ready;
    memory.leg(driver, call, credential);
    let ksecdd = std::sync::Arc::clone(&driver.ksecdd);
    ksecdd.set_switches(Switches {
        completion: Completion::Held,
        ..Switches::default()
    });
    memory.input = vec![23; 3];
    memory.describe();
    let context = memory.context;
    assert_eq!(ready.issue(), Ok(SEC_E_OK));
    let mut second = LegMemory::new(100);
    second.context = context;
    second.input = vec![23; 3];
    second.describe();
    let other = ready.driver.async_call();
    let issued = second.issue(&ready.driver, &other, &ready.credential);
    assert_eq!(rule(issued), rules::CONTEXT_USED_CONCURRENTLY);
    // SAFETY: the handle is there; the query gets no further than to the rule.
    let queried =
        unsafe { ksecdd.query_context_attributes(&raw const context, 4, ptr::null_mut()) };
    assert_eq!(rule(queried), rules::CONTEXT_USED_CONCURRENTLY);
    // SAFETY: the handle is there.
    let deleted = unsafe { ksecdd.delete_security_context(&raw const context) };
    assert_eq!(rule(deleted), rules::CONTEXT_DELETED_IN_USE);
    let freeing = ready.driver.async_call();
    // SAFETY: the handle is there.
    let freed = unsafe {
        ksecdd.free_credentials_handle_async(freeing.context(), &raw const ready.credential)
    };
    assert_eq!(rule(freed), rules::CREDENTIAL_FREED_IN_USE);
    // SAFETY: the handle is there.
    let freed = unsafe { ksecdd.free_credentials_handle(&raw const ready.credential) };
    assert_eq!(rule(freed), rules::CREDENTIAL_FREED_IN_USE);
}

#[test]
fn other_input_after_a_small_buffer() {
    let mut ready = Ready::new(Completion::Late);
    ready.driver.ksecdd.set_switches(Switches {
        too_small_makes_context: true,
        ..Switches::default()
    });
    let Ready {
        driver,
        credential,
        call,
        memory,
    } = &mut ready;
    memory.output = vec![0; 10];
    memory.leg(driver, call, credential);
    memory.input[20] ^= 1;
    memory.leg(driver, call, credential);
    assert_eq!(driver.stops(), [rules::INPUT_NOT_REPEATED]);
}

#[test]
fn other_context_in_the_result() {
    let mut ready = Ready::new(Completion::Late);
    let Ready {
        driver,
        credential,
        call,
        memory,
    } = &mut ready;
    memory.leg(driver, call, credential);
    memory.describe();
    let mut new_context = super::driver::INVALID;
    let leg = crate::calls::leg::Leg {
        async_context: call.context(),
        credential,
        context: &raw const memory.context,
        target: ptr::null(),
        request: memory.flags,
        data_representation: 0,
        input: &raw const memory.input_descriptor,
        new_context: &raw mut new_context,
        output: &raw const memory.output_descriptor,
        attributes: &raw mut memory.attributes,
        expiry: ptr::null_mut(),
    };
    // SAFETY: the call gets no further than to the rule.
    let issued = unsafe { driver.ksecdd.accept_security_context_async(&leg) };
    assert_eq!(rule(issued), rules::NEW_CONTEXT);
    let leg = crate::calls::leg::Leg {
        new_context: &raw mut memory.context,
        attributes: ptr::null_mut(),
        ..leg
    };
    // SAFETY: the call gets no further than to the rule.
    let issued = unsafe { driver.ksecdd.accept_security_context_async(&leg) };
    assert_eq!(rule(issued), rules::NULL_ARGUMENT);
}

#[test]
fn other_token_and_high_irql() {
    let mut ready = Ready::new(Completion::Late);
    ready.driver.machine.token.store(7, Ordering::SeqCst);
    assert_eq!(rule(ready.issue()), rules::OTHER_TOKEN);
    let mut ready = Ready::new(Completion::Late);
    ready.driver.ksecdd.set_switches(Switches {
        token: TokenUse::Ignored,
        ..Switches::default()
    });
    ready.driver.machine.token.store(7, Ordering::SeqCst);
    assert_eq!(ready.issue(), Ok(SEC_E_OK));
    ready.call.wait();
    while ready.driver.ksecdd.state().in_flight > 0 {
        thread::yield_now();
    }
    TestMachine::set_irql(1);
    assert_eq!(rule(ready.issue()), rules::IRQL_TOO_HIGH);
}

#[test]
fn foreign_context_buffer() {
    let driver = Driver::completing(Completion::Late);
    let mut foreign = 0u64;
    let freed = driver.ksecdd.free_context_buffer((&raw mut foreign).cast());
    assert_eq!(rule(freed), rules::UNKNOWN_CONTEXT_BUFFER);
}

#[test]
fn sealing_beside_unsealing_but_not_beside_sealing() {
    let mut ready = Ready::new(Completion::Late);
    let Ready {
        driver,
        credential,
        call,
        memory,
    } = &mut ready;
    memory.leg(driver, call, credential);
    let context = driver.ksecdd.contexts.get(1).unwrap();
    let begin = |by| std::sync::Arc::clone(&context).begin(by);
    let open = [Use::Seal, Use::Unseal, Use::Query, Use::Query].map(|by| begin(by).unwrap());
    for second in [Use::Seal, Use::Unseal, Use::Leg] {
        assert_eq!(rule(begin(second)), rules::CONTEXT_USED_CONCURRENTLY);
    }
    assert_eq!(rule(begin(Use::Deletion)), rules::CONTEXT_DELETED_IN_USE);
    drop(open);
    assert!(begin(Use::Deletion).is_ok());
}
