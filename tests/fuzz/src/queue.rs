//! Admission against lists: at most so many inside, in all and of a lane; lanes take turns; of a lane, who
//! came first goes first; what goes on waits for no turn; a lane makes up for some turns that it left to others.

use crate::steps;
use arbitrary::{Arbitrary, Unstructured};
use std::collections::VecDeque;
use tlsgate_core::queue::{Lane, Limits, Queue, Refused};

#[derive(Arbitrary, Debug)]
enum Step {
    OpenLane,
    CloseLane(u8),
    Register(u8),
    Unregister(u8),
    Wait(u8),
    GoOn(u8),
    TakeNext,
    Leave(u8),
    Wake,
    Woken,
}

/// What becomes of an operation, in this order, with any of the middle left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Registered,
    Waiting,
    Inside,
    GoingOn,
    Gone,
}

/// Turns that a lane may make up for.
const CREDIT: u64 = 32;

/// Of such turns, so many in a row.
const IN_A_ROW: u32 = 4;

struct Operation {
    lane: usize,
    place: Place,
}

struct ModelLane {
    name: Lane,
    /// Numbers of operations.
    waiting: VecDeque<usize>,
    closed: bool,
    gone: bool,
    /// Since which step it is ready, by a count of its own; those that have had fewer turns come first.
    ready: Option<(bool, u64)>,
    /// Turns it has had, or may not make up for.
    turns: u64,
}

/// What a queue must do.
struct Model {
    limits: Limits,
    lanes: Vec<ModelLane>,
    operations: Vec<Operation>,
    going_on: VecDeque<usize>,
    wakes: usize,
    turn: u64,
    /// The most that a lane had had when it was its turn.
    turns: u64,
    /// Turns in a row of lanes that make up for some.
    in_a_row: u32,
}

impl Model {
    fn count(&self, good: impl Fn(&Operation) -> bool) -> usize {
        self.operations.iter().filter(|it| good(it)).count()
    }

    fn inside(&self) -> usize {
        self.count(|it| matches!(it.place, Place::Inside | Place::GoingOn))
    }

    fn inside_of(&self, lane: usize) -> usize {
        self.count(|it| it.lane == lane && matches!(it.place, Place::Inside | Place::GoingOn))
    }

    fn registered_of(&self, lane: usize) -> usize {
        self.count(|it| it.lane == lane && it.place != Place::Gone)
    }

    /// Looks who has become ready by a step; lanes that went first now come last.
    fn settle(&mut self) {
        for lane in 0..self.lanes.len() {
            let has_room = self.inside_of(lane) < self.limits.inside_per_lane;
            let is_gone = self.lanes[lane].closed && self.registered_of(lane) == 0;
            let (turn, state) = (self.turn, &mut self.lanes[lane]);
            state.gone |= is_gone;
            if state.ready.is_none() && has_room && !state.waiting.is_empty() {
                state.turns = state.turns.max(self.turns.saturating_sub(CREDIT));
                state.ready = Some((state.turns >= self.turns, turn));
                self.turn += 1;
            }
        }
    }

    /// The ready lane that has been so for longest.
    fn next_lane(&self) -> Option<usize> {
        let ready = |lane: &usize| self.lanes[*lane].ready;
        let level = |lane: &usize| ready(lane).is_some_and(|(is_level, _)| is_level);
        let all = 0..self.lanes.len();
        let is_level_due = self.in_a_row >= IN_A_ROW && all.clone().any(|lane| level(&lane));
        all.filter(|lane| ready(lane).is_some())
            .min_by_key(|lane| (level(lane) != is_level_due, ready(lane)))
    }

    fn next(&mut self) -> Option<usize> {
        if let Some(number) = self.going_on.pop_front() {
            self.operations[number].place = Place::Inside;
            return Some(number);
        }
        if self.inside() >= self.limits.inside {
            return None;
        }
        let lane = self.next_lane()?;
        let is_ahead = self.lanes[lane]
            .ready
            .take()
            .is_some_and(|(is_level, _)| !is_level);
        self.in_a_row = if is_ahead { self.in_a_row + 1 } else { 0 };
        self.turns = self.turns.max(self.lanes[lane].turns);
        self.lanes[lane].turns += 1;
        let number = self.lanes[lane].waiting.pop_front()?;
        self.operations[number].place = Place::Inside;
        Some(number)
    }

    /// An operation at this place, chosen by a number.
    fn operation(&self, place: Place, choice: u8) -> Option<usize> {
        let all: Vec<usize> = (0..self.operations.len())
            .filter(|number| self.operations[*number].place == place)
            .collect();
        pick(&all, choice)
    }

    fn lane(&self, choice: u8) -> Option<usize> {
        let all: Vec<usize> = (0..self.lanes.len()).collect();
        pick(&all, choice)
    }
}

fn pick(all: &[usize], choice: u8) -> Option<usize> {
    let index = usize::from(choice).checked_rem(all.len())?;
    all.get(index).copied()
}

/// Runs it.
pub fn run(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let mut limit = |most: u8| usize::from(bytes.arbitrary::<u8>().unwrap_or(1) % most + 1);
    let [lanes, registered, registered_per_lane, inside] = [6, 24, 12, 8].map(&mut limit);
    let limits = Limits {
        lanes,
        registered,
        registered_per_lane,
        inside,
        // How many they may be otherwise is not this target's.
        inside_least: inside,
        inside_per_lane: limit(4),
        issuers: limit(4),
    };
    let mut queue = Queue::new(limits);
    let mut model = Model {
        limits,
        lanes: Vec::new(),
        operations: Vec::new(),
        going_on: VecDeque::new(),
        wakes: 0,
        turn: 0,
        turns: 0,
        in_a_row: 0,
    };
    steps(&mut bytes, |step| {
        perform(&step, &mut queue, &mut model);
        model.settle();
        let waiting = model.count(|it| it.place == Place::Waiting);
        assert_eq!(queue.waiting(), waiting, "{step:?}");
        assert_eq!(queue.inside(), model.inside(), "{step:?}");
        let lanes = model.lanes.iter().filter(|lane| !lane.gone).count();
        assert_eq!(queue.lanes(), lanes, "{step:?}");
        assert!(queue.inside() <= limits.inside);
    });
    run_dry(&mut queue, &mut model);
}

/// Whoever waits has its turn in the end.
fn run_dry(queue: &mut Queue<usize>, model: &mut Model) {
    loop {
        while let Some(number) = model.operation(Place::Inside, 0) {
            leave(number, queue, model);
            model.settle();
        }
        let next = queue.take_next(0);
        assert_eq!(next, model.next());
        model.settle();
        if next.is_none() {
            break;
        }
    }
    assert_eq!((queue.waiting(), queue.inside()), (0, 0));
}

fn perform(step: &Step, queue: &mut Queue<usize>, model: &mut Model) {
    match *step {
        Step::OpenLane => {
            let lanes = model.lanes.iter().filter(|lane| !lane.gone).count();
            match queue.open_lane() {
                Ok(name) => {
                    assert!(lanes < model.limits.lanes, "a lane too many");
                    model.lanes.push(ModelLane {
                        name,
                        waiting: VecDeque::new(),
                        closed: false,
                        gone: false,
                        ready: None,
                        turns: model.turns,
                    });
                }
                Err(refused) => {
                    assert_eq!(refused, Refused::TooMany);
                    assert!(lanes >= model.limits.lanes, "there is room for a lane");
                }
            }
        }
        Step::CloseLane(choice) => {
            if let Some(lane) = model.lane(choice) {
                queue.close_lane(model.lanes[lane].name);
                model.lanes[lane].closed = true;
            }
        }
        Step::Register(choice) => {
            if let Some(lane) = model.lane(choice) {
                register(lane, queue, model);
            }
        }
        Step::Unregister(choice) => {
            if let Some(number) = model.operation(Place::Registered, choice) {
                queue.unregister(model.lanes[model.operations[number].lane].name);
                model.operations[number].place = Place::Gone;
            }
        }
        Step::Wait(choice) => {
            if let Some(number) = model.operation(Place::Registered, choice) {
                let lane = model.operations[number].lane;
                assert_eq!(queue.wait(model.lanes[lane].name, number), Ok(()));
                model.lanes[lane].waiting.push_back(number);
                model.operations[number].place = Place::Waiting;
            }
        }
        Step::GoOn(choice) => {
            if let Some(number) = model.operation(Place::Inside, choice) {
                assert_eq!(queue.go_on(number), Ok(()));
                model.going_on.push_back(number);
                model.operations[number].place = Place::GoingOn;
            }
        }
        Step::TakeNext => assert_eq!(queue.take_next(0), model.next(), "whose turn it is"),
        Step::Leave(choice) => {
            if let Some(number) = model.operation(Place::Inside, choice) {
                leave(number, queue, model);
            }
        }
        Step::Wake => {
            let wanted = model.wakes < model.limits.issuers;
            assert_eq!(queue.wake(), wanted, "{} wakes", model.wakes);
            model.wakes += usize::from(wanted);
        }
        Step::Woken => {
            queue.woken();
            model.wakes = model.wakes.saturating_sub(1);
        }
    }
}

fn register(lane: usize, queue: &mut Queue<usize>, model: &mut Model) {
    let all = model.count(|it| it.place != Place::Gone);
    let due = if model.lanes[lane].closed {
        Err(Refused::Closed)
    } else if all >= model.limits.registered
        || model.registered_of(lane) >= model.limits.registered_per_lane
    {
        Err(Refused::TooMany)
    } else {
        Ok(())
    };
    assert_eq!(queue.register(model.lanes[lane].name), due);
    if due.is_ok() {
        model.operations.push(Operation {
            lane,
            place: Place::Registered,
        });
    }
}

fn leave(number: usize, queue: &mut Queue<usize>, model: &mut Model) {
    let lane = model.operations[number].lane;
    model.operations[number].place = Place::Registered;
    model.settle();
    let wanted = model.next_lane().is_some();
    assert_eq!(
        queue.leave(model.lanes[lane].name, 0),
        wanted,
        "to wake one"
    );
}
