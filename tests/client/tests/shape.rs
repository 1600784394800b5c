//! Changing over from tokio-rustls is a change of imports: the same functions are compiled with its
//! types and with ours, and talk to one another.

mod common;

use common::Lab;
use rustls::version::{TLS12, TLS13};
use std::io;
use tokio::io::duplex;

/// What a connection says of itself: version, cipher suite, application protocol, number of the peer's
/// certificates, resumed or not.
type Said = (u16, u16, Option<Vec<u8>>, usize, bool);

/// The same questions to either kind of connection.
macro_rules! said {
    ($connection:expr) => {{
        let connection = $connection;
        let suite = connection.negotiated_cipher_suite().unwrap().suite();
        (
            connection.protocol_version().unwrap().into(),
            suite.into(),
            connection.alpn_protocol().map(<[u8]>::to_vec),
            connection.peer_certificates().map_or(0, <[_]>::len),
            connection.handshake_kind() == Some(HandshakeKind::Resumed),
        )
    }};
}

mod by_tokio_rustls {
    use super::Said;
    use rustls::{
        ClientConfig, HandshakeKind, ServerConfig, pki_types::ServerName, server::Acceptor,
    };
    use std::{
        io::{self, IoSlice},
        sync::Arc,
    };
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
    use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor, TlsConnector, TlsStream, client, server};

    include!("common/shape.rs");
}

mod by_tlsgate {
    use super::Said;
    use std::{
        io::{self, IoSlice},
        sync::Arc,
    };
    use tlsgate::{
        ClientConfig, HandshakeKind, LazyConfigAcceptor, ServerConfig, TlsAcceptor, TlsConnector,
        TlsStream, client, pki_types::ServerName, server, server::Acceptor,
    };
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

    include!("common/shape.rs");
}

/// What both sides came to. All clients share their tickets: whoever comes again is resumed.
fn agree(client: io::Result<(Vec<u8>, Said)>, server: io::Result<Said>, heard: &[u8], again: bool) {
    let ((at_client, client), server) = (client.unwrap(), server.unwrap());
    assert_eq!(at_client, heard);
    assert_eq!(
        (client.0, client.1, &client.2),
        (server.0, server.1, &server.2)
    );
    assert_eq!(client.2.as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!((client.3, server.3), (1, 0));
    assert_eq!((client.4, server.4), (again, again));
}

#[tokio::test]
async fn each_server_serves_each_client() {
    for version in [&TLS12, &TLS13] {
        let lab = Lab::new(version).await;
        let ours = lab.acceptor.config();
        let our_client = lab.connector.config();
        let theirs = lab.server();
        let theirs = theirs.config();
        let their_client = lab.client();
        let their_client = their_client.config();
        let said = b"you said: hello";

        let (client, server) = duplex(16 * 1024);
        let (client, server) = tokio::join!(
            by_tokio_rustls::connect(their_client.clone(), client),
            by_tlsgate::serve(ours.clone(), server)
        );
        agree(client, server, said, false);

        let (client, server) = duplex(16 * 1024);
        let (client, server) = tokio::join!(
            by_tlsgate::connect(our_client.clone(), client),
            by_tokio_rustls::serve(theirs.clone(), server)
        );
        agree(client, server, said, true);

        let (client, server) = duplex(16 * 1024);
        let (client, server) = tokio::join!(
            by_tokio_rustls::connect(their_client.clone(), client),
            by_tlsgate::serve_lazily(
                |name| {
                    assert_eq!(name, Some("localhost"));
                    ours.clone()
                },
                server
            )
        );
        agree(client, server, b"hello", true);

        let (client, server) = duplex(16 * 1024);
        let (client, server) = tokio::join!(
            by_tlsgate::connect(our_client.clone(), client),
            by_tokio_rustls::serve_lazily(|_| theirs.clone(), server)
        );
        agree(client, server, b"hello", true);
    }
}
