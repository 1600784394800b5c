//! What `Request::decode` makes of good requests, and that nothing else gets through.

use proptest::prelude::*;
use tlsgate_protocol::{
    DecodeError, Ioctl, Leg, New, NtStatus, Record, Request, Role, Target, limits,
    payload::{
        AcceptRequest, AcquireRequest, CertificateReference, ConnectRequest, RecordRequest,
        RequestHead, SessionRequest, credential, protocols, role, store_scope,
    },
};
use zerocopy::{FromZeros, IntoBytes};

const ROOM: usize = limits::LARGEST_REPLY;

fn accept_bytes(session: u64, credential: u64, alpn: &[u8], input: &[u8]) -> Vec<u8> {
    let request = AcceptRequest {
        head: RequestHead::default(),
        session,
        credential,
        alpn_length: u32::try_from(alpn.len()).unwrap(),
        input_length: u32::try_from(input.len()).unwrap(),
        timeout_ms: 0,
        reserved: 0,
    };
    [request.as_bytes(), alpn, input].concat()
}

fn connect_bytes(session: u64, credential: u64, name: &[u8], alpn: &[u8], input: &[u8]) -> Vec<u8> {
    let request = ConnectRequest {
        head: RequestHead::default(),
        session,
        credential,
        server_name_length: u32::try_from(name.len()).unwrap(),
        alpn_length: u32::try_from(alpn.len()).unwrap(),
        input_length: u32::try_from(input.len()).unwrap(),
        timeout_ms: 0,
    };
    [request.as_bytes(), name, alpn, input].concat()
}

fn decode(ioctl: Ioctl, bytes: &[u8]) -> Result<Request<'_>, DecodeError> {
    Request::decode(ioctl.code(), bytes, ROOM).map(|(_, request)| request)
}

#[test]
fn a_leg_names_a_session_or_makes_one_never_both() {
    let bytes = accept_bytes(0, 7, b"\x02h2", b"hello");
    let Ok(Request::Accept(Leg {
        target:
            Target::New(New {
                credential,
                alpn,
                server_name: b"",
                timeout_ms: None,
            }),
        input,
    })) = decode(Ioctl::Accept, &bytes)
    else {
        panic!("a new session's leg was refused");
    };
    assert_eq!(
        (credential.get(), alpn, input),
        (7, &b"\x02h2"[..], &b"hello"[..])
    );

    let bytes = accept_bytes(9, 0, b"", b"x");
    let Ok(Request::Accept(Leg {
        target: Target::Session(session),
        ..
    })) = decode(Ioctl::Accept, &bytes)
    else {
        panic!("a later leg was refused");
    };
    assert_eq!(session.get(), 9);

    for (session, credential, alpn) in [
        (0, 0, &b""[..]),
        (9, 7, b""),
        (9, 0, b"\x02h2"),
        (0, 7, b"\x03h2"),
        (0, 7, b"\0"),
    ] {
        let bytes = accept_bytes(session, credential, alpn, b"x");
        assert_eq!(decode(Ioctl::Accept, &bytes), Err(DecodeError::Field));
    }
}

#[test]
fn a_client_speaks_first_and_names_its_server_once() {
    let bytes = connect_bytes(0, 7, b"example.test", b"\x02h2", b"");
    let Ok(Request::Connect(Leg {
        target: Target::New(new),
        input: b"",
    })) = decode(Ioctl::Connect, &bytes)
    else {
        panic!("a new session's leg was refused");
    };
    assert_eq!(
        (new.server_name, new.alpn),
        (&b"example.test"[..], &b"\x02h2"[..])
    );

    let bytes = connect_bytes(9, 0, b"", b"", b"x");
    assert!(matches!(
        decode(Ioctl::Connect, &bytes),
        Ok(Request::Connect(Leg {
            target: Target::Session(_),
            input: b"x"
        }))
    ));

    for (what, bytes) in [
        (
            "input before the server has spoken",
            connect_bytes(0, 7, b"a", b"", b"x"),
        ),
        ("a second name", connect_bytes(9, 0, b"a", b"", b"x")),
        (
            "a second ALPN list",
            connect_bytes(9, 0, b"", b"\x02h2", b"x"),
        ),
        ("a name with a NUL", connect_bytes(0, 7, b"a\0b", b"", b"")),
        (
            "a name that is not ASCII",
            connect_bytes(0, 7, "é".as_bytes(), b"", b""),
        ),
        (
            "a name too long",
            connect_bytes(0, 7, &[b'a'; limits::MAX_SERVER_NAME + 1], b"", b""),
        ),
        ("no credential", connect_bytes(0, 0, b"a", b"", b"")),
    ] {
        assert_eq!(
            decode(Ioctl::Connect, &bytes),
            Err(DecodeError::Field),
            "{what}"
        );
    }
}

#[test]
fn a_time_out_belongs_to_a_new_session() {
    let mut request = AcceptRequest {
        head: RequestHead::default(),
        session: 0,
        credential: 7,
        alpn_length: 0,
        input_length: 0,
        timeout_ms: 5,
        reserved: 0,
    };
    let decoded = decode(Ioctl::Accept, request.as_bytes());
    assert!(
        matches!(decoded, Ok(Request::Accept(Leg { target: Target::New(New { timeout_ms: Some(ms), .. }), .. })) if ms.get() == 5)
    );
    (request.session, request.credential) = (9, 0);
    assert_eq!(
        decode(Ioctl::Accept, request.as_bytes()),
        Err(DecodeError::Field)
    );
}

#[test]
fn accept_demands_room_for_the_largest_reply() {
    let bytes = accept_bytes(0, 7, b"", b"x");
    assert_eq!(
        Request::decode(Ioctl::Accept.code(), &bytes, ROOM - 1),
        Err(DecodeError::OutputTooSmall)
    );
    assert_eq!(
        DecodeError::OutputTooSmall.ntstatus(),
        NtStatus::STATUS_BUFFER_TOO_SMALL
    );
}

#[test]
fn lengths_that_lie_are_refused() {
    let mut bytes = accept_bytes(0, 7, b"", b"hello");
    bytes.push(0);
    assert_eq!(
        decode(Ioctl::Accept, &bytes),
        Err(DecodeError::InputTooLarge)
    );
    bytes.truncate(bytes.len() - 2);
    assert_eq!(
        decode(Ioctl::Accept, &bytes),
        Err(DecodeError::InputTooSmall)
    );
    let long = accept_bytes(0, 7, b"", &vec![0; limits::MAX_INPUT + 1]);
    assert_eq!(decode(Ioctl::Accept, &long), Err(DecodeError::Field));
}

type Change = fn(&mut AcquireRequest, &mut CertificateReference);

fn acquire_bytes(change: impl FnOnce(&mut AcquireRequest, &mut CertificateReference)) -> Vec<u8> {
    let mut request = AcquireRequest {
        head: RequestHead::default(),
        replaces: 0,
        role: role::SERVER,
        protocols: 0,
        flags: 0,
        certificate_count: 1,
        principal_length: 0,
        timeout_ms: 0,
    };
    let mut certificate = CertificateReference::new_zeroed();
    certificate.store_scope = store_scope::MACHINE;
    change(&mut request, &mut certificate);
    [request.as_bytes(), certificate.as_bytes()].concat()
}

#[test]
fn acquire_checks_each_field() {
    let bytes = acquire_bytes(|_, _| {});
    let Ok(Request::Acquire(acquire)) = decode(Ioctl::AcquireCredential, &bytes) else {
        panic!("a good request was refused");
    };
    assert_eq!(acquire.protocols, 3, "every protocol there is");
    for chosen in [protocols::TLS1_2, protocols::TLS1_3, protocols::ALL] {
        let bytes = acquire_bytes(|request, _| request.protocols = chosen);
        let Ok(Request::Acquire(acquire)) = decode(Ioctl::AcquireCredential, &bytes) else {
            panic!("protocols {chosen} were refused");
        };
        assert_eq!(acquire.protocols, chosen);
    }
    let exceptions = credential::IGNORE_NO_REVOCATION | credential::IGNORE_REVOCATION_OFFLINE;
    for (role, flags) in [
        (role::SERVER, credential::REVOCATION_END),
        (role::SERVER, credential::REVOCATION_CHAIN | exceptions),
        (role::CLIENT, credential::REVOCATION_CHAIN_EXCEPT_ROOT),
        (role::CLIENT, credential::MANUAL_CHECK),
    ] {
        let bytes = acquire_bytes(|request, _| (request.role, request.flags) = (role, flags));
        let Ok(Request::Acquire(acquire)) = decode(Ioctl::AcquireCredential, &bytes) else {
            panic!("flags {flags:#x} were refused");
        };
        assert_eq!(acquire.flags, flags);
    }

    let wrong: [(&str, Change); 14] = [
        ("role", |request, _| request.role = 0),
        ("count", |request, _| {
            request.certificate_count = u32::try_from(limits::MAX_CERTIFICATES).unwrap() + 1;
        }),
        ("protocols", |request, _| request.protocols = 4),
        ("unknown flag", |request, _| request.flags = 0x100),
        ("two kinds of revocation check", |request, _| {
            request.flags = credential::REVOCATION_END | credential::REVOCATION_CHAIN;
        }),
        ("revocation exceptions without a check", |request, _| {
            request.flags = credential::IGNORE_REVOCATION_OFFLINE;
        }),
        ("a server that checks its clients itself", |request, _| {
            request.flags = credential::MANUAL_CHECK;
        }),
        ("revocation where the caller checks", |request, _| {
            request.role = role::CLIENT;
            request.flags = credential::REVOCATION_END | credential::MANUAL_CHECK;
        }),
        ("a client that asks its clients", |request, _| {
            request.role = role::CLIENT;
            request.flags = credential::REQUEST_CLIENT_CERTIFICATE;
        }),
        ("principal too long", |request, _| {
            request.principal_length = 254;
        }),
        ("head flags", |request, _| request.head.flags = 1),
        ("reserved", |_, certificate| certificate.reserved = 1),
        ("scope", |_, certificate| certificate.store_scope = 0),
        ("name length", |_, certificate| {
            certificate.store_name_length = 128;
        }),
    ];
    for (what, change) in wrong {
        let bytes = acquire_bytes(change);
        assert_eq!(
            decode(Ioctl::AcquireCredential, &bytes),
            Err(DecodeError::Field),
            "{what}"
        );
    }
}

#[test]
fn a_credential_has_several_certificates_or_for_a_client_none() {
    let mut bytes = acquire_bytes(|request, certificate| {
        request.certificate_count = 2;
        request.principal_length = 4;
        certificate.thumbprint = [1; 20];
    });
    let mut second = CertificateReference::new_zeroed();
    (second.store_scope, second.thumbprint) = (store_scope::USER, [2; 20]);
    bytes.extend_from_slice(second.as_bytes());
    assert_eq!(
        decode(Ioctl::AcquireCredential, &bytes),
        Err(DecodeError::InputTooSmall),
        "the principal is missing"
    );
    bytes.extend_from_slice(b"name");
    let Ok(Request::Acquire(acquire)) = decode(Ioctl::AcquireCredential, &bytes) else {
        panic!("a good request was refused");
    };
    let thumbprints: Vec<_> = acquire
        .certificates
        .iter()
        .map(|it| it.thumbprint[0])
        .collect();
    assert_eq!((thumbprints, acquire.principal), (vec![1, 2], &b"name"[..]));
    assert_eq!(acquire.certificates.len(), 2);
    bytes.push(0);
    assert_eq!(
        decode(Ioctl::AcquireCredential, &bytes),
        Err(DecodeError::InputTooLarge)
    );

    let mut most = acquire_bytes(|request, _| {
        request.certificate_count = u32::try_from(limits::MAX_CERTIFICATES).unwrap();
    });
    let one = most[size_of::<AcquireRequest>()..].to_vec();
    most.extend(one.repeat(limits::MAX_CERTIFICATES - 1));
    assert!(decode(Ioctl::AcquireCredential, &most).is_ok());

    for (side, role) in [(role::SERVER, None), (role::CLIENT, Some(Role::Client))] {
        let mut bytes = acquire_bytes(|request, _| {
            request.role = side;
            request.certificate_count = 0;
        });
        bytes.truncate(size_of::<AcquireRequest>());
        match (decode(Ioctl::AcquireCredential, &bytes), role) {
            (Ok(Request::Acquire(acquire)), Some(role)) => {
                assert_eq!((acquire.role, acquire.certificates.len()), (role, 0));
            }
            (Err(DecodeError::Field), None) => {}
            (other, _) => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_room_for_sealed_records_is_exact() {
    for (length, records) in [(0, 1), (1, 1), (16_384, 1), (16_385, 2), (1 << 20, 64)] {
        assert_eq!(
            limits::sealed_room(length, 5, 17, 16_384),
            Some(length + records * 22)
        );
    }
    assert_eq!(limits::sealed_room(1, 5, 17, 0), None);
    assert_eq!(limits::sealed_room(usize::MAX, 5, 17, 1), None);
}

#[test]
fn another_abi_version_is_told_apart_and_may_ask_for_the_version() {
    let head = RequestHead {
        version: 2,
        flags: 0,
    };
    assert_eq!(
        decode(Ioctl::QueryVersion, head.as_bytes()),
        Ok(Request::QueryVersion)
    );
    assert_eq!(
        decode(Ioctl::QueryStatistics, head.as_bytes()),
        Err(DecodeError::Version)
    );
}

#[test]
fn id_zero_never_names_anything() {
    let request = SessionRequest {
        head: RequestHead::default(),
        session: 0,
    };
    for ioctl in [Ioctl::QuerySession, Ioctl::Shutdown, Ioctl::CloseSession] {
        assert_eq!(decode(ioctl, request.as_bytes()), Err(DecodeError::Field));
    }
}

#[test]
fn records_keep_to_their_limit() {
    for ioctl in [Ioctl::Seal, Ioctl::Unseal] {
        for (length, fits) in [
            (0, true),
            (limits::MAX_RECORDS, true),
            (limits::MAX_RECORDS + 1, false),
        ] {
            let request = RecordRequest {
                head: RequestHead::default(),
                session: 3,
                length: u32::try_from(length).unwrap(),
                offset: 0,
                reserved: [0; 2],
            };
            let bytes = [request.as_bytes(), &vec![0; length]].concat();
            match decode(ioctl, &bytes) {
                Ok(
                    Request::Seal(Record { length: got, .. })
                    | Request::Unseal(Record { length: got, .. }),
                ) => {
                    assert!(fits && got == length);
                }
                other => assert!(!fits && other == Err(DecodeError::Field)),
            }
        }
    }
}

#[test]
fn only_a_seal_has_an_offset_and_no_larger_one_than_a_record_has_around_its_data() {
    for (ioctl, offset, fits) in [
        (Ioctl::Seal, 0, true),
        (Ioctl::Seal, 5, true),
        (Ioctl::Seal, limits::MAX_OVERHEAD, true),
        (Ioctl::Seal, limits::MAX_OVERHEAD + 1, false),
        (Ioctl::Unseal, 0, true),
        (Ioctl::Unseal, 1, false),
    ] {
        let request = RecordRequest {
            head: RequestHead::default(),
            session: 3,
            length: 4,
            offset: u32::try_from(offset).unwrap(),
            reserved: [0; 2],
        };
        let bytes = [request.as_bytes(), &vec![0; offset + 4]].concat();
        match decode(ioctl, &bytes) {
            Ok(Request::Seal(record) | Request::Unseal(record)) => {
                assert!(fits, "{ioctl:?} {offset}");
                assert_eq!((record.offset, record.length), (offset, 4));
            }
            other => assert!(!fits && other == Err(DecodeError::Field), "{other:?}"),
        }
        let due = if fits {
            DecodeError::InputTooSmall
        } else {
            DecodeError::Field
        };
        assert_eq!(decode(ioctl, &bytes[..bytes.len() - 1]), Err(due));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(code in any::<u32>(), bytes in proptest::collection::vec(any::<u8>(), 0..600), room in 0_usize..40_000) {
        let _ = Request::decode(code, &bytes, room);
        for ioctl in Ioctl::ALL {
            let _ = Request::decode(ioctl.code(), &bytes, room);
        }
    }

    #[test]
    fn every_truncation_of_a_good_leg_is_refused(cut in 0_usize..53) {
        let bytes = accept_bytes(0, 7, b"\x02h2", b"0123456789");
        prop_assert!(decode(Ioctl::Accept, &bytes).is_ok());
        prop_assert_eq!(decode(Ioctl::Accept, &bytes[..cut.min(bytes.len() - 1)]), Err(DecodeError::InputTooSmall));
    }
}
