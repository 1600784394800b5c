//! The user-mode library of `TlsGate`: TLS connections whose handshake and record protection
//! happen in the kernel.
//!
//! From the bottom up:
//!
//! * [`Transport`] carries one IOCTL. On Windows that is `Device`, which opens `\\.\TlsGate` for
//!   overlapped I/O; in tests it is whatever stands in for the driver.
//! * [`Driver`] has one function an IOCTL, from typed arguments to typed replies.
//! * A [`Credential`] is the right to be a server, or a client; released with its last owner.
//! * [`TlsAcceptor`] and [`TlsConnector`] shake hands over any byte stream and yield a
//!   [`TlsStream`], which reads and writes application data like any other tokio stream.
//!
//! Names and shapes of the upper half are those of tokio-rustls: what differs is where certificates and
//! keys come from. They are in the machine's certificate store, and never in the program.
//!
//! ```no_run
//! # async fn serve(driver: tlsgate::Driver, socket: tokio::net::TcpStream) -> std::io::Result<()> {
//! use std::sync::Arc;
//! use tlsgate::{Certificate, Credential, CredentialOptions, ServerConfig, TlsAcceptor};
//! let thumbprint = "00112233445566778899AABBCCDDEEFF00112233".parse()?;
//! let options = CredentialOptions::server(Certificate::machine(thumbprint));
//! let mut config = ServerConfig::new(Credential::acquire(&driver, &options).await?);
//! config.alpn_protocols = vec![b"http/1.1".to_vec()];
//! let acceptor = TlsAcceptor::from(Arc::new(config));
//! let stream = acceptor.accept(socket).await?;
//! # Ok(()) }
//! ```
//!
//! ```no_run
//! # async fn connect(driver: tlsgate::Driver, socket: tokio::net::TcpStream)
//! #     -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use tlsgate::{ClientConfig, Credential, CredentialOptions, TlsConnector};
//! let credential = Credential::acquire(&driver, &CredentialOptions::client()).await?;
//! let connector = TlsConnector::from(Arc::new(ClientConfig::new(credential)));
//! let stream = connector.connect("example.com".try_into()?, socket).await?;
//! # Ok(()) }
//! ```
//!
//! [`Error`] says which call failed, with which status, and what to do about it. Where an
//! [`std::io::Error`] is returned, [`Error::of`] finds it inside.

mod buffer;
mod call;
pub mod client;
mod client_hello;
mod config;
mod connection;
mod credential;
mod credential_options;
mod driver;
mod error;
mod handshake;
mod reply;
mod request;
mod resolve;
pub mod server;
mod session;
mod status;
mod stream;
mod thumbprint;
mod transport;
mod wakers;

#[cfg(windows)]
pub mod device;

pub use client::{Connect, FallibleConnect, TlsConnector};
pub use client_hello::ClientHello;
pub use config::{ClientAuth, ClientConfig, ServerConfig};
pub use connection::{Check, Connection, NegotiatedCipherSuite};
pub use credential::Credential;
pub use credential_options::{CredentialOptions, Protocols, Revocation};
#[cfg(windows)]
pub use device::Device;
pub use driver::{Driver, Pending};
pub use error::Error;
pub use reply::{Leg, Record, RecordOutcome};
pub use request::{Certificate, NewSession, Start};
pub use resolve::ResolvesServerCert;
pub use rustls::{CipherSuite, HandshakeKind, ProtocolVersion, SignatureScheme};
pub use server::{Accept, FallibleAccept, LazyConfigAcceptor, StartHandshake, TlsAcceptor};
pub use status::{alert_name, describe_nt_status, describe_security_status};
pub use stream::TlsStream;
pub use thumbprint::Thumbprint;
pub use transport::{Reply, Transport, Unclaimed};

pub use rustls_pki_types as pki_types;
pub use tlsgate_protocol as protocol;
