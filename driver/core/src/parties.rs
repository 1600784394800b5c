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
