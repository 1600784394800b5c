//! The control codes: every one METHOD_BUFFERED with explicit access bits.

/// `METHOD_BUFFERED`: the kernel works on a private copy of the caller's bytes.
const METHOD_BUFFERED: u32 = 0;

/// The device type of `\\.\TlsGate`; values from 0x8000 up are the vendor's.
pub const DEVICE_TYPE: u32 = 0x8541;

/// The access a handle must have been opened with for the I/O manager to let a code through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `FILE_READ_ACCESS`: the code changes nothing.
    Read = 1,
    /// `FILE_READ_ACCESS | FILE_WRITE_ACCESS`.
    ReadWrite = 3,
}

/// `CTL_CODE` of the WDK, for METHOD_BUFFERED.
const fn ctl_code(function: u32, access: Access) -> u32 {
    (DEVICE_TYPE << 16) | ((access as u32) << 14) | (function << 2) | METHOD_BUFFERED
}

macro_rules! ioctls {
    ($($(#[$doc:meta])* $name:ident = $function:literal, $access:ident;)+) => {
        /// What a program can ask of the driver. Function codes below 0x800 are Microsoft's.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Ioctl {
            $($(#[$doc])* $name = ctl_code($function, Access::$access),)+
        }

        impl Ioctl {
            /// Every IOCTL of this ABI version.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The IOCTL with this whole 32-bit code, device type and access bits included.
            #[must_use]
            pub const fn from_code(code: u32) -> Option<Self> {
                $(if code == Self::$name.code() {
                    return Some(Self::$name);
                })+
                None
            }

            /// The IOCTL's name in the README and in messages.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}

ioctls! {
    /// ABI and driver version, limits, optional ksecdd exports.
    QueryVersion = 0x800, Read;
    /// Acquires a credential (`SspiAcquireCredentialsHandleAsyncW`).
    AcquireCredential = 0x801, ReadWrite;
    /// Releases a credential (`SspiFreeCredentialsHandleAsync`) once its sessions are gone.
    ReleaseCredential = 0x802, ReadWrite;
    /// One server leg (`SspiAcceptSecurityContextAsync`).
    Accept = 0x803, ReadWrite;
    /// One client leg (`SspiInitializeSecurityContextAsyncW`).
    Connect = 0x804, ReadWrite;
    /// What was negotiated (`QueryContextAttributesW`).
    QuerySession = 0x805, Read;
    /// Protects plaintext, in as many records as it takes (`SealMessage`).
    Seal = 0x806, ReadWrite;
    /// Unprotects records (`UnsealMessage`).
    Unseal = 0x807, ReadWrite;
    /// Makes the record that ends a session's data, close_notify (`SealMessage`).
    Shutdown = 0x808, ReadWrite;
    /// Deletes a session's context (`SspiDeleteSecurityContextAsync`).
    CloseSession = 0x809, ReadWrite;
    /// Counters of the driver and of what it observed of ksecdd.
    QueryStatistics = 0x80A, Read;
}

impl Ioctl {
    /// The 32-bit control code.
    #[must_use]
    pub const fn code(self) -> u32 {
        self as u32
    }
}
