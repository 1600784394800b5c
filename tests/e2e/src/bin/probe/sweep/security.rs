//! Calls of ksecdd's that go wrong: which there are, and what the driver must answer to the request that one of
//! them hits.

use super::stage::Answer;
use crate::raw;
use anyhow::{Result, bail, ensure};
use std::collections::BTreeMap;
use tlsgate::protocol::{
    Ioctl, NtStatus, SecurityStatus,
    payload::{AcquireReply, LegReply, RecordReply, ReplyHead, outcome, state},
};
use tlsgate_core::{
    session::Phase,
    status::{RecordMeaning, row_of},
};
use tlsgate_lab_control::ksecdd::{Effect, Fault, Function};

/// Codes without a name, of success and of error.
const UNKNOWN: [i32; 3] = [1, i32::MIN, 0x8009_0399_u32.cast_signed()];

/// Calls of one function in a scenario that all are hit; of more than so many the last one besides.
const MOST: u64 = 8;

/// How long an answer that is late takes, in milliseconds: longer than anything else.
const LATE_MS: u64 = 20;

/// A call that is to go wrong.
pub struct Armed {
    /// Which, and how.
    pub fault: Fault,
    /// It has.
    pub is_hit: bool,
}

/// What a stage does with the answer to the request that was hit.
pub enum Verdict {
    /// Takes it: nothing is to be noticed.
    Deliver,
    /// Sends the request again: nothing has changed.
    Again,
    /// Ends: the failure was told as it must be.
    Due,
}

/// What the request that was hit must be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Must {
    /// As if nothing had happened.
    NotNotice,
    /// It is carried out, and tells this status.
    Tell(i32),
    /// That, or nothing is to be noticed: an answer that the driver can do without.
    TellOrNotNotice(i32),
    /// No memory: refused, or told by a leg; closing does without.
    LackMemory,
    /// It is given up, as ksecdd has lost it; closing may have been over.
    GiveUp,
}

impl Armed {
    /// Not yet.
    pub const fn new(fault: Fault) -> Self {
        Self {
            fault,
            is_hit: false,
        }
    }

    /// Whether the answer to the request that was hit is the one it must be.
    pub fn judge(&self, ioctl: Ioctl, answer: &Answer) -> Result<Verdict> {
        let must = self.must();
        let told = match answer {
            Ok(reply) => Ok(raw::structure::<ReplyHead>(reply)?.status),
            Err(status) => Err(*status),
        };
        let status = match (must, told) {
            // What it says is looked at by who asked.
            (Must::NotNotice | Must::LackMemory | Must::GiveUp, Ok(status))
                if !is_scarce(status) || must == Must::NotNotice =>
            {
                return Ok(Verdict::Deliver);
            }
            // A query does without: what it says is less than it would be.
            (Must::TellOrNotNotice(code), Ok(status))
                if status != code && ioctl == Ioctl::QuerySession =>
            {
                return Ok(Verdict::Due);
            }
            (Must::TellOrNotNotice(code), Ok(status)) if status != code => {
                return Ok(Verdict::Deliver);
            }
            (Must::Tell(code) | Must::TellOrNotNotice(code), Ok(status)) if status == code => code,
            (Must::LackMemory, Err(NtStatus::STATUS_INSUFFICIENT_RESOURCES)) => {
                return Ok(Verdict::Again);
            }
            (Must::LackMemory, Ok(_)) | (Must::GiveUp, Err(NtStatus::STATUS_INTERNAL_ERROR)) => {
                return Ok(Verdict::Due);
            }
            _ => bail!("{must:?} was due"),
        };
        if let Ok(reply) = answer {
            self.becomes(ioctl, SecurityStatus(status), reply)?;
        }
        Ok(Verdict::Due)
    }

    const fn must(&self) -> Must {
        use Function as F;
        match (self.fault.function, self.fault.effect) {
            (_, Effect::Never | Effect::CompletedLateAfter { status: None, .. })
            | (F::SspiReinitAsyncContext | F::FreeContextBuffer, _)
            // Closing does not fail: there is a synchronous way.
            | (
                F::SspiDeleteSecurityContextAsync | F::SspiFreeCredentialsHandleAsync,
                Effect::Refused(_) | Effect::RefusedWithCallback(_),
            ) => Must::NotNotice,
            (_, Effect::CallbackLost(_)) => Must::GiveUp,
            (F::SspiCreateAsyncContext | F::SspiSetAsyncNotifyCallback, _) => Must::LackMemory,
            // A leg grows its output and calls again.
            (
                F::SspiAcceptSecurityContextAsync | F::SspiInitializeSecurityContextAsyncW,
                Effect::Completed(status)
                | Effect::CompletedLateAfter {
                    status: Some(status),
                    ..
                },
            ) if status == SecurityStatus::SEC_E_BUFFER_TOO_SMALL.0 => Must::NotNotice,
            (F::SspiGetAsyncCallStatus | F::QueryContextAttributesW, Effect::Refused(status)) => {
                Must::TellOrNotNotice(status)
            }
            // Never set, see `effects`.
            (_, Effect::Unannounced) => Must::NotNotice,
            (
                _,
                Effect::Refused(status)
                | Effect::RefusedWithCallback(status)
                | Effect::Completed(status)
                | Effect::CompletedLateAfter {
                    status: Some(status),
                    ..
                },
            ) => Must::Tell(status),
        }
    }

    /// What becomes of credential, session or records is the table's (`tlsgate_core::status`).
    fn becomes(&self, ioctl: Ioctl, status: SecurityStatus, reply: &[u8]) -> Result<()> {
        let row = row_of(status);
        match ioctl {
            Ioctl::AcquireCredential => {
                let reply: AcquireReply = raw::structure(reply)?;
                ensure!(reply.credential == 0, "a credential: {reply:?}");
            }
            Ioctl::Accept | Ioctl::Connect => {
                let reply: LegReply = raw::structure(reply)?;
                let is_refused = matches!(
                    self.fault.effect,
                    Effect::Refused(_) | Effect::RefusedWithCallback(_)
                ) && self.fault.function.is_asynchronous();
                let must_fail = is_refused || row.leg_becomes == Some(Phase::Failed);
                ensure!(
                    (reply.state == state::FAILED) == must_fail,
                    "is the session to fail: {must_fail}; {reply:?}"
                );
            }
            Ioctl::Seal | Ioctl::Unseal => {
                let reply: RecordReply = raw::structure(reply)?;
                let is_data = row.record == RecordMeaning::Data;
                ensure!(
                    (reply.outcome == outcome::DATA) == is_data,
                    "is it data: {is_data}; {reply:?}"
                );
            }
            _ => {}
        }
        Ok(())
    }
}

const fn is_scarce(status: i32) -> bool {
    status == SecurityStatus::SEC_E_INSUFFICIENT_MEMORY.0
}

/// Every call that can go wrong in a scenario that makes so many of each function, in every way that fits; with
/// each status where `all` are wanted, with one in turn otherwise.
pub fn faults(calls: &BTreeMap<Function, u64>, all: bool, turn: usize) -> Vec<Fault> {
    let statuses = statuses();
    let mut faults = Vec::new();
    let mut turn = turn;
    for (&function, &count) in calls {
        let last = (count > MOST).then_some(count);
        for nth in (1..=count.min(MOST)).chain(last) {
            turn += 1;
            let one = statuses[turn % statuses.len()];
            let several = if all && nth <= MOST {
                statuses.as_slice()
            } else {
                std::slice::from_ref(&one)
            };
            let effects = effects(function, several, one);
            faults.extend(effects.into_iter().map(|effect| Fault {
                function,
                nth,
                effect,
            }));
        }
    }
    faults.retain(Fault::fits);
    faults
}

/// How a call of this function can go wrong and be repaired. [`Effect::Unannounced`] is not among them: without
/// the export that tells of it, a driver can but wait for the callback. What ends something and fails leaves it where it
/// is, whatever a driver does; so such calls are refused but do not fail.
fn effects(function: Function, statuses: &[i32], one: i32) -> Vec<Effect> {
    use Function as F;
    let refused = || statuses.iter().copied().map(Effect::Refused);
    match function {
        F::SspiFreeAsyncContext
        | F::SspiAsyncContextRequiresNotify
        | F::FreeContextBuffer
        | F::DeleteSecurityContext
        | F::FreeCredentialsHandle => Vec::new(),
        F::SspiDeleteSecurityContextAsync | F::SspiFreeCredentialsHandleAsync => refused()
            .chain([
                Effect::RefusedWithCallback(one),
                Effect::CompletedLateAfter {
                    status: None,
                    ms: LATE_MS,
                },
                Effect::Never,
            ])
            .collect(),
        // Its status is an NTSTATUS: only an error is a refusal.
        F::SspiReinitAsyncContext => refused()
            .filter(|effect| matches!(effect, Effect::Refused(status) if *status < 0))
            .collect(),
        // Work was done: only what is fatal can be told of it.
        F::SspiGetAsyncCallStatus => refused()
            .filter(|effect| matches!(effect, Effect::Refused(status) if is_fatal(*status)))
            .collect(),
        _ if function.is_asynchronous() => refused()
            .chain(statuses.iter().copied().map(Effect::Completed))
            .chain([
                Effect::RefusedWithCallback(one),
                Effect::CallbackLost(final_status(one)),
                Effect::CompletedLateAfter {
                    status: None,
                    ms: LATE_MS,
                },
                Effect::CompletedLateAfter {
                    status: Some(one),
                    ms: LATE_MS,
                },
                Effect::Never,
            ])
            .collect(),
        _ => refused().collect(),
    }
}

/// A call whose status says that it goes on has lost nothing yet.
const fn final_status(status: i32) -> i32 {
    if status == SecurityStatus::SEC_I_ASYNC_CALL_PENDING.0 {
        SecurityStatus::SEC_E_INTERNAL_ERROR.0
    } else {
        status
    }
}

fn is_fatal(status: i32) -> bool {
    let row = row_of(SecurityStatus(status));
    row.leg_becomes == Some(Phase::Failed)
}

/// Every status but success.
fn statuses() -> Vec<i32> {
    let named = SecurityStatus::NAMED.iter().map(|(_, status)| status.0);
    named
        .chain(UNKNOWN)
        .filter(|&status| status != SecurityStatus::SEC_E_OK.0)
        .collect()
}

/// A fault in words that can be searched for.
pub fn words(fault: &Fault) -> String {
    let code = |status: i32| {
        let status = SecurityStatus(status);
        status
            .name()
            .map_or_else(|| format!("{:#x}", status.0), str::to_owned)
    };
    let effect = match fault.effect {
        Effect::Refused(status) => format!("refused {}", code(status)),
        Effect::RefusedWithCallback(status) => format!("refused-with-callback {}", code(status)),
        Effect::Completed(status) => format!("completed {}", code(status)),
        Effect::CallbackLost(status) => format!("callback-lost {}", code(status)),
        Effect::CompletedLateAfter { status, ms } => {
            let status = status.map_or_else(|| "as-ever".to_owned(), code);
            format!("after-{ms}-ms {status}")
        }
        Effect::Unannounced => "unannounced".to_owned(),
        Effect::Never => "never".to_owned(),
    };
    format!("{:?} {} {effect}", fault.function, fault.nth)
}
