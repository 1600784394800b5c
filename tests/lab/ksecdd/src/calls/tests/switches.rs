//! What legs come to under either setting of each switch.

use super::{
    arguments::LegMemory,
    connected::Connected,
    driver::{AsyncCall, Driver},
};
use crate::peer::Peer;
use openssl::ssl::SslVersion;
use std::ptr;
use tlsgate_lab_control::ksecdd::{
    Extra, ExtraPointer, FailedOutput, Fragments, Missing, Records, Switches,
};
use windows_sys::Win32::{
    Foundation::{
        SEC_E_BUFFER_TOO_SMALL, SEC_E_INCOMPLETE_MESSAGE, SEC_E_INVALID_TOKEN, SEC_E_OK,
        SEC_I_CONTINUE_NEEDED,
    },
    Security::{
        Authentication::Identity::{SECBUFFER_EXTRA, SECBUFFER_MISSING, SecBuffer},
        Credentials::SecHandle,
    },
};

const VERSIONS: [SslVersion; 2] = [SslVersion::TLS1_2, SslVersion::TLS1_3];

/// A leg about to be issued, and its client.
struct Start {
    driver: Driver,
    credential: SecHandle,
    call: AsyncCall,
    memory: Box<LegMemory>,
    peer: Peer,
}

impl Start {
    fn new(version: SslVersion, switches: Switches) -> Self {
        let driver = Driver::new(switches);
        let (credential, call) = (driver.acquire(), driver.async_call());
        let mut peer = Peer::client(version, b"");
        let mut memory = LegMemory::new(32 * 1024);
        memory.input = peer.handshake(&[]);
        Self {
            driver,
            credential,
            call,
            memory,
            peer,
        }
    }

    /// One leg; its status and the length of its token.
    fn leg(&mut self) -> (i32, usize) {
        self.memory.describe();
        let issued = self
            .memory
            .issue(&self.driver, &self.call, &self.credential);
        assert_eq!(issued, Ok(SEC_E_OK));
        let status = self.call.wait().status;
        self.call.reinit();
        (status, self.memory.output_buffers[0].cbBuffer as usize)
    }

    fn reported(&self, kind: u32) -> Option<SecBuffer> {
        let mut buffers = self.memory.input_buffers.iter();
        buffers.find(|buffer| buffer.BufferType == kind).copied()
    }

    fn token(&self) -> Vec<u8> {
        let length = self.memory.output_buffers[0].cbBuffer as usize;
        self.memory.output[..length].to_vec()
    }
}

/// The client's last flight of TLS 1.3 with a record of data behind it.
fn last_flight(start: &mut Start) -> usize {
    assert_eq!(start.leg().0, SEC_I_CONTINUE_NEEDED);
    let token = start.token();
    start.memory.input = start.peer.handshake(&token);
    let handshake = start.memory.input.len();
    start.memory.input.extend(start.peer.write(b"early bird"));
    handshake
}

#[test]
fn extra_comes_with_the_token_or_before_it() {
    for extra in [Extra::AtOnce, Extra::Late] {
        let mut start = Start::new(
            SslVersion::TLS1_3,
            Switches {
                extra,
                ..Switches::default()
            },
        );
        let handshake = last_flight(&mut start);
        let rest = start.memory.input.len() - handshake;
        let (status, token) = start.leg();
        assert_eq!(
            start.reported(SECBUFFER_EXTRA).unwrap().cbBuffer as usize,
            rest
        );
        if extra == Extra::AtOnce {
            assert_eq!((status, token > 0), (SEC_E_OK, true));
            continue;
        }
        assert_eq!((status, token), (SEC_I_CONTINUE_NEEDED, 0));
        // What is extra comes again, and something behind it may.
        start.memory.input.drain(..handshake);
        let more = start.peer.write(b"second");
        start.memory.input.extend(more);
        let (status, token) = start.leg();
        assert_eq!((status, token > 0), (SEC_E_OK, true), "tickets");
        let extra = start.reported(SECBUFFER_EXTRA).unwrap().cbBuffer as usize;
        assert_eq!(extra, start.memory.input.len());
    }
}

#[test]
fn other_bytes_than_the_late_extra_end_the_connection() {
    let mut start = Start::new(
        SslVersion::TLS1_3,
        Switches {
            extra: Extra::Late,
            ..Switches::default()
        },
    );
    let handshake = last_flight(&mut start);
    start.leg();
    start.memory.input.drain(..=handshake);
    assert_eq!(start.leg().0, SEC_E_INVALID_TOKEN);
    assert!(start.driver.stops().is_empty());
}

#[test]
fn extra_of_a_leg_has_a_pointer_where_the_switch_says() {
    for (extra_pointer, given) in [
        (ExtraPointer::Documented, false),
        (ExtraPointer::Given, true),
        (ExtraPointer::Absent, false),
    ] {
        let mut start = Start::new(
            SslVersion::TLS1_3,
            Switches {
                extra_pointer,
                ..Switches::default()
            },
        );
        let handshake = last_flight(&mut start);
        start.leg();
        let extra = start.reported(SECBUFFER_EXTRA).unwrap();
        let tail = start.memory.input[handshake..].as_mut_ptr();
        let expected = if given { tail.cast() } else { ptr::null_mut() };
        assert_eq!(extra.pvBuffer, expected);
    }
}

#[test]
fn missing_is_a_hint() {
    for (missing, hint) in [
        (Missing::Exact, Some(10)),
        (Missing::TooSmall, Some(1)),
        (Missing::TooLarge, Some(4106)),
        (Missing::Absent, None),
    ] {
        let switches = Switches {
            missing,
            ..Switches::default()
        };
        let mut start = Start::new(SslVersion::TLS1_3, switches.clone());
        let whole = start.memory.input.len();
        start.memory.input.truncate(whole - 10);
        assert_eq!(start.leg().0, SEC_E_INCOMPLETE_MESSAGE);
        let told = start.reported(SECBUFFER_MISSING).map(|it| it.cbBuffer);
        assert_eq!(told, hint);
        let driver = Driver::new(switches);
        let mut connected = Connected::new(&driver, SslVersion::TLS1_3, 32 * 1024);
        let mut bytes = connected.peer.write(b"payload");
        bytes.truncate(bytes.len() - 10);
        let (status, buffers) = connected.unseal(&driver, &mut bytes);
        assert_eq!(status, SEC_E_INCOMPLETE_MESSAGE);
        let told = Some(buffers[1]).filter(|it| it.BufferType == SECBUFFER_MISSING);
        assert_eq!(told.map(|it| it.cbBuffer), hint);
    }
}

#[test]
fn alerts_are_reported_where_the_switch_says() {
    for alert_reported in [true, false] {
        let mut start = Start::new(
            SslVersion::TLS1_3,
            Switches {
                alert_reported,
                ..Switches::default()
            },
        );
        start.memory.input = b"GET / HTTP/1.1\r\n\r\n".to_vec();
        let (status, token) = start.leg();
        assert_eq!((status, token), (SEC_E_INVALID_TOKEN, 7));
        let expected = if alert_reported {
            start.token()[5..].to_vec()
        } else {
            vec![0; 2]
        };
        assert_eq!(start.memory.alert, expected[..]);
    }
}

#[test]
fn failed_legs_leave_the_length_of_their_output_as_the_switch_says() {
    for failed_output in [FailedOutput::Zeroed, FailedOutput::AsGiven] {
        let mut start = Start::new(
            SslVersion::TLS1_3,
            Switches {
                failed_output,
                ..Switches::default()
            },
        );
        let hello = start.memory.input.clone();
        let left = |room| match failed_output {
            FailedOutput::Zeroed => 0,
            FailedOutput::AsGiven => room,
        };
        start.memory.input.truncate(20);
        assert_eq!(start.leg(), (SEC_E_INCOMPLETE_MESSAGE, left(32 * 1024)));
        start.memory.input = hello;
        start.memory.output = vec![0; 16];
        assert_eq!(start.leg(), (SEC_E_BUFFER_TOO_SMALL, left(16)));
        start.memory.output = vec![0; 4096];
        let (status, token) = start.leg();
        assert_eq!(status, SEC_I_CONTINUE_NEEDED);
        assert!((1..4096).contains(&token));
        // A failure with a token tells its length.
        start.memory.input = vec![0xff; 40];
        let (status, token) = start.leg();
        assert!(
            status < 0 && (1..100).contains(&token),
            "{status:x} {token}"
        );
    }
}

#[test]
fn a_larger_room_is_demanded_however_short_the_token() {
    for version in VERSIONS {
        for least_room in [0, 24 * 1024] {
            let driver = Driver::new(Switches {
                least_room,
                ..Switches::default()
            });
            let connected = Connected::new(&driver, version, 8 * 1024);
            let room = if least_room == 0 { 8 * 1024 } else { 32 * 1024 };
            assert_eq!(connected.memory.output.len(), room);
            connected.close(&driver);
        }
    }
}

#[test]
fn tickets_leave_with_the_last_leg_or_not_at_all() {
    for session_tickets in [true, false] {
        let mut start = Start::new(
            SslVersion::TLS1_3,
            Switches {
                session_tickets,
                ..Switches::default()
            },
        );
        last_flight(&mut start);
        let (status, token) = start.leg();
        assert_eq!((status, token > 0), (SEC_E_OK, session_tickets));
    }
}

#[test]
fn one_record_or_all_of_them_a_leg() {
    for (records, legs) in [(Records::All, 1), (Records::One, 3)] {
        let mut start = Start::new(
            SslVersion::TLS1_2,
            Switches {
                records,
                ..Switches::default()
            },
        );
        start.leg();
        let token = start.token();
        // Key exchange, change of cipher, Finished.
        start.memory.input = start.peer.handshake(&token);
        for left in (0..legs).rev() {
            let (status, _) = start.leg();
            let extra = start
                .reported(SECBUFFER_EXTRA)
                .map_or(0, |it| it.cbBuffer as usize);
            let consumed = start.memory.input.len() - extra;
            start.memory.input.drain(..consumed);
            assert_eq!(status == SEC_E_OK, left == 0);
        }
    }
}

#[test]
fn the_front_of_a_longer_message_is_kept_or_consumed() {
    for (fragments, status) in [
        (Fragments::Kept, SEC_E_INCOMPLETE_MESSAGE),
        (Fragments::Consumed, SEC_I_CONTINUE_NEEDED),
    ] {
        let mut start = Start::new(
            SslVersion::TLS1_3,
            Switches {
                fragments,
                ..Switches::default()
            },
        );
        let message = &start.memory.input[5..55];
        start.memory.input = [&[22, 3, 3, 0, 50][..], message].concat();
        assert_eq!(start.leg(), (status, 0));
        assert!(start.reported(SECBUFFER_EXTRA).is_none());
    }
}
