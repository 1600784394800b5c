//! The functions as a driver calls them.
//!
//! * [`driver`]: a driver in miniature, [`arguments`]: what it passes
//! * [`connected`]: a connection whose handshake is done
//! * [`contract`]: what a driver may rely on
//! * [`issuing`]: when, where and whether calls complete
//! * [`switches`]: what legs and records come to under the other settings
//! * [`credentials`]: what can be acquired, by whom, and which certificate is shown
//! * [`trust`]: what is thought of a peer's certificates
//! * [`queries`]: what is said of a connection
//! * [`client`]: client legs, and certificates of clients
//! * [`breaches`], [`breaches_of_memory`]: what a driver must not do

pub mod arguments;
mod breaches;
mod breaches_of_memory;
mod client;
mod connected;
mod contract;
mod credentials;
pub mod driver;
mod issuing;
mod queries;
mod switches;
mod trust;
