//! End-to-end tests of the IOCTLs, and of the rules that the lab watches over.
//!
//! What only a program on the machine can do is done by the probe (`src/bin/probe`), a scenario a
//! run; the tests here set the stage, and end with the driver's unload, where leaks show.

mod cancel;
mod deadlines;
mod exports;
mod faults;
mod frugal;
mod fuzz;
mod identity;
mod input;
mod isolation;
mod limits;
mod load;
mod lost;
mod memory;
mod observed;
mod probe;
mod records;
mod stack;
mod trace;
mod vanish;
mod wrong_driver;
