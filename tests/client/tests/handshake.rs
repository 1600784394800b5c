//! The server's handshake over any stream, against a TLS client that is not ours.

mod common;

use common::{Lab, server_name, trickle::Trickle};
use rustls::version::{TLS12, TLS13};
use std::{io::ErrorKind, sync::Arc};
use tlsgate::{Error, ServerConfig, TlsAcceptor, protocol::SecurityStatus};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

#[tokio::test]
async fn both_versions_in_pieces_of_every_size() {
    for version in [&TLS12, &TLS13] {
        for size in [1, 7, 100, 64 * 1024] {
            let lab = Lab::new(version).await;
            let (client, server) = duplex(64 * 1024);
            let server = Trickle {
                stream: server,
                size,
            };
            let (client, server) = tokio::join!(
                lab.client().connect(server_name(), client),
                lab.acceptor.accept(server),
            );
            let (client, server) = (client.unwrap(), server.unwrap());
            assert_eq!(client.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
            assert_eq!(server.connection().alpn_name(), "http/1.1");
            let number = u16::from(client.get_ref().1.protocol_version().unwrap());
            assert_eq!(server.connection().protocol, number.into());
            let suite = client
                .get_ref()
                .1
                .negotiated_cipher_suite()
                .unwrap()
                .suite();
            assert_eq!(server.connection().cipher_suite, u16::from(suite).into());
            assert_ne!(server.connection().cipher_suite_name(), "unnamed");
        }
    }
}

#[tokio::test]
async fn what_is_not_tls_gets_an_alert_and_no_session_stays() {
    let lab = Lab::new(&TLS13).await;
    let (mut client, server) = duplex(1024);
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let error = lab.acceptor.accept(server).await.err().unwrap();
    let Some(Error::Handshake {
        status,
        alert: Some(_),
    }) = Error::of(&error)
    else {
        panic!("{error}")
    };
    assert_eq!(*status, SecurityStatus::SEC_E_ILLEGAL_MESSAGE);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer.first(), Some(&21), "an alert record: {answer:?}");
    assert_eq!(lab.fake.sessions(), 0);
}

#[tokio::test]
async fn no_common_application_protocol_is_told_to_both_sides() {
    let lab = Lab::new(&TLS13).await;
    let acceptor = offering(&lab, vec![b"h2".to_vec()]);
    let (client, server) = duplex(1024);
    let (client, server) = tokio::join!(
        lab.client().connect(server_name(), client),
        acceptor.accept(server),
    );
    let server = server.err().unwrap();
    assert!(
        server
            .to_string()
            .contains("SEC_E_APPLICATION_PROTOCOL_MISMATCH"),
        "{server}"
    );
    let client = client.unwrap_err();
    assert!(
        client.to_string().contains("NoApplicationProtocol"),
        "{client}"
    );
    assert_eq!(lab.fake.sessions(), 0);
}

#[tokio::test]
async fn a_peer_that_vanishes_leaves_no_session() {
    let lab = Lab::new(&TLS13).await;
    let (client, server) = duplex(64 * 1024);
    let client = async {
        let connector = lab.client();
        let mut connecting = Box::pin(connector.connect(server_name(), client));
        // One poll sends the ClientHello; then the client is gone.
        assert!(poll_once(&mut connecting).await.is_none());
    };
    let ((), server) = tokio::join!(client, lab.acceptor.accept(server));
    assert!(matches!(
        Error::of(&server.err().unwrap()),
        Some(Error::Vanished | Error::Stream { .. })
    ));
    assert_eq!(lab.fake.sessions(), 0);
}

#[tokio::test]
async fn giving_up_cancels_the_request() {
    let lab = Lab::new(&TLS13).await;
    let (mut client, server) = duplex(1024);
    client.write_all(&[22, 3, 1]).await.unwrap();
    let mut accepting = Box::pin(lab.acceptor.accept(server));
    assert!(poll_once(&mut accepting).await.is_none());
    assert_eq!(lab.fake.cancelled(), 0);
    drop(accepting);
    assert_eq!(lab.fake.cancelled(), 1);
}

/// A session that was made for nobody is closed at once, not when the handle is.
#[tokio::test]
async fn giving_up_a_first_leg_that_is_done_leaves_no_session() {
    let lab = Lab::new(&TLS13).await;
    let (client, server) = duplex(64 * 1024);
    let connector = lab.client();
    let mut connecting = Box::pin(connector.connect(server_name(), client));
    assert!(poll_once(&mut connecting).await.is_none());
    let mut accepting = Box::pin(lab.acceptor.accept(server));
    assert!(poll_once(&mut accepting).await.is_none());
    assert_eq!(lab.fake.sessions(), 1);
    drop(accepting);
    assert_eq!((lab.fake.sessions(), lab.fake.cancelled()), (0, 1));
}

#[tokio::test]
async fn endless_handshake_bytes_are_not_hoarded() {
    let lab = Lab::new(&TLS13).await;
    let (mut client, server) = duplex(1024);
    let flood = async {
        // A record header that promises 65,535 bytes.
        client.write_all(&[22, 3, 1, 0xFF, 0xFF]).await?;
        loop {
            client.write_all(&[0; 1024]).await?;
        }
    };
    let (flood, server): (std::io::Result<()>, _) =
        tokio::join!(flood, lab.acceptor.accept(server));
    assert_eq!(flood.unwrap_err().kind(), ErrorKind::BrokenPipe);
    let error = server.err().unwrap();
    assert!(matches!(Error::of(&error), Some(Error::TooMuchInput)));
}

#[tokio::test]
async fn an_alpn_list_that_cannot_be_is_refused_before_the_driver_is_asked() {
    let lab = Lab::new(&TLS13).await;
    let long = [b'x'; 256];
    for list in [&[&b""[..]][..], &[&long[..]], &[&long[..255]; 5]] {
        let (mut client, server) = duplex(1024);
        client.write_all(&[22]).await.unwrap();
        let acceptor = offering(&lab, list.iter().map(|name| name.to_vec()).collect());
        let error = acceptor.accept(server).await.err().unwrap();
        assert!(matches!(Error::of(&error), Some(Error::Alpn)), "{error}");
    }
}

/// The driver's acceptor with these application protocols.
fn offering(lab: &Lab, alpn_protocols: Vec<Vec<u8>>) -> TlsAcceptor {
    TlsAcceptor::from(Arc::new(ServerConfig {
        alpn_protocols,
        ..(**lab.acceptor.config()).clone()
    }))
}

/// Polls once.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
