//! A peer cannot have a stream hold more and more: a driver that is scripted says what such a peer
//! would have it say, endlessly.

mod common;

use common::{Fake, Lab, server_name};
use rustls::version::TLS13;
use std::{
    io::ErrorKind,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};
use tlsgate::{
    Credential, CredentialOptions, Driver, Error, Reply, ServerConfig, TlsAcceptor, TlsStream,
    Transport, Unclaimed,
    protocol::{
        Ioctl, SecurityStatus,
        payload::{LegReply, RecordReply, ReplyHead, outcome, state},
    },
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use zerocopy::IntoBytes;

/// Bytes of the answer that the peer asks for with each message.
const ANSWER: usize = 1000;

/// The fake driver until the handshake is over; then every record is a post-handshake message.
#[derive(Clone)]
struct Endless {
    fake: Fake,
    established: Arc<AtomicBool>,
    /// What a leg says: that it wants more, or an answer for the peer.
    wants_more: bool,
    legs: Arc<AtomicUsize>,
}

impl Transport for Endless {
    fn ioctl(&self, code: u32, input: Vec<u8>, room: usize, unclaimed: Option<Unclaimed>) -> Reply {
        let answer = match Ioctl::from_code(code) {
            Some(Ioctl::Unseal) => renegotiate(),
            Some(Ioctl::Accept) if self.established.load(Ordering::SeqCst) => {
                self.legs.fetch_add(1, Ordering::SeqCst);
                leg(self.wants_more)
            }
            _ => return self.fake.ioctl(code, input, room, unclaimed),
        };
        Box::pin(std::future::ready(Ok(answer)))
    }

    fn post(&self, code: u32, input: Vec<u8>, room: usize) {
        self.fake.post(code, input, room);
    }
}

/// One record is used up, and a token of one byte must go to a leg.
fn renegotiate() -> Vec<u8> {
    let reply = RecordReply {
        head: ReplyHead::new(SecurityStatus::SEC_I_RENEGOTIATE),
        outcome: outcome::RENEGOTIATE,
        consumed: RECORD.len().try_into().unwrap(),
        produced: 0,
        token: 1,
        missing: 0,
        reserved: 0,
    };
    [reply.as_bytes(), b"t"].concat()
}

fn leg(wants_more: bool) -> Vec<u8> {
    let (status, consumed, produced) = if wants_more {
        (SecurityStatus::SEC_E_INCOMPLETE_MESSAGE, 0, 0)
    } else {
        (SecurityStatus::SEC_E_OK, 1, ANSWER)
    };
    let reply = LegReply {
        head: ReplyHead::new(status),
        session: 1,
        consumed,
        produced: produced.try_into().unwrap(),
        missing: 0,
        state: state::ESTABLISHED,
        alert_level: 0,
        alert_description: 0,
        reserved: 0,
    };
    [reply.as_bytes(), &vec![0; produced]].concat()
}

/// A connection over such a driver, and the peer's end of it.
async fn connect(wants_more: bool) -> (Endless, DuplexStream, TlsStream<DuplexStream>) {
    let lab = Lab::new(&TLS13).await;
    let endless = Endless {
        fake: lab.fake.clone(),
        established: Arc::default(),
        wants_more,
        legs: Arc::default(),
    };
    let driver = Driver::new(endless.clone());
    let options =
        CredentialOptions::server(tlsgate::Certificate::machine(tlsgate::Thumbprint([7; 20])));
    let credential = Credential::acquire(&driver, &options).await.unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(ServerConfig::new(credential)));
    let (client, server) = duplex(4096);
    let connector = lab.client();
    let connecting = connector.connect(server_name(), client);
    let (client, server) = tokio::join!(connecting, acceptor.accept(server));
    endless.established.store(true, Ordering::SeqCst);
    (endless, client.unwrap().into_inner().0, server.unwrap())
}

/// The smallest record.
const RECORD: [u8; 6] = [23, 3, 3, 0, 1, 0];

#[tokio::test]
async fn a_message_without_end_is_not_hoarded() {
    let (_, mut peer, mut stream) = connect(true).await;
    let flood = async {
        for _ in 0..100_000 {
            if let Err(error) = peer.write_all(&RECORD).await {
                return error;
            }
        }
        panic!("all of it was taken")
    };
    let mut byte = [0];
    let read = async {
        let error = stream.read(&mut byte).await.unwrap_err();
        assert!(
            matches!(Error::of(&error), Some(Error::TooMuchInput)),
            "{error}"
        );
        drop(stream);
    };
    let (flood, ()) = tokio::join!(flood, read);
    assert_eq!(flood.kind(), ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn answers_that_the_peer_does_not_take_are_not_hoarded() {
    let (endless, mut peer, mut stream) = connect(false).await;
    // Enough messages for answers of some MiB, if nobody stopped.
    let (mut byte, records) = ([0], RECORD.repeat(4000));
    tokio::select! {
        biased;
        _ = stream.read(&mut byte) => panic!("there is nothing to read"),
        () = async {
            let _ = tokio::time::timeout(
                std::time::Duration::from_millis(500),
                peer.write_all(&records),
            )
            .await;
        } => {}
    }
    let legs = endless.legs.load(Ordering::SeqCst);
    let most = (128 * 1024 + 4096) / ANSWER + 2;
    assert!((1..=most).contains(&legs), "{legs} answers, at most {most}");
}
