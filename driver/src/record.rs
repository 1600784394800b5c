//! SEAL, UNSEAL and SHUTDOWN: one record, in place in the request's own buffer.
//!
//! All are synchronous: the keys are in the kernel, no one waits for the security subsystem. So
//! the buffers of these calls may be the request's, and none can be cancelled once started.

use crate::{
    dispatch::{Outcome as Done, refuse, write},
    handle::Handle,
    kmdf::request::Request,
    memory::Shared,
    session::Session,
    sspi::{self, RecordBuffers, SealMessage, SharedUse, UnsealMessage, schannel::StreamSizes},
};
use core::ptr;
use tlsgate_core::{
    session::Phase,
    status::{self, RecordMeaning},
    usage::{Refused, Use},
};
use tlsgate_protocol::{
    NtStatus, RECORD_OFFSET, Record, SecurityStatus, SessionId,
    payload::{RecordReply, ReplyHead, outcome},
};
use wdk_sys::SecHandle;
use zerocopy::IntoBytes;
use zeroize::Zeroize;

/// What a record call came to.
struct RecordResult {
    status: SecurityStatus,
    outcome: u32,
    consumed: usize,
    produced: usize,
    missing: usize,
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

/// Level warning, description close_notify (RFC 8446, section 6.1).
const CLOSE_NOTIFY: [u8; 2] = [1, 0];

/// `SECQOP_WRAP_OOB_DATA`: the data is an alert.
const OUT_OF_BAND: u32 = 0x4000_0000;

/// What a record carries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Data,
    Alert,
}

/// Makes a record of the payload in the request's buffer.
fn protect(handle: &Shared<Handle>, mut request: Request, record: Record, kind: Kind) -> Done {
    let (right, context) = match established(handle, record.session, Use::Seal) {
        Ok(found) => found,
        Err(status) => return refuse(request, status),
    };
    let sizes = match Session::stream_sizes(&context) {
        Ok(sizes) => sizes,
        Err(status) => {
            drop(right);
            return done(request, &RecordResult::failed(status));
        }
    };
    let room = request.output();
    // The whole worst case before the context is touched: a sealed record cannot be sealed again.
    let Some((header, data, trailer)) = layout(room, &sizes, record.length) else {
        drop(right);
        return refuse(request, NtStatus::STATUS_BUFFER_TOO_SMALL);
    };
    let quality = if kind == Kind::Alert { OUT_OF_BAND } else { 0 };
    let mut buffers = RecordBuffers::to_seal(header, data, trailer);
    let mut message = buffers.descriptor();
    // SAFETY: the SEAL right is held; the buffers lie in the request, which is not completed before
    // this synchronous call has returned.
    let result =
        sspi::status(unsafe { SealMessage(&raw const context, quality, &raw mut message, 0) });
    let reply = if result == SecurityStatus::SEC_E_OK {
        RecordResult {
            status: result,
            outcome: outcome::DATA,
            consumed: record.length,
            produced: buffers.sealed(),
            missing: 0,
        }
    } else {
        if kind == Kind::Data {
            right.holder().fail();
        }
        RecordResult::failed(result)
    };
    drop(right);
    done(request, &reply)
}

/// UNSEAL. Dispatch, at PASSIVE_LEVEL.
pub fn unseal(handle: &Shared<Handle>, mut request: Request, record: Record) -> Done {
    let (right, context) = match established(handle, record.session, Use::Unseal) {
        Ok(found) => found,
        Err(status) => return refuse(request, status),
    };
    let room = request.output();
    let Some(bytes) = room
        .get_mut(RECORD_OFFSET..)
        .and_then(|bytes| bytes.get_mut(..record.length))
    else {
        drop(right);
        return refuse(request, NtStatus::STATUS_BUFFER_TOO_SMALL);
    };
    let start = bytes.as_ptr();
    let mut buffers = RecordBuffers::to_unseal(bytes);
    let mut message = buffers.descriptor();
    // SAFETY: the UNSEAL right is held; the buffers lie in the request, as above.
    let result = sspi::status(unsafe {
        UnsealMessage(&raw const context, &raw mut message, 0, ptr::null_mut())
    });
    let extra = buffers.extra(start, record.length);
    let consumed = record
        .length
        .saturating_sub(extra.map_or(0, |(_, length)| length));
    let (outcome, consumed, place) = match status::of_record(result) {
        RecordMeaning::Data => (
            outcome::DATA,
            consumed,
            buffers.data(start).unwrap_or((0, 0)),
        ),
        RecordMeaning::Incomplete => (outcome::NEED_MORE, 0, (0, 0)),
        // The bytes as they are now go to the handshake function, the unprocessed ones if Schannel
        // says which, else all (documentation of `DecryptMessage (Schannel)`).
        RecordMeaning::Renegotiate => (
            outcome::RENEGOTIATE,
            record.length,
            extra.unwrap_or((0, record.length)),
        ),
        RecordMeaning::Closed => (outcome::PEER_CLOSED, consumed, (0, 0)),
        RecordMeaning::Fatal => {
            right.holder().fail();
            (outcome::FAILED, record.length, (0, 0))
        }
    };
    let produced = move_to_front(bytes, place, outcome);
    drop(right);
    done(
        request,
        &RecordResult {
            status: result,
            outcome,
            consumed,
            produced,
            missing: buffers.missing().unwrap_or(0),
        },
    )
}

impl RecordResult {
    const fn failed(status: SecurityStatus) -> Self {
        Self {
            status,
            outcome: outcome::FAILED,
            consumed: 0,
            produced: 0,
            missing: 0,
        }
    }
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

/// Moves the data behind room for the header, and gives header, data and trailer. `None` when they
/// do not fit, or the data is more than a record holds.
fn layout<'a>(
    room: &'a mut [u8],
    sizes: &StreamSizes,
    length: usize,
) -> Option<(&'a mut [u8], &'a mut [u8], &'a mut [u8])> {
    let header = sizes.header as usize;
    let trailer = sizes.trailer as usize;
    if length > sizes.maximum_message as usize {
        return None;
    }
    let record = room.get_mut(RECORD_OFFSET..)?;
    let end = header.checked_add(length)?;
    let record = record.get_mut(..end.checked_add(trailer)?)?;
    shift(record, 0, header, length);
    let (header, rest) = record.split_at_mut_checked(header)?;
    let (data, trailer) = rest.split_at_mut_checked(length)?;
    Some((header, data, trailer))
}

/// Moves what UNSEAL found to the front, and wipes the rest. Gives its length.
fn move_to_front(bytes: &mut [u8], (place, length): (usize, usize), outcome: u32) -> usize {
    let fits = place
        .checked_add(length)
        .is_some_and(|end| end <= bytes.len());
    let length = if fits { length } else { 0 };
    shift(bytes, place, 0, length);
    // The caller's ciphertext is its own, and NEED_MORE leaves it as it was.
    if outcome != outcome::NEED_MORE
        && let Some(rest) = bytes.get_mut(length..)
    {
        rest.zeroize();
    }
    length
}

/// `copy_within` for ranges that are known to fit; leaves the bytes alone otherwise.
fn shift(bytes: &mut [u8], from: usize, to: usize, length: usize) {
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

fn done(mut request: Request, result: &RecordResult) -> Done {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let room = request.output();
    let produced = result
        .produced
        .min(room.len().saturating_sub(RECORD_OFFSET));
    let head = RecordReply {
        head: ReplyHead::new(result.status),
        outcome: result.outcome,
        consumed: number(result.consumed),
        produced: if result.outcome == outcome::RENEGOTIATE {
            0
        } else {
            number(produced)
        },
        token: if result.outcome == outcome::RENEGOTIATE {
            number(produced)
        } else {
            0
        },
        missing: number(result.missing),
        reserved: 0,
    };
    let written = write(room, head.as_bytes());
    // What was sent to be sealed does not come back.
    if let Some(rest) = room.get_mut(written.saturating_add(produced)..)
        && result.outcome == outcome::FAILED
    {
        rest.zeroize();
    }
    request.complete(NtStatus::STATUS_SUCCESS, written.saturating_add(produced));
    Done::Completed
}
