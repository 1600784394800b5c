//! One IOCTL there and back: a request's bytes out, a reply's structure and what lies behind it in.

use crate::{Driver, Error, Leg, Pending, Record, RecordOutcome, Unclaimed};
use tlsgate_protocol::{
    ABI_VERSION, Ioctl, NtStatus, SecurityStatus, SessionId, limits,
    payload::{LegReply, RecordReply, ReplyHead, outcome},
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A reply structure.
pub trait Payload: FromBytes + KnownLayout + Immutable + Send + 'static {}
impl<T: FromBytes + KnownLayout + Immutable + Send + 'static> Payload for T {}

impl Driver {
    /// Sends a request whose reply is one structure.
    pub(crate) fn fixed<R: Payload>(
        &self,
        ioctl: Ioctl,
        request: &(impl IntoBytes + Immutable),
    ) -> Pending<R> {
        let reply = self.call::<R>(ioctl, &[request.as_bytes()], 0, None);
        Box::pin(async move { Ok(reply.await?.0) })
    }

    /// Sends a leg, which has this input behind its request's other parts. A session that a first leg
    /// has made after it was given up is closed.
    pub(crate) fn leg(
        &self,
        ioctl: Ioctl,
        parts: &[&[u8]],
        input: &[u8],
        is_first: bool,
    ) -> Pending<Leg> {
        let unclaimed = is_first.then(|| {
            let driver = self.clone();
            undo(move |reply: LegReply| {
                if let Some(session) = SessionId::from_wire(reply.session) {
                    driver.abandon(session);
                }
            })
        });
        let parts = [parts, &[input]].concat();
        let reply = self.call::<LegReply>(ioctl, &parts, limits::MAX_TOKEN, unclaimed);
        let given = input.len();
        Box::pin(async move {
            let (reply, mut rest) = reply.await?;
            Ok(Leg {
                status: SecurityStatus(reply.head.status),
                session: SessionId::from_wire(reply.session),
                consumed: consumed(ioctl, reply.consumed, given)?,
                token: front(ioctl, &mut rest, reply.produced)?,
                missing: size(reply.missing),
                state: reply.state,
                alert: (reply.alert_level != 0)
                    .then_some((reply.alert_level, reply.alert_description)),
            })
        })
    }

    /// Sends a request for records, which counts so many bytes as its input.
    pub(crate) fn records(
        &self,
        ioctl: Ioctl,
        parts: &[&[u8]],
        given: usize,
        room: usize,
    ) -> Pending<Record> {
        let reply = self.call::<RecordReply>(ioctl, parts, room, None);
        Box::pin(async move {
            let (reply, mut rest) = reply.await?;
            let outcome = match reply.outcome {
                outcome::DATA => RecordOutcome::Data,
                outcome::NEED_MORE => RecordOutcome::NeedMore,
                outcome::RENEGOTIATE => RecordOutcome::Renegotiate,
                outcome::PEER_CLOSED => RecordOutcome::PeerClosed,
                outcome::FAILED => RecordOutcome::Failed,
                _ => {
                    return Err(Error::Reply {
                        ioctl,
                        problem: "unknown outcome",
                    });
                }
            };
            Ok(Record {
                outcome,
                status: SecurityStatus(reply.head.status),
                consumed: consumed(ioctl, reply.consumed, given)?,
                bytes: front(ioctl, &mut rest, reply.produced)?,
                token: front(ioctl, &mut rest, reply.token)?,
                missing: size(reply.missing),
            })
        })
    }

    /// Sends one request and splits the reply into its structure and the bytes behind it.
    pub(crate) fn call<R: Payload>(
        &self,
        ioctl: Ioctl,
        parts: &[&[u8]],
        room: usize,
        unclaimed: Option<Unclaimed>,
    ) -> Pending<(R, Vec<u8>)> {
        let reply = self.transport().ioctl(
            ioctl.code(),
            parts.concat(),
            size_of::<R>().saturating_add(room),
            unclaimed,
        );
        Box::pin(async move {
            let mut reply = reply
                .await
                .map_err(|status| Error::Refused { ioctl, status })?;
            let (structure, _) = R::read_from_prefix(&reply).map_err(|_| Error::Reply {
                ioctl,
                problem: "too short",
            })?;
            let (head, _) = ReplyHead::read_from_prefix(&reply).map_err(|_| Error::Reply {
                ioctl,
                problem: "too short",
            })?;
            if head.version != ABI_VERSION {
                return Err(Error::Refused {
                    ioctl,
                    status: NtStatus::STATUS_REVISION_MISMATCH,
                });
            }
            reply.drain(..size_of::<R>());
            Ok((structure, reply))
        })
    }
}

/// What to do with a reply that nobody waits for any more.
pub fn undo<R: Payload>(what: impl FnOnce(R) + Send + 'static) -> Unclaimed {
    Box::new(|output| {
        if let Ok((reply, _)) = R::read_from_prefix(output) {
            what(reply);
        }
    })
}

/// A reply whose status is the outcome of the whole request.
pub fn secure(ioctl: Ioctl, head: ReplyHead) -> Result<(), Error> {
    match SecurityStatus(head.status) {
        SecurityStatus::SEC_E_OK => Ok(()),
        status => Err(Error::Security { ioctl, status }),
    }
}

/// A length for the wire. Longer than 4 GiB is longer than anything the driver takes: it says so.
pub fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Takes so many bytes from the front.
fn front(ioctl: Ioctl, rest: &mut Vec<u8>, count: u32) -> Result<Vec<u8>, Error> {
    let count = size(count);
    if rest.len() < count {
        return Err(Error::Reply {
            ioctl,
            problem: "fewer bytes than it says",
        });
    }
    let behind = rest.split_off(count);
    Ok(std::mem::replace(rest, behind))
}

fn consumed(ioctl: Ioctl, consumed: u32, given: usize) -> Result<usize, Error> {
    let consumed = size(consumed);
    if consumed > given {
        return Err(Error::Reply {
            ioctl,
            problem: "consumed more than it was given",
        });
    }
    Ok(consumed)
}

fn size(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
