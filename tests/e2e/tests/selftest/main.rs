//! End-to-end tests of what `tlsgate` does to test, measure and trace the driver of its machine.

mod command;

mod bench;
mod conformance;
mod figures;
mod trace;
