//! `QueryContextAttributesW` and `FreeContextBuffer`.

use crate::{
    context::{SecurityContext, Use},
    ksecdd::{Ksecdd, lock},
    memory::Place,
    rules::{Checked, UNKNOWN_CONTEXT_BUFFER, check},
    tls::{outcome::Defect, record::MAX_PLAINTEXT, session::Session},
};
use rustls::{CipherSuite, Error, NamedGroup, ProtocolVersion};
use std::ffi::c_void;
use tlsgate_lab_control::ksecdd::{Function, NoCertificate, NoProtocol, Switches};
use windows_sys::Win32::{
    Foundation::{
        SEC_E_INTERNAL_ERROR, SEC_E_INVALID_HANDLE, SEC_E_NO_CREDENTIALS, SEC_E_OK,
        SEC_E_OUT_OF_SEQUENCE, SEC_E_UNSUPPORTED_FUNCTION,
    },
    Security::{
        Authentication::Identity::{
            SECPKG_ATTR_APPLICATION_PROTOCOL, SECPKG_ATTR_CERT_CHECK_RESULT_INPROC,
            SECPKG_ATTR_CIPHER_INFO, SECPKG_ATTR_CONNECTION_INFO, SECPKG_ATTR_REMOTE_CERTIFICATES,
            SECPKG_ATTR_SESSION_INFO, SECPKG_ATTR_STREAM_SIZES, SP_PROT_TLS1_2_CLIENT,
            SP_PROT_TLS1_2_SERVER, SP_PROT_TLS1_3_CLIENT, SP_PROT_TLS1_3_SERVER,
            SSL_SESSION_RECONNECT, SecApplicationProtocolNegotiationExt_ALPN,
            SecApplicationProtocolNegotiationExt_None,
            SecApplicationProtocolNegotiationStatus_None,
            SecApplicationProtocolNegotiationStatus_Success, SecPkgContext_ApplicationProtocol,
            SecPkgContext_CipherInfo, SecPkgContext_ConnectionInfo, SecPkgContext_SessionInfo,
            SecPkgContext_StreamSizes,
        },
        Credentials::SecHandle,
        Cryptography::{CALG_AES_128, CALG_AES_256, CALG_ECDH_EPHEM, CALG_SHA_256, CALG_SHA_384},
    },
};

// Layouts for x64 as the Windows SDK's headers give them.
const _: () = assert!(size_of::<SecPkgContext_StreamSizes>() == 20);
const _: () = assert!(size_of::<SecPkgContext_ApplicationProtocol>() == 264);
const _: () = assert!(size_of::<SecPkgContext_ConnectionInfo>() == 28);
const _: () = assert!(size_of::<SecPkgContext_SessionInfo>() == 40);
const _: () = assert!(size_of::<SecPkgContext_CipherInfo>() == 680);
const _: () = assert!(size_of::<Certificates>() == 16);
const _: () = assert!(size_of::<CheckResult>() == 8);

/// `SECPKGCONTEXT_CIPHERINFO_V1`.
const CIPHER_INFO_V1: u32 = 1;

/// What `SECPKG_ATTR_REMOTE_CERTIFICATES` answers with: a blob of length and certificate, again
/// and again, that `FreeContextBuffer` frees (microsoft/msquic).
#[repr(C)]
#[derive(Clone, Copy)]
struct Certificates {
    count: u32,
    length: u32,
    blob: *mut c_void,
}

/// What `SECPKG_ATTR_CERT_CHECK_RESULT_INPROC` answers with (microsoft/msquic).
#[repr(C)]
#[derive(Clone, Copy)]
struct CheckResult {
    /// `CERT_TRUST_STATUS.dwErrorStatus`.
    trust: u32,
    /// HRESULT.
    policy: i32,
}

impl Ksecdd {
    /// `QueryContextAttributesW`.
    ///
    /// # Safety
    ///
    /// A pointer to accessible memory is one to a handle; `buffer` is what `attribute` wants.
    pub unsafe fn query_context_attributes(
        &self,
        context: *const SecHandle,
        attribute: u32,
        buffer: *mut c_void,
    ) -> Checked<i32> {
        let function = Function::QueryContextAttributesW;
        self.enter(function)?;
        // SAFETY: as this function's caller asserts.
        let Some(context) = (unsafe { self.context(context) })? else {
            return Ok(SEC_E_INVALID_HANDLE);
        };
        let used = context.begin(Use::Query)?;
        if let Some(status) = self.fault_at_once(function) {
            return Ok(status);
        }
        let accepts = used.context.accepts;
        let switches = self.switches();
        if attribute == SECPKG_ATTR_CERT_CHECK_RESULT_INPROC && switches.certificate_check_result {
            return self.put_check_result(&used.context, buffer, &switches);
        }
        let answer = used.context.with_session(|session| match attribute {
            SECPKG_ATTR_STREAM_SIZES => self.put(buffer, stream_sizes(session)),
            SECPKG_ATTR_APPLICATION_PROTOCOL
                if session.facts.alpn.is_none() && switches.no_protocol == NoProtocol::Refused =>
            {
                Ok(SEC_E_UNSUPPORTED_FUNCTION)
            }
            SECPKG_ATTR_APPLICATION_PROTOCOL => self.put(buffer, application_protocol(session)),
            SECPKG_ATTR_CONNECTION_INFO => self.put(buffer, connection_info(session, accepts)),
            SECPKG_ATTR_SESSION_INFO => self.put(buffer, session_info(session)),
            SECPKG_ATTR_CIPHER_INFO => self.put(buffer, cipher_info(session)),
            SECPKG_ATTR_REMOTE_CERTIFICATES => match self.certificates(session) {
                Some(certificates) => self.put(buffer, certificates),
                None => Ok(no_certificate(&switches)),
            },
            _ => Ok(SEC_E_UNSUPPORTED_FUNCTION),
        });
        // That attributes are not to be had before the handshake is done is assumed.
        answer.unwrap_or(Ok(SEC_E_OUT_OF_SEQUENCE))
    }

    /// What the credential thinks of the peer's certificates, whatever its flags had a leg do.
    fn put_check_result(
        &self,
        context: &SecurityContext,
        buffer: *mut c_void,
        switches: &Switches,
    ) -> Checked<i32> {
        let chain = context.with_session(|session| session.facts.peer_certificates.clone());
        let Some(chain) = chain else {
            return Ok(SEC_E_OUT_OF_SEQUENCE);
        };
        let (trust, policy) = match context.judge(&chain, switches) {
            Ok(()) => (0, 0),
            Err(Error::InvalidCertificate(error)) => {
                let Defect { trust, policy, .. } = Defect::of(&error);
                (trust, policy)
            }
            Err(Error::NoCertificatesPresented) => return Ok(no_certificate(switches)),
            Err(_) => return Ok(SEC_E_INTERNAL_ERROR),
        };
        self.put(buffer, CheckResult { trust, policy })
    }

    /// `FreeContextBuffer`.
    pub fn free_context_buffer(&self, buffer: *mut c_void) -> Checked<i32> {
        let function = Function::FreeContextBuffer;
        self.enter(function)?;
        if let Some(status) = self.fault_at_once(function) {
            return Ok(status);
        }
        let freed = lock(&self.context_buffers).remove(&buffer.addr());
        check(freed.is_some(), UNKNOWN_CONTEXT_BUFFER, || {
            format!("{buffer:p}")
        })?;
        Ok(SEC_E_OK)
    }

    fn put<T: Copy>(&self, buffer: *mut c_void, answer: T) -> Checked<i32> {
        let place = Place::of(&*self.machine, "pBuffer", buffer.cast::<T>())?;
        // SAFETY: the memory was found accessible, and the driver waits for the answer in it.
        unsafe { place.put(answer) };
        Ok(SEC_E_OK)
    }

    fn certificates(&self, session: &Session) -> Option<Certificates> {
        let certificates = &session.facts.peer_certificates;
        let mut blob = Vec::new();
        for certificate in certificates {
            blob.extend(u32::try_from(certificate.len()).ok()?.to_le_bytes());
            blob.extend(certificate);
        }
        if blob.is_empty() {
            return None;
        }
        let mut blob = blob.into_boxed_slice();
        let answer = Certificates {
            count: u32::try_from(certificates.len()).ok()?,
            length: u32::try_from(blob.len()).ok()?,
            blob: blob.as_mut_ptr().cast(),
        };
        lock(&self.context_buffers).insert(answer.blob.addr(), blob);
        Some(answer)
    }
}

fn no_certificate(switches: &Switches) -> i32 {
    match switches.no_certificate {
        NoCertificate::NoCredentials => SEC_E_NO_CREDENTIALS,
        NoCertificate::InternalError => SEC_E_INTERNAL_ERROR,
    }
}

fn stream_sizes(session: &Session) -> SecPkgContext_StreamSizes {
    let size = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
    SecPkgContext_StreamSizes {
        cbHeader: size(session.header()),
        cbTrailer: size(session.trailer()),
        cbMaximumMessage: size(MAX_PLAINTEXT),
        cBuffers: 4,
        cbBlockSize: 16,
    }
}

fn application_protocol(session: &Session) -> SecPkgContext_ApplicationProtocol {
    let mut answer = SecPkgContext_ApplicationProtocol {
        ProtoNegoStatus: SecApplicationProtocolNegotiationStatus_None,
        ProtoNegoExt: SecApplicationProtocolNegotiationExt_None,
        ProtocolIdSize: 0,
        ProtocolId: [0; 255],
    };
    if let Some(name) = &session.facts.alpn {
        answer.ProtoNegoStatus = SecApplicationProtocolNegotiationStatus_Success;
        answer.ProtoNegoExt = SecApplicationProtocolNegotiationExt_ALPN;
        answer.ProtocolIdSize = u8::try_from(name.len()).unwrap_or(u8::MAX);
        answer.ProtocolId[..name.len()].copy_from_slice(name);
    }
    answer
}

fn connection_info(session: &Session, accepts: bool) -> SecPkgContext_ConnectionInfo {
    let facts = &session.facts;
    let suite = Suite::of(facts.suite.suite());
    SecPkgContext_ConnectionInfo {
        dwProtocol: match (facts.version == ProtocolVersion::TLSv1_3, accepts) {
            (true, true) => SP_PROT_TLS1_3_SERVER,
            (true, false) => SP_PROT_TLS1_3_CLIENT,
            (false, true) => SP_PROT_TLS1_2_SERVER,
            (false, false) => SP_PROT_TLS1_2_CLIENT,
        },
        aiCipher: match (suite.cipher, suite.key_bits) {
            ("AES", 128) => CALG_AES_128,
            ("AES", _) => CALG_AES_256,
            _ => 0,
        },
        dwCipherStrength: suite.key_bits,
        aiHash: if suite.hash == "SHA384" {
            CALG_SHA_384
        } else {
            CALG_SHA_256
        },
        dwHashStrength: 0,
        aiExch: CALG_ECDH_EPHEM,
        dwExchStrength: group_bits(facts.group),
    }
}

fn session_info(session: &Session) -> SecPkgContext_SessionInfo {
    let id = &session.facts.session_id;
    let mut answer = SecPkgContext_SessionInfo {
        dwFlags: if session.facts.resumed {
            SSL_SESSION_RECONNECT
        } else {
            0
        },
        cbSessionId: u32::try_from(id.len()).unwrap_or(0),
        rgbSessionId: [0; 32],
    };
    for (place, byte) in answer.rgbSessionId.iter_mut().zip(id) {
        *place = *byte;
    }
    answer
}

fn cipher_info(session: &Session) -> SecPkgContext_CipherInfo {
    let facts = &session.facts;
    let number = u32::from(u16::from(facts.suite.suite()));
    let suite = Suite::of(facts.suite.suite());
    let mut answer = SecPkgContext_CipherInfo {
        dwVersion: CIPHER_INFO_V1,
        dwProtocol: u32::from(u16::from(facts.version)),
        dwCipherSuite: number,
        dwBaseCipherSuite: number,
        dwCipherLen: suite.key_bits,
        dwCipherBlockLen: 16,
        dwHashLen: suite.hash_bits,
        dwMinExchangeLen: group_bits(facts.group),
        dwMaxExchangeLen: group_bits(facts.group),
        ..Default::default()
    };
    for (field, text) in [
        (&mut answer.szCipherSuite, suite.name.as_str()),
        (&mut answer.szCipher, suite.cipher),
        (&mut answer.szHash, suite.hash),
        (&mut answer.szExchange, "ECDHE"),
        (&mut answer.szCertificate, suite.certificate),
    ] {
        for (unit, letter) in field.iter_mut().zip(text.encode_utf16()) {
            *unit = letter;
        }
    }
    answer
}

/// A cipher suite taken apart by its name.
struct Suite {
    name: String,
    cipher: &'static str,
    key_bits: u32,
    hash: &'static str,
    hash_bits: u32,
    /// Whose keys sign; the suites of TLS 1.3 leave it open.
    certificate: &'static str,
}

impl Suite {
    fn of(suite: CipherSuite) -> Self {
        let name = format!("{suite:?}").replace("TLS13_", "TLS_");
        let (cipher, key_bits) = if name.contains("AES_128") {
            ("AES", 128)
        } else if name.contains("AES_256") {
            ("AES", 256)
        } else {
            ("CHACHA20_POLY1305", 256)
        };
        let (hash, hash_bits) = if name.ends_with("SHA384") {
            ("SHA384", 384)
        } else {
            ("SHA256", 256)
        };
        let certificate = ["ECDSA", "RSA"]
            .into_iter()
            .find(|kind| name.contains(kind));
        Self {
            certificate: certificate.unwrap_or_default(),
            name,
            cipher,
            key_bits,
            hash,
            hash_bits,
        }
    }
}

fn group_bits(group: Option<NamedGroup>) -> u32 {
    match group {
        Some(NamedGroup::X25519) => 255,
        Some(NamedGroup::secp256r1) => 256,
        Some(NamedGroup::secp384r1) => 384,
        _ => 0,
    }
}
