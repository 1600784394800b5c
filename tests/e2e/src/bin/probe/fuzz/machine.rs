//! How the stand-ins behave in a round: drawn among what Windows leaves open, and with calls that go wrong.

use crate::bench::{Bench, INTERVAL};
use anyhow::{Result, ensure};
use fastrand::Rng;
use std::time::{Duration, Instant};
use tlsgate::protocol::SecurityStatus;
use tlsgate_lab_control::{
    kmdf::{self, CallbackIrql, Caller, Presentation},
    ksecdd::{Completion, Effect, Fault, Function, Switches, TokenUse},
};

/// How long calls may take to end that nothing holds back.
const PATIENCE: Duration = Duration::from_secs(20);

/// After two of these, what may yet be called back is let go.
pub const QUARANTINE_MS: u64 = 61_000;

/// What may come to requests for reasons that are not theirs.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one fact, independent of the others"
)]
pub struct Weather {
    /// Allocations fail.
    pub scarce: bool,
    /// ksecdd has no memory for an async context.
    pub poor: bool,
    /// Calls get lost, or never come back.
    pub lossy: bool,
    /// Callers impersonate too weakly.
    pub weak: bool,
    /// Calls are kept back.
    pub held: bool,
}

/// Sets the stand-ins for a round.
pub fn draw(bench: &mut Bench, random: &mut Rng) -> Result<Weather> {
    let variants = Switches::variants();
    let (_, mut switches) = variants[random.usize(..variants.len())].clone();
    // Whose token a credential was acquired with is not to change while it is used.
    switches.token = TokenUse::default();
    let seed = random.u64(..);
    switches.completion = match random.u8(..8) {
        0 => Completion::Inline,
        1 => Completion::Early,
        2 => Completion::Late,
        3 => Completion::Held,
        _ => Completion::Mixed(seed),
    };
    let is_lossy = random.u8(..4) == 0;
    if random.bool() {
        let count = random.usize(1..6);
        switches.faults = (0..count).map(|_| fault(random, is_lossy)).collect();
        switches.faults.retain(Fault::fits);
    }
    let weather = Weather {
        scarce: random.u8(..4) == 0,
        poor: switches
            .faults
            .iter()
            .any(|fault| fault.function == Function::SspiCreateAsyncContext),
        lossy: switches.faults.iter().any(|fault| is_loss(fault.effect)),
        weak: random.u8(..12) == 0,
        held: switches.completion == Completion::Held,
    };
    bench.lab.ksecdd(|now| *now = switches)?;
    let (irql, presentation) = (random.usize(..3), random.bool());
    let cancel_before_cleanup = random.bool();
    let level = random.u8(..4);
    bench.lab.kmdf(|now| {
        now.callback_irql = [
            CallbackIrql::Passive,
            CallbackIrql::Dispatch,
            CallbackIrql::Alternating,
        ][irql];
        now.presentation = if presentation {
            Presentation::Inline
        } else {
            Presentation::OtherThread
        };
        now.cancel_before_cleanup = cancel_before_cleanup;
        now.caller = if weather.weak {
            Caller::Impersonating(level)
        } else {
            Caller::Primary
        };
    })?;
    Ok(weather)
}

/// A call that goes wrong. Those that let go of something in ksecdd do their work all the same: if they did
/// not, something would be left that the driver could not have helped.
fn fault(random: &mut Rng, is_lossy: bool) -> Fault {
    const FUNCTIONS: [Function; 11] = [
        Function::SspiCreateAsyncContext,
        Function::SspiReinitAsyncContext,
        Function::SspiAcquireCredentialsHandleAsyncW,
        Function::SspiAcceptSecurityContextAsync,
        Function::SspiAcceptSecurityContextAsync,
        Function::SspiInitializeSecurityContextAsyncW,
        Function::SspiDeleteSecurityContextAsync,
        Function::SspiFreeCredentialsHandleAsync,
        Function::QueryContextAttributesW,
        Function::SealMessage,
        Function::UnsealMessage,
    ];
    let function = FUNCTIONS[random.usize(..FUNCTIONS.len())];
    let lets_go = matches!(
        function,
        Function::SspiDeleteSecurityContextAsync | Function::SspiFreeCredentialsHandleAsync
    );
    let errors: Vec<i32> = SecurityStatus::NAMED
        .iter()
        .map(|(_, status)| status.0)
        .filter(|status| *status < 0)
        .collect();
    let status = errors[random.usize(..errors.len())];
    let ms = random.u64(..20);
    let effect = match random.u8(..if is_lossy { 7 } else { 5 }) {
        0 => Effect::Refused(status),
        1 => Effect::RefusedWithCallback(status),
        2 if !lets_go => Effect::Completed(status),
        3 if !lets_go => Effect::CompletedLateAfter {
            status: Some(status),
            ms,
        },
        5 if !lets_go => Effect::CallbackLost(status),
        6 => Effect::Never,
        _ => Effect::CompletedLateAfter { status: None, ms },
    };
    Fault {
        function,
        nth: random.u64(1..8),
        effect,
    }
}

fn is_loss(effect: Effect) -> bool {
    matches!(effect, Effect::CallbackLost(_) | Effect::Never)
}

/// Lets held calls go until none is left inside, and brings lost callbacks after all: until then the driver
/// has to keep what they are about.
pub async fn let_go(bench: &mut Bench) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        bench.lab.release()?;
        let state = bench.lab.state()?;
        if state.in_flight == 0 && state.callbacks_owed == 0 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "calls do not end: {state:#?}");
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Back to what is usual, so that a round can end.
pub fn usual(bench: &mut Bench) -> Result<()> {
    bench.lab.ksecdd(|switches| {
        *switches = Switches {
            lost_callbacks_delivered: true,
            ..Switches::default()
        };
    })?;
    bench.lab.kmdf(|switches| {
        let account = switches.account.clone();
        *switches = kmdf::Switches {
            workers: switches.workers,
            account,
            ..kmdf::Switches::default()
        };
    })
}
