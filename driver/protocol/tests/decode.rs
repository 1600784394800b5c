//! What `Request::decode` makes of good requests, and that nothing else gets through.

use proptest::prelude::*;
use tlsgate_protocol::{
    Accept, DecodeError, Ioctl, NtStatus, Record, Request, Target, limits,
    payload::{
        AcceptRequest, AcquireRequest, CertificateReference, RecordRequest, RequestHead,
        SessionRequest, protocols, role, store_scope,
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
    };
    [request.as_bytes(), alpn, input].concat()
}

fn decode(ioctl: Ioctl, bytes: &[u8]) -> Result<Request<'_>, DecodeError> {
    Request::decode(ioctl.code(), bytes, ROOM).map(|(_, request)| request)
}

#[test]
fn a_leg_names_a_session_or_makes_one_never_both() {
    let bytes = accept_bytes(0, 7, b"\x02h2", b"hello");
    let Ok(Request::Accept(Accept {
        target: Target::New { credential, alpn },
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
    let Ok(Request::Accept(Accept {
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
        role: role::SERVER,
        protocols: 0,
        certificate_count: 1,
        reserved: 0,
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
    assert_eq!(acquire.protocols, protocols::ALL);

    let wrong: [(&str, Change); 7] = [
        ("role", |request, _| request.role = 0),
        ("count", |request, _| request.certificate_count = 2),
        ("protocols", |request, _| request.protocols = 4),
        ("reserved", |request, _| request.reserved = 1),
        ("flags", |request, _| request.head.flags = 1),
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
fn a_record_keeps_to_the_size_of_a_record() {
    for (ioctl, largest) in [
        (Ioctl::Seal, limits::MAX_PLAINTEXT),
        (Ioctl::Unseal, limits::MAX_RECORD),
    ] {
        for (length, fits) in [(0, true), (largest, true), (largest + 1, false)] {
            let request = RecordRequest {
                head: RequestHead::default(),
                session: 3,
                length: u32::try_from(length).unwrap(),
                reserved: 0,
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

proptest! {
    #[test]
    fn no_bytes_make_it_panic(code in any::<u32>(), bytes in proptest::collection::vec(any::<u8>(), 0..600), room in 0_usize..40_000) {
        let _ = Request::decode(code, &bytes, room);
        for ioctl in Ioctl::ALL {
            let _ = Request::decode(ioctl.code(), &bytes, room);
        }
    }

    #[test]
    fn every_truncation_of_a_good_leg_is_refused(cut in 0_usize..45) {
        let bytes = accept_bytes(0, 7, b"\x02h2", b"0123456789");
        prop_assert!(decode(Ioctl::Accept, &bytes).is_ok());
        prop_assert_eq!(decode(Ioctl::Accept, &bytes[..cut.min(bytes.len() - 1)]), Err(DecodeError::InputTooSmall));
    }
}
