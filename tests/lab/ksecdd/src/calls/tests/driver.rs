//! A driver in miniature: it does everything right unless told otherwise.

use crate::{
    calls::{acquire::Acquire, leg::Leg},
    ksecdd::Ksecdd,
    machine::{Machine, Wanted},
    peer,
    rules::{Broken, Checked},
    tls::config::Identity,
};
use rustls::pki_types::CertificateDer;
use std::{
    ffi::c_void,
    ptr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, ThreadId},
    time::Duration,
};
use tlsgate_lab_control::ksecdd::{Completion, Switches};
use windows_sys::Win32::{
    Foundation::{SEC_I_ASYNC_CALL_PENDING, UNICODE_STRING},
    Security::{
        Authentication::Identity::{
            ASC_REQ_CONFIDENTIALITY, ASC_REQ_EXTENDED_ERROR, ASC_REQ_SEQUENCE_DETECT,
            ASC_REQ_SESSION_TICKET, ASC_REQ_STREAM, SCH_CRED_FORMAT_CERT_HASH_STORE,
            SCH_CRED_NO_SYSTEM_MAPPER, SCH_CREDENTIALS, SCH_CREDENTIALS_VERSION,
            SCH_MACHINE_CERT_HASH, SCH_USE_STRONG_CRYPTO, SCHANNEL_CERT_HASH_STORE,
            SECBUFFER_ALERT, SECBUFFER_APPLICATION_PROTOCOLS, SECBUFFER_EMPTY, SECBUFFER_EXTRA,
            SECBUFFER_MISSING, SECBUFFER_TOKEN, SECPKG_CRED_INBOUND, SecBuffer, SecBufferDesc,
        },
        Credentials::SecHandle,
    },
};

pub const THUMBPRINT: [u8; 20] = *b"this is a thumbprint";
pub const FLAGS: u32 = ASC_REQ_SEQUENCE_DETECT
    | ASC_REQ_CONFIDENTIALITY
    | ASC_REQ_EXTENDED_ERROR
    | ASC_REQ_STREAM
    | ASC_REQ_SESSION_TICKET;
pub const INVALID: SecHandle = SecHandle {
    dwLower: usize::MAX,
    dwUpper: usize::MAX,
};

/// A machine with one certificate, and a log of its stops.
#[derive(Default)]
pub struct TestMachine {
    pub stops: Mutex<Vec<&'static str>>,
    pub token: AtomicU64,
    pub irql: AtomicU8,
}

impl Machine for Arc<TestMachine> {
    fn stop(&self, broken: &Broken) {
        self.stops.lock().unwrap().push(broken.rule);
    }

    fn token(&self) -> u64 {
        self.token.load(Ordering::SeqCst)
    }

    fn irql(&self) -> u8 {
        self.irql.load(Ordering::SeqCst)
    }

    fn set_irql(&self, irql: u8) -> u8 {
        self.irql.swap(irql, Ordering::SeqCst)
    }

    fn is_accessible(&self, address: usize, _: usize, _: bool) -> bool {
        address >= 0x1000
    }

    fn identity(&self, wanted: &Wanted) -> Option<Identity> {
        let found = wanted.thumbprint == THUMBPRINT && wanted.store == "MY" && wanted.of_machine;
        found.then(peer::identity)
    }

    fn roots(&self) -> Vec<CertificateDer<'static>> {
        Vec::new()
    }
}

/// A callback that came: on which thread, at which IRQL, with which status.
#[derive(Debug)]
pub struct Notified {
    pub thread: ThreadId,
    pub irql: u8,
    pub status: i32,
}

/// What the callback is told.
struct Told {
    ksecdd: Arc<Ksecdd>,
    machine: Arc<TestMachine>,
    notify: Sender<Notified>,
}

unsafe extern "system" fn notified(context: *mut c_void, data: *mut c_void) {
    // SAFETY: `AsyncCall` keeps it alive for as long as callbacks can come.
    let told = unsafe { &*data.cast::<Told>() };
    let notified = Notified {
        thread: thread::current().id(),
        irql: told.machine.irql(),
        status: told
            .ksecdd
            .get_async_call_status(context)
            .unwrap_or(i32::MIN),
    };
    // Once the message is out, what was told may go.
    let notify = told.notify.clone();
    notify.send(notified).unwrap();
}

/// A stand-in with a driver.
pub struct Driver {
    pub ksecdd: Arc<Ksecdd>,
    pub machine: Arc<TestMachine>,
}

/// An async context with a callback.
pub struct AsyncCall {
    pub context: *mut c_void,
    ksecdd: Arc<Ksecdd>,
    notified: Receiver<Notified>,
    _told: Box<Told>,
}

impl AsyncCall {
    /// The callback, which must come.
    pub fn wait(&self) -> Notified {
        self.notified
            .recv_timeout(Duration::from_secs(10))
            .expect("no callback")
    }

    /// Whether a callback came.
    pub fn came(&self) -> Option<Notified> {
        self.notified.try_recv().ok()
    }

    pub fn reinit(&self) {
        // The callback may just be returning.
        while self.ksecdd.reinit_async_context(self.context).unwrap() != 0 {
            thread::yield_now();
        }
    }

    pub fn free(self) {
        self.ksecdd.free_async_context(self.context).unwrap();
    }
}

impl Driver {
    pub fn new(switches: Switches) -> Self {
        let machine = Arc::new(TestMachine::default());
        let ksecdd = Ksecdd::new(Box::new(Arc::clone(&machine)));
        ksecdd.set_switches(switches);
        Self { ksecdd, machine }
    }

    pub fn completing(completion: Completion) -> Self {
        Self::new(Switches {
            completion,
            ..Switches::default()
        })
    }

    pub fn stops(&self) -> Vec<&'static str> {
        self.machine.stops.lock().unwrap().clone()
    }

    pub fn async_call(&self) -> AsyncCall {
        let (notify, receiver) = channel();
        let told = Box::new(Told {
            ksecdd: Arc::clone(&self.ksecdd),
            machine: Arc::clone(&self.machine),
            notify,
        });
        let context = self.ksecdd.create_async_context().unwrap();
        let data = (&raw const *told).cast_mut().cast();
        self.ksecdd
            .set_async_notify_callback(context, Some(notified), data)
            .unwrap();
        AsyncCall {
            context,
            ksecdd: Arc::clone(&self.ksecdd),
            notified: receiver,
            _told: told,
        }
    }

    /// Acquires a server credential; the handle when that went well, and its status.
    pub fn acquire(&self) -> SecHandle {
        let call = self.async_call();
        let mut asked = AcquireMemory::new();
        assert_eq!(asked.issue(self, &call), Ok(0));
        assert_eq!(call.wait().status, 0);
        call.free();
        asked.credential
    }

    pub fn free_credential(&self, credential: &SecHandle) {
        let call = self.async_call();
        // SAFETY: the handle outlives the call.
        let queued = unsafe {
            self.ksecdd
                .free_credentials_handle_async(call.context, credential)
        };
        assert_eq!(queued, Ok(0));
        assert_eq!(call.wait().status, 0);
        call.free();
    }

    pub fn delete(&self, context: &SecHandle) {
        let call = self.async_call();
        // SAFETY: the handle outlives the call.
        let queued = unsafe {
            self.ksecdd
                .delete_security_context_async(call.context, context)
        };
        assert_eq!(queued, Ok(0));
        assert_eq!(call.wait().status, 0);
        call.free();
    }
}

/// What an acquire is given, in one piece.
pub struct AcquireMemory {
    pub auth: Box<SCH_CREDENTIALS>,
    pub hash: Box<SCHANNEL_CERT_HASH_STORE>,
    pub package: Vec<u16>,
    pub credential: SecHandle,
    package_string: Box<UNICODE_STRING>,
}

impl AcquireMemory {
    pub fn new() -> Self {
        let mut hash = Box::new(SCHANNEL_CERT_HASH_STORE {
            dwLength: 296,
            dwFlags: SCH_MACHINE_CERT_HASH,
            hProv: 0,
            ShaHash: THUMBPRINT,
            pwszStoreName: [0; 128],
        });
        hash.pwszStoreName[..2].copy_from_slice(&[b'M'.into(), b'Y'.into()]);
        let auth = Box::new(SCH_CREDENTIALS {
            dwVersion: SCH_CREDENTIALS_VERSION,
            dwCredFormat: SCH_CRED_FORMAT_CERT_HASH_STORE,
            cCreds: 1,
            dwFlags: SCH_USE_STRONG_CRYPTO | SCH_CRED_NO_SYSTEM_MAPPER,
            ..SCH_CREDENTIALS::default()
        });
        let package: Vec<u16> = "Schannel".encode_utf16().collect();
        let package_string = Box::new(UNICODE_STRING::default());
        Self {
            auth,
            hash,
            package,
            credential: INVALID,
            package_string,
        }
    }

    pub fn issue(&mut self, driver: &Driver, call: &AsyncCall) -> Checked<i32> {
        if self.auth.cCreds > 0 {
            self.auth.paCred = (&raw mut *self.hash).cast();
        }
        let length = u16::try_from(self.package.len() * 2).unwrap();
        *self.package_string = UNICODE_STRING {
            Length: length,
            MaximumLength: length,
            Buffer: self.package.as_mut_ptr(),
        };
        let acquire = Acquire {
            async_context: call.context,
            principal: ptr::null(),
            package: &raw const *self.package_string,
            credential_use: SECPKG_CRED_INBOUND,
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
            data_representation: 0,
        })
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
            async_context: call.context,
            credential,
            context: if self.is_first() {
                ptr::null()
            } else {
                &raw const self.context
            },
            target: ptr::null(),
            request: self.flags,
            data_representation: self.data_representation,
            input: &raw const self.input_descriptor,
            new_context: &raw mut self.context,
            output: &raw const self.output_descriptor,
            attributes: &raw mut self.attributes,
            expiry: ptr::null_mut(),
        };
        // SAFETY: this memory outlives the call and does not move.
        unsafe { driver.ksecdd.accept_security_context_async(&leg) }
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
