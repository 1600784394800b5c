//! Admission to ksecdd: at most so many operations inside at a time, the rest wait their turn.
//!
//! Who waits does so in a lane, one for each handle. Lanes take turns: a handle with thousands of operations
//! delays another's by one turn; and none has more than its share of the most that may be inside. A lane with
//! operations that wait and room for one is *ready*; the ready lanes are a chain, from which the first is taken
//! and, if it is still ready, hung on behind the last. How many are inside at a time is [`Limit`]'s to say.
//!
//! A lane that leaves turns to others may make up for some of them later: those that do are a chain of
//! their own, which goes first, for some turns in a row. So who asks for less than its share hardly waits for
//! those who ask for more, even if it asks for some at once (RFC 8290 gives sparse flows such a precedence).
//!
//! A push never allocates: room is made by [`Queue::register`] when an operation comes into being,
//! so that closing and cleaning up cannot fail for want of memory. An operation that was given up
//! stays where it is until its turn comes; who takes it lets go of its place at once.

use crate::{
    limit::Limit,
    lines::{Line, Places},
    table::{self, Table},
};
use core::num::NonZeroU64;

/// Turns that a lane may make up for: ten handshakes' calls that come at once.
const CREDIT: u64 = 32;

/// Turns in a row of lanes that make up for some, while others wait: handles that were opened and left idle for
/// that are not to keep an honest one waiting for all they have saved up.
const AHEAD_IN_A_ROW: u32 = 4;

/// Operations that wait to be issued.
#[derive(Debug)]
pub struct Queue<T> {
    lanes: Table<State>,
    /// Of what waits and of what goes on; one for each operation that is registered.
    places: Places<T>,
    /// The ready lanes that have had fewer turns than the others.
    ahead: Chain,
    /// The other ready lanes.
    level: Chain,
    /// Turns in a row that the former have had.
    ahead_in_a_row: u32,
    /// Turns that every lane has had that was ready all the time.
    turns: u64,
    /// Further steps of operations that have been admitted; they wait for no turn.
    admitted: Line,
    registered: usize,
    waiting: usize,
    limit: Limit,
    /// Wake-ups that no issuer has heard yet.
    wakes: usize,
    limits: Limits,
}

/// Names a lane of one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lane(NonZeroU64);

/// Ready lanes in a row.
#[derive(Debug)]
struct Chain {
    /// The lane whose turn it is.
    first: Option<Lane>,
    /// The lane whose turn comes last.
    last: Option<Lane>,
}

#[derive(Debug)]
struct State {
    /// First calls, in order of arrival.
    waiting: Line,
    registered: usize,
    inside: usize,
    /// Turns it has had, or may not make up for any more.
    turns: u64,
    /// No operation is registered any more; it goes with the last.
    closed: bool,
    /// It is in a chain.
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
    /// Operations inside ksecdd, whatever it can do.
    pub inside: usize,
    /// Operations inside ksecdd that are let in whatever it can do; as many as `inside` for a number
    /// that does not change.
    pub inside_least: usize,
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
    pub fn new(limits: Limits) -> Self {
        Self {
            lanes: Table::new(limits.lanes),
            places: Places::new(),
            ahead: Chain::EMPTY,
            level: Chain::EMPTY,
            ahead_in_a_row: 0,
            turns: 0,
            admitted: Line::new(),
            registered: 0,
            waiting: 0,
            limit: Limit::new(limits.inside_least, limits.inside),
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
            turns: self.turns,
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
    pub fn take_next(&mut self, now: u64) -> Option<T> {
        if let Some(operation) = self.places.pop(&mut self.admitted) {
            return Some(operation);
        }
        if !self.limit.has_room() {
            return None;
        }
        let lane = self.take_lane()?;
        let state = self.lanes.get_mut(lane.0.get())?;
        let operation = self.places.pop(&mut state.waiting)?;
        state.inside = state.inside.saturating_add(1);
        self.waiting = self.waiting.saturating_sub(1);
        self.hang_on(lane);
        self.limit.enter(now);
        Some(operation)
    }

    /// An operation that was inside has ended, or will not be issued after all. True if another may
    /// be admitted in its place: wake an issuer.
    #[must_use]
    pub fn leave(&mut self, lane: Lane, now: u64) -> bool {
        if let Some(state) = self.state(lane) {
            state.inside = state.inside.saturating_sub(1);
            self.hang_on(lane);
            self.let_go(lane);
        }
        self.limit.leave(now, self.is_ready());
        self.may_another()
    }

    /// Looks whether everything hangs; to be called now and then. True if an operation may be admitted: wake
    /// an issuer.
    #[must_use]
    pub fn look(&mut self, now: u64) -> bool {
        self.limit.look(now, self.is_ready());
        self.may_another()
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
        self.limit.inside()
    }

    /// Lanes, closed ones with operations included.
    #[must_use]
    pub const fn lanes(&self) -> usize {
        self.lanes.len()
    }

    fn state(&mut self, lane: Lane) -> Option<&mut State> {
        self.lanes.get_mut(lane.0.get())
    }

    const fn may_another(&self) -> bool {
        self.is_ready() && self.limit.has_room()
    }

    const fn is_ready(&self) -> bool {
        self.ahead.first.is_some() || self.level.first.is_some()
    }

    /// Takes the lane whose turn it is out of its chain.
    fn take_lane(&mut self) -> Option<Lane> {
        let is_level_due = self.ahead_in_a_row >= AHEAD_IN_A_ROW && self.level.first.is_some();
        let is_ahead = self.ahead.first.is_some() && !is_level_due;
        let chain = if is_ahead {
            &mut self.ahead
        } else {
            &mut self.level
        };
        let lane = chain.first?;
        self.ahead_in_a_row = if is_ahead {
            self.ahead_in_a_row.saturating_add(1)
        } else {
            0
        };
        let state = self.lanes.get_mut(lane.0.get())?;
        state.ready = false;
        let next = state.next.take();
        chain.first = next;
        if next.is_none() {
            chain.last = None;
        }
        self.turns = self.turns.max(state.turns);
        state.turns = state.turns.saturating_add(1);
        Some(lane)
    }

    /// Hangs a lane on behind the last of those like it, if it is ready and not among them.
    fn hang_on(&mut self, lane: Lane) {
        let (most, turns) = (self.limits.inside_per_lane, self.turns);
        let Some(state) = self.state(lane) else {
            return;
        };
        if state.ready || state.waiting.is_empty() || state.inside >= most {
            return;
        }
        state.ready = true;
        state.turns = state.turns.max(turns.saturating_sub(CREDIT));
        let chain = if state.turns < turns {
            &mut self.ahead
        } else {
            &mut self.level
        };
        let before = chain.last.replace(lane);
        match before.and_then(|before| self.lanes.get_mut(before.0.get())) {
            Some(before) => before.next = Some(lane),
            None => chain.first = Some(lane),
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

impl Chain {
    const EMPTY: Self = Self {
        first: None,
        last: None,
    };
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
