//! A pended request: its result, its cancellation and whoever else gives it up, and what each of them does
//! about the others.
//!
//! [`Ticket`] says who completes it; here is what follows from that: in which order the cancelable mark is
//! taken off, the session fails, an orphan is counted, and the request is completed. The rim brings the
//! request; the model checker brings KMDF's rules.

use crate::{
    ticket::{Abandoned, Begin, Completer, Ticket},
    word::Word,
};

/// What the rim does for a pended request, and what is made of that.
pub trait Parties {
    /// The atomic.
    type Word: Word;

    /// Who completes it.
    fn ticket(&self) -> &Ticket<Self::Word>;
    /// Nobody looks after it any more who would give it up.
    fn forget(&self);
    /// Takes the cancelable mark off. False if the request was cancelled before.
    fn unmark(&self) -> bool;
    /// Completes it as cancelled.
    fn complete_cancelled(&self);
    /// Its session has lost a reply, and is of no use any more.
    fn fail_session(&self);
    /// Counts an operation that is inside ksecdd for nobody.
    fn orphan_more(&self);
    /// One less of those.
    fn orphan_less(&self);
    /// Tells who listens that there is one more.
    fn tell_orphan(&self);

    /// Before a call to ksecdd: whether the request still wants it. [`Self::returned`] must follow.
    fn begin(&self) -> Begin {
        self.ticket().begin()
    }

    /// After the call.
    fn returned(&self) {
        if self.ticket().returned() {
            self.orphan_less();
        }
    }

    /// Completes the request by `complete`, unless it was given up. True if it was completed here.
    fn conclude(&self, complete: impl FnOnce()) -> bool {
        self.forget();
        let ours = take(self);
        if ours {
            complete();
        }
        ours
    }

    /// Gives the request up for another reason than its cancellation, and completes it by `complete`. Says
    /// where its operation was, if the request was still there to be given up.
    fn give_up(&self, complete: impl FnOnce()) -> Option<Abandoned> {
        self.forget();
        take(self).then(|| {
            let place = abandon(self, Ticket::abandon);
            complete();
            place
        })
    }

    /// The cancel callback. Says where the operation was.
    fn cancelled(&self) -> Abandoned {
        self.forget();
        let mut completer = Completer::TheOther;
        let place = abandon(self, |ticket| {
            let (who, place) = ticket.cancelled();
            completer = who;
            place
        });
        if completer == Completer::Me {
            self.complete_cancelled();
        }
        place
    }
}

/// Whether the request is the caller's, once, to complete. False if it was given up: then it is completed
/// by the later of claimant and cancel callback.
fn take<P: Parties + ?Sized>(request: &P) -> bool {
    if !request.ticket().claim() {
        return false;
    }
    let ours = request.unmark();
    if !ours && request.ticket().unmark_failed() == Completer::Me {
        request.complete_cancelled();
    }
    ours
}

/// No more calls are to be made for the request.
fn abandon<P: Parties + ?Sized>(
    request: &P,
    how: impl FnOnce(&Ticket<P::Word>) -> Abandoned,
) -> Abandoned {
    request.fail_session();
    // Counted first: the operation's return may take it off at once.
    request.orphan_more();
    let place = how(request.ticket());
    match place {
        Abandoned::Waiting => request.orphan_less(),
        Abandoned::Orphaned => request.tell_orphan(),
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::{cell::Cell, sync::atomic::AtomicUsize};
    use std::{format, string::String};

    /// What happens to a request, in a word each.
    #[derive(Default)]
    struct Request {
        ticket: Ticket<AtomicUsize>,
        is_cancelled: bool,
        told: Cell<String>,
    }

    impl Request {
        fn tell(&self, what: &str) {
            let before = self.told.take();
            self.told.set(format!("{before}{what} "));
        }
    }

    impl Parties for Request {
        type Word = AtomicUsize;
        fn ticket(&self) -> &Ticket<AtomicUsize> {
            &self.ticket
        }
        fn forget(&self) {
            self.tell("forgotten");
        }
        fn unmark(&self) -> bool {
            !self.is_cancelled
        }
        fn complete_cancelled(&self) {
            self.tell("cancelled");
        }
        fn fail_session(&self) {
            self.tell("failed");
        }
        fn orphan_more(&self) {
            self.tell("more");
        }
        fn orphan_less(&self) {
            self.tell("less");
        }
        fn tell_orphan(&self) {
            self.tell("orphan");
        }
    }

    #[test]
    fn the_result_completes_it_and_whoever_comes_then_does_nothing() {
        let request = Request::default();
        assert_eq!(request.begin(), Begin::Issue);
        request.returned();
        assert!(request.conclude(|| request.tell("completed")));
        assert_eq!(request.told.take(), "forgotten completed ");
        assert!(!request.conclude(|| request.tell("completed")));
        assert_eq!(request.give_up(|| request.tell("completed")), None);
        assert_eq!(request.told.take(), "forgotten forgotten ");
    }

    #[test]
    fn who_gives_it_up_fails_the_session_first_and_counts_what_is_inside() {
        let waiting = Request::default();
        let place = waiting.give_up(|| waiting.tell("completed"));
        assert_eq!(place, Some(Abandoned::Waiting));
        assert_eq!(waiting.told.take(), "forgotten failed more less completed ");
        assert_eq!(waiting.begin(), Begin::Abandoned);
        let inside = Request::default();
        assert_eq!(inside.begin(), Begin::Issue);
        let place = inside.give_up(|| inside.tell("completed"));
        assert_eq!(place, Some(Abandoned::Orphaned));
        let told = "forgotten failed more orphan completed ";
        assert_eq!(inside.told.take(), told);
        inside.returned();
        assert_eq!(inside.told.take(), "less ");
    }

    #[test]
    fn of_claimant_and_cancel_callback_the_later_one_completes() {
        let cancelled = || Request {
            is_cancelled: true,
            ..Request::default()
        };
        let alone = cancelled();
        assert_eq!(alone.cancelled(), Abandoned::Waiting);
        let told = "forgotten failed more less cancelled ";
        assert_eq!(alone.told.take(), told);
        assert!(!alone.conclude(|| alone.tell("completed")));
        assert_eq!(alone.told.take(), "forgotten ");
        // The claimant comes first, and cannot unmark it.
        let request = cancelled();
        assert_eq!(request.begin(), Begin::Issue);
        assert!(!request.conclude(|| request.tell("completed")));
        assert_eq!(request.told.take(), "forgotten ");
        assert_eq!(request.cancelled(), Abandoned::Orphaned);
        let told = "forgotten failed more orphan cancelled ";
        assert_eq!(request.told.take(), told);
    }
}
