//! Admission to ksecdd: at most so many operations inside at a time, the rest wait their turn.
//!
//! Who waits does so in a lane, one for each handle. Lanes take turns, and none has more than its
//! share inside: a handle with thousands of operations delays another's by one turn, and cannot fill
//! ksecdd alone. A lane with operations that wait and room for one is *ready*; the ready lanes are a
//! chain, from which the first is taken and, if it is still ready, hung on behind the last.
//!
//! A push never allocates: room is made by [`Queue::register`] when an operation comes into being,
//! so that closing and cleaning up cannot fail for want of memory. An operation that was given up
//! stays where it is until its turn comes; who takes it lets go of its place at once.

use crate::{
    lines::{Line, Places},
    table::{self, Table},
};
use core::num::NonZeroU64;

/// Operations that wait to be issued.
#[derive(Debug)]
pub struct Queue<T> {
    lanes: Table<State>,
    /// Of what waits and of what goes on; one for each operation that is registered.
    places: Places<T>,
    /// The ready lane whose turn it is.
    first: Option<Lane>,
    /// The ready lane whose turn comes last.
    last: Option<Lane>,
    /// Further steps of operations that have been admitted; they wait for no turn.
    admitted: Line,
    registered: usize,
    waiting: usize,
    inside: usize,
    /// Wake-ups that no issuer has heard yet.
    wakes: usize,
    limits: Limits,
}

/// Names a lane of one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lane(NonZeroU64);

#[derive(Debug)]
struct State {
    /// First calls, in order of arrival.
    waiting: Line,
    registered: usize,
    inside: usize,
    /// No operation is registered any more; it goes with the last.
    closed: bool,
    /// It is in the chain of ready lanes.
    ready: bool,
    /// The ready lane behind this one.
    next: Option<Lane>,
}

/// What a queue lets happen at a time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Lanes that exist, closed ones with operations included.
    pub lanes: usize,
    /// Operations that exist.
    pub registered: usize,
    /// Operations that exist in one lane.
    pub registered_per_lane: usize,
    /// Operations inside ksecdd.
    pub inside: usize,
    /// Operations of one lane inside ksecdd.
    pub inside_per_lane: usize,
    /// Issuers: more wake-ups than that are of no use.
    pub issuers: usize,
}

/// Why an operation or a lane cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// As many exist as may.
    TooMany,
    /// There is no memory.
    OutOfMemory,
    /// The lane has been closed.
    Closed,
}

impl<T> Queue<T> {
    /// A queue without lanes; allocates nothing.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self {
            lanes: Table::new(limits.lanes),
            places: Places::new(),
            first: None,
            last: None,
            admitted: Line::new(),
            registered: 0,
            waiting: 0,
            inside: 0,
            wakes: 0,
            limits,
        }
    }

    /// Sets the number of issuers, once it is known.
    pub const fn set_issuers(&mut self, issuers: usize) {
        self.limits.issuers = issuers;
    }

    /// Makes a lane. [`Self::close_lane`] must follow.
    ///
    /// # Errors
    ///
    /// There are too many, or there is no memory.
    pub fn open_lane(&mut self) -> Result<Lane, Refused> {
        let state = State {
            waiting: Line::new(),
            registered: 0,
            inside: 0,
            closed: false,
            ready: false,
            next: None,
        };
        match self.lanes.insert(state) {
            Ok(id) => Ok(Lane(id)),
            Err(table::Refused::Full(_)) => Err(Refused::TooMany),
            Err(table::Refused::OutOfMemory(_)) => Err(Refused::OutOfMemory),
        }
    }

    /// No operation will be registered any more. What is registered goes its way; the lane goes with
    /// the last.
    pub fn close_lane(&mut self, lane: Lane) {
        if let Some(state) = self.state(lane) {
            state.closed = true;
            self.let_go(lane);
        }
    }

    /// Makes room for one more operation of a lane.
    ///
    /// # Errors
    ///
    /// There are too many, in the lane or in all; there is no memory; or the lane is closed.
    pub fn register(&mut self, lane: Lane) -> Result<(), Refused> {
        let (limits, registered) = (self.limits, self.registered);
        let state = self.lanes.get_mut(lane.0.get()).ok_or(Refused::Closed)?;
        if state.closed {
            return Err(Refused::Closed);
        }
        if registered >= limits.registered || state.registered >= limits.registered_per_lane {
            return Err(Refused::TooMany);
        }
        let all = registered.saturating_add(1);
        self.places.reserve(all).map_err(|_| Refused::OutOfMemory)?;
        state.registered = state.registered.saturating_add(1);
        self.registered = all;
        Ok(())
    }

    /// An operation that was registered has ended, and neither waits nor is inside.
    pub fn unregister(&mut self, lane: Lane) {
        self.registered = self.registered.saturating_sub(1);
        if let Some(state) = self.state(lane) {
            state.registered = state.registered.saturating_sub(1);
            self.let_go(lane);
        }
    }

    /// A registered operation waits for admission.
    ///
    /// # Errors
    ///
    /// The operation comes back if there is no room for it: it was not registered in this lane.
    pub fn wait(&mut self, lane: Lane, operation: T) -> Result<(), T> {
        let Some(state) = self.lanes.get_mut(lane.0.get()) else {
            return Err(operation);
        };
        self.places.push(&mut state.waiting, operation)?;
        self.waiting = self.waiting.saturating_add(1);
        self.hang_on(lane);
        Ok(())
    }

    /// An operation that waits for no turn, as it has been admitted, is to go on.
    ///
    /// # Errors
    ///
    /// As for [`Self::wait`].
    pub fn go_on(&mut self, operation: T) -> Result<(), T> {
        self.places.push(&mut self.admitted, operation)
    }

    /// The next operation to work on, if one may be worked on now. One that has waited is inside
    /// from now on; [`Self::leave`] must follow.
    pub fn take_next(&mut self) -> Option<T> {
        if let Some(operation) = self.places.pop(&mut self.admitted) {
            return Some(operation);
        }
        if self.inside >= self.limits.inside {
            return None;
        }
        let lane = self.first?;
        let state = self.lanes.get_mut(lane.0.get())?;
        let operation = self.places.pop(&mut state.waiting)?;
        state.inside = state.inside.saturating_add(1);
        state.ready = false;
        let next = state.next.take();
        self.first = next;
        if next.is_none() {
            self.last = None;
        }
        self.inside = self.inside.saturating_add(1);
        self.waiting = self.waiting.saturating_sub(1);
        self.hang_on(lane);
        Some(operation)
    }

    /// An operation that was inside has ended, or will not be issued after all. True if another may
    /// be admitted in its place: wake an issuer.
    #[must_use]
    pub fn leave(&mut self, lane: Lane) -> bool {
        self.inside = self.inside.saturating_sub(1);
        if let Some(state) = self.state(lane) {
            state.inside = state.inside.saturating_sub(1);
            self.hang_on(lane);
            self.let_go(lane);
        }
        self.first.is_some()
    }

    /// There is something to do. True if an issuer is to be woken: not when so many wake-ups are on
    /// their way that every issuer will look after this. Issuers work until nothing is left.
    #[must_use]
    pub const fn wake(&mut self) -> bool {
        let wanted = self.wakes < self.limits.issuers;
        if wanted {
            self.wakes = self.wakes.saturating_add(1);
        }
        wanted
    }

    /// An issuer has heard a wake-up.
    pub const fn woken(&mut self) {
        self.wakes = self.wakes.saturating_sub(1);
    }

    /// Operations that wait for admission.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Operations admitted and not ended.
    #[must_use]
    pub const fn inside(&self) -> usize {
        self.inside
    }

    /// Lanes, closed ones with operations included.
    #[must_use]
    pub const fn lanes(&self) -> usize {
        self.lanes.len()
    }

    fn state(&mut self, lane: Lane) -> Option<&mut State> {
        self.lanes.get_mut(lane.0.get())
    }

    /// Hangs a lane on behind the last of the ready ones, if it is ready and not among them.
    fn hang_on(&mut self, lane: Lane) {
        let most = self.limits.inside_per_lane;
        let Some(state) = self.state(lane) else {
            return;
        };
        if state.ready || state.waiting.is_empty() || state.inside >= most {
            return;
        }
        state.ready = true;
        match self.last.replace(lane).and_then(|last| self.state(last)) {
            Some(last) => last.next = Some(lane),
            None => self.first = Some(lane),
        }
    }

    /// Lets a closed lane go after its last operation.
    fn let_go(&mut self, lane: Lane) {
        let gone = |state: &mut State| {
            state.closed && state.registered == 0 && state.inside == 0 && state.waiting.is_empty()
        };
        if self.state(lane).is_some_and(gone) {
            self.lanes.remove(lane.0.get());
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
