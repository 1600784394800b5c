//! Minutes or hours of everything at once: servers and clients of the driver under honest peers, hostile
//! ones, floods and a security subsystem that changes its ways. No honest peer may fail, and whenever all
//! connections are closed the driver must be back at what it had at first.
//!
//! `TLSGATE_SOAK_SECONDS` and `TLSGATE_SOAK_SEED` say how long and what: see `plan`. The seed decides what
//! each thread does and how the stand-in behaves; how the threads' steps fall together it does not.

mod alive;
mod fleet;
mod flood;
mod honest;
mod hostile;
mod hosts;
mod judge;
mod outgoing;
mod plan;
mod processes;
mod rounds;
mod tally;
mod watch;
mod weather;
mod world;

#[allow(dead_code, reason = "what the other tests need is there as well")]
#[path = "../stream/client.rs"]
mod client;
#[allow(dead_code, reason = "what the other tests need is there as well")]
#[path = "../stream/flights.rs"]
mod flights;
#[allow(dead_code, reason = "what the other tests need is there as well")]
#[path = "../stream/key_update.rs"]
mod key_update;
#[allow(dead_code, reason = "what the other tests need is there as well")]
#[path = "../stream/page.rs"]
mod page;
#[allow(dead_code, reason = "what the other tests need is there as well")]
#[path = "../stream/pki.rs"]
mod pki;
#[path = "../stream/queues.rs"]
mod queues;
#[allow(dead_code, reason = "what the other tests need is there as well")]
#[path = "../stream/socket.rs"]
mod socket;

use anyhow::{Result, ensure};
use plan::Plan;

/// Open files that a process needs: Wine's server has three for each connection of a flood.
const FILES: u64 = 8_000;

#[test]
fn a_mixed_load_fails_no_honest_peer_and_leaves_nothing() -> Result<()> {
    let Some(plan) = Plan::of_environment()? else {
        println!("not asked for: TLSGATE_SOAK_SECONDS is 0");
        return Ok(());
    };
    // Before the machine is powered on: its processes inherit the limit.
    let files = rlimit::increase_nofile_limit(FILES)?;
    ensure!(
        files >= FILES,
        "this host allows {files} open files a process, not {FILES}"
    );
    rounds::run(&plan)
}
