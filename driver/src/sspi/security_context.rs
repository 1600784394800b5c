//! A security context: its handle, its async context, and who may use them when.
//!
//! A handshake call or the deletion needs everything and excludes all else; SEAL, UNSEAL and
//! queries need the handle (`tlsgate_core::usage`). A right is a value: dropping it ends the use,
//! and the last one of a context that is being closed turns into a [`Deletion`].

use super::{AsyncContext, Completed, FirstCall, INVALID_HANDLE, is_valid};
use crate::shared::Shared;
use core::{cell::UnsafeCell, sync::atomic::AtomicUsize};
use tlsgate_core::usage::{Refused, Usage, Use};
use wdk_sys::SecHandle;

/// A context and its use rights.
pub struct SecurityContext<T: Completed> {
    usage: Usage<AtomicUsize>,
    parts: UnsafeCell<Parts<T>>,
}

/// What a handshake call and the deletion work on.
pub struct Parts<T: Completed> {
    /// The context; [`INVALID_HANDLE`] until a call made one.
    pub handle: SecHandle,
    /// Made with the session; gone when a refused call put it into quarantine.
    pub asynchronous: Option<AsyncContext<T>>,
    /// What the calls before there is a context get besides the credential.
    pub first: FirstCall,
}

// SAFETY: the parts are reached through the rights below only.
unsafe impl<T: Completed> Send for SecurityContext<T> {}
// SAFETY: as above.
unsafe impl<T: Completed> Sync for SecurityContext<T> {}

impl<T: Completed> SecurityContext<T> {
    /// Takes the async context out of a context that no one else has seen.
    pub fn dismantle(&mut self) -> Option<AsyncContext<T>> {
        self.parts.get_mut().asynchronous.take()
    }
}

/// What has a security context, and knows how to delete it.
pub trait Holder: Sized {
    /// What is inside ksecdd during a call.
    type Operation: Completed;

    /// The context.
    fn context(&self) -> &SecurityContext<Self::Operation>;

    /// The last use of a closed context has ended. IRQL: up to DISPATCH_LEVEL.
    fn delete(deletion: Deletion<Self>);
}

/// The right to a handshake call: no other use is open.
pub struct Exclusive<H: Holder>(Shared<H>);

/// The right to one SEAL, one UNSEAL or a query.
pub struct SharedUse<H: Holder> {
    holder: Shared<H>,
    kind: Use,
}

/// The right, and the duty, to delete the context: no use is open, and none will be.
pub struct Deletion<H: Holder>(Shared<H>);

impl<T: Completed> SecurityContext<T> {
    /// No context yet.
    pub fn new(asynchronous: AsyncContext<T>, first: FirstCall) -> Self {
        Self {
            usage: Usage::new(),
            parts: UnsafeCell::new(Parts {
                handle: INVALID_HANDLE,
                asynchronous: Some(asynchronous),
                first,
            }),
        }
    }
}

/// Forbids further uses; the deletion begins now or after the last use. Later calls do nothing.
pub fn close<H: Holder>(holder: &Shared<H>) {
    if holder.context().usage.close() {
        H::delete(Deletion(holder.clone()));
    }
}

impl<H: Holder> Exclusive<H> {
    /// Takes the right.
    ///
    /// # Errors
    ///
    /// Another use is open, or the context is being closed.
    pub fn acquire(holder: &Shared<H>) -> Result<Self, Refused> {
        holder.context().usage.acquire(Use::Leg)?;
        Ok(Self(holder.clone()))
    }

    /// Whose context it is.
    pub const fn holder(&self) -> &Shared<H> {
        &self.0
    }

    /// What the right is to.
    pub fn parts(&mut self) -> &mut Parts<H::Operation> {
        // SAFETY: no other use is open while this right exists, and it is borrowed exclusively.
        unsafe { &mut *self.0.context().parts.get() }
    }
}

impl<H: Holder> Drop for Exclusive<H> {
    fn drop(&mut self) {
        release(&self.0, Use::Leg);
    }
}

impl<H: Holder> SharedUse<H> {
    /// Takes the right.
    ///
    /// # Errors
    ///
    /// A use that excludes this one is open, or the context is being closed.
    pub fn acquire(holder: &Shared<H>, kind: Use) -> Result<Self, Refused> {
        holder.context().usage.acquire(kind)?;
        Ok(Self {
            holder: holder.clone(),
            kind,
        })
    }

    /// Whose context it is.
    pub const fn holder(&self) -> &Shared<H> {
        &self.holder
    }

    /// The handle, if there is a context.
    pub fn handle(&self) -> Option<SecHandle> {
        // SAFETY: the handle is written under an exclusive right only, and none is open.
        let handle = unsafe { (*self.holder.context().parts.get()).handle };
        is_valid(&handle).then_some(handle)
    }
}

impl<H: Holder> Drop for SharedUse<H> {
    fn drop(&mut self) {
        release(&self.holder, self.kind);
    }
}

impl<H: Holder> Deletion<H> {
    /// Whose context it is.
    pub const fn holder(&self) -> &Shared<H> {
        &self.0
    }

    /// What is to be deleted.
    pub fn parts(&mut self) -> &mut Parts<H::Operation> {
        // SAFETY: there is one deletion, after all uses, and it is borrowed exclusively.
        unsafe { &mut *self.0.context().parts.get() }
    }
}

fn release<H: Holder>(holder: &Shared<H>, kind: Use) {
    if holder.context().usage.release(kind) {
        H::delete(Deletion(holder.clone()));
    }
}
