//! Which credential a client gets, and who a credential belongs to.

mod common;

use common::{Lab, trickle::Trickle};
use rustls::version::{TLS12, TLS13};
use std::sync::Arc;
use tlsgate::{
    Certificate, ClientHello, Credential, CredentialOptions, Error, LazyConfigAcceptor,
    ResolvesServerCert, ServerConfig, Thumbprint, TlsAcceptor,
    protocol::NtStatus,
    server::{Acceptor, ResolvesServerCertUsingSni},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

fn options() -> CredentialOptions {
    CredentialOptions::server(Certificate::machine(Thumbprint([9; 20])))
}

async fn acquire(lab: &Lab) -> Credential {
    Credential::acquire(&lab.driver, &options()).await.unwrap()
}

/// The driver's acceptor with this choice of credentials.
fn choosing(lab: &Lab, resolver: impl ResolvesServerCert + 'static) -> TlsAcceptor {
    TlsAcceptor::from(Arc::new(ServerConfig {
        cert_resolver: Arc::new(resolver),
        ..(**lab.acceptor.config()).clone()
    }))
}

/// The fake's certificate is for all names.
async fn lab_of(version: &'static rustls::SupportedProtocolVersion) -> Lab {
    let names = ["one.test", "two.test", "three.test"].map(str::to_owned);
    Lab::named(version, names.to_vec()).await
}

#[tokio::test]
async fn each_name_has_its_credential_however_the_client_hello_comes() {
    for version in [&TLS12, &TLS13] {
        let lab = lab_of(version).await;
        let (one, two, rest) = (
            acquire(&lab).await,
            acquire(&lab).await,
            acquire(&lab).await,
        );
        let mut names = ResolvesServerCertUsingSni::new();
        names.add("One.Test", one.clone()).unwrap();
        names.add("two.test", two.clone()).unwrap();
        names.set_default(rest.clone());
        let acceptor = choosing(&lab, names);
        for (name, expected) in [
            ("one.test", &one),
            ("two.test", &two),
            ("three.test", &rest),
        ] {
            for size in [1, 100, 64 * 1024] {
                let (client, server) = duplex(64 * 1024);
                let server = Trickle {
                    stream: server,
                    size,
                };
                let connector = lab.client();
                let (client, server) = tokio::join!(
                    connector.connect(name.try_into().unwrap(), client),
                    acceptor.accept(server)
                );
                client.unwrap();
                let server = server.unwrap();
                assert_eq!(lab.fake.last_used(), expected.id().get(), "{name}");
                assert_eq!(server.connection().server_name(), Some(name));
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_nobody_knows_gets_an_alert() {
    let lab = lab_of(&TLS13).await;
    let mut names = ResolvesServerCertUsingSni::new();
    names.add("one.test", acquire(&lab).await).unwrap();
    let acceptor = choosing(&lab, names);
    let (client, server) = duplex(64 * 1024);
    let connector = lab.client();
    let connecting = connector.connect("two.test".try_into().unwrap(), client);
    let (client, server) = tokio::join!(connecting, acceptor.accept(server).into_fallible());
    let Err((error, _socket)) = server else {
        panic!("accepted")
    };
    let inner = Error::of(&error);
    assert!(matches!(inner, Some(Error::NoCredential)), "{error}");
    let alert = client.unwrap_err().to_string();
    assert!(alert.contains("UnrecognisedName"), "{alert}");
    assert_eq!(lab.fake.last_used(), 0, "the driver was asked");
}

/// The driver judges, and it makes the alert.
#[tokio::test]
async fn what_cannot_be_understood_goes_to_the_default_credential() {
    let lab = lab_of(&TLS13).await;
    let (one, rest) = (acquire(&lab).await, acquire(&lab).await);
    let mut names = ResolvesServerCertUsingSni::new();
    names.add("one.test", one).unwrap();
    names.set_default(rest.clone());
    let acceptor = choosing(&lab, names);
    // No TLS; a record that carries no handshake; a ClientHello that ends too early.
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[23, 3, 1, 0, 1, 0],
        &[22, 3, 1, 0, 5, 1, 0, 0, 1, 3],
    ] {
        let (mut client, server) = duplex(1024);
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let error = acceptor.accept(server).await.err().unwrap();
        let inner = Error::of(&error);
        assert!(
            matches!(inner, Some(Error::Handshake { .. })),
            "{bytes:?}: {error}"
        );
        assert_eq!(lab.fake.last_used(), rest.id().get());
        let mut alert = Vec::new();
        client.read_to_end(&mut alert).await.unwrap();
        assert_eq!(alert.first(), Some(&21), "{alert:?}");
    }
}

#[tokio::test]
async fn names_that_cannot_be_are_no_names() {
    let lab = lab_of(&TLS13).await;
    let credential = acquire(&lab).await;
    let mut names = ResolvesServerCertUsingSni::new();
    for name in ["", "a b", "*.test", "ü.test"] {
        let added = names.add(name, credential.clone());
        assert!(matches!(added, Err(Error::ServerName)), "{name}");
    }
}

/// A program's own choice, by all that a `ClientHello` says.
#[derive(Debug)]
struct Own(Credential);

impl ResolvesServerCert for Own {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Credential> {
        let mut alpn = hello.alpn()?;
        let fits = alpn.any(|name| name == b"http/1.1")
            && !hello.cipher_suites().is_empty()
            && !hello.signature_schemes().is_empty();
        fits.then(|| self.0.clone())
    }
}

#[tokio::test]
async fn a_program_chooses_by_what_it_likes() {
    let lab = lab_of(&TLS13).await;
    let credential = acquire(&lab).await;
    let acceptor = choosing(&lab, Own(credential.clone()));
    let (client, server) = duplex(64 * 1024);
    let connector = lab.client();
    let connecting = connector.connect("one.test".try_into().unwrap(), client);
    let (client, server) = tokio::join!(connecting, acceptor.accept(server));
    assert!(client.is_ok() && server.is_ok());
    assert_eq!(lab.fake.last_used(), credential.id().get());
}

#[tokio::test]
async fn a_lazy_acceptor_shows_nothing_of_what_it_cannot_understand() {
    let lab = lab_of(&TLS13).await;
    let (mut client, server) = duplex(1024);
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let lazy = LazyConfigAcceptor::new(Acceptor::default(), server);
    let start = lazy.await.unwrap();
    assert_eq!(start.client_hello().server_name(), None);
    assert!(start.client_hello().alpn().is_none());
    let accepted = start.into_stream(lab.acceptor.config().clone()).await;
    let error = accepted.err().unwrap();
    let inner = Error::of(&error);
    assert!(matches!(inner, Some(Error::Handshake { .. })), "{error}");

    let (client, server) = duplex(1024);
    let mut lazy = LazyConfigAcceptor::new(Acceptor::default(), server);
    drop(client);
    let error = (&mut lazy).await.err().unwrap();
    assert!(
        matches!(Error::of(&error), Some(Error::Vanished)),
        "{error}"
    );
    assert!(lazy.take_io().is_some() && lazy.take_io().is_none());
}

async fn connected(lab: &Lab) -> (tokio_rustls::client::TlsStream<DuplexStream>, Stream) {
    let (client, server) = duplex(64 * 1024);
    let connector = lab.client();
    let connecting = connector.connect("one.test".try_into().unwrap(), client);
    let (client, server) = tokio::join!(connecting, lab.acceptor.accept(server));
    (client.unwrap(), server.unwrap())
}

type Stream = tlsgate::TlsStream<DuplexStream>;

#[tokio::test]
async fn a_credential_goes_with_its_last_owner() {
    let lab = lab_of(&TLS13).await;
    let before = lab.fake.credentials();
    let credential = acquire(&lab).await;
    let id = credential.id().get();
    assert_eq!(lab.fake.credentials(), [&before[..], &[id]].concat());
    let second = credential.clone();
    drop(credential);
    second.replace(&options()).await.unwrap();
    assert_eq!(lab.fake.credentials(), [&before[..], &[id]].concat());
    drop(second);
    assert_eq!(lab.fake.credentials(), before);

    // Streams are owners.
    let (_client, stream) = connected(&lab).await;
    let Lab {
        fake,
        acceptor,
        connector,
        driver,
        ..
    } = lab;
    drop((acceptor, connector, driver));
    assert_eq!((fake.sessions(), fake.credentials().len()), (1, 1));
    drop(stream);
    assert_eq!((fake.sessions(), fake.credentials().len()), (0, 0));
}

#[tokio::test]
async fn a_released_credential_begins_nothing_more() {
    let lab = lab_of(&TLS13).await;
    let credential = acquire(&lab).await;
    let acceptor = choosing(&lab, credential.clone());
    let second = credential.clone();
    assert!(!credential.release().await.unwrap());
    let (client, server) = duplex(64 * 1024);
    let connector = lab.client();
    let connecting = connector.connect("one.test".try_into().unwrap(), client);
    let (_, server) = tokio::join!(connecting, acceptor.accept(server));
    let error = server.err().unwrap();
    let refused = Some(NtStatus::STATUS_NOT_FOUND);
    let status = match Error::of(&error) {
        Some(Error::Refused { status, .. }) => Some(*status),
        _ => None,
    };
    assert_eq!(status, refused, "{error}");
    assert!(error.to_string().contains("STATUS_NOT_FOUND"), "{error}");
    // Neither does it go twice: what is posted cannot fail in the fake.
    drop((second, acceptor));
}

/// What was acquired for nobody is released at once, not when the handle is closed.
#[tokio::test]
async fn giving_up_an_acquisition_that_is_done_leaves_no_credential() {
    let lab = lab_of(&TLS13).await;
    let before = lab.fake.credentials();
    drop(lab.driver.acquire(&options()));
    assert_eq!(lab.fake.credentials(), before);
}
