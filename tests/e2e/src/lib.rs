//! What the end-to-end tests and the demo share: a machine with the packaged driver installed, its
//! server, and the TLS peers that no one here wrote.

pub mod documents;
mod lab;
mod peer;
pub mod report;
mod server;

pub use lab::{Lab, PROGRAM, variant};
pub use peer::{curl, openssl_client};
pub use server::Server;
