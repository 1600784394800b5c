//! An OpenSSL end of a connection in memory, for tests.

use foreign_types::ForeignTypeRef;
use openssl::{
    pkey::PKey,
    ssl::{
        AlpnError, ErrorCode, Ssl, SslContext, SslContextBuilder, SslMethod, SslStream,
        SslVerifyMode, SslVersion, select_next_proto,
    },
    x509::X509,
};
use std::{
    collections::VecDeque,
    ffi::c_int,
    io::{ErrorKind, Read, Result, Write},
};

use crate::{identities::identity, tls::config::Identity};

// <https://docs.openssl.org/3.0/man3/SSL_key_update/>; the openssl crate leaves it out.
unsafe extern "C" {
    fn SSL_key_update(ssl: *mut openssl_sys::SSL, update_type: c_int) -> c_int;
    fn SSL_SESSION_is_resumable(session: *const openssl_sys::SSL_SESSION) -> c_int;
}

/// `SSL_KEY_UPDATE_REQUESTED`: the other end shall change its key too.
const KEY_UPDATE_REQUESTED: c_int = 1;

/// An OpenSSL client.
pub struct Peer {
    stream: SslStream<Wire>,
}

#[derive(Default)]
struct Wire {
    incoming: VecDeque<u8>,
    outgoing: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self.incoming.read(buffer)? {
            0 => Err(ErrorKind::WouldBlock.into()),
            read => Ok(read),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.outgoing.write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Peer {
    /// A client of just this version that offers these protocols.
    pub fn client(version: SslVersion, alpn: &[u8]) -> Self {
        Self::client_with(version, alpn, None)
    }

    /// Such a client, that has a certificate if the server wants one.
    pub fn client_with(version: SslVersion, alpn: &[u8], identity: Option<&Identity>) -> Self {
        let mut context = context(SslMethod::tls_client(), version);
        if let Some(identity) = identity {
            use_identity(&mut context, identity);
        }
        Self::begun(&context.build(), alpn, "lab.test")
    }

    /// A client that wants to talk to `name` and believes these signatures only (names of
    /// `SSL_CTX_set1_sigalgs_list`).
    pub fn client_of(version: SslVersion, name: &str, signatures: &str) -> Self {
        let mut context = context(SslMethod::tls_client(), version);
        context.set_sigalgs_list(signatures).unwrap();
        Self::begun(&context.build(), b"", name)
    }

    fn begun(context: &SslContext, alpn: &[u8], name: &str) -> Self {
        let mut ssl = Ssl::new(context).unwrap();
        if !alpn.is_empty() {
            ssl.set_alpn_protos(alpn).unwrap();
        }
        ssl.set_hostname(name).unwrap();
        ssl.set_connect_state();
        Self {
            stream: SslStream::new(ssl, Wire::default()).unwrap(),
        }
    }

    /// Many connections' server of just this version.
    pub fn listener(version: SslVersion) -> SslContext {
        Self::listener_with(version, &identity(), false)
    }

    /// Such a server with this certificate, that asks clients for theirs or not.
    pub fn listener_with(version: SslVersion, identity: &Identity, asks: bool) -> SslContext {
        let mut context = context(SslMethod::tls_server(), version);
        use_identity(&mut context, identity);
        if asks {
            context.set_verify_callback(SslVerifyMode::PEER, |_, _| true);
        }
        context.set_alpn_select_callback(|_, offered| {
            select_next_proto(b"\x02h2", offered).ok_or(AlpnError::NOACK)
        });
        context.set_session_id_context(b"lab").unwrap();
        context.build()
    }

    /// One connection's server end.
    pub fn server(listener: &SslContext) -> Self {
        let mut ssl = Ssl::new(listener).unwrap();
        ssl.set_accept_state();
        Self {
            stream: SslStream::new(ssl, Wire::default()).unwrap(),
        }
    }

    /// Hears `bytes`, goes on with the handshake, and says what it has to say.
    pub fn handshake(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.stream.get_mut().incoming.extend(bytes);
        if let Err(error) = self.stream.do_handshake() {
            assert_eq!(error.code(), ErrorCode::WANT_READ, "{error}");
        }
        std::mem::take(&mut self.stream.get_mut().outgoing)
    }

    /// Whether the handshake is done.
    pub fn is_connected(&self) -> bool {
        self.stream.ssl().is_init_finished()
    }

    /// The application protocol it was told.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.stream.ssl().selected_alpn_protocol()
    }

    /// The certificate that it was shown.
    pub fn certificate(&self) -> Option<Vec<u8>> {
        let shown = self.stream.ssl().peer_certificate();
        shown.map(|certificate| certificate.to_der().unwrap())
    }

    /// The cipher suite, by the name that IANA has for it.
    pub fn suite(&self) -> String {
        let suite = self.stream.ssl().current_cipher().unwrap();
        suite.standard_name().unwrap().to_owned()
    }

    /// Whether it has been given what a session is resumed with.
    pub fn can_resume(&mut self) -> bool {
        self.read(b"");
        // SAFETY: the pointer is that of a live session.
        unsafe { SSL_SESSION_is_resumable(self.stream.ssl().session().unwrap().as_ptr()) == 1 }
    }

    /// Records with `plaintext`.
    pub fn write(&mut self, plaintext: &[u8]) -> Vec<u8> {
        self.stream.write_all(plaintext).unwrap();
        std::mem::take(&mut self.stream.get_mut().outgoing)
    }

    /// What the records in `bytes` said, and what had to be said to that.
    pub fn read(&mut self, bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
        self.stream.get_mut().incoming.extend(bytes);
        let mut plaintext = Vec::new();
        match self.stream.read_to_end(&mut plaintext) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
        }
        (
            plaintext,
            std::mem::take(&mut self.stream.get_mut().outgoing),
        )
    }

    /// A request for new keys in both directions, in front of `plaintext`.
    pub fn update_keys(&mut self, plaintext: &[u8]) -> Vec<u8> {
        // SAFETY: the pointer is that of a live connection.
        let updated = unsafe { SSL_key_update(self.stream.ssl().as_ptr(), KEY_UPDATE_REQUESTED) };
        assert_eq!(updated, 1);
        self.write(plaintext)
    }

    /// Its `close_notify`.
    pub fn close(&mut self) -> Vec<u8> {
        self.stream.shutdown().unwrap();
        std::mem::take(&mut self.stream.get_mut().outgoing)
    }

    /// Whether it has heard a `close_notify`.
    pub fn heard_close(&mut self) -> bool {
        self.stream
            .get_shutdown()
            .contains(openssl::ssl::ShutdownState::RECEIVED)
    }
}

fn context(method: SslMethod, version: SslVersion) -> SslContextBuilder {
    let mut context = SslContext::builder(method).unwrap();
    context.set_verify(SslVerifyMode::NONE);
    context.set_min_proto_version(Some(version)).unwrap();
    context.set_max_proto_version(Some(version)).unwrap();
    context
}

fn use_identity(context: &mut SslContextBuilder, identity: &Identity) {
    let certificate = X509::from_der(&identity.chain[0]).unwrap();
    context.set_certificate(&certificate).unwrap();
    for issuer in &identity.chain[1..] {
        let issuer = X509::from_der(issuer).unwrap();
        context.add_extra_chain_cert(issuer).unwrap();
    }
    let key = PKey::private_key_from_der(identity.key.secret_der()).unwrap();
    context.set_private_key(&key).unwrap();
}
