//! The engine against OpenSSL.

use super::{
    config::{Accepting, Server, Settings, Versions},
    engine::{Engine, InputChanged},
    handshake::Connection,
    judge::RevocationCheck,
    outcome::{Alert, Outcome},
    record::{Front, front},
    session::Unsealed,
};
use crate::{identities::identity, peer::Peer};
use openssl::ssl::SslVersion;
use rustls::ProtocolVersion;
use std::sync::LazyLock;
use tlsgate_lab_control::ksecdd::{Fragments, Records};
use windows_sys::Win32::Foundation::{
    SEC_E_APPLICATION_PROTOCOL_MISMATCH, SEC_E_CONTEXT_EXPIRED, SEC_E_INCOMPLETE_MESSAGE,
    SEC_E_INVALID_TOKEN, SEC_E_MESSAGE_ALTERED, SEC_E_OK, SEC_I_CONTINUE_NEEDED,
};

const BOTH: Versions = Versions {
    tls12: true,
    tls13: true,
};
const VERSIONS: [SslVersion; 2] = [SslVersion::TLS1_2, SslVersion::TLS1_3];

static CREDENTIAL: LazyLock<Server> = LazyLock::new(|| {
    let settings = Settings {
        versions: BOTH,
        identities: vec![identity()],
        roots: Vec::new(),
        revocation: RevocationCheck::default(),
    };
    Server::new(settings, None, true).unwrap()
});

fn engine(alpn: &[&str], records: Records, fragments: Fragments) -> Engine {
    let alpn = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let accepting = Accepting {
        alpn,
        tickets: true,
        tickets_sent: true,
        ..Accepting::default()
    };
    let server = CREDENTIAL.accept(accepting).unwrap();
    Engine::new(Connection::Server(server), records, fragments)
}

/// Runs legs as SSPI's callers do until the handshake is done and both ends have said all; the
/// client's bytes arrive in pieces of `piece` bytes. Returns what was left of the client's bytes.
fn shake(engine: &mut Engine, peer: &mut Peer, piece: usize) -> Vec<u8> {
    let (mut kept, mut done) = (Vec::new(), false);
    let mut said = peer.handshake(&[]);
    while !done {
        assert!(!said.is_empty(), "both ends wait");
        let mut heard = Vec::new();
        for part in said.chunks(piece) {
            kept.extend_from_slice(part);
            while !kept.is_empty() && !done {
                let Outcome {
                    status,
                    consumed,
                    token,
                    alert,
                    ..
                } = engine.leg(&kept).unwrap();
                assert_eq!(alert, None);
                heard.extend_from_slice(&token);
                kept.drain(..consumed);
                done = status == SEC_E_OK;
                if status == SEC_E_INCOMPLETE_MESSAGE {
                    assert_eq!((consumed, token.len()), (0, 0));
                    break;
                }
                assert!(done || status == SEC_I_CONTINUE_NEEDED, "{status:x}");
            }
        }
        said = peer.handshake(&heard);
    }
    assert!(peer.is_connected());
    kept.extend_from_slice(&said);
    kept
}

#[test]
fn handshakes_in_pieces_of_any_size() {
    for version in VERSIONS {
        for records in [Records::All, Records::One] {
            for fragments in [Fragments::Kept, Fragments::Consumed] {
                for piece in [1, 2, 5, 7, 100, usize::MAX] {
                    let mut engine = engine(&["h2", "http/1.1"], records, fragments);
                    let mut peer = Peer::client(version, b"\x08http/1.1");
                    assert_eq!(shake(&mut engine, &mut peer, piece), b"");
                    assert_eq!(peer.alpn(), Some(&b"http/1.1"[..]));
                    let facts = &engine.session().unwrap().facts;
                    assert_eq!(facts.alpn.as_deref(), Some(&b"http/1.1"[..]));
                    assert_eq!(
                        facts.version == ProtocolVersion::TLSv1_3,
                        version == SslVersion::TLS1_3
                    );
                }
            }
        }
    }
}

#[test]
fn hello_cut_anywhere_is_incomplete_and_nothing_is_consumed() {
    for version in VERSIONS {
        let mut engine = engine(&[], Records::All, Fragments::Kept);
        let hello = Peer::client(version, b"").handshake(&[]);
        for cut in 0..hello.len() {
            let outcome = engine.leg(&hello[..cut]).unwrap();
            let whole = if cut < 5 { 5 } else { hello.len() };
            assert_eq!(outcome.status, SEC_E_INCOMPLETE_MESSAGE);
            assert_eq!(outcome.missing, Some(whole - cut));
        }
        assert_eq!(engine.leg(&hello).unwrap().status, SEC_I_CONTINUE_NEEDED);
    }
}

/// Cuts the handshake message in the record `hello` into records of `size` bytes.
fn fragmented(hello: &[u8], size: usize) -> Vec<u8> {
    assert_eq!(front(hello), Front::Record(hello.len()));
    let records = hello[5..].chunks(size);
    records
        .flat_map(|part| [&super::record::header(22, part.len()), part].concat())
        .collect()
}

#[test]
fn hello_over_several_records() {
    for version in VERSIONS {
        for fragments in [Fragments::Kept, Fragments::Consumed] {
            for size in [1, 3, 50, 120] {
                let mut engine = engine(&[], Records::All, fragments);
                let hello = fragmented(&Peer::client(version, b"").handshake(&[]), size);
                let (mut kept, mut last) = (Vec::new(), None);
                for record in hello.chunks(5 + size) {
                    kept.extend_from_slice(record);
                    let outcome = engine.leg(&kept).unwrap();
                    kept.drain(..outcome.consumed);
                    match fragments {
                        Fragments::Kept => assert!(outcome.token.is_empty() || kept.is_empty()),
                        Fragments::Consumed => assert!(kept.is_empty()),
                    }
                    last = Some(outcome);
                }
                let last = last.unwrap();
                assert_eq!(
                    (last.status, last.token.is_empty()),
                    (SEC_I_CONTINUE_NEEDED, false)
                );
            }
        }
    }
}

#[test]
fn kept_input_must_come_again() {
    let mut engine = engine(&[], Records::All, Fragments::Kept);
    let hello = fragmented(&Peer::client(SslVersion::TLS1_3, b"").handshake(&[]), 50);
    assert_eq!(
        engine.leg(&hello[..110]).unwrap().status,
        SEC_E_INCOMPLETE_MESSAGE
    );
    assert_eq!(engine.leg(&hello[55..]), Err(InputChanged));
}

#[test]
fn data_behind_the_last_handshake_record_is_left_alone() {
    for version in VERSIONS {
        let mut engine = engine(&[], Records::All, Fragments::Kept);
        let mut peer = Peer::client(version, b"");
        let hello = peer.handshake(&[]);
        let answer = engine.leg(&hello).unwrap().token;
        let mut flight = peer.handshake(&answer);
        if version == SslVersion::TLS1_2 {
            // A TLS 1.2 client may not speak before it has the server's Finished.
            let finished = engine.leg(&flight).unwrap();
            assert_eq!(
                (finished.status, finished.consumed),
                (SEC_E_OK, flight.len())
            );
            continue;
        }
        let handshake = flight.len();
        flight.extend(peer.write(b"early bird"));
        let last = engine.leg(&flight).unwrap();
        assert_eq!((last.status, last.consumed), (SEC_E_OK, handshake));
        assert!(!last.token.is_empty(), "tickets");
        let session = engine.session().unwrap();
        let record = &mut flight[handshake..];
        let Unsealed::Data(place) = session.unseal(record) else {
            panic!("no data")
        };
        assert_eq!(&record[place], b"early bird");
    }
}

fn seal(engine: &mut Engine, plaintext: &[u8]) -> Vec<u8> {
    let session = engine.session().unwrap();
    let mut record = vec![0; session.header()];
    record.extend_from_slice(plaintext);
    record.resize(record.len() + session.trailer(), 0);
    assert_eq!(session.seal(false, &mut record), SEC_E_OK);
    record
}

#[test]
fn records_both_ways_then_close() {
    for version in VERSIONS {
        let mut engine = engine(&[], Records::All, Fragments::Kept);
        let mut peer = Peer::client(version, b"");
        shake(&mut engine, &mut peer, usize::MAX);
        for length in [0, 1, 1000, 16_384] {
            let plaintext = vec![0x5a; length];
            let record = seal(&mut engine, &plaintext);
            assert_eq!(peer.read(&record).0, plaintext);
            if length > 0 {
                let mut record = peer.write(&plaintext);
                let Unsealed::Data(place) = engine.session().unwrap().unseal(&mut record) else {
                    panic!("no data")
                };
                assert_eq!(&record[place], plaintext);
            }
        }
        let session = engine.session().unwrap();
        assert_eq!(session.unseal(&mut peer.close()), Unsealed::Closed);
        let mut alert = vec![0; session.header()];
        alert.extend([1, 0]);
        alert.resize(alert.len() + session.trailer(), 0);
        assert_eq!(session.seal(true, &mut alert), SEC_E_OK);
        peer.read(&alert);
        assert!(peer.heard_close());
    }
}

#[test]
fn altered_record_ends_the_receiving_side() {
    for version in VERSIONS {
        let mut engine = engine(&[], Records::All, Fragments::Kept);
        let mut peer = Peer::client(version, b"");
        shake(&mut engine, &mut peer, usize::MAX);
        let mut record = peer.write(b"payload");
        *record.last_mut().unwrap() ^= 1;
        let session = engine.session().unwrap();
        assert_eq!(
            session.unseal(&mut record),
            Unsealed::Failed(SEC_E_MESSAGE_ALTERED)
        );
        let mut next = peer.write(b"payload");
        assert_eq!(
            session.unseal(&mut next),
            Unsealed::Failed(SEC_E_MESSAGE_ALTERED)
        );
    }
}

#[test]
fn key_update_goes_through_a_leg() {
    let mut engine = engine(&[], Records::All, Fragments::Kept);
    let mut peer = Peer::client(SslVersion::TLS1_3, b"");
    shake(&mut engine, &mut peer, usize::MAX);
    for round in 0..3 {
        let mut bytes = peer.update_keys(b"after");
        let Front::Record(length) = front(&bytes) else {
            panic!("no record")
        };
        let session = engine.session().unwrap();
        assert_eq!(session.unseal(&mut bytes[..length]), Unsealed::Renegotiate);
        // Until the message has been passed on nothing works.
        assert_eq!(session.seal(false, &mut [0; 64]), SEC_E_CONTEXT_EXPIRED);
        let again = session.unseal(&mut bytes[length..]);
        assert_eq!(again, Unsealed::Failed(SEC_E_CONTEXT_EXPIRED));
        let outcome = engine.leg(&bytes).unwrap();
        assert_eq!((outcome.status, outcome.consumed), (SEC_E_OK, length));
        assert!(!outcome.token.is_empty(), "the answer to the request");
        assert_eq!(peer.read(&outcome.token).0, b"");
        let record = &mut bytes[length..];
        let Unsealed::Data(place) = engine.session().unwrap().unseal(record) else {
            panic!("no data in round {round}")
        };
        assert_eq!(&record[place], b"after");
        let record = seal(&mut engine, b"new keys");
        assert_eq!(peer.read(&record).0, b"new keys");
    }
}

#[test]
fn post_handshake_message_must_come_as_it_was_left() {
    let mut engine = engine(&[], Records::All, Fragments::Kept);
    let mut peer = Peer::client(SslVersion::TLS1_3, b"");
    shake(&mut engine, &mut peer, usize::MAX);
    let mut bytes = peer.update_keys(b"after");
    let sealed = bytes.clone();
    let Front::Record(length) = front(&bytes) else {
        panic!("no record")
    };
    assert_eq!(
        engine.session().unwrap().unseal(&mut bytes[..length]),
        Unsealed::Renegotiate
    );
    assert_eq!(engine.leg(&sealed), Err(InputChanged));
}

#[test]
fn no_common_protocol_ends_in_an_alert() {
    for version in VERSIONS {
        let mut engine = engine(&["h2"], Records::All, Fragments::Kept);
        let hello = Peer::client(version, b"\x08http/1.1").handshake(&[]);
        let outcome = engine.leg(&hello).unwrap();
        assert_eq!(outcome.status, SEC_E_APPLICATION_PROTOCOL_MISMATCH);
        assert_eq!(
            outcome.alert,
            Some(Alert {
                level: 2,
                description: 120
            })
        );
        // In TLS 1.3 rustls finds out behind its hello, and encrypts the alert.
        if version == SslVersion::TLS1_2 {
            assert_eq!(outcome.token, [21, 3, 3, 0, 2, 2, 120]);
        }
        assert!(!outcome.token.is_empty());
    }
}

#[test]
fn what_is_not_tls_ends_in_an_alert() {
    for stream in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 40],
        &[22, 9, 9, 0, 4, 1, 2, 3, 4],
    ] {
        let mut engine = engine(&[], Records::All, Fragments::Kept);
        let outcome = engine.leg(stream).unwrap();
        assert_eq!(
            outcome.status, SEC_E_INVALID_TOKEN,
            "{stream:?} {outcome:?}"
        );
        assert_eq!(outcome.consumed, stream.len());
        assert!(outcome.alert.is_some());
    }
}

#[test]
fn session_id_is_that_of_the_server_hello() {
    for version in VERSIONS {
        let mut engine = engine(&[], Records::All, Fragments::Kept);
        let mut peer = Peer::client(version, b"");
        let hello = peer.handshake(&[]);
        let answer = engine.leg(&hello).unwrap().token;
        let flight = peer.handshake(&answer);
        assert_eq!(engine.leg(&flight).unwrap().status, SEC_E_OK);
        // Behind record header, message header, version and random: its length, and itself.
        let id = &engine.session().unwrap().facts.session_id;
        assert_eq!(
            (usize::from(answer[43]), id.as_slice()),
            (32, &answer[44..76])
        );
    }
}
