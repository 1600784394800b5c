//! A credential: acquired as its caller, used by sessions, freed after the last of them.

use crate::{
    ending::Ending,
    gate::Gate,
    handle::Handle,
    nt::token::Client,
    operation::{Operation, Work},
    pending::Pending,
    quarantine,
    quota::Share,
    shared::Shared,
    sspi::{AsyncContext, Authentication, INVALID_HANDLE},
    stock::Stored,
};
use core::{
    cell::UnsafeCell,
    ptr,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering},
};
use tlsgate_core::rundown::{Closed, Rundown};
use tlsgate_protocol::{
    NtStatus, Role, SecurityStatus,
    payload::{ReleaseReply, ReplyHead},
};
use wdk_sys::SecHandle;
use zerocopy::IntoBytes;

/// One credential. Owned by its handle's table, by sessions and by operations.
pub struct Credential {
    gate: &'static Gate,
    /// What its sessions need to know of it.
    pub profile: Profile,
    /// Its handle's share of the quarantine.
    pub quarantine: Shared<quarantine::Share>,
    uses: Rundown<AtomicUsize>,
    /// It has been acquired, and its id is being given out.
    ready: AtomicBool,
    parts: UnsafeCell<Parts>,
    /// Whose key it is: impersonated around every call. Taken at the end, at PASSIVE_LEVEL.
    client: UnsafeCell<Option<Client>>,
    /// Made with the credential, so that freeing it needs no memory; taken by the freeing.
    freer: AtomicPtr<Operation>,
    /// The RELEASE_CREDENTIAL request to complete when it is gone.
    closer: AtomicPtr<Pending>,
    _share: Share,
}

/// What a credential's sessions need to know of it.
#[derive(Clone, Copy)]
pub struct Profile {
    /// Whose side it is for.
    pub role: Role,
    /// [`tlsgate_protocol::payload::credential`].
    pub flags: u32,
}

/// What the acquiring and the freeing call work on. In between they are only read.
pub struct Parts {
    /// What `SspiAcquireCredentialsHandleAsyncW` made; [`INVALID_HANDLE`] if nothing.
    pub handle: SecHandle,
    /// For the acquiring and the freeing call.
    pub asynchronous: Option<AsyncContext<Operation>>,
    /// The structures that the acquiring call gets.
    pub authentication: Authentication,
}

// SAFETY: the parts are written under an `AcquiringUse` or a `Freeing` only, of which there is one
// at a time, and read in between.
unsafe impl Send for Credential {}
// SAFETY: as above.
unsafe impl Sync for Credential {}

/// One use of a credential: it is not freed meanwhile.
pub struct CredentialUse {
    credential: Shared<Credential>,
    ended: AtomicBool,
}

/// The first use: the right to acquire it.
pub struct AcquiringUse(CredentialUse);

/// The right, and the duty, to free it: no use is open, and none will be.
pub struct Freeing(Shared<Credential>);

impl Credential {
    /// A credential before its call. IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// There is no memory.
    pub fn begin(
        handle: &Handle,
        client: Client,
        authentication: Authentication,
        profile: Profile,
    ) -> Result<AcquiringUse, NtStatus> {
        let none = NtStatus::STATUS_INSUFFICIENT_RESOURCES;
        let gate = handle.gate;
        let share = Share::take(gate, &gate.quotas.credentials, 1)?;
        let asynchronous = gate.first_async_context(&handle.quarantine)?;
        let freer = match Operation::new(gate, handle.lane, Work::Nothing) {
            Ok(freer) => freer,
            Err(status) => {
                gate.free_async_context(Some(asynchronous), &handle.quarantine);
                return Err(status);
            }
        };
        let credential = Self {
            gate,
            profile,
            quarantine: handle.quarantine.clone(),
            uses: Rundown::new(),
            ready: AtomicBool::new(false),
            parts: UnsafeCell::new(Parts {
                handle: INVALID_HANDLE,
                asynchronous: Some(asynchronous),
                authentication,
            }),
            client: UnsafeCell::new(Some(client)),
            freer: AtomicPtr::new(freer.into_raw()),
            closer: AtomicPtr::new(ptr::null_mut()),
            _share: share,
        };
        match Shared::try_new(credential) {
            Ok(credential) => {
                gate.counters.credentials_live.up();
                let _first = credential.uses.acquire();
                Ok(AcquiringUse(CredentialUse {
                    credential,
                    ended: AtomicBool::new(false),
                }))
            }
            Err(mut credential) => {
                let asynchronous = credential.parts.get_mut().asynchronous.take();
                gate.free_async_context(asynchronous, &handle.quarantine);
                if let Some(freer) = credential.take_freer() {
                    Operation::end(freer);
                }
                Err(none)
            }
        }
    }

    /// Begins a session's use.
    ///
    /// # Errors
    ///
    /// It is not acquired, or being freed: its id names nothing.
    pub fn acquire_use(this: &Shared<Self>) -> Result<CredentialUse, NtStatus> {
        if !this.is_ready() || !this.uses.acquire() {
            return Err(NtStatus::STATUS_NOT_FOUND);
        }
        Ok(CredentialUse {
            credential: this.clone(),
            ended: AtomicBool::new(false),
        })
    }

    /// It has been acquired, and its caller hears of it: it may be used now. IRQL: any.
    pub fn make_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Whether it has been acquired.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Whose key it is.
    ///
    /// # Safety
    ///
    /// A use is open while the result is used to impersonate.
    pub unsafe fn client(&self) -> Option<&Client> {
        // SAFETY: written by the freeing only, which waits for every use.
        unsafe { (*self.client.get()).as_ref() }
    }

    /// Leaves the request that is to be completed when it is gone.
    pub fn set_closer(&self, pending: Shared<Pending>) {
        self.closer.store(pending.into_raw(), Ordering::Release);
    }

    /// Takes that request back, if it has not been completed.
    pub fn take_closer(&self) -> Option<Shared<Pending>> {
        let raw = self.closer.swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: null, or what `set_closer` gave away, taken back once.
        (!raw.is_null()).then(|| unsafe { Shared::from_raw(raw) })
    }

    fn take_freer(&self) -> Option<Stored<Operation>> {
        let raw = self.freer.swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: null, or what `new` leaked, taken back once.
        (!raw.is_null()).then(|| unsafe { Stored::from_raw(raw) })
    }
}

/// Forbids further uses; it is freed now or after the last. IRQL: up to DISPATCH_LEVEL.
pub fn close(credential: &Shared<Credential>) -> Closed {
    let closed = credential.uses.close();
    if closed == Closed::Now {
        free(credential);
    }
    closed
}

fn free(credential: &Shared<Credential>) {
    if let Some(mut freer) = credential.take_freer() {
        freer.set(Work::End {
            ending: Ending::Credential(Freeing(credential.clone())),
            closer: None,
            result: None,
        });
        credential.gate.issuers.submit(freer);
    }
}

impl CredentialUse {
    /// What the credential is for.
    pub fn profile(&self) -> Profile {
        self.credential.profile
    }

    /// The handle, for a call that ends before this use does.
    pub fn handle(&self) -> *mut SecHandle {
        // SAFETY: only an address is taken.
        unsafe { &raw mut (*self.credential.parts.get()).handle }
    }

    /// Whose key it is.
    pub fn client(&self) -> Option<&Client> {
        // SAFETY: `self` is a use.
        unsafe { self.credential.client() }
    }

    /// Ends the use; later calls do nothing. IRQL: up to DISPATCH_LEVEL.
    pub fn end(&self) {
        if !self.ended.swap(true, Ordering::AcqRel) && self.credential.uses.release() {
            free(&self.credential);
        }
    }
}

impl Drop for CredentialUse {
    fn drop(&mut self) {
        self.end();
    }
}

impl AcquiringUse {
    /// Which credential.
    pub const fn credential(&self) -> &Shared<Credential> {
        &self.0.credential
    }

    /// What the call works on.
    pub fn parts(&mut self) -> &mut Parts {
        // SAFETY: there is one such use, before every other, and it is borrowed exclusively.
        unsafe { &mut *self.0.credential.parts.get() }
    }
}

impl Freeing {
    /// Takes the request that waits for it, if there is one and no one has taken it.
    pub fn take_closer(&self) -> Option<Shared<Pending>> {
        self.0.take_closer()
    }

    /// Its handle's share of the quarantine.
    pub fn quarantine(&self) -> &Shared<quarantine::Share> {
        &self.0.quarantine
    }

    /// What is to be freed.
    pub fn parts(&mut self) -> &mut Parts {
        // SAFETY: there is one freeing, after all uses, and it is borrowed exclusively.
        unsafe { &mut *self.0.parts.get() }
    }

    /// The handle is freed, or there was none: frees the rest and completes RELEASE_CREDENTIAL.
    /// IRQL: PASSIVE_LEVEL, on an issuer's thread.
    pub fn finish(mut self, closer: Option<Shared<Pending>>, result: SecurityStatus) {
        let parts = self.parts();
        let asynchronous = parts.asynchronous.take();
        // SAFETY: no use is open, and the freeing has it alone.
        let client = unsafe { &mut *self.0.client.get() };
        drop(client.take());
        let gate = self.0.gate;
        gate.free_async_context(asynchronous, &self.0.quarantine);
        gate.counters.credentials_live.down();
        if let Some(closer) = closer {
            let reply = ReleaseReply {
                head: ReplyHead::new(result),
                deferred: 0,
                reserved: 0,
            };
            closer.complete(NtStatus::STATUS_SUCCESS, |room| {
                crate::dispatch::write(room, reply.as_bytes())
            });
        }
    }
}
