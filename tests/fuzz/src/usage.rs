//! Use of a context, run-down, a session's phase and a quota against plain fields, by one thread; loom has the
//! interleavings.

use crate::steps;
use arbitrary::{Arbitrary, Unstructured};
use std::sync::atomic::AtomicUsize;
use tlsgate_core::{
    budget::Budget,
    rundown::{Closed, Rundown},
    session::{Phase, State},
    usage::{Refused, Usage, Use},
};

#[derive(Arbitrary, Debug)]
enum Step {
    Acquire(u8),
    Release(u8),
    CloseContext,
    Begin,
    End,
    Close,
    Establish,
    Fail,
    Take(usize),
    TakeLittle(u8),
    GiveBack(u8),
}

const USES: [Use; 4] = [Use::Leg, Use::Seal, Use::Unseal, Use::Query];

#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one fact, without a name for their sets"
)]
struct Model {
    /// Uses of the context, one each.
    uses: Vec<Use>,
    context_closing: bool,
    users: usize,
    closing: bool,
    established: bool,
    failed: bool,
    /// What was taken of the quota, one each.
    taken: Vec<usize>,
    limit: usize,
}

struct Real {
    usage: Usage<AtomicUsize>,
    rundown: Rundown<AtomicUsize>,
    state: State<AtomicUsize>,
    budget: Budget<AtomicUsize>,
}

/// Runs it.
pub fn run(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let shift = u32::from(bytes.arbitrary::<u8>().unwrap_or(0) % 64);
    let mut model = Model {
        limit: usize::MAX >> shift,
        ..Model::default()
    };
    let real = Real {
        usage: Usage::new(),
        rundown: Rundown::new(),
        state: State::new(),
        budget: Budget::new(model.limit),
    };
    steps(&mut bytes, |step: Step| {
        perform(&step, &real, &mut model);
        let phase = match (model.failed, model.established) {
            (true, _) => Phase::Failed,
            (_, true) => Phase::Established,
            _ => Phase::Handshaking,
        };
        assert_eq!(real.state.phase(), phase, "{step:?}");
    });
}

fn perform(step: &Step, real: &Real, model: &mut Model) {
    match *step {
        Step::Acquire(choice) => {
            let kind = USES[usize::from(choice) % USES.len()];
            let excluded = model.uses.iter().any(|other| match (kind, *other) {
                (Use::Leg, _) | (_, Use::Leg) => true,
                (Use::Query, _) | (_, Use::Query) => false,
                (kind, other) => kind == other,
            });
            let due = match (model.context_closing, excluded) {
                (true, _) => Err(Refused::Closing),
                (_, true) => Err(Refused::Busy),
                _ => Ok(()),
            };
            assert_eq!(
                real.usage.acquire(kind),
                due,
                "{kind:?} beside {:?}",
                model.uses
            );
            if due.is_ok() {
                model.uses.push(kind);
            }
        }
        Step::Release(choice) => {
            if let Some(index) = usize::from(choice).checked_rem(model.uses.len()) {
                let kind = model.uses.swap_remove(index);
                let last = model.context_closing && model.uses.is_empty();
                assert_eq!(real.usage.release(kind), last, "{kind:?}");
            }
        }
        Step::CloseContext => {
            let now = !model.context_closing && model.uses.is_empty();
            assert_eq!(real.usage.close(), now);
            model.context_closing = true;
        }
        Step::Begin => {
            assert_eq!(real.rundown.acquire(), !model.closing);
            model.users += usize::from(!model.closing);
        }
        Step::End if model.users > 0 => {
            model.users -= 1;
            let last = model.closing && model.users == 0;
            assert_eq!(real.rundown.release(), last);
        }
        Step::End => {}
        Step::Close => {
            let due = match (model.closing, model.users) {
                (true, _) => Closed::Before,
                (_, 0) => Closed::Now,
                _ => Closed::AfterLastUse,
            };
            assert_eq!(real.rundown.close(), due);
            model.closing = true;
        }
        Step::Establish => {
            let first = !model.established && !model.failed;
            assert_eq!(real.state.establish(), first);
            model.established = true;
        }
        Step::Fail => {
            assert_eq!(real.state.fail(), !model.failed);
            model.failed = true;
        }
        Step::Take(amount) => take(amount, real, model),
        Step::TakeLittle(amount) => take(amount.into(), real, model),
        Step::GiveBack(choice) => {
            if let Some(index) = usize::from(choice).checked_rem(model.taken.len()) {
                real.budget.give_back(model.taken.swap_remove(index));
            }
        }
    }
}

fn take(amount: usize, real: &Real, model: &mut Model) {
    let out: u128 = model.taken.iter().map(|amount| *amount as u128).sum();
    let fits = out + amount as u128 <= model.limit as u128;
    assert_eq!(real.budget.take(amount), fits, "{amount} beside {out}");
    if fits {
        model.taken.push(amount);
    }
}
