//! The functions as a driver calls them.
//!
//! * [`driver`]: a driver in miniature
//! * [`contract`]: what a driver may rely on
//! * [`breaches`]: what it must not do

mod breaches;
mod contract;
mod driver;
