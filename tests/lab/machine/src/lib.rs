//! The machine under test: Wine's NT kernel with the lab's stand-ins, driven from the host.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use tlsgate_lab_machine::{Layout, Machine};
//! let machine = Machine::power_on(&Layout::of_workspace(), &mut |step| println!("{step}"))?;
//! machine.run(r"C:\lab\tlsgate.exe", &["install"])?.success()?;
//! let server = machine.spawn(r"C:\lab\tlsgate.exe", &["serve", "--cert", "..."])?;
//! let address = server.line_after("listening on ")?;
//! machine.power_off()?; // fails if any rule was broken
//! # Ok(()) }
//! ```
//!
//! A machine is a Wine prefix, held by an exclusive lock from power-on to power-off. There is one, or as many
//! as `TLSGATE_LAB_MACHINES` says; whoever comes later waits, and so does whoever wants to be alone.
//!
//! Nothing here sleeps in the hope that something has happened: every wait polls a condition until
//! a deadline, see [`wait_until`], and every command has a time limit.

mod files;
mod host;
mod layout;
mod machine;
mod process;
mod stage;
mod stops;
mod wait;
mod wine;

pub use layout::Layout;
pub use machine::Machine;
pub use process::{Output, Running};
pub use stage::Parameter;
pub use wait::wait_until;
