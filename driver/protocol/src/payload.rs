//! The payload types: `#[repr(C)]`, no padding, sizes and offsets held by a golden file.

use crate::ABI_VERSION;
use crate::limits::{LATENCY_BUCKETS, MAX_STORE_NAME};
use crate::status::SecurityStatus;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub use crate::values::*;

/// Declares payloads: each is plain bytes to both sides.
macro_rules! payloads {
    ($($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* pub $field:ident: $type:ty,)+ })+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
            #[repr(C)]
            pub struct $name { $($(#[$field_doc])* pub $field: $type,)+ }

            impl $name {
                /// Field names with their offset and size in bytes, for the golden file.
                pub const LAYOUT: &'static [(&'static str, usize, usize)] = &[
                    $((stringify!($field), core::mem::offset_of!($name, $field), size_of::<$type>()),)+
                ];
            }
        )+

        /// Every payload: its name, size in bytes, and fields.
        pub const ALL: &[(&str, usize, &[(&str, usize, usize)])] =
            &[$((stringify!($name), size_of::<$name>(), $name::LAYOUT),)+];
    };
}

payloads! {
    /// The front of every request.
    pub struct RequestHead {
        /// [`ABI_VERSION`].
        pub version: u32,
        /// Reserved, 0.
        pub flags: u32,
    }

    /// The front of every reply.
    pub struct ReplyHead {
        /// [`ABI_VERSION`].
        pub version: u32,
        /// The `SECURITY_STATUS` as ksecdd gave it, or as the driver chose it without a call.
        pub status: i32,
    }

    /// Reply to QUERY_VERSION. The request is a [`RequestHead`] of any version.
    pub struct VersionReply {
        /// The front.
        pub head: ReplyHead,
        /// The driver's own version.
        pub major: u16,
        /// The driver's own version.
        pub minor: u16,
        /// The driver's own version.
        pub patch: u16,
        /// 0.
        pub reserved: u16,
        /// [`crate::limits::MAX_INPUT`] of this driver, in bytes.
        pub largest_input: u32,
        /// [`crate::limits::LARGEST_REPLY`] of this driver, in bytes.
        pub largest_reply: u32,
        /// [`crate::limits::MAX_RECORDS`] of this driver, in bytes.
        pub largest_records: u32,
        /// [`exports`]: which optional functions this Windows' ksecdd.sys has.
        pub optional_exports: u32,
        /// [`functions`]: what an administrator has switched off.
        pub switched_off: u32,
        /// The time-out of a handshake when its request names none, in milliseconds.
        pub default_timeout_ms: u32,
        /// The longest time-out a request may name, in milliseconds.
        pub longest_timeout_ms: u32,
        /// 0.
        pub reserved_too: u32,
    }

    /// ACQUIRE_CREDENTIAL; `certificate_count` [`CertificateReference`]s and `principal_length` bytes
    /// of principal follow.
    pub struct AcquireRequest {
        /// The front.
        pub head: RequestHead,
        /// A credential of this handle that the new one replaces under the same id, or 0. Sessions of
        /// the replaced one live on.
        pub replaces: u64,
        /// [`role`].
        pub role: u32,
        /// [`protocols`]; 0 means every protocol this driver offers.
        pub protocols: u32,
        /// [`credential`].
        pub flags: u32,
        /// How many references follow: 1 to [`crate::limits::MAX_CERTIFICATES`]; a client may have
        /// none.
        pub certificate_count: u32,
        /// Bytes of the one server name that the credential is for, ASCII; 0 for any. Servers only.
        pub principal_length: u32,
        /// Milliseconds until the request is given up; 0 means the driver's default.
        pub timeout_ms: u32,
    }

    /// One certificate: by its SHA-1 thumbprint, in a named store.
    pub struct CertificateReference {
        /// SHA-1 of the certificate's DER.
        pub thumbprint: [u8; 20],
        /// [`store_scope`].
        pub store_scope: u32,
        /// UTF-16 units of `store_name` in use; 0 means "MY".
        pub store_name_length: u32,
        /// The store's name, UTF-16, no terminator.
        pub store_name: [u16; MAX_STORE_NAME],
        /// 0.
        pub reserved: u16,
    }

    /// Reply to ACQUIRE_CREDENTIAL.
    pub struct AcquireReply {
        /// The front; `status` is `SEC_E_OK` or why there is no credential.
        pub head: ReplyHead,
        /// The credential's id; 0 when there is none.
        pub credential: u64,
    }

    /// RELEASE_CREDENTIAL. The request, not the release, is given up after the longest time-out.
    pub struct ReleaseRequest {
        /// The front.
        pub head: RequestHead,
        /// The credential; its id is void from now on.
        pub credential: u64,
    }

    /// Reply to RELEASE_CREDENTIAL.
    pub struct ReleaseReply {
        /// The front; `status` is what freeing it gave.
        pub head: ReplyHead,
        /// 1 when sessions still use the credential: it goes with the last of them.
        pub deferred: u32,
        /// 0.
        pub reserved: u32,
    }

    /// ACCEPT; `alpn_length` bytes of ALPN list and `input_length` bytes of TLS stream follow.
    pub struct AcceptRequest {
        /// The front.
        pub head: RequestHead,
        /// The session, or 0 to make one.
        pub session: u64,
        /// The credential of a new session; 0 when `session` names one.
        pub credential: u64,
        /// Bytes of ALPN list, 8-bit length-prefixed names; only with a new session.
        pub alpn_length: u32,
        /// Bytes of TLS stream.
        pub input_length: u32,
        /// Milliseconds that the whole handshake may take, from the first leg on; 0 means the driver's
        /// default. Only with a new session.
        pub timeout_ms: u32,
        /// Reserved, 0.
        pub reserved: u32,
    }

    /// CONNECT; `server_name_length` bytes of the server's name, `alpn_length` bytes of ALPN list and
    /// `input_length` bytes of TLS stream follow.
    pub struct ConnectRequest {
        /// The front.
        pub head: RequestHead,
        /// The session, or 0 to make one.
        pub session: u64,
        /// The credential of a new session; 0 when `session` names one.
        pub credential: u64,
        /// Bytes of the server's DNS name, ASCII, without a terminator; only with a new session. 0
        /// only with a credential that has [`credential::MANUAL_CHECK`].
        pub server_name_length: u32,
        /// As in [`AcceptRequest`].
        pub alpn_length: u32,
        /// Bytes of TLS stream; 0 with a new session: the client speaks first.
        pub input_length: u32,
        /// As in [`AcceptRequest`].
        pub timeout_ms: u32,
    }

    /// Reply to a leg; `produced` bytes of token follow. Send them whatever `status` is.
    pub struct LegReply {
        /// The front.
        pub head: ReplyHead,
        /// The session; 0 while none exists (no whole TLS record has arrived yet).
        pub session: u64,
        /// Bytes of the input that are used up; send the rest again in front of the next bytes.
        pub consumed: u32,
        /// Bytes of token behind this structure.
        pub produced: u32,
        /// With `SEC_E_INCOMPLETE_MESSAGE`: about how many more bytes are wanted, 0 if unknown.
        pub missing: u32,
        /// [`state`].
        pub state: u8,
        /// TLS alert level (1 warning, 2 fatal), 0 when there is no alert.
        pub alert_level: u8,
        /// TLS alert description; meaningless when `alert_level` is 0.
        pub alert_description: u8,
        /// 0.
        pub reserved: u8,
    }

    /// QUERY_SESSION, SHUTDOWN and CLOSE_SESSION.
    pub struct SessionRequest {
        /// The front.
        pub head: RequestHead,
        /// The session.
        pub session: u64,
    }

    /// Reply to QUERY_SESSION. The peer's certificates follow if there is room for all of them: each a
    /// 32-bit length and so many bytes of DER, the peer's own first.
    pub struct SessionReply {
        /// The front; not `SEC_E_OK` when Schannel does not tell. Before the handshake is complete all but
        /// `state` and `role` is 0.
        pub head: ReplyHead,
        /// The session.
        pub session: u64,
        /// [`state`].
        pub state: u32,
        /// [`role`].
        pub role: u32,
        /// The TLS version on the wire: 0x0303 or 0x0304.
        pub protocol: u32,
        /// IANA number of the cipher suite.
        pub cipher_suite: u32,
        /// `ALG_ID` of the key exchange, such as 0xAE06 for ephemeral ECDH.
        pub key_exchange: u32,
        /// Its strength in bits.
        pub key_exchange_bits: u32,
        /// Bytes in front of a record's data.
        pub header: u32,
        /// Bytes behind a record's data.
        pub trailer: u32,
        /// Most bytes of data in a record.
        pub maximum_message: u32,
        /// [`session_flags`].
        pub flags: u32,
        /// With [`session_flags::CHECKED`]: `CERT_TRUST_*` error bits of the peer's chain.
        pub chain_errors: u32,
        /// With [`session_flags::CHECKED`]: what checking the peer's chain gave, an `HRESULT`.
        pub check_result: i32,
        /// Certificates of the peer.
        pub certificate_count: u32,
        /// Bytes that the certificates take behind this structure, whether they are there or not.
        pub certificates_length: u32,
        /// Bytes of `alpn` in use; 0 when none was negotiated.
        pub alpn_length: u32,
        /// 0.
        pub reserved: u32,
        /// The negotiated application protocol.
        pub alpn: [u8; 256],
    }

    /// SEAL and UNSEAL; `offset` bytes follow that are not looked at, and `length` bytes: plaintext to seal, or TLS
    /// stream to unseal.
    pub struct RecordRequest {
        /// The front.
        pub head: RequestHead,
        /// The session.
        pub session: u64,
        /// Bytes of plaintext, or of TLS stream.
        pub length: u32,
        /// SEAL: where the plaintext begins behind this structure; not behind the header of its first record, whose
        /// bytes the reply to QUERY_SESSION tells. Of a plaintext that begins there, the first record is made without
        /// moving it. UNSEAL: 0.
        pub offset: u32,
        /// Reserved, 0.
        pub reserved: [u32; 2],
    }

    /// Reply to SEAL, UNSEAL and SHUTDOWN; `produced` bytes and then `token` bytes follow. As long as
    /// [`RecordRequest`], so that the bytes stay in their place.
    pub struct RecordReply {
        /// The front: the status of the last record.
        pub head: ReplyHead,
        /// [`outcome`] of the last record. What the records before it gave is there all the same.
        pub outcome: u32,
        /// Bytes of the input that are used up.
        pub consumed: u32,
        /// Bytes behind this structure: records (SEAL, SHUTDOWN) or plaintext (UNSEAL).
        pub produced: u32,
        /// With [`outcome::RENEGOTIATE`]: bytes behind those, which must go to ACCEPT or CONNECT next.
        pub token: u32,
        /// With [`outcome::NEED_MORE`]: about how many more bytes are wanted, 0 if unknown.
        pub missing: u32,
        /// 0.
        pub reserved: u32,
    }

    /// Reply to CLOSE_SESSION. The request, not the closing, is given up after the longest time-out.
    pub struct CloseReply {
        /// The front; `status` is what deleting the context gave.
        pub head: ReplyHead,
    }

    /// Reply to QUERY_STATISTICS. The request is a [`RequestHead`]. Counters are of the whole
    /// driver since it was loaded; those named `live` say how many there are now.
    pub struct StatisticsReply {
        /// The front.
        pub head: ReplyHead,
        /// Sessions that exist, those still being deleted included.
        pub sessions_live: u64,
        /// Credentials that exist, those still being freed included.
        pub credentials_live: u64,
        /// Operations that wait for admission to ksecdd.
        pub waiting_live: u64,
        /// Operations inside ksecdd.
        pub in_flight_live: u64,
        /// Operations inside ksecdd whose request has been given up.
        pub orphans_live: u64,
        /// Async contexts that exist.
        pub async_contexts_live: u64,
        /// Async contexts kept for a while because they might yet be called back.
        pub quarantined_live: u64,
        /// The driver's own threads.
        pub threads_live: u64,
        /// Calls issued to ksecdd.
        pub calls: u64,
        /// Completions that came before the call returned, on the calling thread.
        pub completed_inline: u64,
        /// Completions that came before the call returned, on another thread.
        pub completed_early: u64,
        /// Completions that came after the call had returned.
        pub completed_late: u64,
        /// Calls that ksecdd refused to queue.
        pub calls_refused: u64,
        /// Callbacks without an operation, ignored.
        pub stray_callbacks: u64,
        /// Times `SspiReinitAsyncContext` refused and a fresh context was made.
        pub reinit_refused: u64,
        /// Highest IRQL a callback ran at.
        pub highest_callback_irql: u64,
        /// Sessions that were made.
        pub sessions_made: u64,
        /// Handshakes that completed.
        pub handshakes: u64,
        /// Sessions that failed.
        pub sessions_failed: u64,
        /// Requests refused by a quota.
        pub quota_refusals: u64,
        /// New sessions refused because too many handshakes of their handle have failed lately.
        pub rate_refusals: u64,
        /// Requests refused because an administrator has switched their function off.
        pub switched_off_refusals: u64,
        /// Requests given up by their caller while the driver had them: cancelled, or their handle closed.
        pub cancelled: u64,
        /// Requests given up because their time had run out.
        pub timed_out: u64,
        /// Of these: those with a call inside ksecdd, which became orphans.
        pub timed_out_inside: u64,
        /// Calls that took longer than the administrator's threshold.
        pub slow_calls: u64,
        /// Calls whose final status came without a callback.
        pub callbacks_lost: u64,
        /// Credentials that were replaced under their id.
        pub credentials_replaced: u64,
        /// Settings in the service's Parameters key that were ignored: out of range, or not a number.
        pub settings_ignored: u64,
        /// [`exports`].
        pub optional_exports: u64,
        /// Calls of the handshake functions by how long they took until their completion: bucket `n`
        /// counts those of 2^`n` microseconds up to twice that; the first one all shorter, the last
        /// all longer ones.
        pub leg_latency: [u64; LATENCY_BUCKETS],
    }
}

impl Default for RequestHead {
    fn default() -> Self {
        Self {
            version: ABI_VERSION,
            flags: 0,
        }
    }
}

impl ReplyHead {
    /// The front of a reply with this status.
    #[must_use]
    pub const fn new(status: SecurityStatus) -> Self {
        Self {
            version: ABI_VERSION,
            status: status.0,
        }
    }
}

impl CertificateReference {
    /// The part of `store_name` in use, or `None` when the length is a lie.
    #[must_use]
    pub fn store_name(&self) -> Option<&[u16]> {
        self.store_name
            .get(..usize::try_from(self.store_name_length).ok()?)
    }
}
