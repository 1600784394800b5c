//! How many operations may be inside ksecdd at a time: those that keep it busy, and few more.
//!
//! What is inside beyond what ksecdd works on waits there, where nobody takes turns: it delays everyone and
//! makes nothing faster. How many it works on at a time, nobody tells. So while somebody waits, throughput is
//! measured round by round, and now and then a trial tells how it is with twice as many places, and with
//! three quarters. More are kept if they make for more throughput; fewer are kept if they make for no less.
//! This is hill climbing, on the one figure that needs no knowledge of what a call does. Where calls differ
//! very much, few rounds tell little, and there may be more places than need be; never more than the most.
//!
//! When nothing at all comes back, all that is inside may hang: then there are twice as many places, at once.
//!
//! Times are in 100 ns units of any clock that does not stop.

/// Places to begin with.
const FIRST: usize = 8;

/// Calls of a round, at least. If their times are distributed exponentially, a round tells throughput to
/// nine percent (the square root of their number).
const CALLS: u64 = 128;

/// Calls of a round for each place: all that is inside comes back some times.
const TURNOVERS: u64 = 4;

/// Calls of a round at most, where rounds contradict each other.
const MOST_CALLS: u64 = 4_096;

/// Rounds in a row that must agree on a trial.
const AGREEING: u32 = 2;

/// Rounds between two trials, at first; twice as many after each that was in vain.
const ROUNDS: u32 = 64;

/// And no more than that.
const MOST_ROUNDS: u32 = 4_096;

/// Sixteenths of the usual time between two calls that it must not take longer with more places: a trial is
/// not to win by chance.
const GAIN: u64 = 14;

/// Sixteenths of the time between two calls with fewer places that it must have taken before: throughput is
/// not to be lost.
const LOSS: u64 = 14;

/// Sixteenths that make a round unlike others.
const UNLIKE: u64 = 12;

/// Nothing has come back for so long, at least, when all calls are taken to hang: 250 ms.
const PATIENCE: u64 = 2_500_000;

/// And for so many times what is usual, but never for more than 10 s.
const UNUSUAL: u64 = 16;
const MOST_PATIENCE: u64 = 100_000_000;

/// The limit, and what it follows from. Whoever shares it keeps it under a lock.
#[derive(Debug)]
pub struct Limit {
    least: usize,
    most: usize,
    /// Places that have proven to be right.
    kept: usize,
    /// Places of this round.
    places: usize,
    /// Those that were right before all calls seemed to hang; 0 if they do not.
    before: usize,
    round: Round,
    /// Rounds of this trial that spoke for it.
    agreed: u32,
    /// Calls that come back before the round goes on: they were let in with another number of places, or
    /// nobody waited before.
    settling: usize,
    /// Calls that have come back in this round.
    calls: u64,
    /// Calls of a round.
    length: u64,
    /// The time that they took together.
    time: u64,
    /// Between two calls that come back, with the places that are kept; 0 if not known.
    gap: u64,
    /// The last round was unlike those before.
    change: Change,
    /// Rounds since the last trial.
    rounds: u32,
    /// Rounds between the last trial and the next.
    pause: u32,
    inside: usize,
    /// Calls that have come back since all places were taken.
    back: usize,
    /// When an operation was last let in or came back.
    last: u64,
    /// When one last came back.
    returned: u64,
    /// Between two that come back while somebody waits, on average.
    pace: u64,
}

/// What a round is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// To measure what is usual.
    Usual,
    /// To try twice as many places.
    More,
    /// To try three quarters as many; not for the first time in a row, if they were kept before.
    Fewer { again: bool },
}

/// What a round is against the usual ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    None,
    Faster,
    Slower,
}

impl Limit {
    /// Never less than `least`, nor than one, and never more than `most`. If they are the same, the
    /// limit does not move.
    #[must_use]
    pub fn new(least: usize, most: usize) -> Self {
        let least = least.max(1);
        let most = most.max(least);
        let first = FIRST.clamp(least, most);
        Self {
            least,
            most,
            kept: first,
            places: first,
            before: 0,
            round: Round::Usual,
            agreed: 0,
            settling: first,
            calls: 0,
            length: CALLS,
            time: 0,
            gap: 0,
            change: Change::None,
            rounds: 0,
            pause: ROUNDS,
            inside: 0,
            back: 0,
            last: 0,
            returned: 0,
            pace: 0,
        }
    }

    /// Operations inside.
    #[must_use]
    pub const fn inside(&self) -> usize {
        self.inside
    }

    /// Whether one more may be let in.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.inside < self.places
    }

    /// Lets one in. [`Self::leave`] must follow.
    pub fn enter(&mut self, now: u64) {
        self.last = self.last.max(now);
        self.inside = self.inside.saturating_add(1);
        self.count_back();
    }

    /// One that was inside has come back; others wait, or not.
    pub fn leave(&mut self, now: u64, is_wanted: bool) {
        self.last = self.last.max(now);
        self.inside = self.inside.saturating_sub(1);
        self.back = self.back.saturating_add(1);
        self.count_back();
        let before = core::mem::replace(&mut self.returned, self.last);
        let passed = self.last.saturating_sub(before);
        if !is_wanted || self.back > self.places {
            // There are places enough: throughput is what is asked for, and tells nothing. The round goes on
            // when somebody waits again.
            self.settling = self.settling.max(1);
            return;
        }
        self.pace = self.pace.saturating_mul(15).saturating_add(passed) / 16;
        if self.settling > 0 {
            self.settling = self.settling.saturating_sub(1);
            return;
        }
        self.calls = self.calls.saturating_add(1);
        self.time = self.time.saturating_add(passed);
        if self.calls >= self.wanted() {
            self.judge();
        }
    }

    /// Looks whether everything hangs; others wait, or not. To be called now and then.
    pub fn look(&mut self, now: u64, is_wanted: bool) {
        let patience = self.pace.saturating_mul(UNUSUAL);
        let patience = patience.clamp(PATIENCE, MOST_PATIENCE);
        let is_silent = now.saturating_sub(self.last) >= patience;
        if !is_silent || !is_wanted || self.has_room() {
            return;
        }
        self.last = now;
        if matches!(self.round, Round::Fewer { .. }) {
            // As many as there are places for hang, but not all that there were places for.
            self.rest();
        } else {
            if self.before == 0 {
                self.before = self.kept;
            }
            self.kept = self.places.saturating_mul(2).min(self.most);
            self.gap = 0;
            self.begin(Round::Usual, self.kept);
        }
    }

    const fn count_back(&mut self) {
        if !self.has_room() {
            self.back = 0;
        }
    }

    /// Calls of this round.
    fn wanted(&self) -> u64 {
        let turnovers = (self.places as u64).saturating_mul(TURNOVERS);
        self.length.max(turnovers.min(MOST_CALLS))
    }

    fn begin(&mut self, round: Round, places: usize) {
        self.settling = self.places.max(places);
        (self.round, self.places) = (round, places);
        (self.agreed, self.calls, self.time) = (0, 0, 0);
    }

    /// A round is over.
    fn judge(&mut self) {
        let gap = self.time.checked_div(self.calls).unwrap_or(0).max(1);
        (self.calls, self.time) = (0, 0);
        let is_better = match self.round {
            Round::Usual => return self.follow(gap),
            Round::More => is_less(gap, self.gap, GAIN),
            Round::Fewer { .. } => !is_less(self.gap, gap, LOSS),
        };
        self.agreed = self.agreed.saturating_add(1);
        match self.round {
            _ if is_better && self.agreed < AGREEING => {}
            Round::More if is_better => {
                self.keep(gap);
                self.try_more();
            }
            Round::Fewer { .. } if is_better => {
                self.keep(gap);
                self.try_fewer(true);
            }
            Round::More => self.try_fewer(false),
            Round::Fewer { again: true } => {
                // What was lost with each may not have shown.
                self.kept = self.kept.saturating_add(self.kept / 8).min(self.most);
                self.pause = ROUNDS / 4;
                self.rest();
            }
            Round::Fewer { again: false } | Round::Usual => self.rest(),
        }
    }

    const fn keep(&mut self, gap: u64) {
        (self.kept, self.gap, self.pause) = (self.places, gap, ROUNDS);
    }

    /// What is usual may change: if two rounds in a row say so, it is time for a trial. If they contradict
    /// each other, they were too short.
    fn follow(&mut self, gap: u64) {
        let change = if is_less(gap, self.gap, UNLIKE) {
            Change::Faster
        } else if is_less(self.gap, gap, UNLIKE) {
            Change::Slower
        } else {
            Change::None
        };
        let before = core::mem::replace(&mut self.change, change);
        self.rounds = self.rounds.saturating_add(1);
        if self.gap == 0 || (change != Change::None && change == before) {
            self.keep(gap);
            if self.before > 0 {
                // They have come back: perhaps the machine had been asleep, or had other work.
                self.try_fewer(false);
            } else {
                self.try_more();
            }
        } else if self.rounds >= self.pause {
            self.pause = self.pause.saturating_mul(2).min(MOST_ROUNDS);
            self.try_more();
        } else if change == Change::None {
            self.gap = self.gap.saturating_mul(7).saturating_add(gap) / 8;
        } else if before != Change::None {
            self.length = self.length.saturating_mul(2).min(MOST_CALLS);
        }
    }

    fn try_more(&mut self) {
        if self.kept < self.most {
            self.begin(Round::More, self.kept.saturating_mul(2).min(self.most));
        } else {
            self.try_fewer(false);
        }
    }

    fn try_fewer(&mut self, again: bool) {
        let fewer = match core::mem::take(&mut self.before) {
            0 => self.kept.saturating_mul(3) / 4,
            before => before,
        };
        if self.kept > self.least {
            self.begin(Round::Fewer { again }, fewer.max(self.least));
        } else {
            self.rest();
        }
    }

    /// No trial for a while.
    fn rest(&mut self) {
        (self.rounds, self.change) = (0, Change::None);
        self.begin(Round::Usual, self.kept);
    }
}

/// Whether one time is less than so many sixteenths of another.
const fn is_less(time: u64, other: u64, sixteenths: u64) -> bool {
    time.saturating_mul(16) < other.saturating_mul(sixteenths)
}

#[cfg(test)]
#[path = "limit_tests.rs"]
mod tests;
