//! Sizes that both sides must agree on, in bytes unless a name says otherwise.

/// Most bytes of TLS stream one ACCEPT or CONNECT may carry. Holds several whole records
/// (a TLS record is at most 5 + 16,384 + 256 bytes: RFC 8446, section 5.2).
pub const MAX_INPUT: usize = 64 * 1024;

/// Largest token one leg can produce. Schannel's own `cbMaxToken` is 24 KiB.
pub const MAX_TOKEN: usize = 32 * 1024;

/// Largest ALPN list: 8-bit length-prefixed names, as in RFC 7301 without its outer length.
pub const MAX_ALPN_LIST: usize = 1024;

/// Longest selected ALPN name (`SecPkgContext_ApplicationProtocol` holds 255).
pub const MAX_ALPN_NAME: usize = 255;

/// Most payload bytes of one SEAL or UNSEAL.
pub const MAX_RECORDS: usize = 1024 * 1024;

/// One TLS record with its largest overhead (RFC 5246, section 6.2.3).
pub const MAX_RECORD: usize = 5 + 16_384 + 2048;

/// Most plaintext bytes a TLS record carries.
pub const MAX_PLAINTEXT: usize = 16_384;

/// Most bytes that a record has around its plaintext.
pub const MAX_OVERHEAD: usize = MAX_RECORD - MAX_PLAINTEXT;

/// Room that is enough for the record of SHUTDOWN, whatever the session: an alert of two bytes with
/// a record's largest overhead.
pub const MAX_ALERT_RECORD: usize = 5 + 2 + 256;

/// The output buffer ACCEPT and CONNECT demand before they touch a context: a token must never be lost to a
/// buffer that is too small.
pub const LARGEST_REPLY: usize = size_of::<crate::payload::LegReply>() + MAX_TOKEN;

/// UTF-16 units of a certificate store's name, without the terminator
/// (`SCHANNEL_CERT_HASH_STORE::pwszStoreName` holds 128 with it).
pub const MAX_STORE_NAME: usize = 127;

/// Certificates of one credential.
pub const MAX_CERTIFICATES: usize = 16;

/// Longest DNS name, without a terminator (RFC 1035, section 3.1, as text).
pub const MAX_SERVER_NAME: usize = 253;

/// Most bytes of a peer's certificates that QUERY_SESSION gives.
pub const MAX_PEER_CERTIFICATES: usize = 256 * 1024;

/// Buckets of a latency histogram.
pub const LATENCY_BUCKETS: usize = 32;

/// The room that `length` bytes of plaintext need when sealed, in bytes, by the sizes QUERY_SESSION
/// tells. `None` when `maximum_message` is 0 or the room would exceed what can be said.
#[must_use]
pub const fn sealed_room(
    length: usize,
    header: usize,
    trailer: usize,
    maximum_message: usize,
) -> Option<usize> {
    let Some(records) = length.checked_add(maximum_message) else {
        return None;
    };
    // An empty plaintext makes one empty record.
    let records = match records.saturating_sub(1).checked_div(maximum_message) {
        Some(0) => 1,
        Some(records) => records,
        None => return None,
    };
    let Some(overhead) = header.checked_add(trailer) else {
        return None;
    };
    match records.checked_mul(overhead) {
        Some(overhead) => length.checked_add(overhead),
        None => None,
    }
}
