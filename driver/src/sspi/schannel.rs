//! Schannel's structures and constants, which kernel headers lack (they are in `schannel.h`, for
//! user mode). In the kernel their strings are `UNICODE_STRING`s.
//!
//! Values and layouts: Microsoft's documentation of `SCH_CREDENTIALS`, `SCHANNEL_CERT_HASH_STORE`,
//! `TLS_PARAMETERS` and `QueryContextAttributes (Schannel)`; as msquic declares them for its kernel
//! build. The asserts hold for the genuine WDK's compiler as well.

use crate::kmdf::utf16;
use core::{ffi::c_void, mem::offset_of};
use wdk_sys::{SecBuffer, SecBufferDesc, SecHandle, UNICODE_STRING};

/// `SCH_CREDENTIALS`: the only credential that has TLS 1.3.
#[repr(C)]
pub struct SchCredentials {
    /// [`SCH_CREDENTIALS_VERSION`].
    pub version: u32,
    /// [`SCH_CRED_FORMAT_CERT_HASH_STORE`].
    pub format: u32,
    /// How many certificates.
    pub certificate_count: u32,
    /// The certificates: [`CertificateHashStore`]s one after another.
    pub certificates: *mut c_void,
    /// A root store; null.
    pub root_store: *mut c_void,
    /// 0.
    pub mapper_count: u32,
    /// Null.
    pub mappers: *mut c_void,
    /// Milliseconds a session is kept for resumption; 0 is Schannel's default.
    pub session_lifespan: u32,
    /// `SCH_*` flags.
    pub flags: u32,
    /// How many [`TlsParameters`].
    pub tls_parameters_count: u32,
    /// The parameters.
    pub tls_parameters: *mut TlsParameters,
}

/// `SCHANNEL_CERT_HASH_STORE`.
#[repr(C)]
pub struct CertificateHashStore {
    /// This structure's size.
    pub length: u32,
    /// [`SCH_MACHINE_CERT_HASH`] for a store of the machine.
    pub flags: u32,
    /// 0.
    pub provider: usize,
    /// SHA-1 of the certificate.
    pub thumbprint: [u8; 20],
    /// The store's name, with its terminator.
    pub store_name: [u16; 128],
}

/// `TLS_PARAMETERS`.
#[repr(C)]
pub struct TlsParameters {
    /// 0.
    pub alpn_id_count: u32,
    /// Null.
    pub alpn_ids: *mut UNICODE_STRING,
    /// `grbitDisabledProtocols`: a mask of what is *not* allowed.
    pub disabled_protocols: u32,
    /// 0.
    pub disabled_crypto_count: u32,
    /// Null.
    pub disabled_crypto: *mut c_void,
    /// 0.
    pub flags: u32,
}

/// `SecPkgContext_StreamSizes`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct StreamSizes {
    /// Bytes in front of a record's data.
    pub header: u32,
    /// Bytes behind it.
    pub trailer: u32,
    /// Most bytes of data.
    pub maximum_message: u32,
    /// Buffers a call needs.
    pub buffers: u32,
    /// The cipher's block size.
    pub block_size: u32,
}

/// `SecPkgContext_ApplicationProtocol`.
#[repr(C)]
pub struct ApplicationProtocol {
    /// 0 none, 1 success, 2 only of the client.
    pub status: u32,
    /// 2 is ALPN.
    pub extension: u32,
    /// Bytes of `name`.
    pub length: u8,
    /// The name.
    pub name: [u8; 255],
}

/// `SecPkgContext_ConnectionInfo`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct ConnectionInfo {
    /// `SP_PROT_*`.
    pub protocol: u32,
    /// `ALG_ID` of the cipher.
    pub cipher: u32,
    /// Its strength in bits.
    pub cipher_strength: u32,
    /// `ALG_ID` of the hash.
    pub hash: u32,
    /// Its strength in bits.
    pub hash_strength: u32,
    /// `ALG_ID` of the key exchange.
    pub exchange: u32,
    /// Its strength in bits.
    pub exchange_strength: u32,
}

/// `SecPkgContext_CipherInfo`.
#[repr(C)]
pub struct CipherInfo {
    /// [`CIPHER_INFO_VERSION`], set by the caller.
    pub version: u32,
    /// The TLS version on the wire.
    pub protocol: u32,
    /// IANA number of the cipher suite.
    pub cipher_suite: u32,
    /// The suite it is derived from.
    pub base_cipher_suite: u32,
    /// The suite's name.
    pub suite_name: [u16; 64],
    /// The cipher's name.
    pub cipher_name: [u16; 64],
    /// The cipher's key length in bits.
    pub cipher_length: u32,
    /// Its block length in bytes.
    pub block_length: u32,
    /// The hash's name.
    pub hash_name: [u16; 64],
    /// Its length in bits.
    pub hash_length: u32,
    /// The key exchange's name.
    pub exchange_name: [u16; 64],
    /// Shortest key of the exchange in bits.
    pub least_exchange: u32,
    /// Longest key of the exchange in bits.
    pub most_exchange: u32,
    /// The certificate's key type.
    pub certificate_name: [u16; 64],
    /// Its kind.
    pub key_type: u32,
}

/// `SecPkgContext_SessionInfo`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct SessionInfo {
    /// [`SSL_SESSION_RECONNECT`].
    pub flags: u32,
    /// Bytes of `id` in use.
    pub id_length: u32,
    /// The session's id in TLS.
    pub id: [u8; 32],
}

/// `SecPkgContext_Certificates`: of the peer.
#[repr(C)]
pub struct Certificates {
    /// How many.
    pub count: u32,
    /// Bytes of the list.
    pub length: u32,
    /// The list: a 32-bit length and so many bytes of DER, again and again. For `FreeContextBuffer`.
    pub list: *mut u8,
}

/// `SecPkgContext_CertificateValidationResult`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct CertificateCheck {
    /// `CERT_TRUST_*` error bits of the chain.
    pub chain_errors: u32,
    /// What the check gave, an `HRESULT`.
    pub result: i32,
}

/// `SCH_CREDENTIALS_VERSION`.
pub const SCH_CREDENTIALS_VERSION: u32 = 5;
/// The certificates are [`CertificateHashStore`]s.
pub const SCH_CRED_FORMAT_CERT_HASH_STORE: u32 = 2;
/// The store is the machine's.
pub const SCH_MACHINE_CERT_HASH: u32 = 1;
/// Certificates are not mapped to Windows accounts.
pub const SCH_CRED_NO_SYSTEM_MAPPER: u32 = 0x0000_0002;
/// The caller checks the peer's certificate. (Documented for clients; msquic sets it for servers, too.)
pub const SCH_CRED_MANUAL_CRED_VALIDATION: u32 = 0x0000_0008;
/// A client's own certificate is only what is given here.
pub const SCH_CRED_NO_DEFAULT_CREDS: u32 = 0x0000_0010;
/// Schannel checks the server's certificate.
pub const SCH_CRED_AUTO_CRED_VALIDATION: u32 = 0x0000_0020;
/// A server's sessions are not resumed.
pub const SCH_CRED_DISABLE_RECONNECTS: u32 = 0x0000_0080;
/// Revocation of the peer's own certificate is checked.
pub const SCH_CRED_REVOCATION_CHECK_END_CERT: u32 = 0x0000_0100;
/// Revocation of the whole chain is checked.
pub const SCH_CRED_REVOCATION_CHECK_CHAIN: u32 = 0x0000_0200;
/// Revocation of the chain but its root is checked.
pub const SCH_CRED_REVOCATION_CHECK_CHAIN_EXCLUDE_ROOT: u32 = 0x0000_0400;
/// A certificate that names no revocation information is good.
pub const SCH_CRED_IGNORE_NO_REVOCATION_CHECK: u32 = 0x0000_0800;
/// Revocation information that cannot be reached is ignored.
pub const SCH_CRED_IGNORE_REVOCATION_OFFLINE: u32 = 0x0000_1000;
/// The credential is for the one server name that the principal says.
pub const SCH_CRED_SNI_CREDENTIAL: u32 = 0x0008_0000;
/// Weak algorithms are left out.
pub const SCH_USE_STRONG_CRYPTO: u32 = 0x0040_0000;

/// TLS 1.2, the server's side.
pub const SP_PROT_TLS1_2_SERVER: u32 = 0x0000_0400;
/// TLS 1.2, the client's side.
pub const SP_PROT_TLS1_2_CLIENT: u32 = 0x0000_0800;
/// TLS 1.3, the server's side.
pub const SP_PROT_TLS1_3_SERVER: u32 = 0x0000_1000;
/// TLS 1.3, the client's side.
pub const SP_PROT_TLS1_3_CLIENT: u32 = 0x0000_2000;

/// [`StreamSizes`].
pub const SECPKG_ATTR_STREAM_SIZES: u32 = 4;
/// [`ApplicationProtocol`].
pub const SECPKG_ATTR_APPLICATION_PROTOCOL: u32 = 35;
/// [`ConnectionInfo`].
pub const SECPKG_ATTR_CONNECTION_INFO: u32 = 0x5A;
/// [`SessionInfo`].
pub const SECPKG_ATTR_SESSION_INFO: u32 = 0x5D;
/// [`Certificates`].
pub const SECPKG_ATTR_REMOTE_CERTIFICATES: u32 = 0x5F;
/// [`CipherInfo`].
pub const SECPKG_ATTR_CIPHER_INFO: u32 = 0x64;
/// [`CertificateCheck`].
pub const SECPKG_ATTR_CERT_CHECK_RESULT_INPROC: u32 = 0x72;
/// [`SessionInfo::flags`]: the session was resumed.
pub const SSL_SESSION_RECONNECT: u32 = 1;
/// `SECPKGCONTEXT_CIPHERINFO_V1`.
pub const CIPHER_INFO_VERSION: u32 = 1;
/// [`ApplicationProtocol::status`]: one was negotiated.
pub const ALPN_SELECTED: u32 = 1;
/// `SecApplicationProtocolNegotiationExt_ALPN`.
pub const ALPN_EXTENSION: u32 = 2;

/// The package: kernel callers name it by `SCHANNEL_NAME`, as msquic does.
pub static PACKAGE: [u16; 8] = utf16("Schannel");

const _: () = {
    assert!(size_of::<SchCredentials>() == 72);
    assert!(offset_of!(SchCredentials, certificates) == 16);
    assert!(offset_of!(SchCredentials, flags) == 52);
    assert!(offset_of!(SchCredentials, tls_parameters) == 64);
    assert!(size_of::<CertificateHashStore>() == 296);
    assert!(offset_of!(CertificateHashStore, thumbprint) == 16);
    assert!(offset_of!(CertificateHashStore, store_name) == 36);
    assert!(size_of::<TlsParameters>() == 40);
    assert!(offset_of!(TlsParameters, disabled_protocols) == 16);
    assert!(size_of::<StreamSizes>() == 20);
    assert!(size_of::<ApplicationProtocol>() == 264);
    assert!(offset_of!(ApplicationProtocol, name) == 9);
    assert!(size_of::<ConnectionInfo>() == 28);
    assert!(offset_of!(ConnectionInfo, exchange) == 20);
    assert!(offset_of!(ConnectionInfo, exchange_strength) == 24);
    assert!(size_of::<SessionInfo>() == 40);
    assert!(offset_of!(SessionInfo, flags) == 0);
    assert!(size_of::<Certificates>() == 16);
    assert!(offset_of!(Certificates, length) == 4);
    assert!(offset_of!(Certificates, list) == 8);
    assert!(size_of::<CertificateCheck>() == 8);
    assert!(offset_of!(CertificateCheck, result) == 4);
    assert!(size_of::<CipherInfo>() == 680);
    assert!(offset_of!(CipherInfo, cipher_suite) == 8);
    assert!(size_of::<SecHandle>() == 16);
    assert!(size_of::<SecBuffer>() == 16);
    assert!(offset_of!(SecBuffer, BufferType) == 4);
    assert!(offset_of!(SecBuffer, pvBuffer) == 8);
    assert!(size_of::<SecBufferDesc>() == 16);
    assert!(offset_of!(SecBufferDesc, pBuffers) == 8);
    assert!(size_of::<UNICODE_STRING>() == 16);
};
