//! The driver's own life: it ends when nothing of it runs, or can be called, any more.
//!
//! What keeps it alive is counted: open handles, and operations, those inside ksecdd included. Unload
//! waits for the last of them, then for the driver's own threads; what is left is to be freed then. The
//! last one to leave touches nothing of the driver afterwards: it may be gone.

use crate::{
    rundown::{Closed, Rundown},
    word::Word,
};

/// What the rim brings for it, and what is made of that.
pub trait Life {
    /// The atomic.
    type Word: Word;

    /// What is alive.
    fn alive(&self) -> &Rundown<Self::Word>;
    /// Lets [`Self::wait_until_drained`] end, once and for all.
    fn drained(&self);
    /// Waits for [`Self::drained`], however long that takes.
    fn wait_until_drained(&self);
    /// Ends the thread that looks after calls and deadlines, and waits for it.
    fn stop_watch(&self);
    /// Ends the issuers, and waits for them.
    fn stop_issuers(&self);

    /// Counts an operation or a handle. False when the driver is being unloaded.
    #[must_use]
    fn enter(&self) -> bool {
        self.alive().acquire()
    }

    /// The opposite of [`Self::enter`]: its caller's last touch of the driver.
    fn leave(&self) {
        if self.alive().release() {
            self.drained();
        }
    }

    /// Ends the driver. When this returns, everything of it may be freed.
    fn end(&self) {
        match self.alive().close() {
            Closed::Now | Closed::Before => {}
            Closed::AfterLastUse => self.wait_until_drained(),
        }
        self.stop_watch();
        self.stop_issuers();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::{cell::Cell, sync::atomic::AtomicUsize};
    use std::{format, string::String};

    /// What happens, in a word each.
    struct Driver(Rundown<AtomicUsize>, Cell<String>);

    impl Driver {
        fn tell(&self, what: &str) {
            let before = self.1.take();
            self.1.set(format!("{before}{what} "));
        }
    }

    impl Life for Driver {
        type Word = AtomicUsize;
        fn alive(&self) -> &Rundown<AtomicUsize> {
            &self.0
        }
        fn drained(&self) {
            self.tell("drained");
        }
        fn wait_until_drained(&self) {
            self.tell("waits");
            self.leave();
        }
        fn stop_watch(&self) {
            self.tell("watch");
        }
        fn stop_issuers(&self) {
            self.tell("issuers");
        }
    }

    #[test]
    fn the_end_waits_for_the_last_to_leave_and_nothing_enters_any_more() {
        let driver = Driver(Rundown::new(), Cell::default());
        assert!(driver.enter() && driver.enter());
        driver.leave();
        driver.end();
        assert_eq!(driver.1.take(), "waits drained watch issuers ");
        assert!(!driver.enter());
        let idle = Driver(Rundown::new(), Cell::default());
        idle.end();
        assert_eq!(idle.1.take(), "watch issuers ");
    }
}
