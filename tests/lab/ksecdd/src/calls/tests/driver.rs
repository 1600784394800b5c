//! A driver in miniature: it does everything right unless told otherwise.

use super::arguments::AcquireMemory;
use crate::{
    async_context::Callback,
    identities,
    ksecdd::Ksecdd,
    machine::{Key, Machine, Wanted},
    rules::Broken,
    tls::config::Identity,
};
use rustls::pki_types::CertificateDer;
use std::{
    cell::Cell,
    ffi::c_void,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, ThreadId},
    time::Duration,
};
use tlsgate_lab_control::ksecdd::{Completion, Switches};
use windows_sys::Win32::Security::{
    Authentication::Identity::{
        ASC_REQ_CONFIDENTIALITY, ASC_REQ_EXTENDED_ERROR, ASC_REQ_SEQUENCE_DETECT,
        ASC_REQ_SESSION_TICKET, ASC_REQ_STREAM, ISC_REQ_CONFIDENTIALITY, ISC_REQ_EXTENDED_ERROR,
        ISC_REQ_SEQUENCE_DETECT, ISC_REQ_STREAM, ISC_REQ_USE_SUPPLIED_CREDS,
        SCH_CRED_MANUAL_CRED_VALIDATION,
    },
    Credentials::SecHandle,
};

pub const THUMBPRINT: [u8; 20] = *b"this is a thumbprint";
pub const FLAGS: u32 = ASC_REQ_SEQUENCE_DETECT
    | ASC_REQ_CONFIDENTIALITY
    | ASC_REQ_EXTENDED_ERROR
    | ASC_REQ_STREAM
    | ASC_REQ_SESSION_TICKET;
pub const CLIENT_FLAGS: u32 = ISC_REQ_SEQUENCE_DETECT
    | ISC_REQ_CONFIDENTIALITY
    | ISC_REQ_EXTENDED_ERROR
    | ISC_REQ_STREAM
    | ISC_REQ_USE_SUPPLIED_CREDS;
pub const INVALID: SecHandle = SecHandle {
    dwLower: usize::MAX,
    dwUpper: usize::MAX,
};

/// A machine with a certificate of its store "MY", whatever else is put there, and a log of its stops.
#[derive(Default)]
pub struct TestMachine {
    pub stops: Mutex<Vec<&'static str>>,
    pub token: AtomicU64,
    /// The account whose token that is; empty for SYSTEM.
    pub account: Mutex<String>,
    pub placed: Mutex<Vec<Placed>>,
    pub roots: Mutex<Vec<CertificateDer<'static>>>,
    /// Memory that has gone.
    pub released: AtomicUsize,
}

thread_local! {
    static IRQL: Cell<u8> = const { Cell::new(0) };
}

/// A certificate in a store "MY".
pub struct Placed {
    pub thumbprint: [u8; 20],
    pub of_machine: bool,
    pub given_to: Option<Vec<String>>,
    pub identity: Identity,
}

impl TestMachine {
    /// Sets the current thread's IRQL.
    pub fn set_irql(irql: u8) {
        IRQL.set(irql);
    }
}

impl Machine for Arc<TestMachine> {
    fn stop(&self, broken: &Broken) {
        self.stops.lock().unwrap().push(broken.rule);
    }

    fn token(&self) -> u64 {
        self.token.load(Ordering::SeqCst)
    }

    fn irql(&self) -> u8 {
        IRQL.get()
    }

    fn call_back(&self, irql: u8, callback: Callback, context: usize) {
        let before = IRQL.replace(irql);
        callback.invoke(context);
        IRQL.set(before);
    }

    fn is_accessible(&self, address: usize, _: usize, _: bool) -> bool {
        address >= 0x1000 && address != self.released.load(Ordering::SeqCst)
    }

    fn account(&self) -> String {
        match self.account.lock().unwrap().as_str() {
            "" => "SYSTEM".to_owned(),
            account => account.to_owned(),
        }
    }

    fn key(&self, wanted: &Wanted) -> Option<Key> {
        if wanted.store != "MY" {
            return None;
        }
        let placed = self.placed.lock().unwrap();
        let found = placed.iter().find(|placed| {
            placed.thumbprint == wanted.thumbprint && placed.of_machine == wanted.of_machine
        });
        if let Some(placed) = found {
            return Some(Key {
                identity: identities::copy(&placed.identity),
                given_to: placed.given_to.clone(),
            });
        }
        let default = wanted.thumbprint == THUMBPRINT && wanted.of_machine;
        default.then(|| Key {
            identity: identities::identity(),
            given_to: None,
        })
    }

    fn roots(&self) -> Vec<CertificateDer<'static>> {
        self.roots.lock().unwrap().clone()
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
    context: Cell<*mut c_void>,
    ksecdd: Arc<Ksecdd>,
    notified: Receiver<Notified>,
    told: Box<Told>,
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

    /// The async context.
    pub fn context(&self) -> *mut c_void {
        self.context.get()
    }

    /// Makes it ready for another call; a fresh one where it is always refused.
    pub fn reinit(&self) {
        // The callback may just be returning.
        while self.ksecdd.reinit_async_context(self.context()).unwrap() != 0 {
            if self.ksecdd.switches().reinit_refused {
                self.ksecdd.free_async_context(self.context()).unwrap();
                self.context
                    .set(context_with_callback(&self.ksecdd, &self.told));
                return;
            }
            thread::yield_now();
        }
    }

    pub fn free(self) {
        self.ksecdd.free_async_context(self.context()).unwrap();
    }
}

fn context_with_callback(ksecdd: &Ksecdd, told: &Told) -> *mut c_void {
    let context = ksecdd.create_async_context().unwrap();
    let data = (&raw const *told).cast_mut().cast();
    ksecdd
        .set_async_notify_callback(context, Some(notified), data)
        .unwrap();
    context
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
        AsyncCall {
            context: Cell::new(context_with_callback(&self.ksecdd, &told)),
            ksecdd: Arc::clone(&self.ksecdd),
            notified: receiver,
            told,
        }
    }

    /// Puts a certificate into the machine's store, and says its thumbprint.
    pub fn place(&self, identity: &Identity) -> [u8; 20] {
        self.place_for(identity, true, None)
    }

    /// Puts a certificate into the machine's or the user's store, its key given to some accounts.
    pub fn place_for(
        &self,
        identity: &Identity,
        of_machine: bool,
        given_to: Option<&[&str]>,
    ) -> [u8; 20] {
        let digest =
            ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &identity.chain[0]);
        let thumbprint = digest.as_ref().try_into().unwrap();
        self.machine.placed.lock().unwrap().push(Placed {
            thumbprint,
            of_machine,
            given_to: given_to.map(|names| names.iter().map(|&name| name.to_owned()).collect()),
            identity: identities::copy(identity),
        });
        thumbprint
    }

    /// Acquires a server credential.
    pub fn acquire(&self) -> SecHandle {
        self.acquire_by(&mut AcquireMemory::new()).unwrap()
    }

    /// Acquires a credential; the handle, or the status that it completed with.
    pub fn acquire_by(&self, asked: &mut AcquireMemory) -> Result<SecHandle, i32> {
        let call = self.async_call();
        assert_eq!(asked.issue(self, &call), Ok(0));
        let status = call.wait().status;
        call.free();
        if status == 0 {
            Ok(asked.credential)
        } else {
            Err(status)
        }
    }

    /// Acquires a client credential, with or without a certificate, that leaves the server's
    /// certificate to its caller.
    pub fn acquire_client(&self, certificate: bool) -> SecHandle {
        let mut asked = AcquireMemory::of_client(SCH_CRED_MANUAL_CRED_VALIDATION);
        asked.auth.cCreds = u32::from(certificate);
        self.acquire_by(&mut asked).unwrap()
    }

    pub fn free_credential(&self, credential: &SecHandle) {
        let call = self.async_call();
        // SAFETY: the handle outlives the call.
        let queued = unsafe {
            self.ksecdd
                .free_credentials_handle_async(call.context(), credential)
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
                .delete_security_context_async(call.context(), context)
        };
        assert_eq!(queued, Ok(0));
        assert_eq!(call.wait().status, 0);
        call.free();
    }
}
