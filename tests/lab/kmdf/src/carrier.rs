//! What a request comes in, and goes back in.

use crate::wdm::Irp;
#[cfg(feature = "bench")]
use crate::{layout::NtStatus, object::lock};
#[cfg(feature = "bench")]
use std::sync::Mutex;

/// Who hears of a request's completion: status, information, and the system buffer.
#[cfg(feature = "bench")]
pub type Done = Box<dyn FnOnce(NtStatus, usize, Vec<u8>) + Send>;

/// What a request comes in.
pub enum Carrier {
    /// Wine's IRP.
    Irp(Irp),
    /// A call within this process; empty once it was told.
    #[cfg(feature = "bench")]
    Call(Mutex<Option<Done>>),
}

impl Carrier {
    /// Wine's IRP, if it is one.
    #[cfg_attr(
        not(feature = "bench"),
        expect(
            clippy::unnecessary_wraps,
            reason = "there are calls in builds that measure"
        )
    )]
    pub fn irp(&self) -> Option<Irp> {
        match self {
            Self::Irp(irp) => Some(*irp),
            #[cfg(feature = "bench")]
            Self::Call(_) => None,
        }
    }

    /// Tells a call in this process of its end.
    #[cfg(feature = "bench")]
    pub fn tell(&self, status: NtStatus, information: usize, buffer: Vec<u8>) {
        use crate::ledger::{self, Whose};
        if let Self::Call(done) = self
            && let Some(done) = lock(done).take()
        {
            ledger::of(Whose::Nobody, || done(status, information, buffer));
        }
    }
}
