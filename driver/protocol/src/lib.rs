//! The IOCTL contract of `TlsGate`, shared by the driver and by user mode.
//!
//! Everything a program and the driver say to each other is declared here: control codes
//! ([`Ioctl`]), payload types ([`payload`]), and the checked way from a caller's bytes to a typed
//! request ([`Request::decode`]).
//!
//! * Payloads are `#[repr(C)]` without padding, little endian, the same for 32- and 64-bit callers.
//! * Every request starts with a [`payload::RequestHead`], every reply with a
//!   [`payload::ReplyHead`] that carries the ABI version and the `SECURITY_STATUS` as it came.
//! * No pointer, kernel address or `SecHandle` ever crosses; ids are [`SessionId`] and
//!   [`CredentialId`], valid only on the handle that made them.
//! * What a caller sends is an allegation until [`Request::decode`] has checked it.
//!
//! `tests/abi.golden` holds every code, size and offset; a test compares.

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
