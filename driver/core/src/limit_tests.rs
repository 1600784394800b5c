//! The limit by itself. What comes of it with a queue and an engine: `tests/admission.rs`.

use super::*;
use proptest::prelude::*;
use std::vec;

const MILLISECOND: u64 = 10_000;
const SECOND: u64 = 1_000 * MILLISECOND;

/// Lets in as many as may be.
fn fill(limit: &mut Limit, now: u64) {
    for _ in limit.inside()..limit.most {
        if limit.has_room() {
            limit.enter(now);
        }
    }
    assert!(!limit.has_room(), "there is more room than may be");
}

/// An engine that works on so many at a time, a millisecond each, while others wait all the time: so many
/// calls come back.
fn work(limit: &mut Limit, now: &mut u64, workers: usize, calls: usize) {
    let mut left = calls;
    while left > 0 {
        fill(limit, *now);
        *now += MILLISECOND;
        for _ in 0..limit.inside().min(workers).min(left) {
            limit.leave(*now, true);
            left -= 1;
        }
    }
}

/// A round is over, with so much time between two calls.
fn over(limit: &mut Limit, gap: u64) {
    (limit.calls, limit.time) = (100, 100 * gap);
    limit.judge();
}

#[test]
fn two_rounds_must_agree_on_a_trial() {
    let mut limit = Limit::new(3, 256);
    let seen = |limit: &Limit| (limit.round, limit.places, limit.kept);
    over(&mut limit, 1_000);
    assert_eq!(seen(&limit), (Round::More, 16, 8));
    over(&mut limit, 500);
    assert_eq!(seen(&limit), (Round::More, 16, 8), "one says so");
    over(&mut limit, 500);
    assert_eq!(seen(&limit), (Round::More, 32, 16), "two say so");
    over(&mut limit, 250);
    over(&mut limit, 500);
    let fewer = Round::Fewer { again: false };
    assert_eq!(seen(&limit), (fewer, 12, 16), "the second does not");
    over(&mut limit, 500);
    assert_eq!(seen(&limit), (fewer, 12, 16), "one says so");
    over(&mut limit, 500);
    let again = Round::Fewer { again: true };
    assert_eq!(seen(&limit), (again, 9, 12), "two say so");
    over(&mut limit, 1_000);
    assert_eq!(seen(&limit), (Round::Usual, 13, 13), "and one back");
}

#[test]
fn as_many_as_before_are_tried_when_calls_come_back_that_seemed_to_hang() {
    let mut limit = Limit::new(3, 256);
    (limit.kept, limit.before) = (80, 10);
    over(&mut limit, 1_000);
    let fewer = Round::Fewer { again: false };
    assert_eq!((limit.round, limit.places), (fewer, 10));
}

#[test]
fn where_there_are_no_more_places_fewer_are_tried() {
    let mut limit = Limit::new(1, FIRST);
    over(&mut limit, 1_000);
    let fewer = Round::Fewer { again: false };
    assert_eq!((limit.round, limit.places), (fewer, 6));
}

#[test]
fn what_is_usual_follows_rounds_that_are_like_it() {
    let mut limit = Limit::new(3, 3);
    over(&mut limit, 800);
    over(&mut limit, 880);
    assert_eq!(limit.gap, 810);
    over(&mut limit, 2_000);
    assert_eq!((limit.gap, limit.length), (810, CALLS), "unlike it");
    over(&mut limit, 400);
    assert_eq!(
        (limit.gap, limit.length),
        (810, 2 * CALLS),
        "and unlike that"
    );
}

#[test]
fn places_follow_the_engine_up_and_down() {
    let (mut limit, mut now) = (Limit::new(3, 256), 0);
    for (workers, most) in [(2, 3), (40, 64), (8, 12), (200, 256), (1, 3)] {
        work(&mut limit, &mut now, workers, 100_000);
        assert!(
            (workers * 7 / 8..=most).contains(&limit.kept),
            "{} places for {workers}",
            limit.kept
        );
    }
}

/// A round is of the time that somebody waited, be it in pieces.
#[test]
fn a_round_goes_on_when_somebody_waits_again() {
    let (mut limit, mut now) = (Limit::new(3, 256), 0);
    for _ in 0..1_000 {
        work(&mut limit, &mut now, 40, 200);
        fill(&mut limit, now);
        limit.leave(now + 1, false);
        now += SECOND;
    }
    assert!((35..=64).contains(&limit.kept), "{} places", limit.kept);
}

/// Three hang, and a trial has room for no more.
#[test]
fn a_trial_that_leaves_room_for_hanging_calls_only_is_over() {
    let (mut limit, mut now) = (Limit::new(1, 256), 0);
    while limit.round != (Round::Fewer { again: false }) {
        fill(&mut limit, now);
        now += MILLISECOND;
        limit.leave(now, true);
    }
    while limit.inside() >= limit.places {
        limit.leave(now, true);
    }
    fill(&mut limit, now);
    let kept = limit.kept;
    limit.look(now + PATIENCE, true);
    assert_eq!((limit.kept, limit.places), (kept, kept));
    assert!(limit.has_room());
}

/// A call of 300 ms is no sign that everything hangs, where calls take so long.
#[test]
fn silence_is_what_is_unusual() {
    let (mut limit, mut now) = (Limit::new(8, 256), 0);
    for _ in 0..100 {
        fill(&mut limit, now);
        now += 3 * SECOND / 10;
        limit.leave(now, true);
    }
    fill(&mut limit, now);
    limit.look(now + SECOND, true);
    assert_eq!(limit.kept, 8);
    limit.look(now + 5 * SECOND, true);
    assert_eq!(limit.kept, 16);
}

/// Calls that complete inline are never as many as there are places, though others wait for their issuers.
#[test]
fn what_is_not_held_back_is_not_measured() {
    let mut limit = Limit::new(1, 256);
    for now in 0..100_000 {
        limit.enter(now);
        limit.leave(now, true);
    }
    assert_eq!((limit.places, limit.gap, limit.calls), (FIRST, 0, 0));
}

#[test]
fn a_trial_that_is_in_vain_makes_the_next_one_wait() {
    let (mut limit, mut now) = (Limit::new(3, 256), 0);
    work(&mut limit, &mut now, 2, 2_000);
    let mut pauses = vec![];
    for _ in 0..30_000 {
        work(&mut limit, &mut now, 2, 20);
        if pauses.last() != Some(&limit.pause) {
            pauses.push(limit.pause);
        }
    }
    assert_eq!(pauses, [64, 128, 256, 512, 1_024, 2_048, 4_096]);
    // Another engine is found out at once.
    work(&mut limit, &mut now, 40, 10_000);
    assert!(limit.pause <= ROUNDS);
}

/// Calls that take very long now and then.
#[test]
fn rounds_that_contradict_each_other_get_longer() {
    let (mut limit, mut now) = (Limit::new(3, 3), 0);
    let mut round = 0;
    while round < 200 {
        let percent = match round % 4 {
            _ if round < 10 => 100,
            0 => 50,
            1 => 200,
            _ => 100,
        };
        fill(&mut limit, now);
        now += MILLISECOND * percent / 100;
        limit.leave(now, true);
        round += u64::from(limit.calls == 0 && limit.settling == 0);
    }
    assert_eq!(limit.length, MOST_CALLS);
}

#[test]
fn when_nothing_comes_back_twice_as_many_are_let_in_each_time() {
    let mut limit = Limit::new(1, 200);
    let mut counts = vec![];
    for now in 0..7 {
        fill(&mut limit, now * SECOND);
        counts.push(limit.inside());
        limit.look(now * SECOND + PATIENCE - 1, true);
        assert!(!limit.has_room(), "it is early");
        limit.look(now * SECOND + PATIENCE, true);
    }
    assert_eq!(counts, [8, 16, 32, 64, 128, 200, 200]);
}

/// The machine stood still for a second or two, or all calls waited for something.
#[test]
fn who_seemed_to_hang_and_comes_back_leaves_as_many_places_as_before() {
    let (mut limit, mut now) = (Limit::new(3, 256), 0);
    work(&mut limit, &mut now, 8, 10_000);
    let kept = limit.kept;
    for _ in 0..4 {
        fill(&mut limit, now);
        now += SECOND;
        limit.look(now, true);
    }
    assert!(limit.kept > 8 * kept);
    work(&mut limit, &mut now, 8, 4_000);
    assert!(
        (kept * 3 / 4..=kept * 2).contains(&limit.kept),
        "{} places, {kept} before",
        limit.kept
    );
}

#[test]
fn who_waits_for_nobody_is_not_taken_to_hang() {
    let mut limit = Limit::new(1, 100);
    fill(&mut limit, 0);
    limit.look(SECOND * 100, false);
    assert!(!limit.has_room());
    limit.leave(SECOND * 101, true);
    limit.look(SECOND * 200, true);
    assert_eq!(limit.places, FIRST, "there is room");
}

#[test]
fn a_limit_between_the_same_bounds_does_not_move() {
    let (mut limit, mut now) = (Limit::new(3, 3), 0);
    for workers in [1, 2, 3] {
        work(&mut limit, &mut now, workers, 20_000);
        now += SECOND;
        fill(&mut limit, now - SECOND);
        limit.look(now, true);
        assert_eq!((limit.places, limit.kept), (3, 3));
    }
}

#[test]
fn sixteenths_are_less_only_below() {
    assert!(is_less(13, 16, 14) && !is_less(14, 16, 14) && !is_less(15, 16, 14));
}

proptest! {
    /// Whatever the clock says, which may go back a little between threads: never more than may be, and who
    /// waits is let in when nobody is inside.
    #[test]
    fn never_more_than_may_be_and_never_stuck(
        least in 0..5_usize,
        more in 0..20_usize,
        steps in proptest::collection::vec((0..4_u8, any::<u64>(), any::<bool>()), 1..2_000),
    ) {
        let most = least.max(1) + more;
        let mut limit = Limit::new(least, most);
        let mut inside = 0;
        for (step, now, is_wanted) in steps {
            match step {
                0 | 1 if limit.has_room() => {
                    limit.enter(now);
                    inside += 1;
                }
                2 if inside > 0 => {
                    limit.leave(now, is_wanted);
                    inside -= 1;
                }
                _ => limit.look(now, is_wanted),
            }
            prop_assert_eq!(limit.inside(), inside);
            prop_assert!(inside <= most);
            prop_assert!(limit.has_room() || inside >= least.max(1));
            prop_assert!((least.max(1)..=most).contains(&limit.places));
            prop_assert!((least.max(1)..=most).contains(&limit.kept));
        }
    }
}
