//! The queries: QUERY_VERSION, QUERY_SESSION, QUERY_STATISTICS.

use crate::{
    dispatch::{Outcome as Done, refuse, reply, write},
    handle::Handle,
    kmdf::request::Request,
    memory::Shared,
    session::Session,
    sspi::{
        self, SharedUse,
        schannel::{
            ALPN_EXTENSION, ALPN_SELECTED, ApplicationProtocol, CIPHER_INFO_VERSION, CipherInfo,
            ConnectionInfo, SECPKG_ATTR_APPLICATION_PROTOCOL, SECPKG_ATTR_CIPHER_INFO,
            SECPKG_ATTR_CONNECTION_INFO, SP_PROT_TLS1_2_SERVER, SP_PROT_TLS1_3_SERVER,
        },
    },
};
use core::mem::MaybeUninit;
use tlsgate_core::{
    session::Phase,
    usage::{Refused, Use},
};
use tlsgate_protocol::{
    NtStatus, SecurityStatus, SessionId, limits,
    payload::{ReplyHead, SessionReply, VersionReply},
};
use wdk_sys::SecHandle;
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
        switched_off: 0,
        default_timeout_ms: 0,
        longest_timeout_ms: 0,
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

/// QUERY_SESSION. At PASSIVE_LEVEL.
pub fn session(handle: &Shared<Handle>, request: Request, id: SessionId) -> Done {
    let session = match handle.session(id) {
        Ok(session) => session,
        Err(status) => return refuse(request, status),
    };
    let right = match SharedUse::acquire(&session, Use::Query) {
        Ok(right) => right,
        Err(Refused::Busy) => return refuse(request, NtStatus::STATUS_DEVICE_BUSY),
        Err(Refused::Closing) => return refuse(request, NtStatus::STATUS_NOT_FOUND),
    };
    let mut answer = SessionReply {
        head: ReplyHead::new(SecurityStatus::SEC_E_OK),
        session: id.get(),
        state: u32::from(session.phase().wire()),
        role: 0,
        protocol: 0,
        cipher_suite: 0,
        key_exchange: 0,
        key_exchange_bits: 0,
        header: 0,
        trailer: 0,
        maximum_message: 0,
        flags: 0,
        chain_errors: 0,
        check_result: 0,
        certificate_count: 0,
        certificates_length: 0,
        alpn_length: 0,
        reserved: 0,
        alpn: [0; 256],
    };
    // Attributes mean nothing before the handshake is complete.
    if session.phase() == Phase::Established
        && let Some(context) = right.handle()
        && let Err(status) = describe(&context, &mut answer)
    {
        answer.head = ReplyHead::new(status);
    }
    drop(right);
    reply(request, |room| write(room, answer.as_bytes()))
}

fn describe(context: &SecHandle, answer: &mut SessionReply) -> Result<(), SecurityStatus> {
    let sizes = Session::stream_sizes(context)?;
    answer.header = sizes.header;
    answer.trailer = sizes.trailer;
    answer.maximum_message = sizes.maximum_message;
    answer.protocol = protocol(context)?;
    answer.cipher_suite = cipher_suite(context)?;
    application_protocol(context, answer);
    Ok(())
}

/// The TLS version on the wire.
fn protocol(context: &SecHandle) -> Result<u32, SecurityStatus> {
    let mut info = ConnectionInfo::default();
    // SAFETY: the structure is the attribute's; the caller holds a use right.
    unsafe { sspi::query(context, SECPKG_ATTR_CONNECTION_INFO, &mut info) }?;
    Ok(match info.protocol {
        SP_PROT_TLS1_2_SERVER => 0x0303,
        SP_PROT_TLS1_3_SERVER => 0x0304,
        _ => 0,
    })
}

fn cipher_suite(context: &SecHandle) -> Result<u32, SecurityStatus> {
    // SAFETY: integers only: all zeros is a value.
    let mut info: CipherInfo = unsafe { MaybeUninit::zeroed().assume_init() };
    info.version = CIPHER_INFO_VERSION;
    // SAFETY: the structure is the attribute's; the caller holds a use right.
    unsafe { sspi::query(context, SECPKG_ATTR_CIPHER_INFO, &mut info) }?;
    Ok(info.cipher_suite)
}

/// Left empty when none was negotiated, which Schannel may report as an error.
fn application_protocol(context: &SecHandle, answer: &mut SessionReply) {
    let mut info = ApplicationProtocol {
        status: 0,
        extension: 0,
        length: 0,
        name: [0; 255],
    };
    // SAFETY: the structure is the attribute's; the caller holds a use right.
    let found = unsafe { sspi::query(context, SECPKG_ATTR_APPLICATION_PROTOCOL, &mut info) };
    if found.is_ok() && info.status == ALPN_SELECTED && info.extension == ALPN_EXTENSION {
        answer.alpn_length = u32::from(info.length);
        let name = info.name.iter().take(usize::from(info.length));
        for (place, byte) in answer.alpn.iter_mut().zip(name) {
            *place = *byte;
        }
    }
}

/// A decimal number of Cargo's.
const fn decimal(text: &str) -> u16 {
    match u16::from_str_radix(text, 10) {
        Ok(number) => number,
        Err(_) => 0,
    }
}
