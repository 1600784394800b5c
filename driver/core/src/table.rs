//! What a handle owns, by generation-tagged ids: an id that was given back names nothing again
//! until its slot has been reused 2^32 times.

use crate::segments::Segments;
use core::num::{NonZeroU32, NonZeroU64};

/// Values by id, at most `limit` at a time.
#[derive(Debug)]
pub struct Table<T> {
    slots: Segments<Slot<T>>,
    /// A free slot; each names the next.
    free: Link,
    length: usize,
    limit: usize,
}

/// The index of a slot, and one, so that a link takes four bytes.
type Link = Option<NonZeroU32>;

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    /// The free slot behind this one, if it is free itself.
    next: Link,
    value: Option<T>,
}

/// Why a value was not taken; it is given back.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused<T> {
    /// The table holds as many values as it may.
    Full(T),
    /// There is no memory for another slot.
    OutOfMemory(T),
}

impl<T> Table<T> {
    /// An empty table; allocates nothing.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            slots: Segments::new(),
            free: None,
            length: 0,
            limit,
        }
    }

    /// Values in the table.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Takes a value in and names it.
    ///
    /// # Errors
    ///
    /// The table is full, or there is no memory.
    pub fn insert(&mut self, value: T) -> Result<NonZeroU64, Refused<T>> {
        if self.length >= self.limit {
            return Err(Refused::Full(value));
        }
        let Some(link) = self.free_slot() else {
            return Err(Refused::OutOfMemory(value));
        };
        let index = link.get().saturating_sub(1);
        let Some(slot) = slot_at(&mut self.slots, index) else {
            return Err(Refused::OutOfMemory(value));
        };
        self.free = slot.next.take();
        slot.value = Some(value);
        self.length = self.length.saturating_add(1);
        Ok(id_of(index, slot.generation))
    }

    /// The value of an id.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<&T> {
        let (index, generation) = parts_of(id)?;
        let slot = self.slots.get(usize::try_from(index).ok()?)?;
        (slot.generation == generation)
            .then_some(slot.value.as_ref())
            .flatten()
    }

    /// The value of an id, to be changed.
    pub fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        let (index, generation) = parts_of(id)?;
        let slot = slot_at(&mut self.slots, index)?;
        (slot.generation == generation)
            .then_some(slot.value.as_mut())
            .flatten()
    }

    /// Puts another value in the place of an id's, which stays: a credential gets a new certificate.
    /// Gives the old value.
    ///
    /// # Errors
    ///
    /// The id names nothing; the new value comes back.
    pub fn replace(&mut self, id: u64, value: T) -> Result<T, T> {
        match self.get_mut(id) {
            Some(place) => Ok(core::mem::replace(place, value)),
            None => Err(value),
        }
    }

    /// Takes the value of an id out; the id is void from now on.
    pub fn remove(&mut self, id: u64) -> Option<T> {
        let (index, generation) = parts_of(id)?;
        let link = index.checked_add(1).and_then(NonZeroU32::new)?;
        let slot = slot_at(&mut self.slots, index)?;
        if slot.generation != generation {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        slot.next = self.free.replace(link);
        self.length = self.length.saturating_sub(1);
        Some(value)
    }

    /// Takes any value out; `None` when the table is empty. The table takes nothing in any more:
    /// this is for a handle that is being cleaned up.
    pub fn drain(&mut self) -> Option<T> {
        self.limit = 0;
        self.free = None;
        // The rest are free slots, up to a quota of them, and this runs under a lock.
        if self.length == 0 {
            return None;
        }
        while let Some(slot) = self.slots.pop() {
            if let Some(value) = slot.value {
                self.length = self.length.saturating_sub(1);
                return Some(value);
            }
        }
        None
    }

    /// A free slot, made if need be.
    fn free_slot(&mut self) -> Link {
        if self.free.is_none() {
            let number = self.slots.len().checked_add(1)?;
            let link = NonZeroU32::new(u32::try_from(number).ok()?)?;
            self.slots.reserve(number).ok()?;
            let slot = Slot {
                generation: 0,
                next: None,
                value: None,
            };
            self.slots.push(slot).ok()?;
            self.free = Some(link);
        }
        self.free
    }
}

fn slot_at<T>(slots: &mut Segments<Slot<T>>, index: u32) -> Option<&mut Slot<T>> {
    slots.get_mut(usize::try_from(index).ok()?)
}

/// The generation in the high half, the index and one in the low half: never 0.
fn id_of(index: u32, generation: u32) -> NonZeroU64 {
    NonZeroU64::MIN.saturating_add(u64::from(generation) << 32 | u64::from(index))
}

fn parts_of(id: u64) -> Option<(u32, u32)> {
    let raw = id.checked_sub(1)?;
    Some((
        u32::try_from(raw & u64::from(u32::MAX)).ok()?,
        u32::try_from(raw >> 32).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{collections::HashMap, vec, vec::Vec};

    #[test]
    fn an_id_given_back_names_nothing_though_its_slot_is_used_again() {
        let mut table = Table::new(2);
        let one = table.insert('a').unwrap().get();
        assert_eq!(table.remove(one), Some('a'));
        let two = table.insert('b').unwrap().get();
        assert_ne!(one, two);
        assert_eq!((table.get(one), table.get(two)), (None, Some(&'b')));
        assert_eq!(
            (table.remove(one), table.get(0), table.get(u64::MAX)),
            (None, None, None)
        );
        table.insert('c').unwrap();
        assert_eq!(table.insert('d'), Err(Refused::Full('d')));
    }

    #[test]
    fn a_slot_is_small() {
        assert_eq!(size_of::<Slot<std::boxed::Box<u8>>>(), 16);
    }

    #[test]
    fn a_value_is_replaced_under_its_id() {
        let mut table = Table::new(2);
        let id = table.insert('a').unwrap().get();
        assert_eq!(table.replace(id, 'b'), Ok('a'));
        assert_eq!((table.get(id), table.len()), (Some(&'b'), 1));
        assert!(!table.is_empty());
        *table.get_mut(id).unwrap() = 'c';
        assert_eq!(table.remove(id), Some('c'));
        assert_eq!(table.replace(id, 'd'), Err('d'), "the id is void");
        assert_eq!(table.get_mut(id), None);
        assert!(table.is_empty());
    }

    #[test]
    fn what_is_left_when_the_last_value_is_out_is_not_looked_at() {
        let mut table = Table::new(100);
        let ids: Vec<_> = (0..100).map(|value| table.insert(value).unwrap()).collect();
        for id in &ids[..99] {
            table.remove(id.get());
        }
        assert_eq!(table.drain(), Some(99));
        let left = table.slots.len();
        assert_eq!((table.drain(), table.slots.len()), (None, left));
        assert_eq!(left, 99);
    }

    proptest! {
        #[test]
        fn it_behaves_like_a_map(moves in proptest::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..200)) {
            let (mut table, mut model, mut given) = (Table::new(20), HashMap::new(), vec![0_u64]);
            for (number, (insert, index)) in moves.into_iter().enumerate() {
                if insert {
                    if let Ok(id) = table.insert(number) {
                        prop_assert!(model.insert(id.get(), number).is_none());
                        given.push(id.get());
                    } else {
                        prop_assert_eq!(model.len(), 20);
                    }
                } else {
                    let id = *index.get(&given);
                    prop_assert_eq!(table.remove(id), model.remove(&id));
                }
                prop_assert_eq!(table.len(), model.len());
                for id in &given {
                    prop_assert_eq!(table.get(*id), model.get(id));
                }
            }
            while let Some(value) = table.drain() {
                model.retain(|_, other| *other != value);
            }
            prop_assert!(model.is_empty() && table.is_empty());
            prop_assert_eq!(table.insert(0), Err(Refused::Full(0)));
        }
    }
}
