//! What a driver may rely on, with completion inline, early and late.

use super::arguments::{AcquireMemory, Came, LegMemory};
use super::connected::Connected;
use super::driver::{Driver, INVALID};
use crate::peer::Peer;
use openssl::ssl::SslVersion;
use tlsgate_lab_control::ksecdd::{Completion, Switches};
use windows_sys::Win32::{
    Foundation::{
        SEC_E_CONTEXT_EXPIRED, SEC_E_INCOMPLETE_MESSAGE, SEC_E_INVALID_HANDLE, SEC_E_INVALID_TOKEN,
        SEC_E_NO_CREDENTIALS, SEC_E_OK, SEC_E_SECPKG_NOT_FOUND, SEC_I_CONTEXT_EXPIRED,
        SEC_I_RENEGOTIATE,
    },
    Security::Authentication::Identity::{
        SECBUFFER_DATA, SECBUFFER_EXTRA, SECBUFFER_MISSING, SECBUFFER_STREAM_HEADER,
        SECBUFFER_STREAM_TRAILER, SECQOP_WRAP_OOB_DATA,
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
    asked.hashes[0].ShaHash[0] ^= 1;
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
