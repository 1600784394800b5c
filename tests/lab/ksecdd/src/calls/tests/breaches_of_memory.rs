//! Memory that a call has must stay as it is until its completion: each test changes some of it and
//! must be caught.

use super::arguments::{AcquireMemory, LegMemory};
use super::breaches::Ready;
use super::driver::Driver;
use crate::rules;
use std::sync::atomic::Ordering;
use tlsgate_lab_control::ksecdd::{Completion, Switches};
use windows_sys::Win32::Foundation::SEC_E_OK;

#[test]
fn memory_changed_during_the_call() {
    let input = [rules::INPUT_CHANGED];
    assert_eq!(Ready::changed_while_held(|_| {}), [""; 0]);
    assert_eq!(
        Ready::changed_while_held(|memory| memory.input[9] ^= 1),
        input
    );
    assert_eq!(
        Ready::changed_while_held(|memory| memory.input_buffers[1].cbBuffer = 1),
        input
    );
    assert_eq!(
        Ready::changed_while_held(|memory| memory.output_descriptor.cBuffers = 1),
        input
    );
    let output = [rules::OUTPUT_TOUCHED];
    assert_eq!(
        Ready::changed_while_held(|memory| memory.output[0] = 1),
        output
    );
    assert_eq!(
        Ready::changed_while_held(|memory| memory.alert[0] = 1),
        output
    );
    assert_eq!(
        Ready::changed_while_held(|memory| memory.attributes = 1),
        output
    );
}

#[test]
fn a_target_s_name_changed_during_the_call() {
    type Change = fn(&mut LegMemory);
    let changes: [(Change, &[&str]); 3] = [
        (|_| {}, &[]),
        (|memory| memory.target_name[0] ^= 1, &[rules::INPUT_CHANGED]),
        (|memory| memory.target.Length -= 2, &[rules::INPUT_CHANGED]),
    ];
    for (change, broken) in changes {
        let driver = Driver::completing(Completion::Late);
        let credential = driver.acquire_client(false);
        driver.ksecdd.set_switches(Switches {
            completion: Completion::Held,
            ..Switches::default()
        });
        let (call, mut memory) = (driver.async_call(), LegMemory::of_client(16 * 1024));
        memory.aim_at("localhost");
        memory.describe();
        assert_eq!(memory.issue(&driver, &call, &credential), Ok(SEC_E_OK));
        change(&mut memory);
        driver.ksecdd.release(None);
        call.wait();
        assert_eq!(driver.stops(), broken);
    }
}

#[test]
fn memory_released_during_the_call() {
    let mut ready = Ready::new(Completion::Held);
    assert_eq!(ready.issue(), Ok(SEC_E_OK));
    let gone = ready.memory.output.as_ptr().addr();
    ready.driver.machine.released.store(gone, Ordering::SeqCst);
    ready.driver.ksecdd.release(None);
    ready.call.wait();
    assert_eq!(ready.driver.stops(), [rules::BUFFER_RELEASED]);
}

#[test]
fn credential_memory_changed_during_the_call() {
    type Change = fn(&mut AcquireMemory);
    let changes: [Change; 3] = [
        |asked| asked.hashes[0].ShaHash[0] ^= 1,
        |asked| asked.auth.dwFlags = 0,
        |asked| asked.package[0] = 0,
    ];
    for change in changes {
        let driver = Driver::completing(Completion::Held);
        let (call, mut asked) = (driver.async_call(), AcquireMemory::new());
        assert_eq!(asked.issue(&driver, &call), Ok(SEC_E_OK));
        change(&mut asked);
        driver.ksecdd.release(None);
        call.wait();
        assert_eq!(driver.stops(), [rules::INPUT_CHANGED]);
    }
}
