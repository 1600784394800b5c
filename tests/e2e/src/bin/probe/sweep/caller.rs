//! A caller that gives up: it cancels, closes its handle, lets the time run out, or is held for its killer.

use super::stage::{Answer, Ended, Stage, Step};
use crate::{
    bench::{INTERVAL, answer_so_far, name, within},
    raw::Request,
};
use anyhow::{Result, anyhow, ensure};
use clap::ValueEnum;
use std::io;
use tlsgate::{device::Operation, protocol::NtStatus};
use tlsgate_lab_control::ksecdd::Completion;

/// Longer than any request may take (`HandshakeTimeoutMostMs`), in milliseconds.
const FOREVER: u64 = 300_001;

/// What the caller does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Deed {
    /// Closes its handle instead of sending the request.
    CloseBefore,
    /// Cancels the request as soon as it is sent.
    CancelAtOnce,
    /// Cancels it while it is inside ksecdd.
    Cancel,
    /// Closes its handle meanwhile.
    Close,
    /// Waits until its time has run out.
    Deadline,
    /// Says `held` instead of sending the request, and waits for a line, or to be killed; then it closes its
    /// handle.
    WaitBefore,
    /// The same while the request is inside ksecdd.
    Wait,
}

impl Deed {
    /// Those that need nobody's help.
    pub const ALONE: [Self; 5] = [
        Self::CloseBefore,
        Self::CancelAtOnce,
        Self::Cancel,
        Self::Close,
        Self::Deadline,
    ];
}

/// When a caller does what.
#[derive(Clone, Copy, Debug)]
pub struct Planned {
    /// The request, counted from 1.
    pub step: usize,
    /// What is done.
    pub deed: Deed,
}

/// Plays it on this request. Its answer, if there is one to go on with.
pub async fn play(stage: &mut Stage<'_>, deed: Deed, request: &Request) -> Step<Answer> {
    match deed {
        Deed::CloseBefore => {
            stage.device = None;
            return Err(Ended::Gone);
        }
        Deed::WaitBefore => {
            hold(stage)?;
            return Err(Ended::Gone);
        }
        Deed::CancelAtOnce => {
            let operation = stage.issue(request)?;
            operation.canceller().cancel();
            return or_cancelled(within(operation).await?, NtStatus::STATUS_CANCELLED);
        }
        Deed::Cancel | Deed::Close | Deed::Deadline | Deed::Wait => {}
    }
    stage.bench.lab.complete(Completion::Held)?;
    let mut operation = stage.issue(request)?;
    if let Some(answer) = inside(stage, &mut operation).await? {
        stage.bench.lab.complete(Completion::Late)?;
        return match deed {
            Deed::Close => {
                stage.device = None;
                Err(Ended::Gone)
            }
            Deed::Wait => {
                hold(stage)?;
                Err(Ended::Gone)
            }
            // It never went into ksecdd, and nothing kept it.
            _ => Ok(answer),
        };
    }
    match deed {
        Deed::Cancel => {
            operation.canceller().cancel();
            given_up(operation, NtStatus::STATUS_CANCELLED).await
        }
        Deed::Deadline => {
            stage.bench.lab.advance(FOREVER)?;
            given_up(operation, NtStatus::STATUS_IO_TIMEOUT).await
        }
        Deed::Wait => {
            hold(stage)?;
            operation.detach();
            Err(Ended::Gone)
        }
        _ => {
            // An operation keeps its handle open; one that nobody waits for does not.
            operation.detach();
            stage.device = None;
            Err(Ended::Gone)
        }
    }
}

/// Waits until the request is inside ksecdd, or has been answered.
async fn inside(stage: &mut Stage<'_>, operation: &mut Operation) -> Result<Option<Answer>> {
    within(async {
        loop {
            if let Some(answer) = answer_so_far(operation).await {
                return Ok(Some(answer));
            }
            if stage.bench.lab.state()?.held > 0 {
                return Ok(None);
            }
            tokio::time::sleep(INTERVAL).await;
        }
    })
    .await?
}

async fn given_up(operation: Operation, due: NtStatus) -> Step<Answer> {
    let answer = within(operation).await?;
    let status = answer.as_ref().err().copied();
    if status == Some(due) {
        return Err(Ended::Gone);
    }
    let was = status.map_or_else(|| "a reply".to_owned(), name);
    Err(anyhow!("{} was due, the answer is {was}", name(due)).into())
}

/// A request that may have been faster.
fn or_cancelled(answer: Answer, due: NtStatus) -> Step<Answer> {
    if answer.as_ref().err() == Some(&due) {
        return Err(Ended::Gone);
    }
    Ok(answer)
}

/// Until a line comes, or the killer.
fn hold(stage: &mut Stage<'_>) -> Result<()> {
    println!("held");
    let mut line = String::new();
    let length = io::stdin().read_line(&mut line)?;
    ensure!(length < 100, "that is no line");
    stage.device = None;
    Ok(())
}
