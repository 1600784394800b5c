//! What is thought of a peer's certificates: during the handshake, or asked for after it.

use super::{
    arguments::{AcquireMemory, LegMemory},
    breaches::rule,
    connected::Connected,
    driver::Driver,
};
use crate::{
    identities::{Authority, copy, identity},
    peer::Peer,
    rules,
    tls::{config::Identity, judge::thumbprint},
};
use openssl::ssl::SslVersion;
use tlsgate_lab_control::ksecdd::{
    Completion, NoCertificate, Revocation, RevocationInformation, Switches,
};
use windows_sys::Win32::{
    Foundation::{
        CERT_E_CN_NO_MATCH, CERT_E_EXPIRED, CERT_E_UNTRUSTEDROOT, CRYPT_E_NO_REVOCATION_CHECK,
        CRYPT_E_REVOCATION_OFFLINE, CRYPT_E_REVOKED, SEC_E_CERT_EXPIRED, SEC_E_INTERNAL_ERROR,
        SEC_E_NO_CREDENTIALS, SEC_E_OK, SEC_E_TARGET_UNKNOWN, SEC_E_UNSUPPORTED_FUNCTION,
        SEC_E_UNTRUSTED_ROOT, SEC_E_WRONG_PRINCIPAL,
    },
    Security::Authentication::Identity::{
        ASC_REQ_MUTUAL_AUTH, ISC_REQ_MANUAL_CRED_VALIDATION, SCH_CRED_AUTO_CRED_VALIDATION,
        SCH_CRED_DEFERRED_CRED_VALIDATION, SCH_CRED_IGNORE_NO_REVOCATION_CHECK,
        SCH_CRED_IGNORE_REVOCATION_OFFLINE, SCH_CRED_MANUAL_CRED_VALIDATION,
        SCH_CRED_REVOCATION_CHECK_CHAIN, SCH_CRED_REVOCATION_CHECK_CHAIN_EXCLUDE_ROOT,
        SCH_CRED_REVOCATION_CHECK_END_CERT, SECPKG_ATTR_CERT_CHECK_RESULT_INPROC,
    },
};

const VERSIONS: [SslVersion; 2] = [SslVersion::TLS1_2, SslVersion::TLS1_3];

/// `CERT_TRUST_*`, and the chain policy's HRESULT.
type CheckResult = (i32, [u32; 2]);

fn said(status: i32, trust: u32, policy: i32) -> CheckResult {
    (status, [trust, policy.cast_unsigned()])
}

/// A machine that trusts an authority.
struct Trusting {
    driver: Driver,
    authority: Authority,
}

impl Trusting {
    fn new() -> Self {
        let driver = Driver::completing(Completion::Late);
        let authority = Authority::new("authority.test");
        driver.machine.roots.lock().unwrap().push(authority.root());
        Self { driver, authority }
    }

    /// What a client's handshake with a server that shows `identity` comes to.
    fn end(&self, version: SslVersion, identity: &Identity, flags: u32) -> i32 {
        self.end_at(version, identity, flags, 0)
    }

    fn end_at(&self, version: SslVersion, identity: &Identity, flags: u32, leg: u32) -> i32 {
        let listener = Peer::listener_with(version, identity, false);
        let mut asked = AcquireMemory::of_client(flags);
        let credential = self.driver.acquire_by(&mut asked).unwrap();
        let mut memory = LegMemory::of_client(32 * 1024);
        memory.flags |= leg;
        let mut peer = Peer::server(&listener);
        let came = Connected::end_of_shaking(&self.driver, credential, &mut memory, &mut peer);
        if came.status != SEC_E_OK {
            assert!(!came.token.is_empty(), "an alert for the server");
        }
        came.status
    }

    /// What a client of that name says of such a server after the handshake.
    fn check(&self, identity: &Identity, flags: u32, name: &str) -> CheckResult {
        let listener = Peer::listener_with(SslVersion::TLS1_3, identity, false);
        let mut asked = AcquireMemory::of_client(flags);
        let credential = self.driver.acquire_by(&mut asked).unwrap();
        let mut memory = LegMemory::of_client(32 * 1024);
        memory.aim_at(name);
        let peer = Peer::server(&listener);
        let connected = Connected::shake(&self.driver, credential, memory, peer);
        connected.query(&self.driver, SECPKG_ATTR_CERT_CHECK_RESULT_INPROC)
    }

    fn know(&self, revoked: &[&[u8]], information: RevocationInformation) {
        self.driver.ksecdd.set_switches(Switches {
            revocation: Revocation {
                revoked: revoked
                    .iter()
                    .map(|it| thumbprint(it).to_lowercase())
                    .collect(),
                information,
            },
            ..Switches::default()
        });
    }
}

#[test]
fn a_bad_certificate_ends_the_handshake_of_a_client_that_checks() {
    for version in VERSIONS {
        let trusting = Trusting::new();
        let authority = &trusting.authority;
        let servers = [
            (authority.issue("lab.test", false), SEC_E_OK),
            (authority.issue("other.test", false), SEC_E_WRONG_PRINCIPAL),
            (authority.issue("lab.test", true), SEC_E_CERT_EXPIRED),
            (
                Authority::new("stranger.test").issue("lab.test", false),
                SEC_E_UNTRUSTED_ROOT,
            ),
            (identity(), SEC_E_UNTRUSTED_ROOT),
        ];
        for (server, status) in servers {
            for automatic in [0, SCH_CRED_AUTO_CRED_VALIDATION] {
                assert_eq!(trusting.end(version, &server, automatic), status);
            }
            for lenient in [
                SCH_CRED_MANUAL_CRED_VALIDATION,
                SCH_CRED_DEFERRED_CRED_VALIDATION,
            ] {
                assert_eq!(trusting.end(version, &server, lenient), SEC_E_OK);
            }
            let manual = ISC_REQ_MANUAL_CRED_VALIDATION;
            assert_eq!(trusting.end_at(version, &server, 0, manual), SEC_E_OK);
        }
    }
}

#[test]
fn a_trusted_self_signed_certificate_is_good_of_an_authority_too() {
    let trusting = Trusting::new();
    let own = identity();
    trusting
        .driver
        .machine
        .roots
        .lock()
        .unwrap()
        .push(own.chain[0].clone());
    assert_eq!(trusting.end(SslVersion::TLS1_3, &own, 0), SEC_E_OK);
    let authority = trusting.authority.itself();
    let came = trusting.check(
        &authority,
        SCH_CRED_MANUAL_CRED_VALIDATION,
        "authority.test",
    );
    assert_eq!(came, said(SEC_E_OK, 0, 0));
}

#[test]
fn what_a_client_that_leaves_it_to_its_caller_is_told() {
    let trusting = Trusting::new();
    let good = trusting.authority.issue("lab.test", false);
    for (server, name, expected) in [
        (copy(&good), "lab.test", said(SEC_E_OK, 0, 0)),
        (
            copy(&good),
            "other.test",
            said(SEC_E_OK, 0, CERT_E_CN_NO_MATCH),
        ),
        (
            copy(&good),
            "127.0.0.1",
            said(SEC_E_OK, 0, CERT_E_CN_NO_MATCH),
        ),
        (copy(&good), "", said(SEC_E_OK, 0, 0)),
        (
            identity(),
            "lab.test",
            said(SEC_E_OK, 0x20, CERT_E_UNTRUSTEDROOT),
        ),
        (
            trusting.authority.issue("lab.test", true),
            "lab.test",
            said(SEC_E_OK, 0x1, CERT_E_EXPIRED),
        ),
    ] {
        let came = trusting.check(&server, SCH_CRED_MANUAL_CRED_VALIDATION, name);
        assert_eq!(came, expected, "{name}");
    }
}

#[test]
fn revocation_is_checked_as_far_as_the_flags_say() {
    let trusting = Trusting::new();
    let server = trusting.authority.issue("lab.test", false);
    let (own, root) = (server.chain[0].to_vec(), trusting.authority.root().to_vec());
    let (end, chain, but_root) = (
        SCH_CRED_REVOCATION_CHECK_END_CERT,
        SCH_CRED_REVOCATION_CHECK_CHAIN,
        SCH_CRED_REVOCATION_CHECK_CHAIN_EXCLUDE_ROOT,
    );
    let come = |flags| trusting.end(SslVersion::TLS1_3, &server, flags);
    trusting.know(&[&own], RevocationInformation::Good);
    assert_eq!(come(0), SEC_E_OK);
    for flags in [end, chain, but_root] {
        assert_eq!(come(flags), CRYPT_E_REVOKED);
    }
    let told = trusting.check(&server, end | SCH_CRED_MANUAL_CRED_VALIDATION, "lab.test");
    assert_eq!(told, said(SEC_E_OK, 0x4, CRYPT_E_REVOKED));
    trusting.know(&[&root], RevocationInformation::Good);
    assert_eq!(come(end), SEC_E_OK);
    assert_eq!(come(chain), CRYPT_E_REVOKED);
    assert_eq!(come(but_root), SEC_E_OK);
    for (information, ignore, status, trust) in [
        (
            RevocationInformation::None,
            SCH_CRED_IGNORE_NO_REVOCATION_CHECK,
            CRYPT_E_NO_REVOCATION_CHECK,
            0x40,
        ),
        (
            RevocationInformation::Offline,
            SCH_CRED_IGNORE_REVOCATION_OFFLINE,
            CRYPT_E_REVOCATION_OFFLINE,
            0x100_0040,
        ),
    ] {
        trusting.know(&[], information);
        assert_eq!(come(0), SEC_E_OK);
        assert_eq!(come(end), status);
        assert_eq!(come(end | ignore), SEC_E_OK);
        let both = SCH_CRED_IGNORE_NO_REVOCATION_CHECK | SCH_CRED_IGNORE_REVOCATION_OFFLINE;
        assert_eq!(come(end | (both & !ignore)), status);
        let told = trusting.check(&server, end | SCH_CRED_MANUAL_CRED_VALIDATION, "lab.test");
        assert_eq!(told, said(SEC_E_OK, trust, status));
    }
}

#[test]
fn a_server_is_told_what_is_thought_of_clients() {
    for version in VERSIONS {
        let trusting = Trusting::new();
        let driver = &trusting.driver;
        for (client, expected) in [
            (
                Some(trusting.authority.issue("anyone", false)),
                said(SEC_E_OK, 0, 0),
            ),
            (Some(identity()), said(SEC_E_OK, 0x20, CERT_E_UNTRUSTEDROOT)),
            (None, said(SEC_E_NO_CREDENTIALS, 0, 0)),
        ] {
            let mut memory = LegMemory::new(32 * 1024);
            memory.flags |= ASC_REQ_MUTUAL_AUTH;
            let peer = Peer::client_with(version, b"", client.as_ref());
            let connected = Connected::shake(driver, driver.acquire(), memory, peer);
            let came: CheckResult = connected.query(driver, SECPKG_ATTR_CERT_CHECK_RESULT_INPROC);
            assert_eq!(came, expected);
        }
    }
}

#[test]
fn the_check_result_is_supported_as_the_switches_say() {
    let driver = Driver::completing(Completion::Late);
    let connected = Connected::new(&driver, SslVersion::TLS1_3, 32 * 1024);
    for (certificate_check_result, no_certificate, status) in [
        (true, NoCertificate::NoCredentials, SEC_E_NO_CREDENTIALS),
        (true, NoCertificate::InternalError, SEC_E_INTERNAL_ERROR),
        (
            false,
            NoCertificate::NoCredentials,
            SEC_E_UNSUPPORTED_FUNCTION,
        ),
    ] {
        driver.ksecdd.set_switches(Switches {
            certificate_check_result,
            no_certificate,
            ..Switches::default()
        });
        let came: CheckResult = connected.query(&driver, SECPKG_ATTR_CERT_CHECK_RESULT_INPROC);
        assert_eq!(came.0, status);
        let certificates: (i32, [u64; 2]) = connected.query(&driver, 0x5f);
        let expected = match no_certificate {
            NoCertificate::NoCredentials => SEC_E_NO_CREDENTIALS,
            NoCertificate::InternalError => SEC_E_INTERNAL_ERROR,
        };
        assert_eq!(certificates.0, expected);
    }
}

#[test]
fn a_client_that_checks_names_its_target() {
    for (flags, leg, allowed) in [
        (0, 0, false),
        (0, ISC_REQ_MANUAL_CRED_VALIDATION, true),
        (SCH_CRED_MANUAL_CRED_VALIDATION, 0, true),
    ] {
        let driver = Driver::completing(Completion::Late);
        let mut asked = AcquireMemory::of_client(flags);
        let credential = driver.acquire_by(&mut asked).unwrap();
        let (call, mut memory) = (driver.async_call(), LegMemory::of_client(16 * 1024));
        memory.flags |= leg;
        memory.aim_at("");
        memory.protocols = super::connected::PROTOCOLS.to_vec();
        memory.describe();
        let issued = memory.issue(&driver, &call, &credential);
        if allowed {
            assert_eq!(issued, Ok(SEC_E_OK));
            call.wait();
            call.reinit();
            memory.context = super::driver::INVALID;
            memory.aim_at("no name\u{1}");
            memory.describe();
            let issued = memory.issue(&driver, &call, &credential);
            assert_eq!(issued, Ok(SEC_E_TARGET_UNKNOWN));
        } else {
            assert_eq!(rule(issued), rules::TARGET_NAME_MISSING);
        }
    }
}
