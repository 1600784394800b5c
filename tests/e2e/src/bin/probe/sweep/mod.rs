//! The sweep of faults: every scenario, with everything going wrong that can, one thing at a time.
//!
//! A *point* is one thing that goes wrong in one scenario: an allocation, a call of ksecdd's, or what the caller
//! does. After each of them nothing is left, and the next handshake works. What is printed is for the test that
//! runs this: `at POINT` before each, `failed POINT: REASON`, `group JSON` after each scenario under a setting, and
//! `left POINT` when the sweep cannot go on.

mod after;
mod caller;
mod link;
mod peer;
mod point;
mod scenarios;
mod security;
mod stage;
mod tally;

use crate::bench::Bench;
use after::Baseline;
use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use point::{Group, Point};
use std::time::{Duration, Instant};
use tally::Tally;

pub use caller::Deed;

/// Points of a group that are taken when not all are, and in the first round.
const SAMPLE: usize = 6;

/// Rounds after which every group is through.
const ROUNDS: u32 = 8;

/// What is swept.
#[derive(Args)]
pub struct Order {
    /// What goes wrong.
    #[arg(value_enum)]
    kind: Kind,
    /// Of the order, and of what is drawn.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Every point, not some of each scenario.
    #[arg(long)]
    full: bool,
    /// No further point is begun after so many seconds.
    #[arg(long, default_value_t = u64::MAX)]
    seconds: u64,
    /// So many turns were taken already.
    #[arg(long, default_value_t = 0)]
    skip: usize,
    /// Which part of the groups, counted from 1, and of how many: `2/4`.
    #[arg(long, default_value = "1/1", value_parser = part)]
    part: (usize, usize),
    /// Only points with all of these words in their names.
    words: Vec<String>,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Allocations.
    Allocation,
    /// Calls of ksecdd's.
    Security,
    /// What the caller does.
    Caller,
}

fn part(text: &str) -> Result<(usize, usize)> {
    let (part, of) = text.split_once('/').context("no part")?;
    let (part, of) = (part.parse()?, of.parse()?);
    ensure!((1..=of).contains(&part), "no part {part} of {of}");
    Ok((part, of))
}

/// The sweep. Groups take turns, and each turn of a group has more points than its last one: whenever the time
/// is up, all of them have had some.
pub async fn run(bench: &mut Bench, order: &Order) -> Result<()> {
    let started = Instant::now();
    let limit = Duration::from_secs(order.seconds);
    let mut groups = point::groups(order.kind);
    groups.retain(|group| group.may_have(&order.words));
    fastrand::Rng::with_seed(order.seed).shuffle(&mut groups);
    println!("groups {}", groups.len());
    let (part, of) = order.part;
    let groups: Vec<_> = groups.into_iter().skip(part - 1).step_by(of).collect();
    bench.lab.kmdf(|switches| switches.record_sites = true)?;
    let baseline = Baseline::take(bench).await?;
    let mut known: Vec<Option<Vec<Point>>> = groups.iter().map(|_| None).collect();
    let rounds = if order.full { ROUNDS } else { 1 };
    let turns = (0..rounds).flat_map(|round| (0..groups.len()).map(move |group| (round, group)));
    for (round, number) in turns.skip(order.skip) {
        if started.elapsed() >= limit {
            break;
        }
        let group = &groups[number];
        let points = match &mut known[number] {
            Some(points) => points,
            unknown => unknown.insert(drawn(bench, order, group, number).await?),
        };
        let mut tally = Tally::of(group, if round == 0 { points.len() } else { 0 });
        for point in points.iter().take(end(round)).skip(end_before(round)) {
            if started.elapsed() >= limit {
                break;
            }
            println!("at {point}");
            if !one(bench, &baseline, point, &mut tally).await {
                println!("group {}", serde_json::to_string(&tally)?);
                println!("left {point}");
                // What comes next would be blamed for what this one has left.
                bail!("{point} has left something");
            }
        }
        println!("group {}", serde_json::to_string(&tally)?);
    }
    println!("sites {}", serde_json::to_string(&bench.lab.sites()?)?);
    bench.lab.kmdf(|switches| switches.record_sites = false)?;
    Ok(())
}

/// A group's points in the order of the seed, which is another one for each group.
async fn drawn(
    bench: &mut Bench,
    order: &Order,
    group: &Group,
    number: usize,
) -> Result<Vec<Point>> {
    let seed = order.seed.wrapping_add(u64::try_from(number)?);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut points = group.points(bench, order.full, &mut random).await?;
    points.retain(|point| point.has(&order.words));
    random.shuffle(&mut points);
    Ok(points)
}

/// Points of a group that are done after so many rounds.
const fn end_before(rounds: u32) -> usize {
    SAMPLE * (4_usize.pow(rounds) - 1) / 3
}

/// Points of a group that are done after this round.
const fn end(round: u32) -> usize {
    end_before(round + 1)
}

/// One point, and what is to be looked at after it. Whether the next one can be played.
async fn one(bench: &mut Bench, baseline: &Baseline, point: &Point, tally: &mut Tally) -> bool {
    let played = point.play(bench, baseline).await;
    let clean = match point::calm(bench) {
        Ok(()) => baseline.again(bench).await.context("afterwards"),
        Err(error) => Err(error),
    };
    let is_clean = clean.is_ok();
    let done = match (played, clean) {
        (played, Ok(())) => played,
        (Ok(_), Err(error)) => Err(error),
        (Err(played), Err(error)) => Err(error.context(format!("{played:#}"))),
    };
    tally.count(&done);
    if let Err(error) = done {
        println!(
            "failed {point}: {}",
            format!("{error:#}").replace('\n', " ")
        );
    }
    is_clean
}

/// How many requests each scenario sends.
pub async fn steps(bench: &mut Bench) -> Result<()> {
    for scenario in scenarios::ALL {
        let steps = point::Group::plain(scenario).requests(bench).await?;
        println!("steps {} {steps}", scenario.name);
    }
    Ok(())
}

/// Plays a scenario up to a request, and waits there to be killed, or for a line.
pub async fn wait(bench: &mut Bench, scenario: &str, step: usize, deed: Deed) -> Result<()> {
    let scenario = scenarios::ALL.iter().find(|one| one.name == scenario);
    let scenario = scenario.context("no such scenario")?;
    ensure!(
        matches!(deed, Deed::Wait | Deed::WaitBefore),
        "not a deed to wait in"
    );
    point::wait(bench, scenario, caller::Planned { step, deed }).await
}
