//! A ksecdd that refuses, fails, or calls back in ways that the documents leave open.

use crate::{
    bench::{Bench, within},
    tls,
};
use anyhow::{Result, anyhow, ensure};
use tlsgate::{
    Certificate, CredentialOptions, Error, NewSession, Start,
    protocol::{CredentialId, SecurityStatus, SessionId, payload::state},
};
use tlsgate_lab_control::ksecdd::{Completion, Effect, Function};

/// What the calls that go wrong give.
const WRONG: SecurityStatus = SecurityStatus::SEC_E_INSUFFICIENT_MEMORY;

/// Every call that can be refused or fail.
pub async fn refusals(bench: &mut Bench) -> Result<()> {
    for effect in [
        Effect::Refused(WRONG.0),
        Effect::RefusedWithCallback(WRONG.0),
        Effect::Completed(WRONG.0),
    ] {
        println!("{effect:?}");
        acquire(bench, effect).await?;
        let credential = bench.credential().await?;
        first_leg(bench, credential, effect).await?;
        later_leg(bench, credential, effect).await?;
        if !matches!(effect, Effect::Completed(_)) {
            deletion(bench, credential, effect).await?;
            arm(bench, Function::SspiFreeCredentialsHandleAsync, effect)?;
        }
        let before = bench.statistics().await?;
        within(bench.driver.release(credential)).await??;
        if !matches!(effect, Effect::Completed(_)) {
            counted(bench, effect, &before).await?;
        }
        bench.empty().await?;
        bench.whole_handshake().await?;
    }
    Ok(())
}

async fn acquire(bench: &mut Bench, effect: Effect) -> Result<()> {
    let before = bench.statistics().await?;
    arm(bench, Function::SspiAcquireCredentialsHandleAsyncW, effect)?;
    let options = CredentialOptions::server(Certificate::machine(bench.thumbprint));
    let answer = within(bench.driver.acquire(&options)).await?;
    ensure!(
        matches!(answer, Err(Error::Security { status: WRONG, .. })),
        "ACQUIRE_CREDENTIAL: {answer:?}"
    );
    counted(bench, effect, &before).await
}

async fn first_leg(bench: &mut Bench, credential: CredentialId, effect: Effect) -> Result<()> {
    let before = bench.statistics().await?;
    arm(bench, Function::SspiAcceptSecurityContextAsync, effect)?;
    let hello = tls::hello()?;
    let start = Start::New(NewSession::of(credential));
    let leg = within(bench.driver.accept(start, &hello)).await??;
    ensure!(
        leg.status == WRONG && leg.state == state::FAILED && leg.token.is_empty(),
        "the first leg: {leg:?}"
    );
    counted(bench, effect, &before).await?;
    close(bench, leg.session).await
}

async fn later_leg(bench: &mut Bench, credential: CredentialId, effect: Effect) -> Result<()> {
    let (session, mut peer) = tls::begin(&bench.driver, credential).await?;
    let before = bench.statistics().await?;
    arm(bench, Function::SspiAcceptSecurityContextAsync, effect)?;
    let flight = peer.take()?;
    let asked = bench.lab.report()?.pool_allocations;
    let leg = within(bench.driver.accept(Start::Continue(session), &flight)).await??;
    ensure!(
        leg.status == WRONG && leg.state == state::FAILED,
        "a later leg: {leg:?}"
    );
    counted(bench, effect, &before).await?;
    // To keep an async context takes no memory, which there might not be.
    let asked = bench.lab.report()?.pool_allocations - asked;
    ensure!(asked == 0, "a later leg asked the pool {asked} times");
    close(bench, Some(session)).await
}

/// Closing does not fail: there is a synchronous way.
async fn deletion(bench: &mut Bench, credential: CredentialId, effect: Effect) -> Result<()> {
    let (session, _peer) = tls::establish(&bench.driver, credential).await?;
    let before = bench.statistics().await?;
    arm(bench, Function::SspiDeleteSecurityContextAsync, effect)?;
    close(bench, Some(session)).await?;
    counted(bench, effect, &before).await
}

async fn close(bench: &mut Bench, session: Option<SessionId>) -> Result<()> {
    let session = session.ok_or_else(|| anyhow!("a session without a name"))?;
    within(bench.driver.close(session)).await??;
    bench
        .settle_ksecdd("a failed session's context", |state| state.contexts == 0)
        .await
}

/// A refusal is counted, and the async context kept until nothing can call back any more.
async fn counted(
    bench: &Bench,
    effect: Effect,
    before: &tlsgate::protocol::payload::StatisticsReply,
) -> Result<()> {
    let refused = u64::from(!matches!(effect, Effect::Completed(_)));
    bench
        .settle("the counters after a refusal", |now| {
            now.calls_refused == before.calls_refused + refused
                && now.quarantined_live == before.quarantined_live + refused
        })
        .await
}

fn arm(bench: &mut Bench, function: Function, effect: Effect) -> Result<()> {
    bench.lab.fault(function, &[effect])
}

/// Whatever the documents leave open about callbacks and resets.
pub async fn callbacks(bench: &mut Bench) -> Result<()> {
    for completion in [Completion::Inline, Completion::Early, Completion::Late] {
        bench.lab.complete(completion)?;
        for irql in 0..=2 {
            bench.lab.ksecdd(|switches| switches.callback_irql = irql)?;
            bench.whole_handshake().await?;
            let highest = bench.statistics().await?.highest_callback_irql;
            ensure!(
                highest >= u64::from(irql),
                "callbacks came at IRQL {irql}: {highest}"
            );
        }
        let before = bench.statistics().await?;
        bench
            .lab
            .ksecdd(|switches| switches.reinit_refused = true)?;
        bench.whole_handshake().await?;
        let refused = bench.statistics().await?.reinit_refused - before.reinit_refused;
        // The later leg, the deletion, and the credential's freeing.
        ensure!(refused >= 3, "{refused} resets were refused");
        bench.lab.ksecdd(|switches| {
            switches.reinit_refused = false;
            switches.reinit_refused_in_callback = true;
        })?;
        bench.whole_handshake().await?;
        bench
            .lab
            .ksecdd(|switches| switches.reinit_refused_in_callback = false)?;
        bench.empty().await?;
    }
    bench.lab.ksecdd(|switches| switches.callback_irql = 0)?;
    bench.lab.complete(Completion::Late)?;
    let before = bench.statistics().await?;
    ensure!(before.stray_callbacks == 0, "{before:#?}");
    Ok(())
}
