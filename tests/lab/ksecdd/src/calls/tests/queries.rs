//! What is said of a connection, to either role.

use super::{
    arguments::LegMemory,
    connected::{Connected, PROTOCOLS},
    driver::Driver,
};
use crate::peer::Peer;
use openssl::ssl::SslVersion;
use tlsgate_lab_control::ksecdd::{Completion, NoProtocol, Switches};
use windows_sys::Win32::{
    Foundation::{SEC_E_OK, SEC_E_UNSUPPORTED_FUNCTION},
    Security::Authentication::Identity::{
        SECPKG_ATTR_APPLICATION_PROTOCOL, SECPKG_ATTR_CIPHER_INFO, SECPKG_ATTR_CONNECTION_INFO,
        SECPKG_ATTR_SESSION_INFO, SECPKG_ATTR_STREAM_SIZES, SecPkgContext_ApplicationProtocol,
        SecPkgContext_CipherInfo, SecPkgContext_ConnectionInfo, SecPkgContext_SessionInfo,
        SecPkgContext_StreamSizes,
    },
};

fn text(units: &[u16]) -> String {
    let end = units.iter().position(|&unit| unit == 0).unwrap();
    String::from_utf16(&units[..end]).unwrap()
}

/// A connection of a stand-in of either role.
fn connected(driver: &Driver, version: SslVersion, accepts: bool) -> Connected {
    if accepts {
        return Connected::new(driver, version, 32 * 1024);
    }
    let mut memory = LegMemory::of_client(32 * 1024);
    memory.protocols = PROTOCOLS.to_vec();
    let peer = Peer::server(&Peer::listener(version));
    Connected::shake(driver, driver.acquire_client(false), memory, peer)
}

#[test]
fn attributes_say_what_was_settled() {
    for (version, accepts, protocol, wire) in [
        (SslVersion::TLS1_2, true, 0x400, 0x303),
        (SslVersion::TLS1_3, true, 0x1000, 0x304),
        (SslVersion::TLS1_2, false, 0x800, 0x303),
        (SslVersion::TLS1_3, false, 0x2000, 0x304),
    ] {
        let driver = Driver::completing(Completion::Late);
        let connected = connected(&driver, version, accepts);
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
        // CALG_ECDH_EPHEM over X25519; AES of 128 or 256 bits.
        assert_eq!((info.aiExch, info.dwExchStrength), (0xAE06, 255));
        assert!([(0x660E, 128), (0x6610, 256)].contains(&(info.aiCipher, info.dwCipherStrength)));
        let (status, cipher): (_, SecPkgContext_CipherInfo) =
            connected.query(&driver, SECPKG_ATTR_CIPHER_INFO);
        assert_eq!((status, cipher.dwProtocol), (SEC_E_OK, wire));
        assert_eq!(cipher.dwCipherLen, info.dwCipherStrength);
        let name = text(&cipher.szCipherSuite);
        assert_eq!(name, connected.peer.suite());
        assert_eq!(text(&cipher.szCipher), "AES");
        assert_eq!(text(&cipher.szExchange), "ECDHE");
        assert_eq!(
            (cipher.dwMinExchangeLen, cipher.dwMaxExchangeLen),
            (255, 255)
        );
        let hash = if name.ends_with("384") { 384 } else { 256 };
        assert_eq!(
            (text(&cipher.szHash), cipher.dwHashLen),
            (format!("SHA{hash}"), hash)
        );
        let authenticated = if wire == 0x303 { "ECDSA" } else { "" };
        assert_eq!(text(&cipher.szCertificate), authenticated);
        let (status, session): (_, SecPkgContext_SessionInfo) =
            connected.query(&driver, SECPKG_ATTR_SESSION_INFO);
        assert_eq!((status, session.dwFlags), (SEC_E_OK, 0));
        // OpenSSL's server gives tickets of TLS 1.2 no id.
        let length = if protocol == 0x800 { 0 } else { 32 };
        assert_eq!(session.cbSessionId, length);
        assert_eq!(session.rgbSessionId == [0; 32], length == 0);
        let (status, ()) = connected.query(&driver, 0x6b);
        assert_eq!(status, SEC_E_UNSUPPORTED_FUNCTION);
        connected.close(&driver);
    }
}

#[test]
fn without_a_protocol_the_query_says_so_or_fails() {
    let driver = Driver::completing(Completion::Late);
    let peer = Peer::client(SslVersion::TLS1_3, b"");
    let memory = LegMemory::new(32 * 1024);
    let connected = Connected::shake(&driver, driver.acquire(), memory, peer);
    for (no_protocol, expected) in [
        (NoProtocol::Told, SEC_E_OK),
        (NoProtocol::Refused, SEC_E_UNSUPPORTED_FUNCTION),
    ] {
        driver.ksecdd.set_switches(Switches {
            no_protocol,
            ..Switches::default()
        });
        let (status, alpn): (_, SecPkgContext_ApplicationProtocol) =
            connected.query(&driver, SECPKG_ATTR_APPLICATION_PROTOCOL);
        assert_eq!((status, alpn.ProtoNegoStatus), (expected, 0));
    }
    connected.close(&driver);
}
