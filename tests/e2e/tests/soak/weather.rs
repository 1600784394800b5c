//! How the stand-ins behave: another of Windows' open questions is answered otherwise in each round, and
//! while it lasts the security subsystem is quick or slow, and calls back in other ways, every few seconds.

use anyhow::Result;
use fastrand::Rng;
use std::{thread, time::Duration};
use tlsgate_e2e::Lab;
use tlsgate_lab_control::{
    kmdf::{self, CallbackIrql, Presentation},
    ksecdd::{self, CallbackThread, Completion, Latency, Question, Switches},
};

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
        variants.retain(|(name, _)| !name.starts_with("without_"));
        let (name, switches) = variants.swap_remove(rng.usize(..variants.len()));
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

    /// Changes what may change at any moment, every few seconds as long as it is wanted; gives how often.
    pub fn change(&self, lab: &Lab, rng: &mut Rng, wanted: &dyn Fn() -> bool) -> Result<u64> {
        let mut remote = lab.machine().remote(ksecdd::MODULE)?;
        let mut changes = 0;
        while wanted() {
            let mut switches = self.switches.clone();
            switches.completion = completion(rng);
            switches.latency = latency(rng);
            switches.workers = rng.usize(1..6);
            switches.callback_irql = rng.u8(..3);
            switches.callback_thread = if rng.bool() {
                CallbackThread::Same
            } else {
                CallbackThread::Other
            };
            let _before: ksecdd::Answer = remote.ask(&Question::Set(switches))?;
            changes += 1;
            for _ in 0..rng.u32(5..30) {
                if wanted() {
                    thread::sleep(Duration::from_millis(100));
                }
            }
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
