//! What the driver counts of ksecdd, beside what ksecdd counts itself.

use crate::{
    bench::{Bench, within},
    raw, tls,
};
use anyhow::{Result, ensure};
use tlsgate::protocol::{
    Ioctl, SecurityStatus,
    payload::{StatisticsReply, VersionReply},
};
use tlsgate_lab_control::ksecdd::{Completion, Effect, Function, State};

/// Handshakes for each way of completion.
const HANDSHAKES: u64 = 3;

/// Functions of the handshake, and the others whose result comes by a callback.
const LEGS: [Function; 2] = [
    Function::SspiAcceptSecurityContextAsync,
    Function::SspiInitializeSecurityContextAsyncW,
];
const OTHERS: [Function; 3] = [
    Function::SspiAcquireCredentialsHandleAsyncW,
    Function::SspiDeleteSecurityContextAsync,
    Function::SspiFreeCredentialsHandleAsync,
];

/// With every way of completion, and at every IRQL.
pub async fn all(bench: &mut Bench) -> Result<()> {
    let reply = bench.reply(&raw::query(Ioctl::QueryVersion)).await?;
    let version: VersionReply = raw::structure(&reply)?;
    let now = bench.statistics().await?;
    ensure!(
        now.optional_exports == u64::from(version.optional_exports)
            && now.highest_callback_irql == 0,
        "{now:#?}"
    );
    bench.lab.ksecdd(|switches| switches.callback_irql = 0)?;
    for completion in [Completion::Inline, Completion::Early, Completion::Late] {
        bench.lab.complete(completion)?;
        some(bench, completion).await?;
    }
    for irql in 0..=2 {
        bench.lab.ksecdd(|switches| switches.callback_irql = irql)?;
        bench.whole_handshake().await?;
        let highest = bench.quiet(0).await?.highest_callback_irql;
        ensure!(highest == u64::from(irql), "{irql} was due: {highest}");
    }
    // It is the highest ever.
    bench.lab.ksecdd(|switches| switches.callback_irql = 0)?;
    bench.whole_handshake().await?;
    let highest = bench.quiet(0).await?.highest_callback_irql;
    ensure!(highest == 2, "{highest}");
    Ok(())
}

/// Some of everything: handshakes, a client's leg, one that fails, and one that is refused.
async fn some(bench: &mut Bench, completion: Completion) -> Result<()> {
    let (before, state) = (bench.quiet(0).await?, bench.lab.state()?);
    for _ in 0..HANDSHAKES {
        bench.whole_handshake().await?;
    }
    let (server, client) = (bench.credential().await?, bench.client_credential().await?);
    let mut sessions = Vec::new();
    let hello = raw::connect_new(client);
    sessions.push(tls::session(&bench.reply(&hello).await?)?);
    let wrong = SecurityStatus::SEC_E_INTERNAL_ERROR.0;
    for effect in [Effect::Completed(wrong), Effect::Refused(wrong)] {
        let accept = Function::SspiAcceptSecurityContextAsync;
        bench.lab.fault(accept, &[effect])?;
        let leg = raw::accept_new(server, &tls::hello()?);
        sessions.push(tls::session(&bench.reply(&leg).await?)?);
    }
    for session in sessions {
        within(bench.driver.close(session)).await??;
    }
    for credential in [server, client] {
        within(bench.driver.release(credential)).await??;
    }
    let (now, later) = (bench.quiet(0).await?, bench.lab.state()?);

    let made = |functions: &[Function]| calls(&later, functions) - calls(&state, functions);
    let (legs, others) = (made(&LEGS), made(&OTHERS));
    let latency = |it: &StatisticsReply| it.leg_latency.iter().sum::<u64>();
    let completed = |it: &StatisticsReply| {
        [
            it.completed_inline,
            it.completed_early,
            it.completed_late,
            it.calls_refused,
        ]
    };
    let index = match completion {
        Completion::Inline => 0,
        Completion::Early => 1,
        _ => 2,
    };
    let mut due = [0, 0, 0, 1];
    due[index] = legs + others - 1;
    let mut counted = completed(&now);
    for (now, before) in counted.iter_mut().zip(completed(&before)) {
        *now -= before;
    }
    if completion == Completion::Late {
        // A thread that loses its processor after the call has returned, and before it says so, has the callback come
        // first.
        let early = std::mem::take(&mut counted[1]);
        ensure!(early < counted[2], "{early} of {counted:?} were early");
        counted[2] += early;
    }
    println!("{completion:?}: {legs} legs and {others} other calls");
    ensure!(counted == due, "{completion:?}: {counted:?}, not {due:?}");
    ensure!(
        now.calls - before.calls == legs + others
            && latency(&now) - latency(&before) == legs - 1
            && now.handshakes - before.handshakes == HANDSHAKES
            && now.sessions_made - before.sessions_made == HANDSHAKES + 3
            && now.sessions_failed - before.sessions_failed == 2,
        "{completion:?}: {before:#?} and then {now:#?}"
    );
    Ok(())
}

fn calls(state: &State, functions: &[Function]) -> u64 {
    let counts = functions.iter().map(|it| state.calls.get(it));
    counts.map(|count| count.copied().unwrap_or(0)).sum()
}
