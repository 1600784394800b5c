//! SEAL, UNSEAL and SHUTDOWN: records, in place in the request's own buffer.
//!
//! All are synchronous: the keys are in the kernel, no one waits for the security subsystem. So
//! the buffers of these calls may be the request's, and none can be cancelled once started. Which
//! bytes each call gets, and what the reply says, is `tlsgate_core`'s: `sealing`, `unsealing`.

use crate::{
    dispatch::{Outcome as Done, refuse, write},
    handle::Handle,
    kmdf::request::Request,
    memory::wipe,
    session::Session,
    shared::Shared,
    sspi::{self, RecordBuffers, SealMessage, SharedUse, UnsealMessage},
};
use core::ptr;
use tlsgate_core::{
    records::{Move, Span, Stop, Summary},
    sealing::{Parts, SealPlan, Sealing},
    session::Phase,
    unsealing::{Unsealed, Unsealing},
    usage::{Refused, Use},
};
use tlsgate_protocol::{
    NtStatus, RECORD_OFFSET, Record, SecurityStatus, SessionId,
    payload::{RecordReply, ReplyHead, outcome},
};
use wdk_sys::SecHandle;
use zerocopy::IntoBytes;

/// Level warning, description close_notify (RFC 8446, section 6.1).
const CLOSE_NOTIFY: [u8; 2] = [1, 0];

/// `SECQOP_WRAP_OOB_DATA`: the data is an alert.
const OUT_OF_BAND: u32 = 0x4000_0000;

/// What records carry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Data,
    Alert,
}

/// SEAL. Dispatch, at PASSIVE_LEVEL.
pub fn seal(handle: &Shared<Handle>, request: Request, record: Record) -> Done {
    protect(handle, request, record, Kind::Data)
}

/// SHUTDOWN. Dispatch, at PASSIVE_LEVEL.
///
/// Schannel's documented way, `ApplyControlToken`, is not for kernel mode (its page). The way taken
/// is documented for `EncryptMessage (Schannel)`: an alert as out-of-band data. That it works for
/// close_notify in the kernel is *assumed*; a refusal is told, and harms nothing.
pub fn shutdown(handle: &Shared<Handle>, mut request: Request, session: SessionId) -> Done {
    let record = Record {
        session,
        offset: 0,
        length: CLOSE_NOTIFY.len(),
    };
    let room = request.output();
    let Some(place) = room
        .get_mut(RECORD_OFFSET..)
        .filter(|room| room.len() >= record.length)
    else {
        return refuse(request, NtStatus::STATUS_BUFFER_TOO_SMALL);
    };
    write(place, &CLOSE_NOTIFY);
    protect(handle, request, record, Kind::Alert)
}

/// UNSEAL. Dispatch, at PASSIVE_LEVEL.
pub fn unseal(handle: &Shared<Handle>, mut request: Request, record: Record) -> Done {
    let (right, context) = match established(handle, record.session, Use::Unseal) {
        Ok(found) => found,
        Err(status) => return refuse(request, status),
    };
    let Some(bytes) = payload(&mut request, record.length) else {
        drop(right);
        return refuse(request, NtStatus::STATUS_BUFFER_TOO_SMALL);
    };
    let mut unsealing = Unsealing::new(record.length);
    while let Some(span) = unsealing.next(bytes) {
        let Some(record) = part(bytes, span) else {
            break;
        };
        let result = unseal_one(&right, &context, record);
        apply(bytes, unsealing.unsealed(span, &result));
    }
    let summary = unsealing.summary();
    if summary.outcome == outcome::PEER_CLOSED {
        right.holder().end();
    }
    if summary.outcome == outcome::FAILED {
        right.holder().fail(summary.status);
    }
    drop(right);
    done(request, &summary)
}

/// Makes records of the payload in the request's buffer.
fn protect(handle: &Shared<Handle>, mut request: Request, record: Record, kind: Kind) -> Done {
    let (right, context) = match established(handle, record.session, Use::Seal) {
        Ok(found) => found,
        Err(status) => return refuse(request, status),
    };
    let plan = match plan(right.holder(), &context, record.length) {
        Ok(plan) => plan.beginning_at(record.offset),
        Err(status) => {
            drop(right);
            let nothing = Summary {
                wipe: 0..record.offset.saturating_add(record.length),
                ..Summary::of(Some(Stop::with(status, outcome::FAILED)))
            };
            return done(request, &nothing);
        }
    };
    let Some(plan) = plan else {
        drop(right);
        return refuse(request, NtStatus::STATUS_INVALID_PARAMETER);
    };
    // The whole worst case before the context is touched: a sealed record cannot be sealed again.
    let Some(bytes) = payload(&mut request, plan.room()) else {
        drop(right);
        return refuse(request, NtStatus::STATUS_BUFFER_TOO_SMALL);
    };
    for step in plan.spread() {
        apply(bytes, Some(step));
    }
    let mut sealing = Sealing::new(plan);
    while let Some(parts) = sealing.next() {
        let (status, length) = seal_one(&right, &context, bytes, parts, kind);
        apply(bytes, sealing.sealed(status, length));
    }
    let mut summary = sealing.summary();
    // After close_notify no leg is to come that would wake an expired context. Nothing of the record
    // was sent: what the peer still says can be unsealed.
    let is_late = summary.outcome == outcome::RENEGOTIATE && right.holder().is_ended();
    if is_late {
        summary.outcome = outcome::FAILED;
    }
    if summary.outcome == outcome::DATA && kind == Kind::Alert {
        right.holder().end();
    }
    // An alert that is refused harms nothing.
    if summary.outcome == outcome::FAILED && kind == Kind::Data && !is_late {
        right.holder().fail(summary.status);
    }
    drop(right);
    done(request, &summary)
}

/// The records of so many bytes.
fn plan(session: &Session, context: &SecHandle, length: usize) -> Result<SealPlan, SecurityStatus> {
    let sizes = session.record_sizes(context)?;
    let (header, trailer) = (sizes.header as usize, sizes.trailer as usize);
    SealPlan::new(length, header, trailer, sizes.maximum_message as usize)
        .ok_or(SecurityStatus::SEC_E_INTERNAL_ERROR)
}

/// Makes one record of the parts, and gives its length.
fn seal_one(
    _right: &SharedUse<Session>,
    context: &SecHandle,
    bytes: &mut [u8],
    parts: Parts,
    kind: Kind,
) -> (SecurityStatus, usize) {
    let span = Span {
        start: parts.start,
        length: parts.room(),
    };
    let split = part(bytes, span).and_then(|record| {
        let (header, rest) = record.split_at_mut_checked(parts.header)?;
        let (data, trailer) = rest.split_at_mut_checked(parts.data)?;
        Some((header, data, trailer))
    });
    let Some((header, data, trailer)) = split else {
        // Cannot be: the plan's room was there.
        return (SecurityStatus::SEC_E_INTERNAL_ERROR, 0);
    };
    let quality = if kind == Kind::Alert { OUT_OF_BAND } else { 0 };
    let mut buffers = RecordBuffers::to_seal(header, data, trailer);
    let mut message = buffers.descriptor();
    // SAFETY: the SEAL right is held; the buffers lie in the request, which is not completed before
    // this synchronous call has returned.
    let status =
        sspi::status(unsafe { SealMessage(ptr::from_ref(context), quality, &raw mut message, 0) });
    (status, buffers.sealed())
}

/// Opens one record, which is all that Schannel sees.
fn unseal_one(_right: &SharedUse<Session>, context: &SecHandle, record: &mut [u8]) -> Unsealed {
    let (start, length) = (record.as_ptr(), record.len());
    let mut buffers = RecordBuffers::to_unseal(record);
    let mut message = buffers.descriptor();
    // SAFETY: the UNSEAL right is held; the buffers lie in the request, as above.
    let status = sspi::status(unsafe {
        UnsealMessage(ptr::from_ref(context), &raw mut message, 0, ptr::null_mut())
    });
    buffers.unsealed(status, start, length)
}

/// The session, a shared right to its context, and the context.
fn established(
    handle: &Shared<Handle>,
    id: SessionId,
    kind: Use,
) -> Result<(SharedUse<Session>, SecHandle), NtStatus> {
    let session = handle.session(id)?;
    if session.phase() != Phase::Established {
        return Err(NtStatus::STATUS_INVALID_DEVICE_STATE);
    }
    let right = SharedUse::acquire(&session, kind).map_err(|refused| match refused {
        Refused::Busy => NtStatus::STATUS_DEVICE_BUSY,
        Refused::Closing => NtStatus::STATUS_NOT_FOUND,
    })?;
    let context = right
        .handle()
        .ok_or(NtStatus::STATUS_INVALID_DEVICE_STATE)?;
    Ok((right, context))
}

/// So many bytes of the request's buffer from the payload on, if its output has the room.
fn payload(request: &mut Request, length: usize) -> Option<&mut [u8]> {
    request.output().get_mut(RECORD_OFFSET..)?.get_mut(..length)
}

fn part(bytes: &mut [u8], span: Span) -> Option<&mut [u8]> {
    bytes.get_mut(span.start..span.end())
}

/// `copy_within`, for what core says is to be moved; leaves the bytes alone if that did not fit.
fn apply(bytes: &mut [u8], step: Option<Move>) {
    let Some(Move { from, to, length }) = step else {
        return;
    };
    let fits = |start: usize| {
        start
            .checked_add(length)
            .is_some_and(|end| end <= bytes.len())
    };
    if fits(from) && fits(to) && from != to {
        let start = bytes.as_mut_ptr();
        // SAFETY: `from` is within the slice.
        let source = unsafe { start.add(from) };
        // SAFETY: `to` is within the slice.
        let target = unsafe { start.add(to) };
        // SAFETY: both ranges are within the slice, which is borrowed exclusively.
        unsafe { ptr::copy(source, target, length) };
    }
}

fn done(mut request: Request, summary: &Summary) -> Done {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let room = request.output();
    // Plaintext does not outlive its call but where it is delivered.
    let end = RECORD_OFFSET
        .saturating_add(summary.wipe.end)
        .min(room.len());
    if let Some(rest) = room.get_mut(RECORD_OFFSET.saturating_add(summary.wipe.start)..end) {
        wipe(rest);
    }
    let head = RecordReply {
        head: ReplyHead::new(summary.status),
        outcome: summary.outcome,
        consumed: number(summary.consumed),
        produced: number(summary.produced),
        token: number(summary.token),
        missing: number(summary.missing),
        reserved: 0,
    };
    let length = write(room, head.as_bytes())
        .saturating_add(summary.produced)
        .saturating_add(summary.token);
    request.complete(NtStatus::STATUS_SUCCESS, length);
    Done::Completed
}
