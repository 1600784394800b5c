//! What can be acquired, by whom, and which certificate a peer is shown.

use super::{
    arguments::{AcquireMemory, LegMemory},
    breaches::rule,
    connected::Connected,
    driver::{Driver, THUMBPRINT},
};
use crate::{identities, peer::Peer, rules};
use openssl::ssl::SslVersion;
use std::sync::atomic::Ordering;
use tlsgate_lab_control::ksecdd::{Acquired, Completion, SniCredential, Switches, TokenUse};
use windows_sys::Win32::{
    Foundation::{
        SEC_E_ALGORITHM_MISMATCH, SEC_E_NO_CREDENTIALS, SEC_E_OK, SEC_E_WRONG_PRINCIPAL,
        SEC_I_CONTINUE_NEEDED,
    },
    Security::Authentication::Identity::{
        SCH_CRED_MANUAL_CRED_VALIDATION, SCH_CRED_SNI_CREDENTIAL, SCH_DISABLE_RECONNECTS,
        SCH_MACHINE_CERT_HASH, SECPKG_ATTR_REMOTE_CERTIFICATES, SP_PROT_TLS1_3_SERVER,
        TLS_PARAMETERS,
    },
};

const VERSIONS: [SslVersion; 2] = [SslVersion::TLS1_2, SslVersion::TLS1_3];
const ECDSA: &str = "ECDSA+SHA256";
const ANY: &str = "ECDSA+SHA256:RSA-PSS+SHA256:RSA+SHA256";

#[test]
fn wrong_fields_of_a_credential() {
    type Change = fn(&mut AcquireMemory);
    let changes: [(Change, &str); 15] = [
        (|asked| asked.auth.dwVersion = 4, rules::BAD_CREDENTIAL),
        (|asked| asked.auth.dwCredFormat = 0, rules::BAD_CREDENTIAL),
        (|asked| asked.auth.cMappers = 1, rules::BAD_CREDENTIAL),
        (|asked| asked.auth.cCreds = 17, rules::BAD_CREDENTIAL),
        (|asked| asked.auth.cTlsParameters = 1, rules::BAD_CREDENTIAL),
        (|asked| asked.credential_use = 3, rules::BAD_CREDENTIAL),
        (|asked| asked.hashes[0].dwLength = 40, rules::BAD_CREDENTIAL),
        (|asked| asked.hashes[0].dwFlags = 2, rules::BAD_CREDENTIAL),
        (|asked| asked.hashes[0].hProv = 1, rules::BAD_CREDENTIAL),
        (
            |asked| asked.hashes[0].pwszStoreName = [b'M'.into(); 128],
            rules::BAD_CREDENTIAL,
        ),
        (
            |asked| asked.parameters = Some(Box::new(denying(u32::MAX))),
            rules::BAD_CREDENTIAL,
        ),
        (
            |asked| asked.auth.dwFlags |= SCH_CRED_SNI_CREDENTIAL,
            rules::BAD_CREDENTIAL,
        ),
        (
            |asked| asked.principal = vec![b'a'.into()],
            rules::BAD_CREDENTIAL,
        ),
        (|asked| asked.auth.dwFlags = 0, rules::CREDENTIAL_FLAGS),
        (
            |asked| asked.auth.dwFlags |= SCH_CRED_MANUAL_CRED_VALIDATION,
            rules::CREDENTIAL_FLAGS,
        ),
    ];
    for (number, (change, broken)) in changes.into_iter().enumerate() {
        let driver = Driver::completing(Completion::Late);
        let (call, mut asked) = (driver.async_call(), AcquireMemory::new());
        change(&mut asked);
        assert_eq!(rule(asked.issue(&driver, &call)), broken, "change {number}");
    }
}

#[test]
fn the_second_certificate_is_read_as_strictly() {
    let driver = Driver::completing(Completion::Late);
    let mut asked = AcquireMemory::of_server(&[THUMBPRINT, THUMBPRINT]);
    asked.hashes[1].dwLength = 0;
    let call = driver.async_call();
    assert_eq!(rule(asked.issue(&driver, &call)), rules::BAD_CREDENTIAL);
    let driver = Driver::completing(Completion::Held);
    let mut asked = AcquireMemory::of_server(&[THUMBPRINT, THUMBPRINT]);
    let call = driver.async_call();
    assert_eq!(asked.issue(&driver, &call), Ok(SEC_E_OK));
    asked.hashes[1].ShaHash[0] ^= 1;
    driver.ksecdd.release(None);
    call.wait();
    assert_eq!(driver.stops(), [rules::INPUT_CHANGED]);
}

fn denying(protocols: u32) -> TLS_PARAMETERS {
    TLS_PARAMETERS {
        grbitDisabledProtocols: protocols,
        ..TLS_PARAMETERS::default()
    }
}

#[test]
fn what_was_asked_for_is_told() {
    let driver = Driver::completing(Completion::Late);
    let mut asked = AcquireMemory::new();
    asked.auth.dwFlags |= SCH_CRED_SNI_CREDENTIAL | SCH_DISABLE_RECONNECTS;
    asked.principal = "lab.test".encode_utf16().collect();
    asked.parameters = Some(Box::new(denying(!SP_PROT_TLS1_3_SERVER)));
    driver.acquire_by(&mut asked).unwrap();
    driver.acquire_client(false);
    let acquired = driver.ksecdd.state().acquired;
    let server = Acquired {
        server: true,
        flags: 0x48_0082,
        principal: "lab.test".to_owned(),
        disabled_protocols: !0x1000,
        certificates: vec!["746869732069732061207468756D627072696E74".to_owned()],
        account: "SYSTEM".to_owned(),
    };
    assert_eq!(acquired[0], server);
    let client = Acquired {
        flags: 0x40_0018,
        account: "SYSTEM".to_owned(),
        ..Acquired::default()
    };
    assert_eq!(acquired[1], client);
    for _ in 0..20 {
        driver.acquire();
    }
    assert_eq!(driver.ksecdd.state().acquired.len(), 16);
}

#[test]
fn a_server_needs_certificates_and_all_of_them() {
    let driver = Driver::completing(Completion::Late);
    let there = driver.place(&identities::identity());
    for thumbprints in [&[][..], &[there, [0; 20]]] {
        let mut asked = AcquireMemory::of_server(thumbprints);
        assert_eq!(
            driver.acquire_by(&mut asked).err(),
            Some(SEC_E_NO_CREDENTIALS)
        );
    }
    for count in [1, 2, 16] {
        let mut asked = AcquireMemory::of_server(&vec![there; count]);
        assert!(driver.acquire_by(&mut asked).is_ok(), "{count}");
    }
}

#[test]
fn the_certificate_fits_name_and_signatures() {
    let driver = Driver::completing(Completion::Late);
    let [rsa, first, second] = [
        identities::rsa("second.test"),
        identities::named("first.test"),
        identities::named("second.test"),
    ];
    let thumbprints = [&rsa, &first, &second].map(|identity| driver.place(identity));
    let mut asked = AcquireMemory::of_server(&thumbprints);
    let credential = driver.acquire_by(&mut asked).unwrap();
    for version in VERSIONS {
        for (name, signatures, expected) in [
            ("second.test", ANY, &rsa),
            ("second.test", ECDSA, &second),
            ("first.test", ANY, &first),
            ("third.test", ANY, &rsa),
            ("third.test", ECDSA, &first),
        ] {
            let peer = Peer::client_of(version, name, signatures);
            let memory = LegMemory::new(32 * 1024);
            let connected = Connected::shake(&driver, credential, memory, peer);
            assert_eq!(
                connected.peer.certificate().unwrap(),
                expected.chain[0].to_vec(),
                "{name}"
            );
            driver.delete(&connected.memory.context);
        }
    }
}

#[test]
fn no_certificate_can_sign_what_the_client_believes() {
    let driver = Driver::completing(Completion::Late);
    let thumbprint = driver.place(&identities::rsa("lab.test"));
    let credential = driver
        .acquire_by(&mut AcquireMemory::of_server(&[thumbprint]))
        .unwrap();
    let mut peer = Peer::client_of(SslVersion::TLS1_3, "lab.test", ECDSA);
    let mut memory = LegMemory::new(32 * 1024);
    let came = Connected::end_of_shaking(&driver, credential, &mut memory, &mut peer);
    assert_eq!(came.status, SEC_E_ALGORITHM_MISMATCH);
}

#[test]
fn a_credential_for_one_name_serves_that_name_or_refuses_others() {
    for sni_credential in [SniCredential::AnyName, SniCredential::ItsNameOnly] {
        let driver = Driver::new(Switches {
            sni_credential,
            ..Switches::default()
        });
        let [first, second] =
            ["first.test", "second.test"].map(|name| driver.place(&identities::named(name)));
        let mut asked = AcquireMemory::of_server(&[first, second]);
        asked.auth.dwFlags |= SCH_CRED_SNI_CREDENTIAL;
        asked.principal = "second.test".encode_utf16().collect();
        let credential = driver.acquire_by(&mut asked).unwrap();
        for (name, served) in [
            ("second.test", true),
            ("first.test", sni_credential == SniCredential::AnyName),
        ] {
            let mut peer = Peer::client_of(SslVersion::TLS1_3, name, ANY);
            let mut memory = LegMemory::new(32 * 1024);
            memory.input = peer.handshake(&[]);
            let call = driver.async_call();
            let came = memory.leg(&driver, &call, &credential);
            if served {
                assert_eq!(came.status, SEC_I_CONTINUE_NEEDED);
                peer.handshake(&came.token);
                let placed = driver.machine.placed.lock().unwrap();
                assert_eq!(
                    peer.certificate().unwrap(),
                    placed[1].identity.chain[0].to_vec()
                );
            } else {
                assert_eq!((came.status, came.alert), (SEC_E_WRONG_PRINCIPAL, [2, 49]));
            }
        }
    }
}

#[test]
fn without_reconnects_no_session_is_resumed() {
    for version in VERSIONS {
        let driver = Driver::completing(Completion::Late);
        let mut asked = AcquireMemory::new();
        asked.auth.dwFlags |= SCH_DISABLE_RECONNECTS;
        let credential = driver.acquire_by(&mut asked).unwrap();
        let memory = LegMemory::new(32 * 1024);
        let peer = Peer::client(version, b"");
        let mut connected = Connected::shake(&driver, credential, memory, peer);
        assert!(!connected.peer.can_resume(), "{version:?}");
        connected.close(&driver);
    }
}

#[test]
fn keys_are_for_those_they_were_given_to() {
    let driver = Driver::completing(Completion::Late);
    let identity = identities::identity;
    let machines = driver.place(&identity());
    let machines_given = driver.place_for(&identity(), true, Some(&["web"]));
    let users = driver.place_for(&identity(), false, Some(&["web"]));
    let nobodys = driver.place_for(&identity(), false, None);
    for (account, allowed) in [
        ("SYSTEM", [true, true, false, true]),
        ("Administrators", [true, true, false, true]),
        ("web", [false, true, true, false]),
        ("WEB", [false, true, true, false]),
        ("other", [false; 4]),
    ] {
        account.clone_into(&mut driver.machine.account.lock().unwrap());
        for (thumbprint, allowed) in [machines, machines_given, users, nobodys]
            .into_iter()
            .zip(allowed)
        {
            let mut asked = AcquireMemory::of_server(&[thumbprint]);
            if [users, nobodys].contains(&thumbprint) {
                asked.hashes[0].dwFlags = 0;
            }
            let came = driver.acquire_by(&mut asked).map(|_| ());
            let expected = if allowed {
                Ok(())
            } else {
                Err(SEC_E_NO_CREDENTIALS)
            };
            assert_eq!(came, expected, "{account}");
        }
    }
}

#[test]
fn the_token_counts_where_the_switch_says() {
    let identity = identities::identity();
    for (token, acquired, leg) in [
        (TokenUse::Stopped, true, Err(rules::OTHER_TOKEN)),
        (TokenUse::Refused, true, Ok(SEC_E_NO_CREDENTIALS)),
        (TokenUse::Ignored, true, Ok(SEC_I_CONTINUE_NEEDED)),
        (TokenUse::InWorker, false, Ok(SEC_I_CONTINUE_NEEDED)),
    ] {
        let driver = Driver::new(Switches {
            token,
            ..Switches::default()
        });
        let own = driver.place_for(&identity, false, Some(&["web"]));
        driver.machine.token.store(7, Ordering::SeqCst);
        "web".clone_into(&mut driver.machine.account.lock().unwrap());
        let mut asked = AcquireMemory::of_server(&[own]);
        asked.hashes[0].dwFlags = 0;
        assert_eq!(driver.acquire_by(&mut asked).is_ok(), acquired, "{token:?}");
        // SYSTEM's own key for the leg where the worker is who acts.
        let credential = if acquired {
            asked.credential
        } else {
            driver.acquire()
        };
        driver.machine.token.store(8, Ordering::SeqCst);
        let (call, mut memory) = (driver.async_call(), LegMemory::new(16 * 1024));
        memory.input = Peer::client(SslVersion::TLS1_3, b"").handshake(&[]);
        memory.describe();
        let issued = memory.issue(&driver, &call, &credential);
        let came = issued.map(|_| call.wait().status);
        assert_eq!(came.map_err(|broken| broken.rule), leg, "{token:?}");
        let made = driver.ksecdd.state().contexts;
        assert_eq!(made, usize::from(leg == Ok(SEC_I_CONTINUE_NEEDED)));
    }
}

#[test]
fn a_later_leg_under_another_token_is_refused_and_harms_nothing() {
    let driver = Driver::new(Switches {
        token: TokenUse::Refused,
        ..Switches::default()
    });
    let (credential, call) = (driver.acquire(), driver.async_call());
    let mut memory = LegMemory::new(16 * 1024);
    let mut peer = Peer::client(SslVersion::TLS1_3, b"");
    memory.input = peer.handshake(&[]);
    let came = memory.leg(&driver, &call, &credential);
    memory.input = peer.handshake(&came.token);
    driver.machine.token.store(8, Ordering::SeqCst);
    let came = memory.leg(&driver, &call, &credential);
    assert_eq!(came.status, SEC_E_NO_CREDENTIALS);
    driver.machine.token.store(0, Ordering::SeqCst);
    assert_eq!(memory.leg(&driver, &call, &credential).status, SEC_E_OK);
}

#[test]
fn the_machine_flag_of_the_credential_applies_where_the_switch_says() {
    for machine_flag_applies in [false, true] {
        let driver = Driver::new(Switches {
            machine_flag_applies,
            ..Switches::default()
        });
        let mut asked = AcquireMemory::new();
        asked.auth.dwFlags |= SCH_MACHINE_CERT_HASH;
        asked.hashes[0].dwFlags = 0;
        assert_eq!(driver.acquire_by(&mut asked).is_ok(), machine_flag_applies);
    }
}

#[test]
fn a_client_shows_the_certificate_whose_key_can_sign() {
    for version in VERSIONS {
        let driver = Driver::completing(Completion::Late);
        let (rsa, ecdsa) = (identities::rsa("me.test"), identities::named("me.test"));
        let thumbprints = [&rsa, &ecdsa].map(|identity| driver.place(identity));
        let mut asked =
            AcquireMemory::of_client(SCH_CRED_MANUAL_CRED_VALIDATION).with(&thumbprints);
        let credential = driver.acquire_by(&mut asked).unwrap();
        let listener = Peer::listener_with(version, &identities::identity(), true);
        let memory = LegMemory::of_client(32 * 1024);
        let connected = Connected::shake(&driver, credential, memory, Peer::server(&listener));
        assert_eq!(connected.peer.certificate().unwrap(), rsa.chain[0].to_vec());
        // The server's own, which the client was shown.
        let (status, count): (_, [u32; 4]) =
            connected.query(&driver, SECPKG_ATTR_REMOTE_CERTIFICATES);
        assert_eq!((status, count[0]), (SEC_E_OK, 1));
    }
}
