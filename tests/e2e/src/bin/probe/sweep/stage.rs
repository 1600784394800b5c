//! Where a scenario plays: one handle, one request after the other, and the trouble that is made meanwhile.

use super::{
    caller::{self, Planned},
    security::{Armed, Verdict},
};
use crate::{
    bench::{Bench, name, send, within},
    raw::{self, Request},
};
use anyhow::{Context, Result, anyhow};
use std::{fmt, time::Duration};
use tlsgate::{
    Device,
    device::Operation,
    protocol::{Ioctl, NtStatus, SecurityStatus, payload::ReplyHead},
};
use tlsgate_lab_control::ksecdd::Effect;

/// How often a request is sent again that was refused for want of memory: more often than one in so few
/// allocations fails in a row.
const MOST_TRIES: usize = 500;

/// The answer to a request.
pub type Answer = Result<Vec<u8>, NtStatus>;

/// What a step of a scenario gives.
pub type Step<T> = Result<T, Ended>;

/// Why a scenario does not go on.
#[derive(Debug)]
pub enum Ended {
    /// The driver has told of a failure.
    Told(Told),
    /// The failure that was due has been told.
    Due,
    /// The caller is gone, as it was to.
    Gone,
    /// What must not be.
    Wrong(anyhow::Error),
}

impl From<anyhow::Error> for Ended {
    fn from(error: anyhow::Error) -> Self {
        Self::Wrong(error)
    }
}

/// A failure that the driver has told.
#[derive(Debug)]
pub struct Told {
    /// Which request, counted from 1.
    pub step: usize,
    /// What it asked.
    pub ioctl: Ioctl,
    /// What was said.
    pub what: What,
}

/// What can be said of a failure.
#[derive(Debug)]
pub enum What {
    /// The request was refused.
    Refused(NtStatus),
    /// It was carried out, with this result.
    Failed(SecurityStatus),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told(Told { step, ioctl, what }) => match what {
                What::Refused(status) => {
                    write!(
                        f,
                        "request {step}, {ioctl:?}, was refused: {}",
                        name(*status)
                    )
                }
                What::Failed(status) => {
                    let name = status.name().unwrap_or("no name");
                    write!(
                        f,
                        "request {step}, {ioctl:?}, has failed: {:#x}, {name}",
                        status.0
                    )
                }
            },
            Self::Due => f.write_str("the failure that was due was told"),
            Self::Gone => f.write_str("the caller is gone"),
            Self::Wrong(error) => write!(f, "{error:#}"),
        }
    }
}

/// What is made to go wrong.
pub enum Trouble {
    /// Nothing.
    None,
    /// Allocations fail.
    Memory,
    /// A call of ksecdd's does.
    Security(Armed),
    /// The caller does something.
    Caller(Planned),
}

/// Where a scenario plays.
pub struct Stage<'a> {
    /// The stand-ins, and a handle that is not concerned.
    pub bench: &'a mut Bench,
    /// The scenario's handle, once it is open. Dropping it closes it.
    pub device: Option<Device>,
    /// Requests so far.
    pub steps: usize,
    /// Requests that were refused for want of memory, and sent again.
    pub again: usize,
    trouble: Trouble,
    /// The handle has answered: it is a true one.
    has_answered: bool,
}

impl<'a> Stage<'a> {
    /// A stage for one scenario.
    pub const fn new(bench: &'a mut Bench, trouble: Trouble) -> Self {
        Self {
            bench,
            device: None,
            steps: 0,
            again: 0,
            trouble,
            has_answered: false,
        }
    }

    /// Whether the call that was to go wrong did.
    pub const fn is_hit(&self) -> bool {
        matches!(&self.trouble, Trouble::Security(armed) if armed.is_hit)
    }

    /// The reply to a request.
    pub async fn ask(&mut self, request: &Request) -> Step<Vec<u8>> {
        self.steps += 1;
        if let Trouble::Caller(planned) = &self.trouble
            && planned.step == self.steps
        {
            let deed = planned.deed;
            let reply = caller::play(self, deed, request).await?;
            return reply.map_err(|status| self.told(request.ioctl, What::Refused(status)));
        }
        for _ in 0..MOST_TRIES {
            let answer = self.answer(request).await?;
            if self.is_scarce(&answer) {
                self.again += 1;
                continue;
            }
            match self.judge(request.ioctl, &answer)? {
                Verdict::Deliver => {}
                Verdict::Again => {
                    self.again += 1;
                    continue;
                }
                Verdict::Due => return Err(Ended::Due),
            }
            return answer.map_err(|status| self.told(request.ioctl, What::Refused(status)));
        }
        Err(anyhow!("{:?} is refused for ever", request.ioctl).into())
    }

    /// A failure of this step.
    pub const fn told(&self, ioctl: Ioctl, what: What) -> Ended {
        Ended::Told(Told {
            step: self.steps,
            ioctl,
            what,
        })
    }

    /// A failure of this step, by its reply.
    pub fn failed(&self, ioctl: Ioctl, head: ReplyHead) -> Ended {
        self.told(ioctl, What::Failed(SecurityStatus(head.status)))
    }

    /// Sends a request.
    pub fn issue(&mut self, request: &Request) -> Result<Operation> {
        if self.device.is_none() {
            self.device = Some(Device::open()?);
        }
        let device = self.device.as_ref().context("no handle")?;
        Ok(send(device, request))
    }

    async fn answer(&mut self, request: &Request) -> Result<Answer> {
        // Without memory the handle may not even be had.
        if matches!(self.trouble, Trouble::Memory) && self.device.is_none() {
            match Device::open() {
                Ok(device) => self.device = Some(device),
                Err(_) => return Ok(Err(NtStatus::STATUS_INSUFFICIENT_RESOURCES)),
            }
        }
        let mut operation = self.issue(request)?;
        let never = matches!(&self.trouble, Trouble::Security(armed) if armed.fault.effect == Effect::Never);
        if !never {
            return within(operation).await;
        }
        loop {
            let a_while = Duration::from_millis(5);
            match tokio::time::timeout(a_while, &mut operation).await {
                Ok(answer) => return Ok(answer),
                // What never comes by itself comes now.
                Err(_) => self.bench.lab.release().map(drop)?,
            }
        }
    }

    /// Whether the request is to be sent again: refused for want of memory, nothing has changed.
    fn is_scarce(&mut self, answer: &Answer) -> bool {
        if !matches!(self.trouble, Trouble::Memory) {
            return false;
        }
        match answer {
            Err(NtStatus::STATUS_INSUFFICIENT_RESOURCES) => true,
            // Wine does not tell that IRP_MJ_CREATE failed: the handle has no file behind it.
            Err(NtStatus::STATUS_INVALID_DEVICE_REQUEST) if !self.has_answered => {
                self.device = None;
                true
            }
            _ => {
                self.has_answered = true;
                false
            }
        }
    }

    fn judge(&mut self, ioctl: Ioctl, answer: &Answer) -> Result<Verdict> {
        let Trouble::Security(armed) = &mut self.trouble else {
            return Ok(Verdict::Deliver);
        };
        if armed.is_hit || !self.bench.lab.is_fault_taken()? {
            return Ok(Verdict::Deliver);
        }
        armed.is_hit = true;
        armed.judge(ioctl, answer).with_context(|| {
            let told = match answer {
                Ok(reply) => match raw::structure::<ReplyHead>(reply) {
                    Ok(head) => format!("status {:#x}", head.status),
                    Err(error) => error.to_string(),
                },
                Err(status) => name(*status),
            };
            format!("request {} is {ioctl:?}, its answer {told}", self.steps)
        })
    }
}
