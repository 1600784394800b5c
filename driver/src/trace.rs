//! What the driver tells ETW: provider "TlsGate", d0abeb88-2f9d-5c8e-084e-76aee76d0f1d.
//!
//! The identifier is the hash of the name that trace tools know (`*TlsGate`; the `tracelogging` crate's
//! `Guid::from_name`). Events carry sizes, times, statuses, sessions' numbers and words of ours: no secret, no
//! byte of a peer, no address. All functions but [`open`] and [`close`] may be called at any IRQL and cost a
//! load while nobody listens.

use crate::nt::etw::{Event, Guid, Provider};
use tlsgate_core::event::{
    Kind, Payload, Value, event_metadata, event_metadata_size, provider_metadata,
    provider_metadata_size,
};

const NAME: &str = "TlsGate";

static PROVIDER: Provider = {
    static METADATA: [u8; provider_metadata_size(NAME)] = provider_metadata(NAME);
    let id = Guid {
        first: 0xd0ab_eb88,
        second: 0x2f9d,
        third: 0x5c8e,
        rest: [0x08, 0x4e, 0x76, 0xae, 0xe7, 0x6d, 0x0f, 0x1d],
    };
    Provider::new(id, &METADATA)
};

/// Levels, as ETW's own.
mod level {
    pub const ERROR: u8 = 2;
    pub const WARNING: u8 = 3;
    pub const INFORMATION: u8 = 4;
    pub const VERBOSE: u8 = 5;
}

/// What an event is about.
mod keyword {
    /// The driver's own start and end, and its settings.
    pub const DRIVER: u64 = 1;
    /// Sessions' life.
    pub const SESSION: u64 = 2;
    /// Requests that were refused.
    pub const REQUEST: u64 = 4;
    /// What is inside ksecdd.
    pub const KSECDD: u64 = 8;
}

/// Registers the provider. Should ETW refuse, nothing is traced. IRQL: PASSIVE_LEVEL, from `DriverEntry`.
pub fn open() {
    // SAFETY: called once a load, before anything else of the driver runs; `close` follows before the
    // driver goes, be it at unload or because it does not start.
    let _untraced = unsafe { PROVIDER.register() };
}

/// Takes the registration back, if there is one. IRQL: PASSIVE_LEVEL, when nothing else of the driver runs.
pub fn close() {
    PROVIDER.unregister();
}

/// How a parameter becomes a field.
macro_rules! field {
    (number, $value:ident) => {
        Value::Number($value)
    };
    (text, $value:ident) => {
        Value::Text($value)
    };
    ($status:ident, $value:ident) => {
        Value::Status($value)
    };
}

/// A field's type, by the word for it.
macro_rules! kind {
    (number) => {
        Kind::Number
    };
    (text) => {
        Kind::Text
    };
    (ntstatus) => {
        Kind::NtStatus
    };
    (security_status) => {
        Kind::SecurityStatus
    };
}

/// A function an event: its name, level, keyword, and its parameters, which are its fields, by kind.
macro_rules! events {
    ($($(#[$doc:meta])* $function:ident = $name:literal, $level:ident, $keyword:ident,
        ($($field:ident: $type:ty => $kind:ident),* $(,)?);)+) => {
        $($(#[$doc])*
        pub fn $function($($field: $type),*) {
            const FIELDS: &[(&str, Kind)] = &[$((stringify!($field), kind!($kind))),*];
            static METADATA: [u8; event_metadata_size($name, FIELDS)] =
                event_metadata($name, FIELDS);
            static EVENT: Event = Event {
                level: level::$level,
                keyword: keyword::$keyword,
                metadata: &METADATA,
            };
            if PROVIDER.wants(&EVENT) {
                let mut payload = Payload::new();
                // An event without one of its fields could not be read.
                if true $(&& payload.add(field!($kind, $field)))* {
                    PROVIDER.write(&EVENT, &payload);
                }
            }
        })+
    };
}

events! {
    /// A session has been made; `role` is "server" or "client".
    session_started = "SessionStarted", INFORMATION, SESSION,
        (session: u64 => number, role: &'static str => text);

    /// A session has ended, with its last `SECURITY_STATUS` and the time its handshake took, in
    /// microseconds, 0 when it has none.
    session_ended = "SessionEnded", INFORMATION, SESSION,
        (session: u64 => number, reason: &'static str => text, status: i32 => security_status,
         handshake_us: u64 => number);

    /// A call has been inside ksecdd for so many microseconds; `session` is 0 when it is of none.
    leg_slow = "LegSlow", WARNING, KSECDD, (session: u64 => number, elapsed_us: u64 => number);

    /// A call has had its final status for long, and its callback has not come.
    callback_lost = "CallbackLost", ERROR, KSECDD, (session: u64 => number);

    /// A request was refused; `what` is what was wrong with it, or which limit it met.
    refused = "Refused", WARNING, REQUEST,
        (ioctl: &'static str => text, ntstatus: i32 => ntstatus, what: &'static str => text);

    /// An operation inside ksecdd has lost its request and waits for its callback.
    orphaned = "Orphaned", VERBOSE, KSECDD, (session: u64 => number, reason: &'static str => text);

    /// Unload waits for so many operations.
    unload_waiting = "UnloadWaiting", INFORMATION, DRIVER, (operations: u64 => number);

    /// A value of the Parameters key cannot be used; what is used instead.
    setting_ignored = "SettingIgnored", WARNING, DRIVER,
        (name: &'static str => text, value: u64 => number, used: u64 => number);

    /// The driver does not start.
    start_failed = "StartFailed", ERROR, DRIVER,
        (what: &'static str => text, ntstatus: i32 => ntstatus);
}
