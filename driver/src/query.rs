//! QUERY_VERSION and QUERY_STATISTICS: what the driver is, and what it has counted.

use crate::{
    dispatch::{Outcome as Done, reply, write},
    handle::Handle,
    kmdf::request::Request,
    shared::Shared,
};
use tlsgate_protocol::{
    SecurityStatus, limits,
    payload::{ReplyHead, VersionReply},
};
use zerocopy::IntoBytes;

/// QUERY_VERSION.
pub fn version(handle: &Shared<Handle>, request: Request) -> Done {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let answer = VersionReply {
        head: ReplyHead::new(SecurityStatus::SEC_E_OK),
        major: decimal(env!("CARGO_PKG_VERSION_MAJOR")),
        minor: decimal(env!("CARGO_PKG_VERSION_MINOR")),
        patch: decimal(env!("CARGO_PKG_VERSION_PATCH")),
        reserved: 0,
        largest_input: number(limits::MAX_INPUT),
        largest_reply: number(limits::LARGEST_REPLY),
        largest_records: number(limits::MAX_RECORDS),
        optional_exports: handle.gate.optional_exports,
        switched_off: handle.gate.switched_off,
        default_timeout_ms: handle.gate.settings.handshake_ms,
        longest_timeout_ms: handle.gate.settings.handshake_most_ms,
        reserved_too: 0,
    };
    reply(request, |room| write(room, answer.as_bytes()))
}

/// QUERY_STATISTICS.
pub fn statistics(handle: &Shared<Handle>, request: Request) -> Done {
    let (waiting, inside) = handle.gate.issuers.load();
    let answer = handle
        .gate
        .counters
        .reply(waiting, inside, handle.gate.optional_exports);
    reply(request, |room| write(room, answer.as_bytes()))
}

/// A decimal number of Cargo's.
const fn decimal(text: &str) -> u16 {
    match u16::from_str_radix(text, 10) {
        Ok(number) => number,
        Err(_) => 0,
    }
}
