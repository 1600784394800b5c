//! A list that grows by segments, each twice as long as the one before.
//!
//! Lists grow under spin locks, whose holders are to be quick. A vector that has no room left copies all it
//! has into a new one. Here only the first segment grows so, while it is short; then growing is one
//! allocation, however long the list is, there are few of them, and nothing moves.

use crate::room;
use alloc::vec::Vec;

/// Values of the first segment when it has grown; a power of two.
const FIRST: usize = 1024;

/// A list of values by index.
#[derive(Debug)]
pub struct Segments<T> {
    /// The first segment. A short list is one block of memory.
    first: Vec<T>,
    /// The others.
    rest: Vec<Vec<T>>,
    length: usize,
}

/// There is no memory for another segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

impl<T> Segments<T> {
    /// An empty list; allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            first: Vec::new(),
            rest: Vec::new(),
            length: 0,
        }
    }

    /// Values in the list.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Makes room for `wanted` values in all.
    ///
    /// # Errors
    ///
    /// There is no memory.
    pub fn reserve(&mut self, wanted: usize) -> Result<(), OutOfMemory> {
        let more = wanted.min(FIRST).saturating_sub(self.first.len());
        self.first.try_reserve(more).map_err(|_| OutOfMemory)?;
        while self.capacity() < wanted {
            let number = self.rest.len().saturating_add(1);
            let length = length_of(number).ok_or(OutOfMemory)?;
            let mut segment = Vec::new();
            segment.try_reserve_exact(length).map_err(|_| OutOfMemory)?;
            self.rest.try_reserve(1).map_err(|_| OutOfMemory)?;
            room::push(&mut self.rest, segment).map_err(|_| OutOfMemory)?;
        }
        Ok(())
    }

    /// Appends a value within the room that was made.
    ///
    /// # Errors
    ///
    /// The value comes back when there is no room.
    pub fn push(&mut self, value: T) -> Result<(), T> {
        let place = place_of(self.length);
        let segment = place.and_then(|(segment, _)| self.segment(segment));
        let Some(segment) = segment else {
            return Err(value);
        };
        room::push(segment, value)?;
        self.length = self.length.saturating_add(1);
        Ok(())
    }

    /// Takes the last value out.
    pub fn pop(&mut self) -> Option<T> {
        let last = self.length.checked_sub(1)?;
        let (segment, _) = place_of(last)?;
        let value = self.segment(segment)?.pop()?;
        self.length = last;
        Some(value)
    }

    /// The value at an index.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&T> {
        let (segment, offset) = place_of(index)?;
        match segment.checked_sub(1) {
            None => self.first.get(offset),
            Some(rest) => self.rest.get(rest)?.get(offset),
        }
    }

    /// The value at an index, to be changed.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let (segment, offset) = place_of(index)?;
        self.segment(segment)?.get_mut(offset)
    }

    /// Values that there is room for: as many as the first segment has grown to, then `FIRST` times 3, 7 and
    /// so on.
    fn capacity(&self) -> usize {
        if self.rest.is_empty() {
            return self.first.capacity().min(FIRST);
        }
        let next = length_of(self.rest.len().saturating_add(1));
        next.unwrap_or(usize::MAX).saturating_sub(FIRST)
    }

    fn segment(&mut self, number: usize) -> Option<&mut Vec<T>> {
        match number.checked_sub(1) {
            None => Some(&mut self.first),
            Some(rest) => self.rest.get_mut(rest),
        }
    }
}

impl<T> Default for Segments<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Values that a segment holds.
fn length_of(segment: usize) -> Option<usize> {
    let shift = u32::try_from(segment).ok()?;
    let length = FIRST.checked_shl(shift)?;
    // Bits that were shifted out would make it smaller.
    (length >> shift == FIRST).then_some(length)
}

/// The segment of an index, and the place in it: with `FIRST` added, the highest bit names the segment and
/// the others the place.
fn place_of(index: usize) -> Option<(usize, usize)> {
    let number = index.checked_add(FIRST)?;
    let highest = number.checked_ilog2()?;
    let segment = highest.checked_sub(FIRST.ilog2())?;
    let start = 1_usize.checked_shl(highest)?;
    Some((usize::try_from(segment).ok()?, number.checked_sub(start)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{ptr, vec};

    #[test]
    fn segments_follow_each_other_without_a_gap() {
        let mut next = (0, 0);
        for index in 0..100_000 {
            assert_eq!(place_of(index), Some(next));
            next.1 += 1;
            if Some(next.1) == length_of(next.0) {
                next = (next.0 + 1, 0);
            }
        }
        assert_eq!(
            (place_of(usize::MAX), length_of(54), length_of(64)),
            (None, None, None)
        );
    }

    #[test]
    fn growing_moves_nothing_beyond_the_first_segment_and_a_third_of_it_is_used() {
        let mut list = Segments::new();
        assert_eq!(list.push(0), Err(0), "no room was made");
        let mut first = ptr::null();
        for number in 0..20_000 {
            list.reserve(number + 1).unwrap();
            list.push(number).unwrap();
            assert!(list.capacity() <= 3 * number + 4, "{number}");
            if number == FIRST {
                first = ptr::from_ref(list.get(0).unwrap());
            }
        }
        assert_eq!(ptr::from_ref(list.get(0).unwrap()), first);
        assert_eq!(list.get(19_999), Some(&19_999));
    }

    proptest! {
        #[test]
        fn it_behaves_like_a_vector(moves in proptest::collection::vec(any::<bool>(), 1..400)) {
            let (mut list, mut model) = (Segments::default(), vec![]);
            for (number, push) in moves.into_iter().enumerate() {
                if push {
                    list.reserve(model.len() + 1).unwrap();
                    list.push(number).unwrap();
                    model.push(number);
                } else {
                    prop_assert_eq!(list.pop(), model.pop());
                }
                prop_assert_eq!((list.len(), list.is_empty()), (model.len(), model.is_empty()));
                for index in 0..=model.len() {
                    prop_assert_eq!(list.get(index), model.get(index));
                    prop_assert_eq!(list.get_mut(index), model.get_mut(index));
                }
            }
        }
    }
}
