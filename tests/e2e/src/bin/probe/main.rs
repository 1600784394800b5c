//! A program for the machine under test that asks the driver what no well-behaved program asks.
//!
//! Each scenario checks for itself what must come of it and fails with a message; the end-to-end
//! tests run it beside the driver. It sets the stand-ins' switches over the same control ports as
//! the tests do.

#[cfg(windows)]
mod bench;
#[cfg(windows)]
mod cancel;
#[cfg(windows)]
mod crowd;
#[cfg(windows)]
mod deadlines;
#[cfg(windows)]
mod events;
#[cfg(windows)]
mod exhaust;
#[cfg(windows)]
mod fairness;
#[cfg(windows)]
mod faults;
#[cfg(windows)]
mod frugal;
#[cfg(windows)]
mod fuzz;
#[cfg(windows)]
mod garbage;
#[cfg(windows)]
mod ids;
#[cfg(windows)]
mod lost;
#[cfg(windows)]
mod malformed;
#[cfg(windows)]
mod measured;
#[cfg(windows)]
mod memory;
#[cfg(windows)]
mod neighbour;
#[cfg(windows)]
mod opening;
#[cfg(windows)]
mod quotas;
#[cfg(windows)]
mod race;
#[cfg(windows)]
mod raw;
#[cfg(windows)]
mod records;
#[cfg(windows)]
mod replies;
#[cfg(windows)]
mod residue;
#[cfg(windows)]
mod scenarios;
#[cfg(windows)]
mod states;
#[cfg(windows)]
mod statuses;
#[cfg(windows)]
mod steady;
#[cfg(windows)]
mod subsystem;
#[cfg(windows)]
mod sweep;
#[cfg(windows)]
mod switched_off;
#[cfg(windows)]
mod switches;
#[cfg(windows)]
mod tls;
#[cfg(windows)]
mod vanish;
#[cfg(windows)]
mod wrong;

#[cfg(windows)]
fn main() -> anyhow::Result<()> {
    scenarios::run()
}

#[cfg(not(windows))]
fn main() -> anyhow::Result<()> {
    anyhow::bail!("the probe runs on the machine under test; `cargo xtask build` builds it")
}
