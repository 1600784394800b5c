//! What an answer must be like: the statuses that the README lists for misuse, each only with a reason, and
//! replies whose every field makes sense.

use super::{machine::Weather, meaning::Meaning};
use crate::{bench::name, raw};
use anyhow::{Context, Result, bail, ensure};
use std::ops::Range;
use tlsgate::protocol::{
    ABI_VERSION, NtStatus, RECORD_OFFSET, limits,
    payload::{
        AcquireReply, CloseReply, LegReply, RecordReply, ReleaseReply, ReplyHead, SessionReply,
        StatisticsReply, VersionReply, outcome, state,
    },
};

/// What a system buffer of the stand-in is full of before anybody has written to it.
const FRESH: [u8; 12] = [0xA5; 12];
/// What freed memory of the stand-in is full of.
const FREED: [u8; 12] = [0xDD; 12];

/// Bytes in front of a record's data: in TLS 1.3, and with the nonce that TLS 1.2 has there.
const HEADERS: Range<usize> = 5..13;

/// What was known of a request's ids, when it was sent and when it was answered.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The session, and the credential, that it names belonged to the handle all the time.
    pub belongs: bool,
    /// They cannot have been the handle's at any time meanwhile.
    pub is_foreign: bool,
    /// Its caller has cancelled it, or closed its handle.
    pub given_up: bool,
}

/// Whether the status may be the answer.
pub fn refusal(meaning: &Meaning, status: NtStatus, known: Known, weather: Weather) -> Result<()> {
    let names_something = meaning.session().is_some() || meaning.credential().is_some();
    let acquires = matches!(meaning, Meaning::Acquire { .. });
    let uses_session = meaning.session().is_some();
    let captures = matches!(
        meaning,
        Meaning::Acquire { .. } | Meaning::Malformed { captures: true, .. }
    );
    let is_good = !matches!(meaning, Meaning::Malformed { .. });
    let may = match status {
        NtStatus::STATUS_CANCELLED => known.given_up,
        NtStatus::STATUS_INSUFFICIENT_RESOURCES => {
            (weather.scarce && (is_good || captures)) || (weather.poor && meaning.pends())
        }
        NtStatus::STATUS_BAD_IMPERSONATION_LEVEL => weather.weak && captures,
        NtStatus::STATUS_INTERNAL_ERROR => weather.lossy && meaning.pends(),
        // A handshake may take as long as its first leg has said; any may say a millisecond.
        NtStatus::STATUS_IO_TIMEOUT => meaning.pends(),
        NtStatus::STATUS_QUOTA_EXCEEDED => meaning.pends() || captures,
        NtStatus::STATUS_NOT_FOUND => names_something && !known.belongs,
        NtStatus::STATUS_DEVICE_BUSY => uses_session && !matches!(meaning, Meaning::Close(_)),
        NtStatus::STATUS_INVALID_DEVICE_STATE => uses_session || acquires,
        NtStatus::STATUS_INVALID_PARAMETER => {
            let is_behind = |offset| offset > HEADERS.start;
            matches!(meaning, Meaning::Begin { .. } | Meaning::Leg { .. })
                || matches!(meaning, Meaning::Seal { offset, .. } if is_behind(*offset))
                || acquires
        }
        NtStatus::STATUS_BUFFER_TOO_SMALL => matches!(
            meaning,
            Meaning::Seal { .. } | Meaning::Unseal(..) | Meaning::Shutdown(_)
        ),
        _ => false,
    };
    let due = match meaning {
        Meaning::Malformed { due, .. } => *due == status || may,
        _ => may,
    };
    ensure!(
        due,
        "{} for {meaning:?}, {known:?}, {weather:?}",
        name(status)
    );
    Ok(())
}

/// Whether the bytes may be the reply.
pub fn reply(meaning: &Meaning, bytes: &[u8], known: Known) -> Result<()> {
    ensure!(!known.is_foreign, "an id works that is not this handle's");
    let head: ReplyHead = raw::structure(bytes)?;
    ensure!(
        head.version == ABI_VERSION,
        "the version is {}",
        head.version
    );
    for pattern in [FRESH, FREED] {
        let has = bytes.windows(pattern.len()).any(|window| window == pattern);
        ensure!(!has, "the reply has bytes that nobody wrote");
    }
    match meaning {
        Meaning::Malformed { due, .. } => bail!("{} was due", name(*due)),
        Meaning::Version => exact::<VersionReply>(bytes, 0).map(drop),
        Meaning::Statistics => exact::<StatisticsReply>(bytes, 0).map(drop),
        Meaning::Acquire { replaces, .. } => {
            let reply = exact::<AcquireReply>(bytes, 0)?;
            let is_kept = replaces.is_none_or(|id| id.get() == reply.credential);
            let is_named = (reply.credential != 0) == (reply.head.status >= 0);
            ensure!(is_named && (is_kept || reply.credential == 0), "{reply:?}");
            Ok(())
        }
        Meaning::Release(_) => {
            let reply = exact::<ReleaseReply>(bytes, 0)?;
            ensure!(reply.deferred <= 1 && reply.reserved == 0, "{reply:?}");
            Ok(())
        }
        Meaning::Begin { input, .. } => leg(bytes, None, *input),
        Meaning::Leg { session, input, .. } => leg(bytes, Some(session.get()), *input),
        Meaning::Query(id) => session(bytes, id.get()),
        Meaning::Seal { offset, length, .. } => {
            let reply: RecordReply = raw::structure(bytes)?;
            ensure!(
                *offset <= HEADERS.end || reply.outcome != outcome::DATA,
                "sealed behind {offset}: {reply:?}"
            );
            records(bytes, *length, false)
        }
        Meaning::Unseal(_, length) => records(bytes, *length, true),
        Meaning::Shutdown(_) => records(bytes, 2, false),
        Meaning::Close(_) => exact::<CloseReply>(bytes, 0).map(drop),
    }
}

/// The structure, with so many bytes behind it and none more.
fn exact<T: zerocopy::FromBytes>(bytes: &[u8], behind: usize) -> Result<T> {
    let due = size_of::<T>() + behind;
    ensure!(bytes.len() == due, "{} bytes, not {due}", bytes.len());
    raw::structure(bytes)
}

fn leg(bytes: &[u8], session: Option<u64>, input: usize) -> Result<()> {
    let reply = raw::leg(bytes)?;
    exact::<LegReply>(bytes, reply.produced as usize)?;
    let is_named = match session {
        Some(id) => reply.session == id,
        None => {
            (reply.session == 0) == (reply.state == state::NONE) || reply.state == state::FAILED
        }
    };
    let good = is_named
        && reply.consumed as usize <= input
        && reply.produced as usize <= limits::MAX_TOKEN
        && reply.reserved == 0
        && reply.alert_level <= 2
        && (reply.alert_level != 0 || reply.alert_description == 0)
        && reply.state <= state::FAILED
        && (reply.state != state::FAILED || reply.head.status != 0)
        && (reply.head.status != 0 || reply.state == state::ESTABLISHED);
    ensure!(good, "{reply:?} for {input} bytes of session {session:?}");
    whole_records(raw::token(bytes)).with_context(|| format!("the token of {reply:?}"))
}

/// What is to be sent is made of whole TLS records.
fn whole_records(mut bytes: &[u8]) -> Result<()> {
    while let [kind, major, _, high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        ensure!(
            (20..=23).contains(kind) && *major == 3 && rest.len() >= length,
            "not a record: {kind}, {major}, {length} bytes, {} there",
            rest.len()
        );
        bytes = &rest[length..];
    }
    ensure!(bytes.is_empty(), "half a record: {bytes:?}");
    Ok(())
}

fn session(bytes: &[u8], id: u64) -> Result<()> {
    let reply: SessionReply = raw::structure(bytes)?;
    let behind = bytes.len() - size_of::<SessionReply>();
    let alpn = reply.alpn_length as usize;
    let is_whole = behind == reply.certificates_length as usize || behind == 0;
    let established = reply.state == u32::from(state::ESTABLISHED);
    let good = reply.session == id
        && (1..=3).contains(&reply.state)
        && (1..=2).contains(&reply.role)
        && is_whole
        && alpn <= limits::MAX_ALPN_NAME
        && reply.alpn[alpn..].iter().all(|byte| *byte == 0)
        && reply.reserved == 0
        && (established || reply.protocol == 0 || reply.state == u32::from(state::FAILED))
        && [0, 0x0303, 0x0304].contains(&reply.protocol);
    ensure!(good, "{reply:?}, {behind} bytes behind it");
    let mut rest = &bytes[size_of::<SessionReply>()..];
    let mut count = 0;
    while let Some((length, more)) = rest.split_first_chunk() {
        let length = u32::from_le_bytes(*length) as usize;
        rest = more.get(length..).context("a certificate's length")?;
        count += 1;
    }
    ensure!(
        rest.is_empty() && (behind == 0 || count == reply.certificate_count),
        "{count} certificates: {reply:?}"
    );
    Ok(())
}

fn records(bytes: &[u8], input: usize, unseals: bool) -> Result<()> {
    let reply: RecordReply = raw::structure(bytes)?;
    let (produced, token) = (reply.produced as usize, reply.token as usize);
    exact::<RecordReply>(bytes, produced + token)?;
    let good = reply.consumed as usize <= input
        && (outcome::DATA..=outcome::FAILED).contains(&reply.outcome)
        && reply.reserved == 0
        && (token == 0 || unseals && reply.outcome == outcome::RENEGOTIATE)
        && (reply.missing == 0 || unseals && reply.outcome == outcome::NEED_MORE)
        && (reply.outcome != outcome::DATA
            || reply.head.status == 0 && reply.consumed as usize == input);
    ensure!(good, "{reply:?} for {input} bytes");
    if unseals {
        ensure!(produced + token <= input, "more than came: {reply:?}");
        return Ok(());
    }
    whole_records(&bytes[RECORD_OFFSET..]).with_context(|| format!("the records of {reply:?}"))
}
