//! Deadlines of what waits: a timing wheel, and nothing that waits is walked over to find them.
//!
//! Times are in 100 ns units of unbiased interrupt time. A lap of the wheel has 4096 ticks of
//! [`TICK`]; an entry hangs in the slot of its tick. One that is due after this lap hangs in the
//! slot that is visited last, and moves on from there. An entry may come late by a tick, never early.
//!
//! Putting in never allocates: room is made by [`Wheel::reserve`] when what can wait comes into
//! being.

use crate::{
    room,
    segments::{OutOfMemory, Segments},
};
use alloc::vec::Vec;
use core::num::NonZeroU64;

/// Length of a tick: 128 ms.
pub const TICK: u64 = 1_280_000;

/// Ticks of a lap: nearly nine minutes, more than any time-out.
const SLOTS: u64 = 4096;

/// Entries and slots that one call of [`Wheel::expired`] looks at: it runs under a spin lock.
const MOST_LOOKS: usize = 64;

/// Values, each with the time it is due.
#[derive(Debug)]
pub struct Wheel<T> {
    /// The first entry of each slot; made with the first reservation.
    slots: Vec<Link>,
    entries: Segments<Entry<T>>,
    /// The first free entry; each names the next.
    free: Link,
    /// The tick whose slot is looked at next. What is in the wheel is not due before it.
    tick: u64,
    length: usize,
    reserved: usize,
}

/// The index of an entry.
type Link = Option<Index>;

/// An index and one, so that a [`Link`] takes four bytes.
type Index = core::num::NonZeroU32;

#[derive(Debug)]
struct Entry<T> {
    /// The tick it is due at.
    due: u64,
    generation: u32,
    /// The slot it hangs in.
    slot: u32,
    previous: Link,
    next: Link,
    value: Option<T>,
}

/// Names an entry until it has been removed or has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(NonZeroU64);

/// What [`Wheel::expired`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Expired<T> {
    /// This entry is due; there may be others.
    One(T),
    /// Nothing yet, and not everything was looked at: let the lock go, and ask again.
    More,
    /// Nothing is due.
    Nothing,
}

impl Key {
    /// The key as a number, to be kept in an atomic; never 0.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0.get()
    }

    /// What [`Self::raw`] gave; `None` for 0.
    #[must_use]
    pub const fn from_raw(raw: u64) -> Option<Self> {
        match NonZeroU64::new(raw) {
            Some(raw) => Some(Self(raw)),
            None => None,
        }
    }
}

impl<T> Wheel<T> {
    /// An empty wheel; allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            slots: Vec::new(),
            entries: Segments::new(),
            free: None,
            tick: 0,
            length: 0,
            reserved: 0,
        }
    }

    /// Makes room for one more entry.
    ///
    /// # Errors
    ///
    /// There is no memory.
    pub fn reserve(&mut self) -> Result<(), OutOfMemory> {
        if self.slots.is_empty() {
            let wanted = usize::try_from(SLOTS).map_err(|_| OutOfMemory)?;
            let mut slots = Vec::new();
            slots.try_reserve_exact(wanted).map_err(|_| OutOfMemory)?;
            while slots.len() < wanted {
                room::push(&mut slots, None).map_err(|_: Link| OutOfMemory)?;
            }
            self.slots = slots;
        }
        let wanted = self.reserved.saturating_add(1);
        self.entries.reserve(wanted)?;
        self.reserved = wanted;
        Ok(())
    }

    /// The room of one entry, which is not in the wheel, is no longer wanted.
    pub fn unreserve(&mut self) {
        self.reserved = self.reserved.saturating_sub(1);
    }

    /// Puts an entry in that is due at `due`.
    ///
    /// # Errors
    ///
    /// The value comes back if no room was reserved for it.
    pub fn insert(&mut self, due: u64, value: T) -> Result<Key, T> {
        if self.length >= self.reserved {
            return Err(value);
        }
        let Some(index) = self.free_entry() else {
            return Err(value);
        };
        let Some(entry) = entry_at(&mut self.entries, index) else {
            return Err(value);
        };
        self.free = entry.next.take();
        entry.value = Some(value);
        // Rounded up: never early. What is overdue comes next.
        entry.due = due.div_ceil(TICK).max(self.tick);
        let key = key_of(index, entry.generation);
        self.length = self.length.saturating_add(1);
        self.hang(index);
        Ok(key)
    }

    /// Takes an entry out, unless it has gone before.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let (index, generation) = parts_of(key)?;
        let entry = entry_at(&mut self.entries, index)?;
        if entry.generation != generation || entry.value.is_none() {
            return None;
        }
        self.take(index)
    }

    /// Takes one entry out that is due at `now`. To be asked until it says that there is nothing,
    /// at least once a tick; it takes the same few steps however many entries there are.
    pub fn expired(&mut self, now: u64) -> Expired<T> {
        let now = now.checked_div(TICK).unwrap_or(0);
        if self.length == 0 {
            self.tick = self.tick.max(now);
            return Expired::Nothing;
        }
        // Each slot is worth one look, however long ago the last was.
        let last_lap = now.saturating_sub(SLOTS.saturating_sub(1));
        self.tick = self.tick.max(last_lap);
        for _ in 0..MOST_LOOKS {
            if self.tick > now {
                return Expired::Nothing;
            }
            let first = slot_at(&mut self.slots, slot_of(self.tick)).and_then(|slot| *slot);
            let Some(index) = first else {
                if self.tick == now {
                    return Expired::Nothing;
                }
                self.tick = self.tick.saturating_add(1);
                continue;
            };
            let due = entry_at(&mut self.entries, index).map(|entry| entry.due);
            if due.is_some_and(|due| due > self.tick) {
                // Of a later lap: it moves to another slot.
                self.unhang(index);
                self.hang(index);
            } else if let Some(value) = self.take(index) {
                return Expired::One(value);
            }
        }
        Expired::More
    }

    /// Entries in the wheel.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// A free entry, made if need be within the room reserved.
    fn free_entry(&mut self) -> Link {
        if self.free.is_none() {
            let index = u32::try_from(self.entries.len()).ok()?.checked_add(1)?;
            let entry = Entry {
                due: 0,
                generation: 0,
                slot: 0,
                previous: None,
                next: None,
                value: None,
            };
            self.entries.push(entry).ok()?;
            self.free = Index::new(index);
        }
        self.free
    }

    /// Takes an entry out of its slot and makes it free; its key is void.
    fn take(&mut self, index: Index) -> Option<T> {
        self.unhang(index);
        let entry = entry_at(&mut self.entries, index)?;
        entry.generation = entry.generation.wrapping_add(1);
        entry.next = self.free.replace(index);
        self.length = self.length.saturating_sub(1);
        entry.value.take()
    }

    /// Hangs an entry into the slot of its tick, or into the last of this lap.
    fn hang(&mut self, index: Index) {
        let last = self.tick.saturating_add(SLOTS.saturating_sub(1));
        let Some(entry) = entry_at(&mut self.entries, index) else {
            return;
        };
        entry.slot = slot_of(entry.due.min(last));
        let Some(first) = slot_at(&mut self.slots, entry.slot) else {
            return;
        };
        entry.previous = None;
        entry.next = first.replace(index);
        let next = entry.next;
        if let Some(next) = next.and_then(|next| entry_at(&mut self.entries, next)) {
            next.previous = Some(index);
        }
    }

    fn unhang(&mut self, index: Index) {
        let Some(entry) = entry_at(&mut self.entries, index) else {
            return;
        };
        let (previous, next, slot) = (entry.previous.take(), entry.next.take(), entry.slot);
        if let Some(next) = next.and_then(|next| entry_at(&mut self.entries, next)) {
            next.previous = previous;
        }
        let before = match previous {
            Some(previous) => entry_at(&mut self.entries, previous).map(|entry| &mut entry.next),
            None => slot_at(&mut self.slots, slot),
        };
        if let Some(before) = before {
            *before = next;
        }
    }
}

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The slot that is looked at for a tick.
const fn slot_of(tick: u64) -> u32 {
    const LAST: u64 = SLOTS.saturating_sub(1);
    const { assert!(SLOTS.is_power_of_two() && SLOTS <= 1 << 16) };
    let [low, high, ..] = (tick & LAST).to_le_bytes();
    u16::from_le_bytes([low, high]) as u32
}

fn slot_at(slots: &mut [Link], slot: u32) -> Option<&mut Link> {
    slots.get_mut(usize::try_from(slot).ok()?)
}

fn entry_at<T>(entries: &mut Segments<Entry<T>>, index: Index) -> Option<&mut Entry<T>> {
    let index = index.get().checked_sub(1)?;
    entries.get_mut(usize::try_from(index).ok()?)
}

/// The generation in the high half, the index and one in the low half: never 0.
fn key_of(index: Index, generation: u32) -> Key {
    Key(NonZeroU64::from(index) | u64::from(generation) << 32)
}

fn parts_of(key: Key) -> Option<(Index, u32)> {
    let raw = key.0.get();
    let index = u32::try_from(raw & u64::from(u32::MAX)).ok()?;
    Some((Index::new(index)?, u32::try_from(raw >> 32).ok()?))
}

#[cfg(test)]
#[path = "wheel_tests.rs"]
mod tests;
