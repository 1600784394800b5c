//! The memory that calls are given, in pieces that do not move.

use super::driver::{AsyncCall, CLIENT_FLAGS, Driver, FLAGS, INVALID, THUMBPRINT};
use crate::{
    calls::{acquire::Acquire, leg::Leg},
    rules::Checked,
};
use std::ptr;
use windows_sys::Win32::{
    Foundation::{SEC_I_ASYNC_CALL_PENDING, UNICODE_STRING},
    Security::{
        Authentication::Identity::{
            SCH_CRED_FORMAT_CERT_HASH_STORE, SCH_CRED_NO_DEFAULT_CREDS, SCH_CRED_NO_SYSTEM_MAPPER,
            SCH_CREDENTIALS, SCH_CREDENTIALS_VERSION, SCH_MACHINE_CERT_HASH, SCH_USE_STRONG_CRYPTO,
            SCHANNEL_CERT_HASH_STORE, SECBUFFER_ALERT, SECBUFFER_APPLICATION_PROTOCOLS,
            SECBUFFER_EMPTY, SECBUFFER_EXTRA, SECBUFFER_MISSING, SECBUFFER_TOKEN,
            SECPKG_CRED_INBOUND, SECPKG_CRED_OUTBOUND, SecBuffer, SecBufferDesc, TLS_PARAMETERS,
        },
        Credentials::SecHandle,
    },
};

/// What an acquire is given, in one piece.
pub struct AcquireMemory {
    pub auth: Box<SCH_CREDENTIALS>,
    pub hashes: Vec<SCHANNEL_CERT_HASH_STORE>,
    pub parameters: Option<Box<TLS_PARAMETERS>>,
    pub package: Vec<u16>,
    pub principal: Vec<u16>,
    pub credential_use: u32,
    pub credential: SecHandle,
    package_string: Box<UNICODE_STRING>,
    principal_string: Box<UNICODE_STRING>,
}

impl AcquireMemory {
    /// For a server with the machine's one certificate.
    pub fn new() -> Self {
        let auth = Box::new(SCH_CREDENTIALS {
            dwVersion: SCH_CREDENTIALS_VERSION,
            dwCredFormat: SCH_CRED_FORMAT_CERT_HASH_STORE,
            cCreds: 1,
            dwFlags: SCH_USE_STRONG_CRYPTO | SCH_CRED_NO_SYSTEM_MAPPER,
            ..SCH_CREDENTIALS::default()
        });
        Self {
            auth,
            hashes: vec![hash(THUMBPRINT)],
            parameters: None,
            package: "Schannel".encode_utf16().collect(),
            principal: Vec::new(),
            credential_use: SECPKG_CRED_INBOUND,
            credential: INVALID,
            package_string: Box::default(),
            principal_string: Box::default(),
        }
    }

    /// For a server with these certificates.
    pub fn of_server(thumbprints: &[[u8; 20]]) -> Self {
        Self::new().with(thumbprints)
    }

    /// For a client without certificates.
    pub fn of_client(flags: u32) -> Self {
        let mut asked = Self::new().with(&[]);
        asked.credential_use = SECPKG_CRED_OUTBOUND;
        asked.auth.dwFlags = SCH_USE_STRONG_CRYPTO | SCH_CRED_NO_DEFAULT_CREDS | flags;
        // One may be counted in.
        asked.hashes.push(hash(THUMBPRINT));
        asked
    }

    /// With these certificates of the machine's store "MY".
    pub fn with(mut self, thumbprints: &[[u8; 20]]) -> Self {
        self.hashes = thumbprints.iter().copied().map(hash).collect();
        self.auth.cCreds = u32::try_from(thumbprints.len()).unwrap();
        self
    }

    pub fn issue(&mut self, driver: &Driver, call: &AsyncCall) -> Checked<i32> {
        if self.auth.cCreds > 0 {
            self.auth.paCred = self.hashes.as_mut_ptr().cast();
        }
        if let Some(parameters) = &mut self.parameters {
            self.auth.cTlsParameters = 1;
            self.auth.pTlsParameters = &raw mut **parameters;
        }
        *self.package_string = counted(&mut self.package);
        *self.principal_string = counted(&mut self.principal);
        let acquire = Acquire {
            async_context: call.context(),
            principal: &raw const *self.principal_string,
            package: &raw const *self.package_string,
            credential_use: self.credential_use,
            logon_id: ptr::null(),
            auth_data: (&raw const *self.auth).cast(),
            get_key: ptr::null(),
            get_key_argument: ptr::null(),
            credential: &raw mut self.credential,
            expiry: ptr::null_mut(),
        };
        // SAFETY: this memory outlives the call.
        unsafe { driver.ksecdd.acquire_credentials_handle_async(&acquire) }
    }
}

/// A certificate of the machine's store "MY".
fn hash(thumbprint: [u8; 20]) -> SCHANNEL_CERT_HASH_STORE {
    let mut hash = SCHANNEL_CERT_HASH_STORE {
        dwLength: 296,
        dwFlags: SCH_MACHINE_CERT_HASH,
        hProv: 0,
        ShaHash: thumbprint,
        pwszStoreName: [0; 128],
    };
    hash.pwszStoreName[..2].copy_from_slice(&[b'M'.into(), b'Y'.into()]);
    hash
}

fn counted(text: &mut [u16]) -> UNICODE_STRING {
    let length = u16::try_from(text.len() * 2).unwrap();
    UNICODE_STRING {
        Length: length,
        MaximumLength: length,
        Buffer: text.as_mut_ptr(),
    }
}

/// What a leg is given, in one piece that does not move.
pub struct LegMemory {
    pub context: SecHandle,
    pub input: Vec<u8>,
    pub protocols: Vec<u8>,
    pub output: Vec<u8>,
    pub alert: [u8; 2],
    pub attributes: u32,
    pub input_buffers: Vec<SecBuffer>,
    pub output_buffers: Vec<SecBuffer>,
    pub input_descriptor: SecBufferDesc,
    pub output_descriptor: SecBufferDesc,
    pub flags: u32,
    pub accepts: bool,
    pub target: UNICODE_STRING,
    pub target_name: Vec<u16>,
    pub data_representation: u32,
}

/// What a leg came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Came {
    pub status: i32,
    pub token: Vec<u8>,
    pub extra: usize,
    pub missing: Option<usize>,
    pub alert: [u8; 2],
}

impl LegMemory {
    pub fn new(room: usize) -> Box<Self> {
        Box::new(Self {
            context: INVALID,
            input: Vec::new(),
            protocols: Vec::new(),
            output: vec![0; room],
            alert: [0; 2],
            attributes: 0,
            input_buffers: Vec::new(),
            output_buffers: Vec::new(),
            input_descriptor: SecBufferDesc::default(),
            output_descriptor: SecBufferDesc::default(),
            flags: FLAGS,
            accepts: true,
            target: UNICODE_STRING::default(),
            target_name: Vec::new(),
            data_representation: 0,
        })
    }

    /// For a client's legs.
    pub fn of_client(room: usize) -> Box<Self> {
        let mut memory = Self::new(room);
        memory.accepts = false;
        memory.flags = CLIENT_FLAGS;
        memory.aim_at("lab.test");
        memory
    }

    /// Names the target.
    pub fn aim_at(&mut self, name: &str) {
        self.target_name = name.encode_utf16().collect();
        self.target = counted(&mut self.target_name);
    }

    pub fn is_first(&self) -> bool {
        self.context.dwLower == usize::MAX
    }

    /// Makes the descriptors anew.
    pub fn describe(&mut self) {
        self.alert = [0; 2];
        let empty = buffer(SECBUFFER_EMPTY, ptr::null_mut(), 0);
        self.input_buffers = vec![
            buffer(SECBUFFER_TOKEN, self.input.as_mut_ptr(), self.input.len()),
            empty,
            empty,
        ];
        if self.is_first() && !self.protocols.is_empty() {
            let protocols = buffer(
                SECBUFFER_APPLICATION_PROTOCOLS,
                self.protocols.as_mut_ptr(),
                self.protocols.len(),
            );
            self.input_buffers.push(protocols);
        }
        if self.is_first() && !self.accepts {
            // A client's first call has protocols for its token.
            self.input_buffers.swap_remove(0);
        }
        self.output_buffers = vec![
            buffer(SECBUFFER_TOKEN, self.output.as_mut_ptr(), self.output.len()),
            buffer(SECBUFFER_ALERT, self.alert.as_mut_ptr(), 2),
        ];
        self.input_descriptor = descriptor(&mut self.input_buffers);
        self.output_descriptor = descriptor(&mut self.output_buffers);
    }

    /// Issues the call with the descriptors as they are.
    pub fn issue(
        &mut self,
        driver: &Driver,
        call: &AsyncCall,
        credential: &SecHandle,
    ) -> Checked<i32> {
        let leg = Leg {
            async_context: call.context(),
            credential,
            context: if self.is_first() {
                ptr::null()
            } else {
                &raw const self.context
            },
            target: &raw const self.target,
            request: self.flags,
            data_representation: self.data_representation,
            // A client that has no protocols to offer has nothing to say first.
            input: if self.is_first() && !self.accepts && self.protocols.is_empty() {
                ptr::null()
            } else {
                &raw const self.input_descriptor
            },
            new_context: &raw mut self.context,
            output: &raw const self.output_descriptor,
            attributes: &raw mut self.attributes,
            expiry: ptr::null_mut(),
        };
        if self.accepts {
            // SAFETY: this memory outlives the call and does not move.
            unsafe { driver.ksecdd.accept_security_context_async(&leg) }
        } else {
            // SAFETY: likewise.
            unsafe { driver.ksecdd.initialize_security_context_async(&leg) }
        }
    }

    /// What a completed call left in the buffers.
    pub fn came(&self, status: i32) -> Came {
        let find = |kind| {
            let found = self
                .input_buffers
                .iter()
                .find(|buffer| buffer.BufferType == kind);
            found
                .inspect(|found| assert!(found.pvBuffer.is_null()))
                .map(|b| b.cbBuffer as usize)
        };
        let length = self.output_buffers[0].cbBuffer as usize;
        Came {
            status,
            token: self.output[..length].to_vec(),
            extra: find(SECBUFFER_EXTRA).unwrap_or(0),
            missing: find(SECBUFFER_MISSING),
            alert: self.alert,
        }
    }

    /// One leg from the call to its result.
    pub fn leg(&mut self, driver: &Driver, call: &AsyncCall, credential: &SecHandle) -> Came {
        self.describe();
        assert_eq!(self.issue(driver, call, credential), Ok(0));
        let notified = call.wait();
        assert_ne!(notified.status, SEC_I_ASYNC_CALL_PENDING);
        call.reinit();
        self.came(notified.status)
    }
}

pub fn buffer(kind: u32, memory: *mut u8, length: usize) -> SecBuffer {
    SecBuffer {
        cbBuffer: u32::try_from(length).unwrap(),
        BufferType: kind,
        pvBuffer: memory.cast(),
    }
}

pub fn descriptor(buffers: &mut Vec<SecBuffer>) -> SecBufferDesc {
    SecBufferDesc {
        ulVersion: 0,
        cBuffers: u32::try_from(buffers.len()).unwrap(),
        pBuffers: buffers.as_mut_ptr(),
    }
}
