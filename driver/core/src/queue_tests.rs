//! The queue against a plain model of lanes that take turns.

use super::*;
use proptest::prelude::*;
use std::{vec, vec::Vec};

const LIMITS: Limits = Limits {
    lanes: 3,
    registered: 8,
    registered_per_lane: 5,
    inside: 3,
    inside_least: 3,
    inside_per_lane: 2,
    issuers: 2,
};

/// A queue with so many lanes, each with so many operations registered.
fn queue<T>(limits: Limits, lanes: usize, each: usize) -> (Queue<T>, Vec<Lane>) {
    let mut queue = Queue::new(limits);
    let lanes: Vec<_> = (0..lanes).map(|_| queue.open_lane().unwrap()).collect();
    for lane in &lanes {
        assert!((0..each).all(|_| queue.register(*lane).is_ok()));
    }
    (queue, lanes)
}

#[test]
fn wake_ups_are_bounded_by_the_issuers() {
    let mut queue = Queue::<u8>::new(LIMITS);
    assert_eq!(
        [queue.wake(), queue.wake(), queue.wake()],
        [true, true, false]
    );
    queue.woken();
    assert_eq!([queue.wake(), queue.wake()], [true, false]);
    queue.set_issuers(3);
    assert_eq!([queue.wake(), queue.wake()], [true, false]);
}

#[test]
fn there_are_only_so_many_operations_in_a_lane_and_in_all() {
    let (mut queue, lanes) = queue::<u8>(LIMITS, 2, 0);
    assert!((0..5).all(|_| queue.register(lanes[0]).is_ok()));
    assert_eq!(queue.register(lanes[0]), Err(Refused::TooMany));
    assert!((0..3).all(|_| queue.register(lanes[1]).is_ok()));
    assert_eq!(queue.register(lanes[1]), Err(Refused::TooMany));
    queue.unregister(lanes[0]);
    assert_eq!(queue.register(lanes[1]), Ok(()));
    assert_eq!(queue.register(lanes[0]), Err(Refused::TooMany));
}

#[test]
fn only_so_many_are_inside_and_the_rest_keep_their_order() {
    let (mut queue, lanes) = queue(LIMITS, 1, 4);
    for number in 0..4 {
        queue.wait(lanes[0], number).unwrap();
    }
    let take = |queue: &mut Queue<i32>| queue.take_next(0);
    assert_eq!([(); 3].map(|()| take(&mut queue)), [Some(0), Some(1), None]);
    queue.go_on(1).unwrap();
    assert_eq!(
        queue.take_next(0),
        Some(1),
        "an admitted operation goes on though the house is full"
    );
    assert!(queue.leave(lanes[0], 0), "someone waits");
    assert_eq!((queue.take_next(0), queue.take_next(0)), (Some(2), None));
    assert_eq!((queue.waiting(), queue.inside()), (1, 2));
    assert!(queue.leave(lanes[0], 0));
    assert_eq!(queue.take_next(0), Some(3));
    assert!(!queue.leave(lanes[0], 0), "no one waits");
}

#[test]
fn a_lane_with_many_leaves_room_and_turns_for_the_others() {
    let limits = Limits {
        registered: 200,
        registered_per_lane: 100,
        ..LIMITS
    };
    let (mut queue, lanes) = queue(limits, 3, 50);
    for _ in 0..50 {
        queue.wait(lanes[0], 'a').unwrap();
    }
    assert_eq!(
        [(); 3].map(|()| queue.take_next(0)),
        [Some('a'), Some('a'), None],
        "its share is inside, and one place is left"
    );
    queue.wait(lanes[1], 'b').unwrap();
    assert_eq!(queue.take_next(0), Some('b'));
    for _ in 0..2 {
        queue.wait(lanes[1], 'b').unwrap();
        queue.wait(lanes[2], 'c').unwrap();
    }
    // The house is full. Whoever leaves, the lanes take turns; the last one makes up for its first.
    let mut order = vec![];
    for _ in 0..6 {
        assert!(queue.leave(
            match order.last() {
                None | Some('a') => lanes[0],
                Some('b') => lanes[1],
                _ => lanes[2],
            },
            0
        ));
        order.push(queue.take_next(0).unwrap());
    }
    assert_eq!(order, ['c', 'b', 'a', 'c', 'b', 'a']);
}

/// One asks for a turn now and then while another asks for all: it need not wait for a turn of the other,
/// be it for several at once.
#[test]
fn who_asks_for_little_goes_first_and_for_so_much_only() {
    let limits = Limits {
        registered: 400,
        registered_per_lane: 200,
        inside: 1,
        inside_least: 1,
        ..LIMITS
    };
    let (mut queue, lanes) = queue(limits, 2, 100);
    for _ in 0..100 {
        queue.wait(lanes[0], 'a').unwrap();
    }
    let turns = |queue: &mut Queue<char>, lanes: &[Lane], count| {
        let turn = |_| {
            let next = queue.take_next(0).unwrap();
            let _anyone = queue.leave(lanes[usize::from(next != 'a')], 0);
            next
        };
        (0..count).map(turn).collect::<std::string::String>()
    };
    assert_eq!(turns(&mut queue, &lanes, 50), "a".repeat(50));
    for _ in 0..80 {
        queue.wait(lanes[1], 'b').unwrap();
    }
    // Four to one, until it has made up for 32.
    assert_eq!(
        turns(&mut queue, &lanes, 62),
        "bbbba".repeat(10) + "bbababababab",
        "so many turns, no more"
    );
    let (mut queue, mut lanes) = super::tests::queue(limits, 3, 20);
    for _ in 0..20 {
        queue.wait(lanes[0], 'a').unwrap();
    }
    assert_eq!(turns(&mut queue, &lanes, 3), "aaa");
    queue.close_lane(lanes[1]);
    (0..20).for_each(|_| queue.unregister(lanes[1]));
    lanes[1] = queue.open_lane().unwrap();
    for _ in 0..2 {
        queue.register(lanes[1]).unwrap();
        queue.wait(lanes[1], 'c').unwrap();
    }
    assert_eq!(
        turns(&mut queue, &lanes, 4),
        "acac",
        "who has just come has left no turns to others"
    );
}

#[test]
fn a_closed_lane_goes_with_its_last_operation() {
    let (mut queue, lanes) = queue(LIMITS, 3, 2);
    assert_eq!(queue.open_lane(), Err(Refused::TooMany));
    let [lane, idle, _] = lanes[..] else {
        panic!("not three lanes");
    };
    queue.wait(lane, 'x').unwrap();
    queue.close_lane(lane);
    queue.close_lane(lane);
    assert_eq!(queue.register(lane), Err(Refused::Closed));
    queue.unregister(lane);
    assert_eq!(
        queue.take_next(0),
        Some('x'),
        "what waits is not forgotten with its handle"
    );
    // In either order.
    queue.unregister(lane);
    assert_eq!(queue.lanes(), 3, "one of its operations is inside");
    assert!(!queue.leave(lane, 0));
    assert_eq!((queue.lanes(), queue.inside()), (2, 0));
    assert_eq!(queue.wait(lane, 'y'), Err('y'));
    queue.unregister(idle);
    queue.unregister(idle);
    assert_eq!(queue.lanes(), 2, "it is open");
    queue.close_lane(idle);
    assert_eq!(queue.lanes(), 1);
    assert_ne!(queue.open_lane(), Ok(lane));
}

#[test]
fn what_was_not_registered_comes_back() {
    let (mut queue, lanes) = queue(LIMITS, 1, 0);
    assert_eq!(queue.wait(lanes[0], 'x'), Err('x'));
    assert_eq!(queue.go_on('x'), Err('x'));
}

/// A lane as the model has it. Operations are numbers; each is idle, waits, or is inside.
#[derive(Default)]
struct Modelled {
    lane: Option<Lane>,
    closed: bool,
    idle: usize,
    waiting: Vec<usize>,
    inside: usize,
    turns: u64,
    /// It had had fewer turns than others when it became ready.
    ahead: bool,
    /// When it became ready or had its last turn.
    since: Option<usize>,
    /// Turns that others have had since.
    passed: usize,
}

impl Modelled {
    fn registered(&self) -> usize {
        self.idle + self.waiting.len() + self.inside
    }
}

#[derive(Clone, Copy, Debug)]
enum Move {
    Open,
    Close,
    Register,
    Unregister,
    Wait,
    Take,
    Leave,
    GoOn,
}

fn moves() -> impl Strategy<Value = Vec<(Move, usize)>> {
    let one = prop_oneof![
        1 => Just(Move::Open), 1 => Just(Move::Close), 8 => Just(Move::Register),
        1 => Just(Move::Unregister), 10 => Just(Move::Wait), 8 => Just(Move::Take),
        6 => Just(Move::Leave), 1 => Just(Move::GoOn),
    ];
    proptest::collection::vec((one, 0..5_usize), 1..300)
}

proptest! {
    #[test]
    fn lanes_take_turns_and_nothing_is_lost(moves in moves(), inside in 1..6_usize, share in 1..4_usize) {
        let limits = Limits {
            lanes: 5, registered: 40, registered_per_lane: 12, inside, inside_least: inside, inside_per_lane: share,
            issuers: 1,
        };
        let mut queue = Queue::new(limits);
        let mut model: [Modelled; 5] = Default::default();
        let mut admitted: Vec<usize> = vec![];
        let (mut turns, mut in_a_row) = (0, 0);
        for (clock, (step, which)) in moves.into_iter().enumerate() {
            let all: usize = model.iter().map(Modelled::registered).sum();
            let all_inside: usize = model.iter().map(|lane| lane.inside).sum();
            let one = &mut model[which];
            match (step, one.lane) {
                (Move::Open, None) => (one.lane, one.turns) = (Some(queue.open_lane().unwrap()), turns),
                (Move::Close, Some(lane)) => {
                    queue.close_lane(lane);
                    one.closed = true;
                }
                (Move::Register, Some(lane)) => {
                    let expected = if one.closed {
                        Err(Refused::Closed)
                    } else if all >= 40 || one.registered() >= 12 {
                        Err(Refused::TooMany)
                    } else {
                        one.idle += 1;
                        Ok(())
                    };
                    prop_assert_eq!(queue.register(lane), expected);
                }
                (Move::Unregister, Some(lane)) if one.idle > 0 => {
                    queue.unregister(lane);
                    one.idle -= 1;
                }
                (Move::Wait, Some(lane)) if one.idle > 0 => {
                    queue.wait(lane, clock).unwrap();
                    one.idle -= 1;
                    one.waiting.push(clock);
                }
                // One that goes on does not leave, and is nowhere else.
                (Move::Leave, Some(lane)) if one.inside > 0 && admitted.len() < all_inside => {
                    one.inside -= 1;
                    one.idle += 1;
                    let anyone = model.iter().any(|lane| !lane.waiting.is_empty() && lane.inside < share);
                    prop_assert_eq!(queue.leave(lane, 0), anyone);
                }
                (Move::GoOn, _) if admitted.len() < all_inside => {
                    queue.go_on(clock).unwrap();
                    admitted.push(clock);
                }
                (Move::Take, _) if !admitted.is_empty() => {
                    prop_assert_eq!(queue.take_next(0), Some(admitted.remove(0)));
                }
                (Move::Take, _) => {
                    let ready = (0..5).filter(|lane| model[*lane].since.is_some());
                    let level = model.iter().any(|lane| lane.since.is_some() && !lane.ahead);
                    let is_level_due = level && in_a_row >= AHEAD_IN_A_ROW;
                    let first = ready.min_by_key(|lane| (model[*lane].ahead == is_level_due, model[*lane].since));
                    match first.filter(|_| all_inside < inside) {
                        None => prop_assert_eq!(queue.take_next(0), None),
                        Some(turn) => {
                            for other in model.iter_mut().filter(|lane| lane.since.is_some()) {
                                other.passed += 1;
                                prop_assert!(other.passed <= 5 * 33, "more than they may make up for");
                            }
                            let lane = &mut model[turn];
                            prop_assert_eq!(queue.take_next(0), Some(lane.waiting.remove(0)));
                            lane.inside += 1;
                            in_a_row = if lane.ahead { in_a_row + 1 } else { 0 };
                            turns = turns.max(lane.turns);
                            lane.turns += 1;
                            (lane.since, lane.passed) = (None, 0);
                        }
                    }
                }
                _ => {}
            }
            for lane in &mut model {
                let ready = !lane.waiting.is_empty() && lane.inside < share;
                if ready && lane.since.is_none() {
                    (lane.since, lane.passed) = (Some(clock), 0);
                    lane.turns = lane.turns.max(turns.saturating_sub(CREDIT));
                    lane.ahead = lane.turns < turns;
                }
                prop_assert_eq!(ready, lane.since.is_some());
                if lane.closed && lane.registered() == 0 {
                    *lane = Modelled::default();
                }
            }
            prop_assert_eq!(queue.waiting(), model.iter().map(|lane| lane.waiting.len()).sum::<usize>());
            prop_assert_eq!(queue.inside(), model.iter().map(|lane| lane.inside).sum::<usize>());
            prop_assert_eq!(queue.lanes(), model.iter().filter(|lane| lane.lane.is_some()).count());
        }
        // In the end everything that waits gets in.
        let mut left: usize = model.iter().map(|lane| lane.waiting.len()).sum::<usize>() + admitted.len();
        for _ in 0..=80 {
            while queue.take_next(0).is_some() {
                left -= 1;
            }
            // Whoever is inside leaves; lanes that have gone do not mind.
            for lane in model.iter().filter_map(|lane| lane.lane) {
                let _ = queue.leave(lane, 0);
            }
        }
        prop_assert_eq!((left, queue.waiting()), (0, 0));
    }
}
