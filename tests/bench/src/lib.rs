//! What is measured of the driver, in the process it is loaded in.
//!
//! The scenarios know neither Windows nor the lab: who can call the driver brings a [`Gate`]. The
//! KMDF stand-in, built for measuring, does.

pub mod gate;
pub mod results;
pub mod scenario;
pub mod site;

pub use gate::{Completion, Done, Engine, Gate, Handle, Usage};
pub use results::{Axis, Bound, Plot, Results, Row, Series};
pub use scenario::{Effort, SCENARIOS, Scenario, run};
pub use site::Site;
