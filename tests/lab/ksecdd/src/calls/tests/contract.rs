//! What a driver may rely on, with completion inline, early and late.

use super::arguments::{AcquireMemory, Came, LegMemory};
use super::connected::Connected;
use super::driver::{Driver, INVALID};
use crate::peer::Peer;
use openssl::ssl::SslVersion;
use std::thread;
use tlsgate_lab_control::ksecdd::{Completion, Effect, Fault, Function, Switches};
use windows_sys::Win32::{
    Foundation::{
        SEC_E_CONTEXT_EXPIRED, SEC_E_INCOMPLETE_MESSAGE, SEC_E_INSUFFICIENT_MEMORY,
        SEC_E_INTERNAL_ERROR, SEC_E_INVALID_HANDLE, SEC_E_INVALID_TOKEN, SEC_E_NO_CREDENTIALS,
        SEC_E_OK, SEC_E_SECPKG_NOT_FOUND, SEC_E_UNSUPPORTED_FUNCTION, SEC_I_ASYNC_CALL_PENDING,
        SEC_I_CONTEXT_EXPIRED, SEC_I_RENEGOTIATE,
    },
    Security::Authentication::Identity::{
        SECBUFFER_DATA, SECBUFFER_EXTRA, SECBUFFER_MISSING, SECBUFFER_STREAM_HEADER,
        SECBUFFER_STREAM_TRAILER, SECPKG_ATTR_APPLICATION_PROTOCOL, SECPKG_ATTR_CIPHER_INFO,
        SECPKG_ATTR_CONNECTION_INFO, SECPKG_ATTR_SESSION_INFO, SECPKG_ATTR_STREAM_SIZES,
        SECQOP_WRAP_OOB_DATA, SecPkgContext_ApplicationProtocol, SecPkgContext_CipherInfo,
        SecPkgContext_ConnectionInfo, SecPkgContext_SessionInfo, SecPkgContext_StreamSizes,
    },
};

const MODES: [Completion; 3] = [Completion::Inline, Completion::Early, Completion::Late];
const VERSIONS: [SslVersion; 2] = [SslVersion::TLS1_2, SslVersion::TLS1_3];

#[test]
fn handshake_and_records_in_every_mode() {
    for completion in MODES {
        for version in VERSIONS {
            let driver = Driver::completing(completion);
            let mut connected = Connected::new(&driver, version, 32 * 1024);
            assert_eq!(connected.peer.alpn(), Some(&b"h2"[..]));
            let (status, record) = connected.seal(&driver, 0, b"from the kernel");
            assert_eq!(status, SEC_E_OK);
            assert_eq!(connected.peer.read(&record).0, b"from the kernel");

            let mut bytes = connected.peer.write(b"first");
            bytes.extend(connected.peer.write(b"second"));
            for expected in [&b"first"[..], b"second"] {
                let (status, buffers) = connected.unseal(&driver, &mut bytes);
                assert_eq!(status, SEC_E_OK);
                assert_eq!(buffers[0].BufferType, SECBUFFER_STREAM_HEADER);
                assert_eq!(buffers[1].BufferType, SECBUFFER_DATA);
                assert_eq!(buffers[2].BufferType, SECBUFFER_STREAM_TRAILER);
                let at = buffers[1].pvBuffer.addr() - bytes.as_ptr().addr();
                assert_eq!(&bytes[at..at + buffers[1].cbBuffer as usize], expected);
                let extra = match buffers[3].BufferType {
                    SECBUFFER_EXTRA => buffers[3].cbBuffer as usize,
                    _ => 0,
                };
                bytes.drain(..bytes.len() - extra);
            }
            assert!(bytes.is_empty());
            connected.close(&driver);
        }
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
            driver.ksecdd.get_async_call_status(call.context),
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
fn a_small_output_buffer_advances_nothing() {
    for version in VERSIONS {
        for too_small_makes_context in [false, true] {
            let driver = Driver::new(Switches {
                too_small_makes_context,
                ..Switches::default()
            });
            let connected = Connected::new(&driver, version, 16);
            connected.close(&driver);
        }
    }
}

#[test]
fn an_incomplete_hello_makes_no_context() {
    let driver = Driver::completing(Completion::Late);
    let (credential, call) = (driver.acquire(), driver.async_call());
    let mut memory = LegMemory::new(16 * 1024);
    let hello = Peer::client(SslVersion::TLS1_3, b"").handshake(&[]);
    for cut in 1..hello.len() {
        memory.input = hello[..cut].to_vec();
        let came = memory.leg(&driver, &call, &credential);
        assert_eq!(came.status, SEC_E_INCOMPLETE_MESSAGE);
        assert_eq!(
            came.missing,
            Some(if cut < 5 { 5 } else { hello.len() } - cut)
        );
        assert_eq!((came.extra, came.token.len()), (0, 0));
        assert!(memory.is_first());
    }
    assert_eq!(driver.ksecdd.state().contexts, 0);
}

#[test]
fn garbage_ends_in_an_alert_and_a_context_to_delete() {
    for failure_makes_context in [true, false] {
        let driver = Driver::new(Switches {
            failure_makes_context,
            ..Switches::default()
        });
        let (credential, call) = (driver.acquire(), driver.async_call());
        let mut memory = LegMemory::new(16 * 1024);
        memory.input = b"GET / HTTP/1.1\r\n\r\n".to_vec();
        let Came {
            status,
            token,
            alert,
            extra,
            ..
        } = memory.leg(&driver, &call, &credential);
        assert_eq!((status, extra), (SEC_E_INVALID_TOKEN, 0));
        assert_eq!((token[0], alert[0]), (21, 2));
        assert_eq!(memory.is_first(), !failure_makes_context);
        assert_eq!(
            driver.ksecdd.state().contexts,
            usize::from(failure_makes_context)
        );
    }
}

#[test]
fn attributes_say_what_was_settled() {
    for (version, protocol, wire) in [
        (SslVersion::TLS1_2, 0x400, 0x303),
        (SslVersion::TLS1_3, 0x1000, 0x304),
    ] {
        let driver = Driver::completing(Completion::Late);
        let connected = Connected::new(&driver, version, 32 * 1024);
        let (status, sizes): (_, SecPkgContext_StreamSizes) =
            connected.query(&driver, SECPKG_ATTR_STREAM_SIZES);
        assert_eq!(
            (status, sizes.cbMaximumMessage, sizes.cBuffers),
            (SEC_E_OK, 16_384, 4)
        );
        let (status, alpn): (_, SecPkgContext_ApplicationProtocol) =
            connected.query(&driver, SECPKG_ATTR_APPLICATION_PROTOCOL);
        assert_eq!(
            (status, alpn.ProtoNegoStatus, alpn.ProtoNegoExt),
            (SEC_E_OK, 1, 2)
        );
        assert_eq!(&alpn.ProtocolId[..usize::from(alpn.ProtocolIdSize)], b"h2");
        let (status, info): (_, SecPkgContext_ConnectionInfo) =
            connected.query(&driver, SECPKG_ATTR_CONNECTION_INFO);
        assert_eq!((status, info.dwProtocol), (SEC_E_OK, protocol));
        let (status, cipher): (_, SecPkgContext_CipherInfo) =
            connected.query(&driver, SECPKG_ATTR_CIPHER_INFO);
        assert_eq!((status, cipher.dwProtocol), (SEC_E_OK, wire));
        let name = String::from_utf16_lossy(&cipher.szCipherSuite);
        assert!(
            name.starts_with("TLS_") && !name.contains("TLS13"),
            "{name}"
        );
        let (status, session): (_, SecPkgContext_SessionInfo) =
            connected.query(&driver, SECPKG_ATTR_SESSION_INFO);
        assert_eq!((status, session.dwFlags), (SEC_E_OK, 0));
        let (status, ()) = connected.query(&driver, 0x6b);
        assert_eq!(status, SEC_E_UNSUPPORTED_FUNCTION);
        connected.close(&driver);
    }
}

#[test]
fn close_notify_both_ways() {
    for version in VERSIONS {
        let driver = Driver::completing(Completion::Late);
        let mut connected = Connected::new(&driver, version, 32 * 1024);
        let (status, record) = connected.seal(&driver, SECQOP_WRAP_OOB_DATA, &[1, 0]);
        assert_eq!(status, SEC_E_OK);
        connected.peer.read(&record);
        assert!(connected.peer.heard_close());
        let mut bytes = connected.peer.close();
        assert_eq!(
            connected.unseal(&driver, &mut bytes).0,
            SEC_I_CONTEXT_EXPIRED
        );
        connected.close(&driver);
    }
}

#[test]
fn part_of_a_record_is_incomplete() {
    let driver = Driver::completing(Completion::Late);
    let mut connected = Connected::new(&driver, SslVersion::TLS1_3, 32 * 1024);
    let record = connected.peer.write(b"payload");
    for cut in 1..record.len() {
        let mut bytes = record[..cut].to_vec();
        let (status, buffers) = connected.unseal(&driver, &mut bytes);
        assert_eq!(
            (status, &bytes[..]),
            (SEC_E_INCOMPLETE_MESSAGE, &record[..cut])
        );
        assert_eq!(buffers[1].BufferType, SECBUFFER_MISSING);
    }
    let mut bytes = record;
    assert_eq!(connected.unseal(&driver, &mut bytes).0, SEC_E_OK);
    connected.close(&driver);
}

#[test]
fn a_key_update_goes_through_a_leg() {
    for renegotiate_extra in [true, false] {
        let driver = Driver::new(Switches {
            renegotiate_extra,
            ..Switches::default()
        });
        let mut connected = Connected::new(&driver, SslVersion::TLS1_3, 32 * 1024);
        let mut bytes = connected.peer.update_keys(b"after");
        let (status, buffers) = connected.unseal(&driver, &mut bytes);
        assert_eq!(status, SEC_I_RENEGOTIATE);
        let extra = buffers
            .iter()
            .find(|buffer| buffer.BufferType == SECBUFFER_EXTRA);
        assert_eq!(extra.is_some(), renegotiate_extra);
        if let Some(extra) = extra {
            assert_eq!(extra.pvBuffer.addr(), bytes.as_ptr().addr());
            assert_eq!(extra.cbBuffer as usize, bytes.len());
        }
        assert_eq!(connected.seal(&driver, 0, b"x").0, SEC_E_CONTEXT_EXPIRED);
        connected.memory.input = bytes;
        let came = connected
            .memory
            .leg(&driver, &connected.call, &connected.credential);
        assert_eq!(came.status, SEC_E_OK);
        assert_eq!(connected.peer.read(&came.token).0, b"");
        let rest = connected.memory.input.len() - came.extra;
        let mut bytes = connected.memory.input.split_off(rest);
        assert_eq!(connected.unseal(&driver, &mut bytes).0, SEC_E_OK);
        connected.close(&driver);
    }
}

#[test]
fn refused_names_get_their_status() {
    let driver = Driver::completing(Completion::Late);
    let (call, mut asked) = (driver.async_call(), AcquireMemory::new());
    asked.hash.ShaHash[0] ^= 1;
    assert_eq!(asked.issue(&driver, &call), Ok(SEC_E_OK));
    assert_eq!(call.wait().status, SEC_E_NO_CREDENTIALS);
    call.reinit();
    asked = AcquireMemory::new();
    asked.package = "Kerberos".encode_utf16().collect();
    assert_eq!(asked.issue(&driver, &call), Ok(SEC_E_SECPKG_NOT_FOUND));
    assert!(call.came().is_none());
    assert_eq!(driver.ksecdd.state().credentials, 0);
}

#[test]
fn stale_handles_are_invalid() {
    let driver = Driver::completing(Completion::Late);
    let credential = driver.acquire();
    driver.free_credential(&credential);
    let (call, mut memory) = (driver.async_call(), LegMemory::new(16 * 1024));
    memory.input = Peer::client(SslVersion::TLS1_3, b"").handshake(&[]);
    memory.describe();
    assert_eq!(
        memory.issue(&driver, &call, &credential),
        Ok(SEC_E_INVALID_HANDLE)
    );
    assert!(call.came().is_none());
    let mut sizes = [0u8; 20];
    for handle in [INVALID, credential] {
        // SAFETY: the answer has room for the attribute.
        let status = unsafe {
            driver
                .ksecdd
                .query_context_attributes(&raw const handle, 4, sizes.as_mut_ptr().cast())
        };
        assert_eq!(status, Ok(SEC_E_INVALID_HANDLE));
    }
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
    while driver.ksecdd.get_async_call_status(call.context) == Ok(SEC_I_ASYNC_CALL_PENDING) {
        thread::yield_now();
    }
    assert!(call.came().is_none());
    driver.acquire();
    assert_eq!(driver.ksecdd.state().credentials, 2);
    assert_eq!(driver.stops(), [""; 0]);
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
    assert!(driver.ksecdd.reinit_async_context(call.context).unwrap() < 0);
    driver.ksecdd.set_switches(Switches::default());
    assert_eq!(driver.ksecdd.reinit_async_context(call.context), Ok(0));
}
