//! The functions as a driver calls them.
//!
//! * [`driver`]: a driver in miniature, [`arguments`]: what it passes
//! * [`connected`]: a connection whose handshake is done
//! * [`contract`]: what a driver may rely on
//! * [`client`]: client legs, and certificates of clients
//! * [`breaches`]: what it must not do

pub mod arguments;
mod breaches;
mod client;
mod connected;
mod contract;
pub mod driver;
