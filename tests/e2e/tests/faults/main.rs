//! Everything goes wrong, one thing at a time: allocations, ksecdd's calls, callers, and the driver's start and
//! end. After each there is no STOP and nothing left, and the next handshake works.
//!
//! `cargo xtask faults` says how much of it, by [`plan::Plan`]; otherwise it is a sample, another one every day.

mod plan;
mod programs;
mod sites;
mod starts;
mod sweeps;
mod tally;

use anyhow::{Result, ensure};
use plan::Plan;
use tally::Tally;

#[test]
fn whatever_goes_wrong_leaves_nothing_and_the_next_handshake_works() -> Result<()> {
    let plan = Plan::wanted()?;
    println!("to have this again: cargo xtask faults {plan}");
    let mut tally = Tally::new(&plan);
    let mut lab = sweeps::all(&plan, &mut tally)?;
    // Words name points of the sweeps.
    if !plan.has_words() {
        lab = programs::all(lab, &plan, &mut tally)?;
        starts::all(&lab, &plan, &mut tally)?;
    }
    lab.finish()?;
    tally.give()?;
    ensure!(
        tally.failed() == 0,
        "{} of {} points failed; the first ones: {:#?}",
        tally.failed(),
        tally.tried(),
        tally.failures()
    );
    Ok(())
}
