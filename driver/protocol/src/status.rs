//! The two status types: `SECURITY_STATUS` for outcomes of TLS, `NTSTATUS` for misuse.
//!
//! Values from the Windows SDK's `winerror.h` and `ntstatus.h`, as Microsoft's documentation of
//! `AcceptSecurityContext (Schannel)` and of NTSTATUS values lists them.

/// A `SECURITY_STATUS`: what became of a TLS operation. Data, not an error of the IOCTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct SecurityStatus(pub i32);

/// An `NTSTATUS`: what became of an IOCTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct NtStatus(pub i32);

macro_rules! values {
    ($type:ident { $($(#[$doc:meta])* $name:ident = $value:literal;)+ }) => {
        impl $type {
            $($(#[$doc])* pub const $name: Self = Self(i32::from_ne_bytes(u32::to_ne_bytes($value)));)+

            /// Every value with a name here.
            pub const NAMED: &'static [(&'static str, Self)] = &[$((stringify!($name), Self::$name),)+];

            /// The documented name, if this project knows it.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                Self::NAMED.iter().find(|(_, value)| *value == self).map(|(name, _)| *name)
            }
        }
    };
}

values! { SecurityStatus {
    /// Done.
    SEC_E_OK = 0;
    /// Send the token, if any, and come again with the peer's answer.
    SEC_I_CONTINUE_NEEDED = 0x0009_0312;
    /// `CompleteAuthToken` is wanted; Schannel does not use it.
    SEC_I_COMPLETE_NEEDED = 0x0009_0313;
    /// Both of the above.
    SEC_I_COMPLETE_AND_CONTINUE = 0x0009_0314;
    /// The peer has closed the session.
    SEC_I_CONTEXT_EXPIRED = 0x0009_0317;
    /// The server asked for a client certificate that the credential lacks.
    SEC_I_INCOMPLETE_CREDENTIALS = 0x0009_0320;
    /// A post-handshake message is to be processed by the handshake function.
    SEC_I_RENEGOTIATE = 0x0009_0321;
    /// A fragment of a handshake message was processed.
    SEC_I_MESSAGE_FRAGMENT = 0x0009_0364;
    /// Like `SEC_I_CONTINUE_NEEDED`, and messages may be protected already.
    SEC_I_CONTINUE_NEEDED_MESSAGE_OK = 0x0009_0366;
    /// The asynchronous call has not completed.
    SEC_I_ASYNC_CALL_PENDING = 0x0009_0368;
    /// Not enough memory.
    SEC_E_INSUFFICIENT_MEMORY = 0x8009_0300;
    /// The handle is not valid.
    SEC_E_INVALID_HANDLE = 0x8009_0301;
    /// The function is not supported here.
    SEC_E_UNSUPPORTED_FUNCTION = 0x8009_0302;
    /// The security subsystem failed.
    SEC_E_INTERNAL_ERROR = 0x8009_0304;
    /// The package is not known.
    SEC_E_SECPKG_NOT_FOUND = 0x8009_0305;
    /// The peer's bytes are not what they should be.
    SEC_E_INVALID_TOKEN = 0x8009_0308;
    /// The logon was denied.
    SEC_E_LOGON_DENIED = 0x8009_030C;
    /// The credentials given were not recognised.
    SEC_E_UNKNOWN_CREDENTIALS = 0x8009_030D;
    /// No credentials are available: no such certificate, or its key may not be used.
    SEC_E_NO_CREDENTIALS = 0x8009_030E;
    /// A record failed its integrity check.
    SEC_E_MESSAGE_ALTERED = 0x8009_030F;
    /// A record is out of sequence.
    SEC_E_OUT_OF_SEQUENCE = 0x8009_0310;
    /// No authority could be reached.
    SEC_E_NO_AUTHENTICATING_AUTHORITY = 0x8009_0311;
    /// The context can no longer be used.
    SEC_E_CONTEXT_EXPIRED = 0x8009_0317;
    /// The input ends inside a record: bring more.
    SEC_E_INCOMPLETE_MESSAGE = 0x8009_0318;
    /// The output buffer is too small.
    SEC_E_BUFFER_TOO_SMALL = 0x8009_0321;
    /// The name in the certificate is not the one asked for.
    SEC_E_WRONG_PRINCIPAL = 0x8009_0322;
    /// The certificate's chain ends in a root that is not trusted.
    SEC_E_UNTRUSTED_ROOT = 0x8009_0325;
    /// The peer sent, or deserves, a fatal alert.
    SEC_E_ILLEGAL_MESSAGE = 0x8009_0326;
    /// The certificate could not be processed.
    SEC_E_CERT_UNKNOWN = 0x8009_0327;
    /// The certificate has expired.
    SEC_E_CERT_EXPIRED = 0x8009_0328;
    /// A record could not be decrypted.
    SEC_E_DECRYPT_FAILURE = 0x8009_0330;
    /// Both sides have no algorithm or protocol version in common.
    SEC_E_ALGORITHM_MISMATCH = 0x8009_0331;
    /// A parameter does not make sense to the security subsystem.
    SEC_E_INVALID_PARAMETER = 0x8009_035D;
    /// The downgrade protection found a downgrade.
    SEC_E_DOWNGRADE_DETECTED = 0x8009_0350;
    /// The server demands a client certificate with a logon, and the mapping failed.
    SEC_E_NO_IMPERSONATION = 0x8009_030B;
    /// Both sides have no application protocol in common.
    SEC_E_APPLICATION_PROTOCOL_MISMATCH = 0x8009_0367;
    /// An extension's buffer is too small.
    SEC_E_EXT_BUFFER_TOO_SMALL = 0x8009_036A;
    /// A buffer that the call needs is not among those given.
    SEC_E_INSUFFICIENT_BUFFERS = 0x8009_036B;
    /// The certificate has been revoked.
    CRYPT_E_REVOKED = 0x8009_2010;
    /// The certificate names no revocation information.
    CRYPT_E_NO_REVOCATION_CHECK = 0x8009_2012;
    /// Revocation information could not be reached.
    CRYPT_E_REVOCATION_OFFLINE = 0x8009_2013;
    /// The certificate is not valid now.
    CERT_E_EXPIRED = 0x800B_0101;
    /// The certificate's chain ends in a root that is not trusted.
    CERT_E_UNTRUSTEDROOT = 0x800B_0109;
    /// No chain to a root could be built.
    CERT_E_CHAINING = 0x800B_010A;
    /// The name in the certificate is not the one asked for.
    CERT_E_CN_NO_MATCH = 0x800B_010F;
    /// The certificate is not for this use.
    CERT_E_WRONG_USAGE = 0x800B_0110;
}}

values! { NtStatus {
    /// Done.
    STATUS_SUCCESS = 0;
    /// It will be completed later.
    STATUS_PENDING = 0x0000_0103;
    /// A field of the request does not make sense.
    STATUS_INVALID_PARAMETER = 0xC000_000D;
    /// The control code is not one of ours.
    STATUS_INVALID_DEVICE_REQUEST = 0xC000_0010;
    /// Not allowed.
    STATUS_ACCESS_DENIED = 0xC000_0022;
    /// A buffer is shorter than the request or its reply.
    STATUS_BUFFER_TOO_SMALL = 0xC000_0023;
    /// No such name on this device.
    STATUS_OBJECT_NAME_NOT_FOUND = 0xC000_0034;
    /// A quota of the driver is used up.
    STATUS_QUOTA_EXCEEDED = 0xC000_0044;
    /// The request's ABI version is not this driver's.
    STATUS_REVISION_MISMATCH = 0xC000_0059;
    /// The device's security descriptor in the Parameters key is refused.
    STATUS_INVALID_SECURITY_DESCR = 0xC000_0079;
    /// Not enough memory.
    STATUS_INSUFFICIENT_RESOURCES = 0xC000_009A;
    /// The caller impersonates below `SecurityImpersonation`.
    STATUS_BAD_IMPERSONATION_LEVEL = 0xC000_00A5;
    /// The request's time has run out.
    STATUS_IO_TIMEOUT = 0xC000_00B5;
    /// Something that cannot be: ksecdd has lost a callback.
    STATUS_INTERNAL_ERROR = 0xC000_00E5;
    /// An administrator has switched this function off.
    STATUS_NOT_SUPPORTED = 0xC000_00BB;
    /// The caller gave the request up.
    STATUS_CANCELLED = 0xC000_0120;
    /// The handle has been cleaned up.
    STATUS_FILE_CLOSED = 0xC000_0128;
    /// The session's state does not allow this.
    STATUS_INVALID_DEVICE_STATE = 0xC000_0184;
    /// The id names nothing on this handle.
    STATUS_NOT_FOUND = 0xC000_0225;
    /// Too many handshakes of this handle have failed lately: come again.
    STATUS_RETRY = 0xC000_022D;
    /// The session's context is in use by another request.
    STATUS_DEVICE_BUSY = 0x8000_0011;
}}

impl SecurityStatus {
    /// Whether the value has the severity of an error (`SEC_E_*`).
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0 < 0
    }
}

impl NtStatus {
    /// `NT_SUCCESS`.
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.0 >= 0
    }
}
