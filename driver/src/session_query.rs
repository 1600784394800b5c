//! QUERY_SESSION: what the handshake negotiated, and who the peer is.
//!
//! A query changes nothing: whatever Schannel answers, the session stays what it is. All of it is
//! asked for at PASSIVE_LEVEL with a shared use right, so no leg and no deletion runs meanwhile.

use crate::{
    dispatch::{Outcome as Done, refuse, write},
    handle::Handle,
    kmdf::request::Request,
    session::Session,
    shared::Shared,
    sspi::{
        self, RemoteCertificates, SharedUse,
        schannel::{
            ALPN_EXTENSION, ALPN_SELECTED, ApplicationProtocol, CIPHER_INFO_VERSION,
            CertificateCheck, CipherInfo, ConnectionInfo, SECPKG_ATTR_APPLICATION_PROTOCOL,
            SECPKG_ATTR_CERT_CHECK_RESULT_INPROC, SECPKG_ATTR_CIPHER_INFO,
            SECPKG_ATTR_CONNECTION_INFO, SECPKG_ATTR_SESSION_INFO, SP_PROT_TLS1_2_CLIENT,
            SP_PROT_TLS1_2_SERVER, SP_PROT_TLS1_3_CLIENT, SP_PROT_TLS1_3_SERVER,
            SSL_SESSION_RECONNECT, SessionInfo,
        },
    },
};
use core::mem::MaybeUninit;
use tlsgate_core::{
    certificates,
    session::Phase,
    usage::{Refused, Use},
};
use tlsgate_protocol::{
    NtStatus, Role, SecurityStatus, SessionId,
    payload::{ReplyHead, SessionReply, role, session_flags},
};
use wdk_sys::SecHandle;
use zerocopy::IntoBytes;

/// Dispatch, at PASSIVE_LEVEL.
pub fn dispatch(handle: &Shared<Handle>, mut request: Request, id: SessionId) -> Done {
    let session = match handle.session(id) {
        Ok(session) => session,
        Err(status) => return refuse(request, status),
    };
    let right = match SharedUse::acquire(&session, Use::Query) {
        Ok(right) => right,
        Err(Refused::Busy) => return refuse(request, NtStatus::STATUS_DEVICE_BUSY),
        Err(Refused::Closing) => return refuse(request, NtStatus::STATUS_NOT_FOUND),
    };
    let Some((fixed, rest)) = request
        .output()
        .split_at_mut_checked(size_of::<SessionReply>())
    else {
        drop(right);
        return refuse(request, NtStatus::STATUS_BUFFER_TOO_SMALL);
    };
    let mut answer = blank(&session, id);
    let mut given = 0;
    // Attributes mean nothing before the handshake is complete.
    if session.phase() == Phase::Established
        && let Some(context) = right.handle()
    {
        if let Err(status) = describe(&context, &mut answer) {
            answer.head = ReplyHead::new(status);
        }
        match identify(&context, &mut answer, rest) {
            Ok(length) => given = length,
            Err(status) => answer.head = ReplyHead::new(status),
        }
    }
    drop(right);
    let length = write(fixed, answer.as_bytes()).saturating_add(given);
    request.complete(NtStatus::STATUS_SUCCESS, length);
    Done::Completed
}

/// What is known without asking.
fn blank(session: &Session, id: SessionId) -> SessionReply {
    SessionReply {
        head: ReplyHead::new(SecurityStatus::SEC_E_OK),
        session: id.get(),
        state: u32::from(session.phase().wire()),
        role: match session.role() {
            Role::Server => role::SERVER,
            Role::Client => role::CLIENT,
        },
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
    }
}

/// The connection: sizes, protocol, cipher suite, key exchange, resumption, ALPN.
fn describe(context: &SecHandle, answer: &mut SessionReply) -> Result<(), SecurityStatus> {
    let sizes = Session::stream_sizes(context)?;
    answer.header = sizes.header;
    answer.trailer = sizes.trailer;
    answer.maximum_message = sizes.maximum_message;
    connection(context, answer)?;
    answer.cipher_suite = cipher_suite(context)?;
    application_protocol(context, answer);
    resumption(context, answer);
    Ok(())
}

fn connection(context: &SecHandle, answer: &mut SessionReply) -> Result<(), SecurityStatus> {
    let mut info = ConnectionInfo::default();
    // SAFETY: the structure is the attribute's; the caller holds a use right.
    unsafe { sspi::query(context, SECPKG_ATTR_CONNECTION_INFO, &mut info) }?;
    answer.protocol = match info.protocol {
        SP_PROT_TLS1_2_SERVER | SP_PROT_TLS1_2_CLIENT => 0x0303,
        SP_PROT_TLS1_3_SERVER | SP_PROT_TLS1_3_CLIENT => 0x0304,
        _ => 0,
    };
    answer.key_exchange = info.exchange;
    answer.key_exchange_bits = info.exchange_strength;
    Ok(())
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

/// A session of which Schannel does not tell is one of a full handshake: then nobody takes the
/// absence of a certificate for a resumption.
fn resumption(context: &SecHandle, answer: &mut SessionReply) {
    let mut info = SessionInfo::default();
    // SAFETY: the structure is the attribute's; the caller holds a use right.
    let found = unsafe { sspi::query(context, SECPKG_ATTR_SESSION_INFO, &mut info) };
    if found.is_ok() && info.flags & SSL_SESSION_RECONNECT != 0 {
        answer.flags |= session_flags::RESUMED;
    }
}

/// The peer: its certificates, written to `room` if all of them fit, and their check. Gives how many
/// bytes were written.
///
/// # Errors
///
/// Certificates that could not be had, or do not add up (`SEC_E_INTERNAL_ERROR`). The reply then
/// tells of none.
fn identify(
    context: &SecHandle,
    answer: &mut SessionReply,
    room: &mut [u8],
) -> Result<usize, SecurityStatus> {
    // SAFETY: the caller holds a use right.
    let Some(peer) = (unsafe { RemoteCertificates::of(context) })? else {
        return Ok(0);
    };
    let list = peer.list();
    if !certificates::is_well_formed(list, peer.count) {
        return Err(SecurityStatus::SEC_E_INTERNAL_ERROR);
    }
    if list.is_empty() {
        return Ok(0);
    }
    answer.certificate_count = peer.count;
    answer.certificates_length = u32::try_from(list.len()).unwrap_or(u32::MAX);
    check_result(context, answer);
    Ok(room
        .get_mut(..list.len())
        .map_or(0, |place| write(place, list)))
}

/// Told only beside certificates: a good result without any would be a claim about nobody. Not every
/// Windows has the attribute, and a credential may leave the check to its caller: not checked, then.
fn check_result(context: &SecHandle, answer: &mut SessionReply) {
    let mut check = CertificateCheck::default();
    // SAFETY: the structure is the attribute's; the caller holds a use right.
    let found = unsafe { sspi::query(context, SECPKG_ATTR_CERT_CHECK_RESULT_INPROC, &mut check) };
    if found.is_ok() {
        answer.flags |= session_flags::CHECKED;
        answer.chain_errors = check.chain_errors;
        answer.check_result = check.result;
    }
}
