//! What records and post-handshake messages come to under either setting of each switch, and all of
//! it under every variant.

use super::{
    arguments::{LegMemory, buffer, descriptor},
    connected::Connected,
    driver::{AsyncCall, Driver},
};
use crate::peer::Peer;
use openssl::ssl::SslVersion;
use std::ptr;
use tlsgate_lab_control::ksecdd::{EmptyData, ExtraPointer, PostHandshake, Switches};
use windows_sys::Win32::{
    Foundation::{
        SEC_E_CONTEXT_EXPIRED, SEC_E_OK, SEC_E_UNSUPPORTED_FUNCTION, SEC_I_CONTINUE_NEEDED,
        SEC_I_RENEGOTIATE,
    },
    Security::{
        Authentication::Identity::{
            ASC_REQ_SESSION_TICKET, SECBUFFER_DATA, SECBUFFER_EMPTY, SECBUFFER_EXTRA,
            SECBUFFER_STREAM_HEADER, SECBUFFER_STREAM_TRAILER, SECQOP_WRAP_OOB_DATA, SecBuffer,
        },
        Credentials::SecHandle,
    },
};

const VERSIONS: [SslVersion; 2] = [SslVersion::TLS1_2, SslVersion::TLS1_3];

#[test]
fn extra_of_a_record_has_a_pointer_where_the_switch_says() {
    for (extra_pointer, given) in [
        (ExtraPointer::Documented, true),
        (ExtraPointer::Given, true),
        (ExtraPointer::Absent, false),
    ] {
        let driver = Driver::new(Switches {
            extra_pointer,
            ..Switches::default()
        });
        let mut connected = Connected::new(&driver, SslVersion::TLS1_3, 32 * 1024);
        let mut bytes = connected.peer.write(b"first");
        let first = bytes.len();
        bytes.extend(connected.peer.write(b"second"));
        let (status, buffers) = connected.unseal(&driver, &mut bytes);
        assert_eq!((status, buffers[3].BufferType), (SEC_E_OK, SECBUFFER_EXTRA));
        let expected = if given {
            bytes[first..].as_mut_ptr().cast()
        } else {
            ptr::null_mut()
        };
        assert_eq!(buffers[3].pvBuffer, expected);
        assert_eq!(buffers[3].cbBuffer as usize, bytes.len() - first);
        connected.close(&driver);
    }
}

#[test]
fn post_handshake_messages_are_passed_on_or_not_supported() {
    for post_handshake in [PostHandshake::PassedOn, PostHandshake::Unsupported] {
        let driver = Driver::new(Switches {
            post_handshake,
            ..Switches::default()
        });
        let mut connected = Connected::new(&driver, SslVersion::TLS1_3, 32 * 1024);
        let mut bytes = connected.peer.update_keys(b"after");
        assert_eq!(connected.unseal(&driver, &mut bytes).0, SEC_I_RENEGOTIATE);
        connected.memory.input = bytes;
        let came = connected
            .memory
            .leg(&driver, &connected.call, &connected.credential);
        let (leg, seal) = match post_handshake {
            PostHandshake::PassedOn => (SEC_E_OK, SEC_E_OK),
            PostHandshake::Unsupported => (SEC_E_UNSUPPORTED_FUNCTION, SEC_E_CONTEXT_EXPIRED),
        };
        assert_eq!(came.status, leg);
        assert_eq!(connected.seal(&driver, 0, b"x").0, seal);
        connected.close(&driver);
    }
}

#[test]
fn a_record_without_content_is_reported_or_left_out() {
    for (empty_data, kind) in [
        (EmptyData::Reported, SECBUFFER_DATA),
        (EmptyData::LeftOut, SECBUFFER_EMPTY),
    ] {
        let driver = Driver::new(Switches {
            empty_data,
            ..Switches::default()
        });
        let server = Connected::new(&driver, SslVersion::TLS1_3, 32 * 1024);
        // OpenSSL seals no empty record: another stand-in does.
        let (mut bytes, client) = empty_record_for(&driver);
        let (status, buffers) = client.unseal(&driver, &mut bytes);
        assert_eq!((status, buffers[1].BufferType), (SEC_E_OK, kind));
        assert_eq!(buffers[1].cbBuffer, 0);
        server.close(&driver);
    }
}

/// A connection between two stand-ins: an empty record of the server, and the client.
fn empty_record_for(driver: &Driver) -> (Vec<u8>, Client) {
    let credential = driver.acquire();
    let call = driver.async_call();
    let mut server = LegMemory::new(32 * 1024);
    server.flags &= !ASC_REQ_SESSION_TICKET;
    let mut client = Client {
        credential: driver.acquire_client(false),
        call: driver.async_call(),
        memory: LegMemory::of_client(32 * 1024),
    };
    loop {
        let came = client.memory.leg(driver, &client.call, &client.credential);
        server.input = came.token;
        let done = came.status == SEC_E_OK;
        assert!(done || came.status == SEC_I_CONTINUE_NEEDED);
        let answer = server.leg(driver, &call, &credential);
        assert_eq!(answer.status == SEC_E_OK, done);
        client.memory.input = answer.token;
        if done {
            break;
        }
    }
    let mut record = vec![0; 22];
    let start = record.as_mut_ptr();
    let mut buffers = vec![
        buffer(SECBUFFER_STREAM_HEADER, start, 5),
        buffer(SECBUFFER_DATA, start.wrapping_add(5), 0),
        buffer(SECBUFFER_STREAM_TRAILER, start.wrapping_add(5), 17),
    ];
    let message = descriptor(&mut buffers);
    // SAFETY: the memory outlives the call.
    let sealed = unsafe {
        driver
            .ksecdd
            .seal_message(&raw const server.context, 0, &raw const message, 0)
    };
    assert_eq!(sealed, Ok(SEC_E_OK));
    driver.delete(&server.context);
    call.free();
    driver.free_credential(&credential);
    (record, client)
}

/// A client's end.
struct Client {
    credential: SecHandle,
    call: AsyncCall,
    memory: Box<LegMemory>,
}

impl Client {
    /// Unseals one record, and closes.
    fn unseal(self, driver: &Driver, bytes: &mut [u8]) -> (i32, Vec<SecBuffer>) {
        let connected = Connected {
            credential: self.credential,
            call: self.call,
            memory: self.memory,
            peer: Peer::client(SslVersion::TLS1_3, b""),
        };
        let came = connected.unseal(driver, bytes);
        driver.delete(&connected.memory.context);
        connected.call.free();
        driver.free_credential(&connected.credential);
        came
    }
}

#[test]
fn out_of_band_alerts_are_made_or_refused() {
    for out_of_band_alert in [true, false] {
        let driver = Driver::new(Switches {
            out_of_band_alert,
            ..Switches::default()
        });
        let mut connected = Connected::new(&driver, SslVersion::TLS1_3, 32 * 1024);
        let (status, record) = connected.seal(&driver, SECQOP_WRAP_OOB_DATA, &[1, 0]);
        if out_of_band_alert {
            assert_eq!(status, SEC_E_OK);
            connected.peer.read(&record);
        } else {
            assert_eq!(status, SEC_E_UNSUPPORTED_FUNCTION);
        }
        assert_eq!(connected.peer.heard_close(), out_of_band_alert);
        connected.close(&driver);
    }
}

#[test]
fn every_variant_lets_a_driver_that_is_right_shake_hands() {
    for (name, switches) in Switches::variants() {
        for version in VERSIONS {
            let driver = Driver::new(switches.clone());
            let mut connected = Connected::new(&driver, version, 4 * 1024);
            let (status, record) = connected.seal(&driver, 0, b"from the kernel");
            assert_eq!(status, SEC_E_OK, "{name}");
            assert_eq!(connected.peer.read(&record).0, b"from the kernel", "{name}");
            let mut record = connected.peer.write(b"from OpenSSL");
            assert_eq!(connected.unseal(&driver, &mut record).0, SEC_E_OK, "{name}");
            connected.close(&driver);
        }
    }
}
