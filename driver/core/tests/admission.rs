//! Admission before engines of many kinds, in simulated time: a flood on one handle, beside it a client
//! that asks for little. Seeds decide, and nothing else: every run is the same.

mod engine;

use engine::{MILLISECOND, Report, SECOND, Service, World};

const FIXED: Service = Service::Fixed(7 * MILLISECOND);
const EXPONENTIAL: Service = Service::Exponential(7 * MILLISECOND);
/// First legs and last legs: a signature, or next to nothing.
const HALF_SHORT: Service = Service::Either(50, 14 * MILLISECOND, MILLISECOND / 20);
const FEW_LONG: Service = Service::Either(5, 100 * MILLISECOND, 2 * MILLISECOND);

/// Operations inside at most, usually.
const MOST: usize = 256;

/// Operations let in whatever is found out, usually.
const LEAST: usize = 3;

/// What the good client offers, of what the engine can do, in percent.
const OFFERED: u64 = 30;

/// Legs that the flood has under way.
const FLOOD: usize = 400;

/// Of what the engine can do, what must be done while more is wanted.
const BUSY: f64 = 0.97;

/// The good client beside a flood, or alone, when the limit has been found.
fn measured(workers: usize, service: Service, least: usize, flood: usize, seed: u64) -> Report {
    let mut world = World::new(workers, service, least, MOST, seed);
    world.flood(flood);
    world.offer(OFFERED);
    world.run(60 * SECOND);
    world.forget();
    world.run(60 * SECOND);
    world.report()
}

/// Engines, with how much longer the 99th percentile of the good client may be because of a flood, in
/// percent, and how busy the engine must be, for the seeds that are tried. Where few calls take fifty times as
/// long as others, a round tells little: then it is only to be better than with a fixed number.
const ENGINES: [(usize, &str, Service, f64, f64); 16] = [
    (1, "fixed", FIXED, 240.0, 0.98),
    (2, "fixed", FIXED, 210.0, 0.99),
    (8, "fixed", FIXED, 220.0, 0.98),
    (64, "fixed", FIXED, 220.0, 0.98),
    (1, "exponential", EXPONENTIAL, 300.0, 0.98),
    (2, "exponential", EXPONENTIAL, 240.0, 0.99),
    (8, "exponential", EXPONENTIAL, 200.0, 0.97),
    (64, "exponential", EXPONENTIAL, 200.0, 0.95),
    (1, "half of them short", HALF_SHORT, 380.0, 0.98),
    (2, "half of them short", HALF_SHORT, 260.0, 0.99),
    (8, "half of them short", HALF_SHORT, 260.0, 0.95),
    (64, "half of them short", HALF_SHORT, 220.0, 0.95),
    (1, "few of them long", FEW_LONG, f64::INFINITY, 0.98),
    (2, "few of them long", FEW_LONG, f64::INFINITY, 0.98),
    (8, "few of them long", FEW_LONG, f64::INFINITY, 0.85),
    (64, "few of them long", FEW_LONG, f64::INFINITY, 0.85),
];

#[test]
fn a_flood_keeps_the_engine_busy_and_hardly_delays_another() {
    println!(
        "workers, times         seed  p99 alone  p99 beside a flood: 256 inside      adapted  busy  inside"
    );
    let mut failed = 0;
    for (workers, name, service, most, least) in ENGINES {
        for seed in 1..=(if workers == 64 { 1 } else { 3 }) {
            let alone = measured(workers, service, MOST, 0, seed);
            let adapted_alone = measured(workers, service, LEAST, 0, seed);
            let fixed = measured(workers, service, MOST, FLOOD, seed);
            let adapted = measured(workers, service, LEAST, FLOOD, seed);
            let percent = adapted.p99() * 100.0 / alone.p99();
            let good = percent <= most && adapted.p99() <= fixed.p99() && adapted.busy >= least;
            failed += usize::from(!good);
            println!(
                "{workers:2} {name:20} {seed:3} {:9.1} ms {:9.1} ms {:21.1} ms {:9.1} ms {percent:5.0} % {:.3} {:?}{}",
                alone.p99(),
                adapted_alone.p99(),
                fixed.p99(),
                adapted.p99(),
                adapted.busy,
                adapted.inside,
                if good { "" } else { " <- FAILED" }
            );
        }
    }
    assert_eq!(failed, 0);
}

/// A flood before an engine, the limit found.
fn flooded(workers: usize, service: Service, most: usize, flood: usize) -> World {
    let mut world = World::new(workers, service, LEAST, most, 7);
    world.flood(flood);
    world.run(40 * SECOND);
    world
}

/// How busy the engine is over a while.
fn busy(world: &mut World, time: u64) -> f64 {
    world.forget();
    world.run(time);
    world.report().busy
}

#[test]
fn an_engine_that_changes_is_followed() {
    for (before, after) in [(8, 2), (2, 8), (64, 4), (4, 64)] {
        let mut world = flooded(before, EXPONENTIAL, MOST, FLOOD);
        world.workers = after;
        world.run(40 * SECOND);
        let busy = busy(&mut world, 60 * SECOND);
        let most = world.report().inside.1;
        println!("from {before} workers to {after}: busy {busy:.3}, {most} inside");
        assert!(busy >= 0.85 && most <= after * 3 + 8);
    }
    for time in [1, 50] {
        let mut world = flooded(8, EXPONENTIAL, MOST, FLOOD);
        world.service = Service::Exponential(time * MILLISECOND);
        world.run(60 * SECOND);
        let busy = busy(&mut world, 120 * SECOND);
        let most = world.report().inside.1;
        println!("from 7 to {time} ms a call: busy {busy:.3}, {most} inside");
        assert!(busy >= 0.9 && most <= 32);
    }
}

/// The workers are the issuers, and no call waits inside: nothing is to be kept out.
#[test]
fn calls_that_complete_inline_are_not_held_back() {
    for workers in [1, 2, 8, 64] {
        let mut world = World::new(workers, EXPONENTIAL, LEAST, MOST, 7);
        world.is_inline = true;
        world.flood(FLOOD);
        world.run(40 * SECOND);
        let busy = busy(&mut world, 60 * SECOND);
        println!("{workers} issuers: busy {busy:.3}");
        assert!(busy >= BUSY);
    }
}

#[test]
fn when_nothing_comes_back_all_are_let_in_that_may_be() {
    for most in [2, 192, 256] {
        let mut world = World::new(2, FIXED, LEAST, most, 7);
        world.hangs = 1;
        world.flood(400);
        world.run(5 * SECOND);
        assert_eq!(world.load(), (400 - most, most));
        // As if nothing had been, when they have come back.
        world.hangs = 0;
        world.release();
        world.run(most as u64 * 7 * MILLISECOND + 60 * SECOND);
        let busy = busy(&mut world, 60 * SECOND);
        let inside = world.report().inside.1;
        println!("after {most} have hung: busy {busy:.3}, {inside} inside");
        assert!(busy >= BUSY && inside <= 16);
    }
}

/// Some calls wait for what never comes, such as an answer from the network.
#[test]
fn calls_that_hang_do_not_idle_the_engine() {
    let mut world = flooded(4, EXPONENTIAL, MOST, FLOOD);
    world.hangs = 1_000;
    let busy = busy(&mut world, 60 * SECOND);
    let inside = world.load().1;
    println!("with some that hang: busy {busy:.3}, {inside} inside");
    assert!(busy >= 0.85);
    assert!(inside > 20 && inside < 200);
}

/// Before anything is known: a crowd comes at once, for an engine that is slow and wide.
#[test]
fn a_first_crowd_does_not_wait_for_long() {
    for seed in 1..=5 {
        let service = Service::Exponential(200 * MILLISECOND);
        let mut world = World::new(64, service, LEAST, MOST, seed);
        world.flood(2_000);
        let first = busy(&mut world, 10 * SECOND);
        let then = busy(&mut world, 60 * SECOND);
        println!("busy {first:.3} in the first ten seconds, then {then:.3}");
        assert!(first >= 0.3 && then >= 0.9);
    }
}

/// As many at least as at most: what an administrator sets who wants a fixed number.
#[test]
fn a_fixed_limit_stays() {
    let mut world = World::new(2, FIXED, 16, 16, 7);
    world.flood(FLOOD);
    world.run(SECOND);
    world.forget();
    world.run(60 * SECOND);
    assert_eq!(world.load().1, 16);
    assert!(world.report().busy >= BUSY);
}
