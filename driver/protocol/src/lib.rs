//! The IOCTL contract of `TlsGate`, shared by the driver and by user mode: the reference of its ABI.
//!
//! Everything a program and the driver say to each other is declared here: control codes
//! ([`Ioctl`]), payload types ([`payload`]), and the checked way from a caller's bytes to a typed
//! request ([`Request::decode`]). C and C++ have the same in `include/tlsgate.h`, which is made from
//! this crate; `tests/c/handshake.c` is a whole program.
//!
//! * Payloads are `#[repr(C)]` without padding, little endian, the same for 32- and 64-bit callers. What
//!   follows a payload lies right behind it, and a request ends where that ends: one byte more is refused
//!   (in C, `sizeof` a structure made of a payload and what follows may count padding).
//! * Every request starts with a [`payload::RequestHead`], every reply with a
//!   [`payload::ReplyHead`] that carries the ABI version and the `SECURITY_STATUS` as it came.
//! * No pointer, kernel address or `SecHandle` ever crosses; ids are [`SessionId`] and
//!   [`CredentialId`], valid only on the handle that made them, and never 0.
//! * Lengths are in bytes and times in milliseconds, unless a field says otherwise. Reserved fields and
//!   flags are 0 in a request; a driver that finds another value refuses it.
//! * What a caller sends is an allegation until [`Request::decode`] has checked it.
//!
//! `tests/abi.golden` holds every code, size and offset; a test compares.
//!
//! # The IOCTLs
//!
//! A program opens [`DEVICE_PATH`] for reading and writing. Every code is METHOD_BUFFERED; the handle needs
//! the access that the code's bits say ([`Access`]). Output buffers are at least as long as the reply's
//! structure and what is said to follow it.
//!
//! | IOCTL | code | request, and what follows it | reply, and what follows it |
//! |---|---|---|---|
//! | QUERY_VERSION | 0x85416000 | [`RequestHead`], of any version | [`VersionReply`] |
//! | ACQUIRE_CREDENTIAL | 0x8541e004 | [`AcquireRequest`], [`CertificateReference`]s, principal | [`AcquireReply`] |
//! | RELEASE_CREDENTIAL | 0x8541e008 | [`ReleaseRequest`] | [`ReleaseReply`] |
//! | ACCEPT | 0x8541e00c | [`AcceptRequest`], ALPN list, TLS stream | [`LegReply`], token; room for [`limits::LARGEST_REPLY`] |
//! | CONNECT | 0x8541e010 | [`ConnectRequest`], server name, ALPN list, TLS stream | [`LegReply`], token; room for [`limits::LARGEST_REPLY`] |
//! | QUERY_SESSION | 0x85416014 | [`SessionRequest`] | [`SessionReply`], the peer's certificates if there is room for all |
//! | SEAL | 0x8541e018 | [`RecordRequest`], any bytes as `offset` says, plaintext | [`RecordReply`], records; room as [`limits::sealed_room`] says |
//! | UNSEAL | 0x8541e01c | [`RecordRequest`], TLS stream | [`RecordReply`], plaintext, token; room as for the request |
//! | SHUTDOWN | 0x8541e020 | [`SessionRequest`] | [`RecordReply`], one record; room for [`limits::MAX_ALERT_RECORD`] |
//! | CLOSE_SESSION | 0x8541e024 | [`SessionRequest`] | [`CloseReply`] |
//! | QUERY_STATISTICS | 0x85416028 | [`RequestHead`] | [`StatisticsReply`] |
//!
//! # One leg, byte by byte
//!
//! A leg is one ACCEPT or CONNECT. This is a server's first: session 0 makes a new one with credential 5,
//! which offers the application protocol h2, and the client's first record has arrived, with one byte of
//! the next.
//!
//! ```
//! # use tlsgate_protocol::{Ioctl, Leg, New, Request, Target, limits};
//! # use tlsgate_protocol::payload::{AcceptRequest, RequestHead};
//! # use zerocopy::IntoBytes;
//! #[rustfmt::skip]
//! let request: [u8; 54] = [
//!     0x01, 0x00, 0x00, 0x00,                         //  0 version: 1
//!     0x00, 0x00, 0x00, 0x00,                         //  4 flags: none
//!     0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, //  8 session: 0, make one
//!     0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // 16 credential: as ACQUIRE_CREDENTIAL told
//!     0x03, 0x00, 0x00, 0x00,                         // 24 alpn_length: 3 bytes
//!     0x0b, 0x00, 0x00, 0x00,                         // 28 input_length: 11 bytes
//!     0x10, 0x27, 0x00, 0x00,                         // 32 timeout_ms: 10,000, for all legs together
//!     0x00, 0x00, 0x00, 0x00,                         // 36 reserved
//!     0x02, b'h', b'2',                               // 40 ALPN: "h2" behind its length
//!     0x16, 0x03, 0x01, 0x00, 0x05,                   // 43 a record: handshake, 5 bytes
//!     0x01, 0x00, 0x00, 0x01, 0xff,                   // 48   (a real ClientHello is longer)
//!     0x16,                                           // 53 the first byte of the next record
//! ];
//!
//! let room = limits::LARGEST_REPLY; // of the output buffer, always
//! let (ioctl, decoded) = Request::decode(0x8541_e00c, &request, room).unwrap();
//! assert_eq!(ioctl, Ioctl::Accept);
//! let Request::Accept(Leg { target: Target::New(new), input }) = decoded else { unreachable!() };
//! assert_eq!((new.credential.get(), new.alpn), (5, &b"\x02h2"[..]));
//! assert_eq!(new.timeout_ms.unwrap().get(), 10_000);
//! assert_eq!(input, &request[43..]);
//! # let fixed = AcceptRequest {
//! #     head: RequestHead::default(), session: 0, credential: 5, alpn_length: 3, input_length: 11,
//! #     timeout_ms: 10_000, reserved: 0,
//! # };
//! # assert_eq!(fixed.as_bytes(), &request[..40]);
//! ```
//!
//! The request pends until the security subsystem has answered. Then `DeviceIoControl` succeeds with a reply
//! such as this one, whose length is that of the structure and the token:
//!
//! ```
//! # use tlsgate_protocol::{ABI_VERSION, SecurityStatus};
//! # use tlsgate_protocol::payload::{LegReply, ReplyHead, state};
//! # use zerocopy::{FromBytes, IntoBytes};
//! #[rustfmt::skip]
//! let reply: [u8; 39] = [
//!     0x01, 0x00, 0x00, 0x00,                         //  0 version: 1
//!     0x12, 0x03, 0x09, 0x00,                         //  4 status: SEC_I_CONTINUE_NEEDED, 0x00090312
//!     0x01, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, //  8 session: for the next leg, with credential 0
//!     0x0a, 0x00, 0x00, 0x00,                         // 16 consumed: 10 bytes; send the 11th again
//!     0x07, 0x00, 0x00, 0x00,                         // 20 produced: 7 bytes of token
//!     0x00, 0x00, 0x00, 0x00,                         // 24 missing: nothing known
//!     0x01,                                           // 28 state: HANDSHAKING
//!     0x00, 0x00,                                     // 29 no alert
//!     0x00,                                           // 31 reserved
//!     0x16, 0x03, 0x03, 0x00, 0x02, 0x02, 0xff,       // 32 token, for the client (a real one is longer)
//! ];
//!
//! let (leg, token) = LegReply::read_from_prefix(&reply).unwrap();
//! assert_eq!(leg.head.version, ABI_VERSION);
//! assert_eq!(SecurityStatus(leg.head.status), SecurityStatus::SEC_I_CONTINUE_NEEDED);
//! assert_eq!((leg.session, leg.consumed, leg.state), (0x1_0000_0001, 10, state::HANDSHAKING));
//! assert_eq!(token.len(), leg.produced as usize);
//! # let fixed = LegReply {
//! #     head: ReplyHead::new(SecurityStatus::SEC_I_CONTINUE_NEEDED), session: 0x1_0000_0001, consumed: 10,
//! #     produced: 7, missing: 0, state: state::HANDSHAKING, alert_level: 0, alert_description: 0,
//! #     reserved: 0,
//! # };
//! # assert_eq!(fixed.as_bytes(), &reply[..32]);
//! ```
//!
//! # What a caller does with a leg's reply
//!
//! The driver keeps no byte of the stream from one request to the next. So a caller holds what the peer
//! has sent and no reply has called consumed, and sends all of it again (at most [`limits::MAX_INPUT`]
//! bytes), with what has come since behind it. After each leg, in this order:
//!
//! 1. A session id that is not 0 is kept. It goes into every later leg, with credential 0, ALPN and
//!    time-out empty. While it is 0 nothing exists yet (not one whole record has come): the next leg is a
//!    first one again.
//! 2. The token is sent to the peer, whatever the status is: with an error, it is the alert.
//! 3. `consumed` bytes are dropped from the front of what is held.
//! 4. Then, by [`payload::state`] and status:
//!
//! | state | status | what next |
//! |---|---|---|
//! | ESTABLISHED | `SEC_E_OK` | QUERY_SESSION, SEAL and UNSEAL. What is still held is for UNSEAL. |
//! | FAILED | an error | The handshake has failed. CLOSE_SESSION if there is a session. |
//! | any other | `SEC_E_INCOMPLETE_MESSAGE` | Read from the peer, `missing` bytes if it is not 0; it is a hint only. |
//! | any other | any other | Another leg at once if bytes were consumed and others are still held; else read first. |
//!
//! UNSEAL and SEAL follow the same rule for what is consumed; [`payload::outcome`] says what next. After
//! `RENEGOTIATE` (a TLS 1.3 ticket or `KeyUpdate`) the token goes to another ACCEPT or CONNECT as its input,
//! in front of what is still held. QUERY_SESSION tells `header`, `trailer` and `maximum_message`, of which
//! [`limits::sealed_room`] makes the room that SEAL demands.
//!
//! # Statuses
//!
//! What becomes of TLS is data: the request succeeds, and [`payload::ReplyHead::status`] is the
//! [`SecurityStatus`] that ksecdd gave, or that the driver chose for bytes it did not pass on. An error of
//! the request itself is an [`NtStatus`], which Win32 programs see translated by `GetLastError`, and means
//! misuse, a quota, or a request that was given up; [`DecodeError::ntstatus`] has those of malformed
//! requests, the README all of them. Such a request has changed nothing, but for one that was given up
//! (`STATUS_CANCELLED`, `STATUS_IO_TIMEOUT`, `STATUS_INTERNAL_ERROR`): a leg's session has failed then, and
//! CLOSE_SESSION and RELEASE_CREDENTIAL go on without the request.
//!
//! One leg a session at a time; one SEAL beside one UNSEAL beside queries (`STATUS_DEVICE_BUSY`). Closing the
//! handle closes everything that was made on it.
//!
//! [`RequestHead`]: payload::RequestHead
//! [`VersionReply`]: payload::VersionReply
//! [`AcquireRequest`]: payload::AcquireRequest
//! [`CertificateReference`]: payload::CertificateReference
//! [`AcquireReply`]: payload::AcquireReply
//! [`ReleaseRequest`]: payload::ReleaseRequest
//! [`ReleaseReply`]: payload::ReleaseReply
//! [`AcceptRequest`]: payload::AcceptRequest
//! [`ConnectRequest`]: payload::ConnectRequest
//! [`LegReply`]: payload::LegReply
//! [`SessionRequest`]: payload::SessionRequest
//! [`SessionReply`]: payload::SessionReply
//! [`RecordRequest`]: payload::RecordRequest
//! [`RecordReply`]: payload::RecordReply
//! [`CloseReply`]: payload::CloseReply
//! [`StatisticsReply`]: payload::StatisticsReply

#![no_std]
#![forbid(unsafe_code)]

mod acquire;
mod decode;
mod id;
mod ioctl;
pub mod limits;
pub mod payload;
mod status;
mod values;

pub use acquire::{Acquire, Certificates, Role};
pub use decode::{DecodeError, Leg, New, RECORD_OFFSET, Record, Request, Target};
pub use id::{CredentialId, SessionId};
pub use ioctl::{Access, Ioctl};
pub use status::{NtStatus, SecurityStatus};

/// The version of this contract; it stands in front of every request and every reply.
pub const ABI_VERSION: u32 = 1;

/// What a user-mode program opens.
pub const DEVICE_PATH: &str = r"\\.\TlsGate";

/// The service's name with the service control manager.
pub const SERVICE_NAME: &str = "TlsGate";
