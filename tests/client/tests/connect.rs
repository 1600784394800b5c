//! The client's side over any stream, against a TLS server that is not ours, and against our own.

mod common;

use common::{Lab, server_name, trickle::Trickle};
use rustls::version::{TLS12, TLS13};
use tlsgate::{Error, protocol::SecurityStatus};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

#[tokio::test]
async fn both_versions_in_pieces_of_every_size() {
    for version in [&TLS12, &TLS13] {
        for size in [1, 7, 100, 64 * 1024] {
            let lab = Lab::new(version).await;
            let (client, server) = duplex(64 * 1024);
            let client = Trickle {
                stream: client,
                size,
            };
            let (client, server) = tokio::join!(
                lab.connector.connect(server_name(), client),
                lab.server().accept(server),
            );
            let (mut client, mut server) = (client.unwrap(), server.unwrap());
            assert_eq!(client.connection().alpn_name(), "http/1.1");
            assert_eq!(server.get_ref().1.server_name(), Some("localhost"));
            assert!(client.connection().certificates == [&*lab.certificate].map(Into::into));
            assert!(client.connection().check.unwrap().is_good());
            let number = u16::from(server.get_ref().1.protocol_version().unwrap());
            assert_eq!(client.connection().protocol, number.into());

            client.write_all(b"ping").await.unwrap();
            client.flush().await.unwrap();
            let mut got = [0; 4];
            server.read_exact(&mut got).await.unwrap();
            server.write_all(b"pong").await.unwrap();
            server.shutdown().await.unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            assert_eq!((&got, &answer[..]), (b"ping", &b"pong"[..]));
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_trusted_is_refused_with_an_alert() {
    let lab = Lab::new(&TLS13).await;
    let other = Lab::new(&TLS13).await;
    let (client, server) = duplex(64 * 1024);
    let (client, server) = tokio::join!(
        lab.connector.connect(server_name(), client),
        other.server().accept(server),
    );
    let error = client.expect_err("connected");
    let Some(Error::Handshake { status, .. }) = Error::of(&error) else {
        panic!("{error}")
    };
    assert_eq!(*status, SecurityStatus::SEC_E_UNTRUSTED_ROOT);
    let alert = server.unwrap_err().to_string();
    assert!(alert.contains("received fatal alert"), "{alert}");
    assert_eq!(lab.fake.sessions(), 0);
}

/// Legs after the handshake are the side's own: CONNECT here, ACCEPT there.
#[tokio::test]
async fn both_sides_are_the_driver_s_with_post_handshake_messages() {
    for version in [&TLS12, &TLS13] {
        let lab = Lab::new(version).await;
        let (client, server) = duplex(64 * 1024);
        let (client, server) = tokio::join!(
            lab.connector.connect(server_name(), client),
            lab.acceptor.accept(server),
        );
        let (mut client, mut server) = (client.unwrap(), server.unwrap());
        assert_eq!(client.connection().alpn_name(), "h2");
        assert_eq!(server.connection().certificates.len(), 0);
        lab.fake.insert_post_handshake(10);
        let sent: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let (mut at_server, mut at_client) = (vec![0; sent.len()], vec![0; sent.len()]);
        let up = async {
            client.write_all(&sent).await.unwrap();
            client.flush().await.unwrap();
            client.read_exact(&mut at_client).await.unwrap();
        };
        let down = async {
            server.read_exact(&mut at_server).await.unwrap();
            server.write_all(&at_server).await.unwrap();
            server.flush().await.unwrap();
        };
        tokio::join!(up, down);
        assert!(at_client == sent);
        assert_eq!(lab.fake.post_handshake_legs(), 10);
    }
}

#[tokio::test]
async fn a_long_chain_is_asked_for_again_with_room_for_it() {
    // Many names make a certificate that outgrows the room of the first question.
    let names = (0..1000)
        .map(|number| format!("host-{number}.test"))
        .collect();
    let lab = Lab::named(&TLS13, names).await;
    let (client, server) = duplex(64 * 1024);
    let (client, server) = tokio::join!(
        lab.connector
            .connect("host-999.test".try_into().unwrap(), client),
        lab.server().accept(server),
    );
    let (client, _server) = (client.unwrap(), server.unwrap());
    assert!(lab.certificate.len() > 8 * 1024);
    assert!(client.connection().certificates == [&*lab.certificate].map(Into::into));
}
