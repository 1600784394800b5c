//! KMDF's side of one request, as its documentation of cancellation says.

use loom::sync::Mutex;

/// One request, marked cancelable or not.
#[derive(Default)]
pub struct Request(Mutex<State>);

#[derive(Default)]
struct State {
    marked: bool,
    cancelled: bool,
    completions: u32,
}

impl Request {
    /// `WdfRequestMarkCancelableEx`. False if it has been cancelled before.
    pub fn mark(&self) -> bool {
        let mut state = self.0.lock().unwrap();
        state.marked = !state.cancelled;
        state.marked
    }

    /// `WdfRequestUnmarkCancelable`. False if the cancel callback comes, or has come.
    pub fn unmark(&self) -> bool {
        let mut state = self.0.lock().unwrap();
        assert_eq!(state.completions, 0, "unmarked after completion");
        let won = state.marked && !state.cancelled;
        state.marked &= !won;
        won
    }

    /// `WdfRequestComplete`.
    pub fn complete(&self) {
        let mut state = self.0.lock().unwrap();
        state.completions += 1;
        assert_eq!(state.completions, 1, "completed twice");
    }

    /// The I/O manager cancels it. True if the driver's callback is to run now.
    pub fn cancel(&self) -> bool {
        let mut state = self.0.lock().unwrap();
        if state.completions > 0 || state.cancelled {
            return false;
        }
        state.cancelled = true;
        // Unmarked by a winner, who completes it.
        state.marked
    }

    /// How often it was completed.
    pub fn completions(&self) -> u32 {
        self.0.lock().unwrap().completions
    }
}
