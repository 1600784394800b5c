//! How the stand-ins behave: another of Windows' open questions is answered otherwise in each round, and
//! while it lasts the security subsystem is quick or slow, and calls back in other ways, every few seconds.

use crate::world::pause;
use anyhow::Result;
use fastrand::Rng;
use tlsgate_e2e::Lab;
use tlsgate_lab_control::{
    kmdf::{self, CallbackIrql, Presentation},
    ksecdd::{self, Answer, CallbackThread, Completion, Latency, Question, Switches, TokenUse},
};

/// In one of so many changes the security subsystem stands still.
const STANDSTILL: u32 = 6;

/// The settings of a round.
pub struct Weather {
    /// The variant's name.
    pub name: &'static str,
    switches: Switches,
}

impl Weather {
    /// Has the stand-ins behave in one of the ways that leave every feature there. Nothing may be on its way:
    /// what KMDF does with a request must be the same from its beginning to its end.
    pub fn of_round(lab: &Lab, rng: &mut Rng) -> Result<Self> {
        let mut variants = Switches::variants();
        variants.retain(|(name, _)| !name.starts_with("without_") && !name.starts_with("token_"));
        let (name, mut switches) = variants.swap_remove(rng.usize(..variants.len()));
        // A credential is of the token that it was acquired with, and stays from round to round.
        switches.token = TokenUse::default();
        lab.ask_ksecdd(&Question::Set(switches.clone()))?;
        let framework = kmdf::Switches {
            cancel_before_cleanup: rng.bool(),
            callback_irql: match rng.u32(..3) {
                0 => CallbackIrql::Passive,
                1 => CallbackIrql::Dispatch,
                _ => CallbackIrql::Alternating,
            },
            presentation: if rng.bool() {
                Presentation::OtherThread
            } else {
                Presentation::Inline
            },
            ..kmdf::Switches::default()
        };
        kmdf::set(&mut lab.machine().remote(kmdf::MODULE)?, &framework)?;
        Ok(Self { name, switches })
    }

    /// Changes what may change at any moment, every few seconds as long as it is wanted; gives how often. Now and
    /// then the security subsystem does not answer for a while: some requests run out of time then, and leave
    /// their calls behind.
    pub fn change(&self, lab: &Lab, rng: &mut Rng, wanted: &dyn Fn() -> bool) -> Result<u64> {
        let mut remote = lab.machine().remote(ksecdd::MODULE)?;
        let mut changes = 0;
        while wanted() {
            let mut switches = self.switches.clone();
            switches.latency = latency(rng);
            switches.workers = rng.usize(1..6);
            switches.callback_irql = rng.u8(..3);
            switches.callback_thread = if rng.bool() {
                CallbackThread::Same
            } else {
                CallbackThread::Other
            };
            if rng.u32(..STANDSTILL) == 0 {
                switches.completion = Completion::Held;
                let _before: Answer = remote.ask(&Question::Set(switches.clone()))?;
                pause(rng.u64(1_000..4_500), wanted);
            }
            switches.completion = completion(rng);
            let _before: Answer = remote.ask(&Question::Set(switches))?;
            let _count: Answer = remote.ask(&Question::Release(None))?;
            changes += 1;
            pause(rng.u64(500..3_000), wanted);
        }
        Ok(changes)
    }
}

fn completion(rng: &mut Rng) -> Completion {
    match rng.u32(..4) {
        0 => Completion::Inline,
        1 => Completion::Early,
        2 => Completion::Late,
        _ => Completion::Mixed(rng.u64(..)),
    }
}

fn latency(rng: &mut Rng) -> Latency {
    let seed = rng.u64(..);
    match rng.u32(..5) {
        0 | 1 => Latency::Fixed(0),
        2 => Latency::Uniform {
            least: 0,
            most: 3_000,
            seed,
        },
        3 => Latency::Exponential { mean: 1_000, seed },
        _ => Latency::HeavyTail {
            least: 100,
            most: 50_000,
            seed,
        },
    }
}
