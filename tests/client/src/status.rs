//! Statuses and alerts as a person reads them.

use tlsgate_protocol::{NtStatus, SecurityStatus};

/// The status with its documented name and what it means: `SEC_E_INVALID_TOKEN (0x80090308): ...`.
#[must_use]
pub fn describe_security_status(status: SecurityStatus) -> String {
    let named = status.name().map(|name| (name, meaning(status)));
    let (name, text) = named
        .or_else(|| further(status))
        .unwrap_or(("unnamed status", ""));
    describe(Some(name), status.0, text)
}

/// Statuses that mean nothing special to the driver and that Schannel and the chain engine may give
/// all the same: values of `winerror.h`, as Microsoft's documentation of COM error codes (Security and
/// Setup) lists them.
const FURTHER: [(u32, &str, &str); 22] = [
    (0x8009_000D, "NTE_NO_KEY", "the private key does not exist"),
    (
        0x8009_0010,
        "NTE_PERM",
        "this account may not use the private key",
    ),
    (
        0x8009_0016,
        "NTE_BAD_KEYSET",
        "the private key was not found",
    ),
    (
        0x8009_0320,
        "SEC_E_INCOMPLETE_CREDENTIALS",
        "the credential lacks something",
    ),
    (
        0x8009_0324,
        "SEC_E_TIME_SKEW",
        "the clocks of both sides differ too much",
    ),
    (
        0x8009_0329,
        "SEC_E_ENCRYPT_FAILURE",
        "data could not be encrypted",
    ),
    (
        0x8009_0333,
        "SEC_E_UNFINISHED_CONTEXT_DELETED",
        "the handshake was broken off",
    ),
    (
        0x8009_0337,
        "SEC_E_CRYPTO_SYSTEM_INVALID",
        "the cipher is not valid here",
    ),
    (
        0x8009_033A,
        "SEC_E_STRONG_CRYPTO_NOT_SUPPORTED",
        "strong cryptography is not supported",
    ),
    (
        0x8009_0346,
        "SEC_E_BAD_BINDINGS",
        "the channel bindings are wrong",
    ),
    (
        0x8009_0349,
        "SEC_E_CERT_WRONG_USAGE",
        "the certificate is not for this use",
    ),
    (
        0x8009_0352,
        "SEC_E_ISSUING_CA_UNTRUSTED",
        "an issuer of the certificate is not trusted",
    ),
    (
        0x8009_0361,
        "SEC_E_NO_CONTEXT",
        "the session is not there any more",
    ),
    (
        0x8009_0363,
        "SEC_E_MUTUAL_AUTH_FAILED",
        "both sides do not know each other",
    ),
    (
        0x8009_2004,
        "CRYPT_E_NOT_FOUND",
        "there is no such certificate",
    ),
    (
        0x8009_6004,
        "TRUST_E_CERT_SIGNATURE",
        "the certificate's signature is wrong",
    ),
    (
        0x8009_6019,
        "TRUST_E_BASIC_CONSTRAINTS",
        "an issuer of the certificate is no authority",
    ),
    (
        0x800B_0105,
        "CERT_E_CRITICAL",
        "the certificate demands what is not understood",
    ),
    (
        0x800B_010C,
        "CERT_E_REVOKED",
        "an issuer has revoked the certificate",
    ),
    (
        0x800B_010D,
        "CERT_E_UNTRUSTEDTESTROOT",
        "the certificate's root is for tests",
    ),
    (
        0x800B_010E,
        "CERT_E_REVOCATION_FAILURE",
        "its revocation could not be checked",
    ),
    (
        0x800B_0114,
        "CERT_E_INVALID_NAME",
        "a name in the certificate is not allowed",
    ),
];

fn further(status: SecurityStatus) -> Option<(&'static str, &'static str)> {
    FURTHER
        .iter()
        .find(|(value, ..)| *value == status.0.cast_unsigned())
        .map(|(_, name, text)| (*name, *text))
}

/// The status with its documented name and what it means for an IOCTL of the driver.
#[must_use]
pub fn describe_nt_status(status: NtStatus) -> String {
    describe(status.name(), status.0, advice(status))
}

fn describe(name: Option<&str>, value: i32, text: &str) -> String {
    let separator = if text.is_empty() { "" } else { ": " };
    format!(
        "{} (0x{value:08X}){separator}{text}",
        name.unwrap_or("unnamed status")
    )
}

const fn meaning(status: SecurityStatus) -> &'static str {
    match status {
        SecurityStatus::SEC_E_OK => "done",
        SecurityStatus::SEC_I_CONTINUE_NEEDED => "the handshake goes on",
        SecurityStatus::SEC_I_CONTEXT_EXPIRED => "the peer has closed the session",
        SecurityStatus::SEC_I_RENEGOTIATE => "a post-handshake message is to be processed",
        SecurityStatus::SEC_E_INCOMPLETE_MESSAGE => "the input ends inside a record",
        SecurityStatus::SEC_E_INVALID_TOKEN => "the peer's bytes are not TLS as it should be",
        SecurityStatus::SEC_E_ILLEGAL_MESSAGE => "the peer sent, or deserves, a fatal alert",
        SecurityStatus::SEC_E_MESSAGE_ALTERED => "a record failed its integrity check",
        SecurityStatus::SEC_E_DECRYPT_FAILURE => "a record could not be decrypted",
        SecurityStatus::SEC_E_CONTEXT_EXPIRED => "the session can no longer be used",
        SecurityStatus::SEC_E_ALGORITHM_MISMATCH => {
            "both sides have no protocol version or algorithm in common"
        }
        SecurityStatus::SEC_E_APPLICATION_PROTOCOL_MISMATCH => {
            "both sides have no application protocol (ALPN) in common"
        }
        SecurityStatus::SEC_E_NO_CREDENTIALS => {
            "no such certificate in that store, or its private key may not be used by this account"
        }
        SecurityStatus::SEC_E_UNKNOWN_CREDENTIALS => "the certificate's private key was not found",
        SecurityStatus::SEC_E_SECPKG_NOT_FOUND => "this Windows has no Schannel package",
        SecurityStatus::SEC_E_INSUFFICIENT_MEMORY => "the security subsystem is out of memory",
        SecurityStatus::SEC_E_INTERNAL_ERROR => "the security subsystem failed",
        SecurityStatus::SEC_E_UNSUPPORTED_FUNCTION => "this Windows cannot do that",
        SecurityStatus::SEC_E_OUT_OF_SEQUENCE => "a record is out of sequence",
        SecurityStatus::SEC_E_NO_AUTHENTICATING_AUTHORITY => "no authority could be reached",
        SecurityStatus::SEC_E_INVALID_PARAMETER => {
            "a parameter makes no sense to the security subsystem"
        }
        SecurityStatus::SEC_E_DOWNGRADE_DETECTED => {
            "somebody has tried to make both sides use an older protocol version"
        }
        SecurityStatus::SEC_E_UNTRUSTED_ROOT => "the peer's certificate has no trusted root",
        SecurityStatus::SEC_E_CERT_EXPIRED => "the certificate has expired",
        SecurityStatus::SEC_E_CERT_UNKNOWN => "the certificate could not be processed",
        SecurityStatus::SEC_E_WRONG_PRINCIPAL | SecurityStatus::CERT_E_CN_NO_MATCH => {
            "the certificate is for another name"
        }
        SecurityStatus::SEC_I_INCOMPLETE_CREDENTIALS => {
            "the server wants a client certificate, and the credential has none that fits"
        }
        SecurityStatus::SEC_E_LOGON_DENIED => "the peer refused the certificate",
        SecurityStatus::CRYPT_E_REVOKED => "the certificate has been revoked",
        SecurityStatus::CRYPT_E_NO_REVOCATION_CHECK => {
            "the certificate names no revocation information"
        }
        SecurityStatus::CRYPT_E_REVOCATION_OFFLINE => {
            "the revocation information could not be reached"
        }
        SecurityStatus::CERT_E_EXPIRED => "the certificate is not valid now",
        SecurityStatus::CERT_E_UNTRUSTEDROOT => "the certificate's root is not trusted",
        SecurityStatus::CERT_E_CHAINING => "no chain from the certificate to a root was found",
        SecurityStatus::CERT_E_WRONG_USAGE => "the certificate is not for this use",
        _ => "",
    }
}

const fn advice(status: NtStatus) -> &'static str {
    match status {
        NtStatus::STATUS_ACCESS_DENIED => "run it as an administrator",
        NtStatus::STATUS_REVISION_MISMATCH => {
            "program and driver are of different versions; run `tlsgate install` again"
        }
        NtStatus::STATUS_QUOTA_EXCEEDED => {
            "a quota of the driver is used up; close sessions or raise it in the service's Parameters"
        }
        NtStatus::STATUS_INVALID_DEVICE_REQUEST => {
            "the driver does not know this request; run `tlsgate install` again"
        }
        NtStatus::STATUS_INVALID_PARAMETER => "the request makes no sense to the driver",
        NtStatus::STATUS_BUFFER_TOO_SMALL => "a buffer is shorter than the request or its reply",
        NtStatus::STATUS_INSUFFICIENT_RESOURCES => "the kernel is out of memory",
        NtStatus::STATUS_BAD_IMPERSONATION_LEVEL => {
            "the calling thread impersonates, but not at the level the driver needs"
        }
        NtStatus::STATUS_CANCELLED => "the request was given up",
        NtStatus::STATUS_FILE_CLOSED => "the handle has been closed",
        NtStatus::STATUS_INVALID_DEVICE_STATE => "the session's state does not allow this",
        NtStatus::STATUS_NOT_FOUND => "this handle has no such session or credential",
        NtStatus::STATUS_DEVICE_BUSY => "the session is in use by another request",
        NtStatus::STATUS_IO_TIMEOUT => "its time has run out",
        NtStatus::STATUS_NOT_SUPPORTED => {
            "an administrator has switched this function off in the service's Parameters"
        }
        NtStatus::STATUS_RETRY => "too many handshakes have failed lately: come again in a moment",
        _ => "",
    }
}

/// The name of a TLS alert description (RFC 8446, section 6).
#[must_use]
pub const fn alert_name(description: u8) -> &'static str {
    match description {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => "an alert without a name",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_status_has_name_value_and_meaning() {
        assert_eq!(
            describe_security_status(SecurityStatus::SEC_E_CERT_EXPIRED),
            "SEC_E_CERT_EXPIRED (0x80090328): the certificate has expired"
        );
        assert_eq!(
            describe_nt_status(NtStatus::STATUS_NOT_FOUND),
            "STATUS_NOT_FOUND (0xC0000225): this handle has no such session or credential"
        );
    }

    #[test]
    fn a_status_has_one_name() {
        for (value, name, _) in FURTHER {
            let status = SecurityStatus(value.cast_signed());
            assert_eq!(status.name(), None, "{name} is known to the driver");
            let described = describe_security_status(status);
            assert!(described.starts_with(name), "{described}");
        }
        for (name, status) in SecurityStatus::NAMED {
            let described = describe_security_status(*status);
            assert!(described.starts_with(name), "{described}");
        }
    }

    #[test]
    fn an_unknown_status_still_shows_its_value() {
        assert_eq!(
            describe_nt_status(NtStatus(0x1234)),
            "unnamed status (0x00001234)"
        );
        assert_eq!(
            describe_security_status(SecurityStatus(0x1234)),
            "unnamed status (0x00001234)"
        );
    }
}
