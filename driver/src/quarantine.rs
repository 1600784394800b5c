//! Async contexts that may yet call back: of a call that was refused, or taken over. Kept for a while,
//! then freed (`tlsgate_core::quarantine`).

use crate::{
    gate::Gate, kmdf::spin_lock::SpinLock, nt, operation::Operation, shared::Shared,
    sspi::AsyncContext,
};
use core::{mem, sync::atomic::AtomicUsize};
use tlsgate_core::{quarantine::Quarantine as Policy, share};
use tlsgate_protocol::NtStatus;

/// One handle's share. Sessions and credentials hold it, too: unlike the handle, it does not keep the
/// driver loaded while something of it is in quarantine.
pub type Share = share::Share<AtomicUsize>;

/// What is kept, in two generations.
pub struct Quarantine(SpinLock<Kept>);

struct Kept {
    policy: Policy,
    young: List,
    old: List,
}

/// Entries, each with the next in its async context's own memory: to keep one takes no more, which there
/// might not be.
type List = Option<Entry>;

/// An async context that is kept.
pub struct Entry {
    context: AsyncContext<Operation>,
    share: Shared<Share>,
}

impl Quarantine {
    /// Keeps nothing yet. IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// The framework has no locks.
    pub fn new(policy: Policy) -> Result<Self, NtStatus> {
        let kept = Kept {
            policy,
            young: None,
            old: None,
        };
        Ok(Self(SpinLock::new(kept)?))
    }

    /// Whether a handle with this share may begin a session or a credential. IRQL: PASSIVE_LEVEL.
    pub fn may_begin(&self, gate: &Gate, share: &Share) -> bool {
        self.sweep(gate);
        !share.is_full() && self.0.lock().policy.may_begin()
    }

    /// Keeps an async context. IRQL: PASSIVE_LEVEL.
    pub fn keep(&self, gate: &Gate, context: AsyncContext<Operation>, share: &Shared<Share>) {
        gate.counters.quarantined_live.up();
        let counts = share.add();
        let mut entry = Entry {
            context,
            share: share.clone(),
        };
        let mut kept = self.0.lock();
        kept.policy.add(counts);
        // Nothing is there that this would drop: what leaves quarantine is freed.
        *entry.context.kept() = kept.young.take();
        kept.young = Some(entry);
    }

    /// Lets go what has been kept long enough. IRQL: PASSIVE_LEVEL.
    pub fn sweep(&self, gate: &Gate) {
        let gone = {
            let mut kept = self.0.lock();
            if kept.policy.turn(nt::unbiased_time()) {
                let young = kept.young.take();
                mem::replace(&mut kept.old, young)
            } else {
                None
            }
        };
        free(gate, gone);
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        let kept = self.0.lock();
        kept.young.is_none() && kept.old.is_none()
    }

    /// Lets everything go, however long it was kept. IRQL: PASSIVE_LEVEL, from unload.
    pub fn clear(&self, gate: &Gate) {
        let lists = {
            let mut kept = self.0.lock();
            [kept.young.take(), kept.old.take()]
        };
        for list in lists {
            free(gate, list);
        }
    }
}

fn free(gate: &Gate, mut list: List) {
    while let Some(entry) = list {
        let Entry { mut context, share } = entry;
        list = context.kept().take();
        let _counted = share.remove();
        gate.counters.quarantined_live.down();
        gate.free_at_once(context);
    }
}
