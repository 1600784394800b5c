//! What is measured of the driver, in the process it is loaded in.
//!
//! The scenarios know neither Windows nor the lab: who can call the driver brings a [`Gate`]. The
//! KMDF stand-in, built for measuring, does.

mod cost;
mod crowd;
pub mod drive;
mod flood;
pub mod gate;
mod handshakes;
mod latency;
mod load;
mod memory;
mod parked;
pub mod peer;
mod records;
pub mod results;
pub mod rounds;
pub mod scenario;
pub mod service;
pub mod site;
pub mod wire;

pub use gate::{Completion, Done, Engine, Gate, Handle, Usage};
pub use results::{Axis, Bound, Plot, Results, Row, Series};
pub use scenario::{Effort, SCENARIOS, Scenario, run};
pub use site::Site;
