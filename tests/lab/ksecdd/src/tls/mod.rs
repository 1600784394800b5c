//! TLS as Schannel speaks it, over rustls: nothing here knows of pointers, handles or threads.
//!
//! * [`engine`]: one end of a connection from its first leg to its last record
//! * [`handshake`]: rustls fed record by record
//! * [`session`]: what follows the handshake: sealing, unsealing, post-handshake messages
//! * [`protection`]: one direction's keys and the protection of single records, in place
//! * [`record`]: where a record ends
//! * [`outcome`]: what a leg came to, and what each TLS error is in SSPI's terms
//! * [`config`]: rustls configurations out of a credential
//! * [`choice`]: which of several certificates is shown
//! * [`judge`]: what is thought of the peer's certificates

pub mod choice;
pub mod config;
pub mod engine;
pub mod handshake;
pub mod judge;
pub mod outcome;
pub mod protection;
pub mod record;
pub mod session;
#[cfg(test)]
mod tests;
