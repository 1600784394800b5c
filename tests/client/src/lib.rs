//! The user-mode library of `TlsGate`: TLS connections whose handshake and record protection
//! happen in the kernel.
//!
//! From the bottom up:
//!
//! * [`Transport`] carries one IOCTL. On Windows that is `Device`, which opens `\\.\TlsGate` for
//!   overlapped I/O; in tests it is whatever stands in for the driver.
//! * [`Driver`] has one function an IOCTL, from typed arguments to typed replies.
//! * [`TlsAcceptor`] and [`TlsConnector`] shake hands over any byte stream and yield a
//!   [`TlsStream`], which reads and writes application data like any other tokio stream.
//!
//! ```no_run
//! # async fn serve(driver: tlsgate::Driver, socket: tokio::net::TcpStream)
//! #     -> Result<(), tlsgate::Error> {
//! use tlsgate::{Certificate, CredentialOptions, TlsAcceptor};
//! let thumbprint = "00112233445566778899AABBCCDDEEFF00112233".parse()?;
//! let options = CredentialOptions::server(Certificate::machine(thumbprint));
//! let credential = driver.acquire(&options).await?;
//! let acceptor = TlsAcceptor::new(driver, credential).alpn(["http/1.1"]);
//! let stream = acceptor.accept(socket).await?;
//! # Ok(()) }
//! ```
//!
//! ```no_run
//! # async fn connect(driver: tlsgate::Driver, socket: tokio::net::TcpStream)
//! #     -> Result<(), tlsgate::Error> {
//! use tlsgate::{CredentialOptions, TlsConnector};
//! let credential = driver.acquire(&CredentialOptions::client()).await?;
//! let stream = TlsConnector::new(driver, credential).connect("example.com", socket).await?;
//! # Ok(()) }
//! ```
//!
//! [`Error`] says which call failed, with which status, and what to do about it.

mod buffer;
mod call;
mod connect;
mod connection;
mod credential;
mod driver;
mod error;
mod handshake;
mod reply;
mod request;
mod session;
mod status;
mod stream;
mod thumbprint;
mod transport;
mod wakers;

#[cfg(windows)]
pub mod device;

pub use connect::{ClientAuth, TlsAcceptor, TlsConnector};
pub use connection::{Check, Connection};
pub use credential::{CredentialOptions, Protocols, Revocation};
#[cfg(windows)]
pub use device::Device;
pub use driver::{Driver, Pending};
pub use error::Error;
pub use reply::{Leg, Record, RecordOutcome};
pub use request::{Certificate, NewSession, Start};
pub use status::{alert_name, describe_nt_status, describe_security_status};
pub use stream::TlsStream;
pub use thumbprint::Thumbprint;
pub use transport::{Reply, Transport};

pub use tlsgate_protocol as protocol;
