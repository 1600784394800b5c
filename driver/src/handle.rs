//! What one open handle owns: credentials, sessions, pended requests; and its clean-up.

use crate::{
    credential::{self, Credential},
    gate::{Gate, Quota, mebibytes, size},
    kmdf::spin_lock::SpinLock,
    nt,
    pending::Pending,
    quarantine, quota,
    session::Session,
    shared::Shared,
    sspi,
};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tlsgate_core::{
    belongings::{Belongings, CleanUp, Refused},
    queue::{self, Lane},
    rate::Bucket,
    share::Share,
    table::Table,
};
use tlsgate_protocol::{CredentialId, NtStatus, SessionId};

/// One file object's belongings.
pub struct Handle {
    /// The driver's gate.
    pub gate: &'static Gate,
    /// Its turn in the queue.
    pub lane: Lane,
    /// Bytes of its waiting input.
    pub bytes: Quota,
    /// Its requests that pend, but for those that close something.
    pub places: Quota,
    /// Its share of the quarantine.
    pub quarantine: Shared<quarantine::Share>,
    /// Its operations inside ksecdd whose request has been given up.
    pub orphans: Share<AtomicUsize>,
    /// To be seen without the lock; under it, `tables` knows.
    cleaned_up: AtomicBool,
    tables: SpinLock<Tables>,
    _share: quota::Share,
    /// The last field: its drop may let the driver be unloaded.
    _alive: Alive,
}

/// Keeps the lane and the driver: a handle's lock is the framework's to delete, after the driver's
/// own.
struct Alive {
    gate: &'static Gate,
    lane: Option<Lane>,
}

impl Drop for Alive {
    fn drop(&mut self) {
        if let Some(lane) = self.lane {
            self.gate.issuers.close_lane(lane);
        }
        self.gate.leave();
    }
}

type Own = Belongings<Shared<Credential>, Shared<Session>, Shared<Pending>>;

struct Tables {
    own: Own,
    /// A token for each handshake that may fail.
    failures: Bucket,
}

impl Handle {
    /// A new handle's empty tables. IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// There are too many handles, or there is no memory.
    pub fn new(gate: &'static Gate) -> Result<Shared<Self>, NtStatus> {
        let settings = &gate.settings;
        let none = NtStatus::STATUS_INSUFFICIENT_RESOURCES;
        let share = quota::Share::take(gate, &gate.quotas.handles, 1)?;
        let kept = quarantine::Share::new(size(settings.quarantined_per_handle));
        let quarantine = Shared::try_new(kept).map_err(|_| none)?;
        let tables = SpinLock::new(Tables {
            own: Belongings::new(
                size(settings.credentials_per_handle),
                size(settings.sessions_per_handle),
                // Bounded by `places`, and by what there is to close.
                usize::MAX,
            ),
            failures: Bucket::new(
                settings.failures_per_second,
                settings.failures_burst,
                nt::unbiased_time(),
            ),
        })?;
        if !gate.enter() {
            return Err(NtStatus::STATUS_INVALID_DEVICE_STATE);
        }
        let mut alive = Alive { gate, lane: None };
        let lane = gate.issuers.open_lane().map_err(|refused| match refused {
            queue::Refused::TooMany => {
                gate.counters.quota_refusals.up();
                NtStatus::STATUS_QUOTA_EXCEEDED
            }
            queue::Refused::OutOfMemory | queue::Refused::Closed => none,
        })?;
        alive.lane = Some(lane);
        Shared::try_new(Self {
            gate,
            lane,
            bytes: Quota::new(mebibytes(settings.input_mib_per_handle)),
            places: Quota::new(size(settings.pending_per_handle)),
            quarantine,
            orphans: Share::new(size(settings.orphans_per_handle)),
            cleaned_up: AtomicBool::new(false),
            tables,
            _share: share,
            _alive: alive,
        })
        .map_err(|_| none)
    }

    /// Whether something new may be given to ksecdd: not while as many of the handle's operations, or
    /// of all, as may be are orphans there. IRQL: up to DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// `STATUS_QUOTA_EXCEEDED`; it is counted.
    pub fn may_issue(&self) -> Result<(), NtStatus> {
        let (settings, counters) = (&self.gate.settings, &self.gate.counters);
        let is_full =
            self.orphans.is_full() || self.gate.orphans.get() >= u64::from(settings.orphans);
        if is_full {
            counters.quota_refusals.up();
            return Err(NtStatus::STATUS_QUOTA_EXCEEDED);
        }
        Ok(())
    }

    /// Whether a new session may begin: not while too many handshakes have failed lately. IRQL: up to
    /// DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// `STATUS_RETRY`; it is counted.
    pub fn may_begin(&self) -> Result<(), NtStatus> {
        let now = nt::unbiased_time();
        if self.with(|tables| tables.failures.has(now)) {
            return Ok(());
        }
        self.gate.counters.rate_refusals.up();
        Err(NtStatus::STATUS_RETRY)
    }

    /// A handshake has failed. IRQL: up to DISPATCH_LEVEL.
    pub fn handshake_failed(&self) {
        let now = nt::unbiased_time();
        self.with(|tables| tables.failures.spend(now));
    }

    /// Gives up every request and closes every session and credential. What is inside ksecdd lives
    /// on as an orphan. Allocates nothing. IRQL: PASSIVE_LEVEL, from EvtFileCleanup.
    pub fn clean_up(&self) {
        self.cleaned_up.store(true, Ordering::Release);
        CleanUp::clean_up(&Tenant(self));
    }

    /// Whether the handle is being cleaned up, or has been: its IOCTLs are refused. One that is dispatched at
    /// the same time finds out when it takes something in.
    pub fn is_cleaned_up(&self) -> bool {
        self.cleaned_up.load(Ordering::Acquire)
    }

    /// The session of an id.
    ///
    /// # Errors
    ///
    /// STATUS_NOT_FOUND.
    pub fn session(&self, id: SessionId) -> Result<Shared<Session>, NtStatus> {
        self.with(|tables| tables.own.sessions.get(id.get()).cloned())
            .ok_or(NtStatus::STATUS_NOT_FOUND)
    }

    /// The credential of an id.
    ///
    /// # Errors
    ///
    /// STATUS_NOT_FOUND.
    pub fn credential(&self, id: CredentialId) -> Result<Shared<Credential>, NtStatus> {
        self.with(|tables| tables.own.credentials.get(id.get()).cloned())
            .ok_or(NtStatus::STATUS_NOT_FOUND)
    }

    /// Takes a session in.
    ///
    /// # Errors
    ///
    /// A quota, no memory, or the handle is being cleaned up.
    pub fn add_session(&self, session: Shared<Session>) -> Result<SessionId, NtStatus> {
        self.add(session, |own| &mut own.sessions)
            .map(SessionId::new)
    }

    /// Takes a credential in. Errors as above.
    ///
    /// # Errors
    ///
    /// As for [`Self::add_session`].
    pub fn add_credential(&self, credential: Shared<Credential>) -> Result<CredentialId, NtStatus> {
        self.add(credential, |own| &mut own.credentials)
            .map(CredentialId::new)
    }

    /// Takes a pended request in, and gives its number.
    ///
    /// # Errors
    ///
    /// As for [`Self::add_session`].
    pub fn add_pending(&self, pending: Shared<Pending>) -> Result<u64, NtStatus> {
        self.add(pending, |own| &mut own.pending)
            .map(core::num::NonZeroU64::get)
    }

    /// Takes a session out; its id is void.
    pub fn remove_session(&self, id: SessionId) -> Option<Shared<Session>> {
        self.with(|tables| tables.own.sessions.remove(id.get()))
    }

    /// Puts the credential of `new` into the place of `old`, whose id it has from now on; `new` is void.
    /// Gives the old one. IRQL: up to DISPATCH_LEVEL.
    pub fn replace_credential(
        &self,
        old: CredentialId,
        new: CredentialId,
    ) -> Option<Shared<Credential>> {
        self.with(|tables| {
            // One that is being acquired is its acquisition's to remove.
            if !tables.own.credentials.get(old.get())?.is_ready() {
                return None;
            }
            let credential = tables.own.credentials.remove(new.get())?;
            tables.own.credentials.replace(old.get(), credential).ok()
        })
    }

    /// Takes a credential out; its id is void.
    pub fn remove_credential(&self, id: CredentialId) -> Option<Shared<Credential>> {
        self.with(|tables| tables.own.credentials.remove(id.get()))
    }

    /// Forgets a pended request that has been completed. IRQL: up to DISPATCH_LEVEL.
    pub fn remove_pending(&self, number: u64) {
        // The value is dropped outside the lock.
        let _gone = self.with(|tables| tables.own.pending.remove(number));
    }

    fn with<R>(&self, act: impl FnOnce(&mut Tables) -> R) -> R {
        act(&mut self.tables.lock())
    }

    fn add<T>(
        &self,
        value: T,
        table: impl FnOnce(&mut Own) -> &mut Table<T>,
    ) -> Result<core::num::NonZeroU64, NtStatus> {
        let inserted = self.with(|tables| tables.own.add(table, value));
        // The value of a refusal is dropped here, outside the lock.
        inserted.map_err(|refused| match refused {
            Refused::CleanedUp(_) => NtStatus::STATUS_FILE_CLOSED,
            Refused::Full(_) => {
                self.gate.counters.quota_refusals.up();
                NtStatus::STATUS_QUOTA_EXCEEDED
            }
            Refused::OutOfMemory(_) => NtStatus::STATUS_INSUFFICIENT_RESOURCES,
        })
    }
}

/// A handle that is cleaned up: the policy is in `tlsgate_core::belongings`.
struct Tenant<'a>(&'a Handle);

impl CleanUp for Tenant<'_> {
    type Credential = Shared<Credential>;
    type Session = Shared<Session>;
    type Pending = Shared<Pending>;

    fn with<R>(&self, act: impl FnOnce(&mut Own) -> R) -> R {
        self.0.with(|tables| act(&mut tables.own))
    }

    fn give_up(&self, pending: Shared<Pending>) {
        let place = pending.give_up(NtStatus::STATUS_CANCELLED, "handle closed");
        if place.is_some() {
            self.0.gate.counters.cancelled.up();
        }
    }

    fn close_session(&self, session: Shared<Session>) {
        sspi::close(&session);
    }

    fn close_credential(&self, credential: Shared<Credential>) {
        let _now_or_after_its_sessions = credential::close(&credential);
    }
}
