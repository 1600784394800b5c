//! What the driver waits on, of the checker's parts. A wait that nobody ends is a deadlock, which the checker
//! reports.

use loom::sync::{Condvar, Mutex};

/// `KSEMAPHORE`.
#[derive(Default)]
pub struct Semaphore {
    count: Mutex<usize>,
    released: Condvar,
}

impl Semaphore {
    /// `KeReleaseSemaphore`.
    pub fn release(&self, count: usize) {
        *self.count.lock().unwrap() += count;
        self.released.notify_all();
    }

    /// `KeWaitForSingleObject`.
    pub fn wait(&self) {
        let mut count = self.count.lock().unwrap();
        while *count == 0 {
            count = self.released.wait(count).unwrap();
        }
        *count -= 1;
    }
}
