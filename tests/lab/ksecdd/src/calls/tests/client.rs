//! Client legs against an OpenSSL server, and certificates of clients.

use super::{
    arguments::LegMemory,
    connected::{Connected, PROTOCOLS},
    driver::Driver,
};
use crate::{identities, peer::Peer};
use openssl::ssl::SslVersion;
use std::{ffi::c_void, ptr, slice};
use tlsgate_lab_control::ksecdd::Completion;
use windows_sys::Win32::{
    Foundation::{SEC_E_NO_CREDENTIALS, SEC_E_OK, SEC_E_UNKNOWN_CREDENTIALS, SEC_I_RENEGOTIATE},
    Security::Authentication::Identity::{
        ASC_REQ_MUTUAL_AUTH, SECBUFFER_EXTRA, SECPKG_ATTR_APPLICATION_PROTOCOL,
        SECPKG_ATTR_REMOTE_CERTIFICATES, SECPKG_ATTR_SESSION_INFO,
        SecPkgContext_ApplicationProtocol, SecPkgContext_SessionInfo,
    },
};

const VERSIONS: [SslVersion; 2] = [SslVersion::TLS1_2, SslVersion::TLS1_3];

/// Unseals the tickets that an OpenSSL server of TLS 1.3 sends, and passes them on.
fn take_tickets(driver: &Driver, connected: &mut Connected) -> usize {
    let mut tickets = 0;
    while !connected.memory.input.is_empty() {
        let mut bytes = connected.memory.input.clone();
        let (status, buffers) = connected.unseal(driver, &mut bytes);
        assert_eq!(status, SEC_I_RENEGOTIATE);
        assert!(
            buffers
                .iter()
                .any(|buffer| buffer.BufferType == SECBUFFER_EXTRA)
        );
        connected.memory.input = bytes;
        let came = connected
            .memory
            .leg(driver, &connected.call, &connected.credential);
        assert_eq!((came.status, came.token.len()), (SEC_E_OK, 0));
        let consumed = connected.memory.input.len() - came.extra;
        connected.memory.input.drain(..consumed);
        tickets += 1;
    }
    tickets
}

#[test]
fn client_resumes_with_the_tickets_it_was_given() {
    for version in VERSIONS {
        let driver = Driver::completing(Completion::Late);
        let listener = Peer::listener(version);
        let credential = driver.acquire_client(false);
        for resumed in [0, 1] {
            let mut memory = LegMemory::of_client(32 * 1024);
            memory.protocols = PROTOCOLS.to_vec();
            let peer = Peer::server(&listener);
            let mut connected = Connected::shake(&driver, credential, memory, peer);
            let tickets = take_tickets(&driver, &mut connected);
            assert_eq!(tickets > 0, version == SslVersion::TLS1_3);
            let (status, alpn): (_, SecPkgContext_ApplicationProtocol) =
                connected.query(&driver, SECPKG_ATTR_APPLICATION_PROTOCOL);
            assert_eq!((status, &alpn.ProtocolId[..2]), (SEC_E_OK, &b"h2"[..]));
            let (status, session): (_, SecPkgContext_SessionInfo) =
                connected.query(&driver, SECPKG_ATTR_SESSION_INFO);
            assert_eq!((status, session.dwFlags), (SEC_E_OK, resumed));
            let (_, record) = connected.seal(&driver, 0, b"from the kernel");
            assert_eq!(connected.peer.read(&record).0, b"from the kernel");
            let mut record = connected.peer.write(b"from OpenSSL");
            assert_eq!(connected.unseal(&driver, &mut record).0, SEC_E_OK);
            if resumed == 1 {
                connected.close(&driver);
            } else {
                driver.delete(&connected.memory.context);
                connected.call.free();
            }
        }
    }
}

#[test]
fn credential_of_the_other_role_is_unknown() {
    let driver = Driver::completing(Completion::Late);
    let credential = driver.acquire_client(false);
    let call = driver.async_call();
    let mut memory = LegMemory::new(100);
    memory.describe();
    let issued = memory.issue(&driver, &call, &credential);
    assert_eq!(issued, Ok(SEC_E_UNKNOWN_CREDENTIALS));
}

#[repr(C)]
struct Certificates {
    count: u32,
    length: u32,
    blob: *mut c_void,
}

impl Default for Certificates {
    fn default() -> Self {
        Self {
            count: 0,
            length: 0,
            blob: ptr::null_mut(),
        }
    }
}

#[test]
fn client_certificate_is_handed_out_until_it_is_freed() {
    for version in VERSIONS {
        let driver = Driver::completing(Completion::Late);
        let identity = identities::identity();
        let mut memory = LegMemory::new(32 * 1024);
        memory.flags |= ASC_REQ_MUTUAL_AUTH;
        let peer = Peer::client_with(version, b"", Some(&identity));
        let connected = Connected::shake(&driver, driver.acquire(), memory, peer);
        assert_eq!(
            connected.memory.attributes & ASC_REQ_MUTUAL_AUTH,
            ASC_REQ_MUTUAL_AUTH
        );
        let (status, certificates): (_, Certificates) =
            connected.query(&driver, SECPKG_ATTR_REMOTE_CERTIFICATES);
        assert_eq!((status, certificates.count), (SEC_E_OK, 1));
        let length = certificates.length as usize;
        // SAFETY: the answer has so many bytes until it is freed.
        let blob = unsafe { slice::from_raw_parts(certificates.blob.cast::<u8>(), length) };
        let size = u32::try_from(identity.chain[0].len()).unwrap();
        assert_eq!(blob, [&size.to_le_bytes()[..], &identity.chain[0]].concat());
        assert_eq!(driver.ksecdd.state().context_buffers, 1);
        assert_eq!(
            driver.ksecdd.free_context_buffer(certificates.blob),
            Ok(SEC_E_OK)
        );
        connected.close(&driver);
    }
}

#[test]
fn client_without_certificate_has_none_to_show() {
    for version in VERSIONS {
        let driver = Driver::completing(Completion::Late);
        let mut memory = LegMemory::new(32 * 1024);
        memory.flags |= ASC_REQ_MUTUAL_AUTH;
        let peer = Peer::client(version, b"");
        let connected = Connected::shake(&driver, driver.acquire(), memory, peer);
        assert_eq!(connected.memory.attributes & ASC_REQ_MUTUAL_AUTH, 0);
        let (status, _): (_, Certificates) =
            connected.query(&driver, SECPKG_ATTR_REMOTE_CERTIFICATES);
        assert_eq!(status, SEC_E_NO_CREDENTIALS);
        connected.close(&driver);
    }
}
