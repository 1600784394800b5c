//! A call and its callback, and a request and those who complete it, in any order that ksecdd and the
//! framework allow, by one thread; loom has the interleavings.

use crate::steps;
use arbitrary::{Arbitrary, Unstructured};
use std::sync::atomic::AtomicUsize;
use tlsgate_core::{
    slot::{Call, CallSlot, CalledBack, PollEnd, Verdict},
    ticket::{Abandoned, Begin, Completer, Ticket},
};

#[derive(Arbitrary, Debug)]
enum Step {
    Arm,
    CalledBack,
    Returned,
    Refused,
    PollBegin(u8),
    PollEnd(bool),
    Begin,
    CallEnds,
    Claim,
    Unmark,
    CancelStarts,
    CancelRuns,
}

/// Runs it.
pub fn run(bytes: &[u8]) {
    let (mut slot, mut request) = (SlotModel::default(), RequestModel::default());
    let (real_slot, ticket) = (CallSlot::new(), Ticket::new());
    steps(&mut Unstructured::new(bytes), |step: Step| {
        perform_on_slot(&step, &real_slot, &mut slot);
        assert_eq!(real_slot.is_lost(), slot.place == Place::Lost, "{step:?}");
        for call in &slot.calls {
            let is_current = slot.current == Some(*call);
            assert_eq!(real_slot.is_current(*call), is_current, "{step:?}");
        }
        perform_on_request(&step, &ticket, &mut request);
        assert!(request.completed <= 1, "completed twice");
    });
    request.run_dry(&ticket);
    assert_eq!(request.completed, u32::from(request.wanted));
}

/// Where a slot's call is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    None,
    /// The issuer is in the call; the callback may have come.
    Inside(bool),
    /// It has returned, and the callback has not come.
    Out,
    /// The watchdog looks; the callback may have come.
    Watched(bool),
    Lost,
}

#[derive(Default)]
struct SlotModel {
    place: Place,
    current: Option<Call>,
    calls: Vec<Call>,
}

impl SlotModel {
    fn end(&mut self) {
        self.place = Place::None;
        self.current = None;
    }
}

fn perform_on_slot(step: &Step, slot: &CallSlot<AtomicUsize>, model: &mut SlotModel) {
    match (step, model.place) {
        (Step::Arm, Place::None) => {
            let call = slot.arm().expect("the slot is empty");
            assert!(!model.calls.contains(&call), "a number comes again");
            model.calls.push(call);
            model.current = Some(call);
            model.place = Place::Inside(false);
        }
        (Step::Arm, _) => assert_eq!(slot.arm(), None),
        (Step::CalledBack, Place::Inside(false)) => {
            assert_eq!(slot.called_back(), CalledBack::LeaveIt);
            model.place = Place::Inside(true);
        }
        (Step::CalledBack, Place::Watched(false)) => {
            assert_eq!(slot.called_back(), CalledBack::LeaveIt);
            model.place = Place::Watched(true);
        }
        (Step::CalledBack, Place::Out) => {
            assert_eq!(slot.called_back(), CalledBack::GoOn);
            model.end();
        }
        (Step::CalledBack, _) => assert_eq!(slot.called_back(), CalledBack::Stray),
        (Step::Returned, Place::Inside(called_back)) => {
            assert_eq!(slot.returned(), called_back);
            model.place = Place::Out;
            if called_back {
                model.end();
            }
        }
        (Step::Refused, Place::Inside(called_back)) => {
            assert_eq!(slot.refused(), called_back);
            model.end();
        }
        (Step::PollBegin(choice), place) if !matches!(place, Place::Watched(_)) => {
            let Some(index) = usize::from(*choice).checked_rem(model.calls.len()) else {
                return;
            };
            let call = model.calls[index];
            let due = place == Place::Out && model.current == Some(call);
            assert_eq!(slot.poll_begin(call), due);
            if due {
                model.place = Place::Watched(false);
            }
        }
        (Step::PollEnd(lost), Place::Watched(called_back)) => {
            let verdict = [Verdict::StillPending, Verdict::Lost][usize::from(*lost)];
            let end = slot.poll_end(verdict);
            match (called_back, lost) {
                (true, _) => {
                    assert_eq!(end, PollEnd::GoOn);
                    model.end();
                }
                (false, false) => {
                    assert_eq!(end, PollEnd::Nothing);
                    model.place = Place::Out;
                }
                (false, true) => {
                    assert_eq!(end, PollEnd::TakenOver);
                    model.end();
                    model.place = Place::Lost;
                }
            }
        }
        // Nobody does that at this time.
        _ => {}
    }
}

/// What the framework and the parties know of a request.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one fact, without a name for their sets"
)]
struct RequestModel {
    /// An operation's call is inside ksecdd.
    inside: bool,
    given_up: bool,
    /// Somebody has won, and has not tried to unmark it yet.
    claimant: bool,
    claimed: bool,
    /// The framework has begun to cancel it: unmarking fails from now on, and the callback comes.
    cancelling: bool,
    cancel_ran: bool,
    unmarked: bool,
    completed: u32,
    /// Somebody is to complete it.
    wanted: bool,
}

impl RequestModel {
    /// Everybody who is on the way arrives.
    fn run_dry(&mut self, ticket: &Ticket<AtomicUsize>) {
        for step in [Step::Unmark, Step::CancelRuns] {
            perform_on_request(&step, ticket, self);
        }
    }

    fn where_it_was(&self) -> Abandoned {
        if self.inside {
            Abandoned::Orphaned
        } else {
            Abandoned::Waiting
        }
    }

    fn ended(&mut self, completer: Completer) {
        self.completed += u32::from(completer == Completer::Me);
    }
}

fn perform_on_request(step: &Step, ticket: &Ticket<AtomicUsize>, model: &mut RequestModel) {
    match step {
        Step::Begin if !model.inside => {
            let due = [Begin::Issue, Begin::Abandoned][usize::from(model.given_up)];
            assert_eq!(ticket.begin(), due);
            model.inside = !model.given_up;
        }
        Step::CallEnds if model.inside => {
            assert_eq!(ticket.returned(), model.given_up, "an orphan?");
            model.inside = false;
        }
        Step::Claim => {
            let due = !model.claimed && !model.cancel_ran;
            assert_eq!(ticket.claim(), due);
            model.claimed = true;
            model.claimant |= due;
            model.wanted |= due;
        }
        Step::Unmark if model.claimant && !model.cancelling => {
            model.claimant = false;
            model.unmarked = true;
            model.completed += 1;
            assert_eq!(ticket.abandon(), model.where_it_was());
            model.given_up = true;
        }
        Step::Unmark if model.claimant => {
            model.claimant = false;
            let completer = ticket.unmark_failed();
            assert_eq!(
                completer == Completer::Me,
                model.cancel_ran,
                "the later one"
            );
            model.ended(completer);
        }
        Step::CancelStarts if !model.unmarked => {
            model.cancelling = true;
            model.wanted = true;
        }
        Step::CancelRuns if model.cancelling && !model.cancel_ran => {
            model.cancel_ran = true;
            let (completer, place) = ticket.cancelled();
            assert_eq!(place, model.where_it_was());
            let waits = model.claimant;
            assert_eq!(completer == Completer::TheOther, waits, "the later one");
            model.ended(completer);
            model.given_up = true;
        }
        _ => {}
    }
}
