//! The wheel against a plain list of what is due.

use super::*;
use proptest::prelude::*;
use std::{collections::HashMap, vec, vec::Vec};

const LAP: u64 = SLOTS * TICK;

fn wheel(room: usize) -> Wheel<usize> {
    let mut wheel = Wheel::new();
    for _ in 0..room {
        wheel.reserve().unwrap();
    }
    wheel
}

/// Everything that is due at `now`, and the number of calls it took to learn it.
fn drain(wheel: &mut Wheel<usize>, now: u64) -> (Vec<usize>, usize) {
    let (mut due, mut calls) = (vec![], 0);
    loop {
        calls += 1;
        match wheel.expired(now) {
            Expired::One(value) => due.push(value),
            Expired::More => {}
            Expired::Nothing => return (due, calls),
        }
    }
}

#[test]
fn an_entry_is_small() {
    assert_eq!(size_of::<Entry<u64>>(), 24 + size_of::<Option<u64>>());
    assert_eq!(size_of::<Link>(), 4);
}

#[test]
fn nothing_goes_in_without_a_reservation() {
    let mut wheel = wheel(1);
    let key = wheel.insert(5, 1).unwrap();
    assert_eq!(wheel.insert(5, 2), Err(2));
    assert!(!wheel.is_empty());
    assert_eq!(wheel.remove(key), Some(1));
    assert!(wheel.is_empty());
    let other = wheel.insert(5, 3).expect("the reservation stays");
    for key in [key, other] {
        assert_eq!(Key::from_raw(key.raw()), Some(key));
    }
    assert_eq!(Key::from_raw(0), None);
    let _ = drain(&mut wheel, TICK);
    wheel.unreserve();
    assert_eq!(wheel.insert(5, 4), Err(4));
    assert_eq!(Wheel::new().insert(5, 5), Err(5));
}

#[test]
fn never_early_and_at_most_a_tick_late() {
    for due in [1, TICK - 1, TICK, TICK + 1, LAP, LAP + 1, 7 * LAP + 12_345] {
        let mut wheel = wheel(1);
        wheel.insert(due, 9).unwrap();
        assert_eq!(drain(&mut wheel, due - 1).0, []);
        assert_eq!(drain(&mut wheel, due + TICK).0, [9], "due at {due}");
    }
}

#[test]
fn a_key_is_void_when_its_entry_has_gone_though_the_place_is_used_again() {
    let mut wheel = wheel(1);
    let old = wheel.insert(TICK, 1).unwrap();
    assert_eq!(drain(&mut wheel, TICK).0, [1]);
    let new = wheel.insert(TICK, 2).unwrap();
    assert_ne!(old, new);
    assert_eq!((wheel.remove(old), wheel.remove(new)), (None, Some(2)));
    assert_eq!(wheel.remove(new), None);
}

/// Ten thousand entries of the next lap in the way: a call looks at no more than it may.
#[test]
fn the_work_of_a_call_is_bounded() {
    const MANY: usize = 10_000;
    let mut wheel = wheel(MANY);
    for number in 0..MANY {
        wheel.insert(LAP - TICK, number).unwrap();
        if number > 0 {
            // All but the first are a lap later and hang in the same slot.
            let index = Index::new(u32::try_from(number).unwrap() + 1).unwrap();
            entry_at(&mut wheel.entries, index).unwrap().due += SLOTS;
        }
    }
    let (due, calls) = drain(&mut wheel, LAP - TICK);
    assert_eq!(due, [0]);
    let looks = MANY + usize::try_from(SLOTS).unwrap();
    assert!(calls >= looks / 64, "{calls} calls for {looks} looks");
}

/// Nobody asked for a day: each slot is looked at once, no matter how many laps have passed.
#[test]
fn a_long_silence_costs_one_lap() {
    let mut wheel = wheel(2);
    wheel.insert(TICK, 1).unwrap();
    wheel.insert(200 * LAP, 2).unwrap();
    let (due, calls) = drain(&mut wheel, 100 * LAP);
    assert_eq!(due, [1]);
    assert!(
        calls <= usize::try_from(SLOTS).unwrap() / MOST_LOOKS + 3,
        "{calls} calls"
    );
    assert_eq!(drain(&mut wheel, 200 * LAP).0, [2]);
}

#[derive(Clone, Debug)]
enum Move {
    Insert(u64),
    Remove(prop::sample::Index),
    Pass(u64),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let span = prop_oneof![0..3 * TICK, 0..LAP, 0..3 * LAP];
    let one = prop_oneof![
        4 => span.clone().prop_map(Move::Insert),
        2 => any::<prop::sample::Index>().prop_map(Move::Remove),
        2 => span.prop_map(Move::Pass),
    ];
    proptest::collection::vec(one, 1..120)
}

proptest! {
    #[test]
    fn it_behaves_like_a_list(start in 0..2 * LAP, moves in moves()) {
        const ROOM: usize = 20;
        let mut wheel = wheel(ROOM);
        let (mut now, mut model, mut keys) = (start, HashMap::new(), vec![]);
        prop_assert_eq!(drain(&mut wheel, now).0, Vec::<usize>::new());
        for (number, step) in moves.into_iter().enumerate() {
            match step {
                // Also what is overdue when it comes.
                Move::Insert(after) => {
                    let due = (now + after).saturating_sub(TICK);
                    if let Ok(key) = wheel.insert(due, number) {
                        model.insert(number, due);
                        keys.push((key, number));
                    } else {
                        prop_assert_eq!(model.len(), ROOM);
                    }
                }
                Move::Remove(which) if !keys.is_empty() => {
                    let (key, number) = *which.get(&keys);
                    prop_assert_eq!(wheel.remove(key), model.remove(&number).map(|_| number));
                }
                Move::Remove(_) => {}
                Move::Pass(time) => {
                    now += time;
                    for number in drain(&mut wheel, now).0 {
                        let due = model.remove(&number);
                        prop_assert!(due.is_some_and(|due| due <= now), "early, or twice");
                    }
                    for due in model.values() {
                        prop_assert!(due + TICK > now, "{} is late at {}", due, now);
                    }
                }
            }
            prop_assert_eq!(wheel.len(), model.len());
        }
    }
}
