//! A list that grows by segments, all of one length.
//!
//! Lists grow under spin locks, whose holders are to be quick. A vector that has no room left copies all it
//! has into a new one. Here only the first segment grows so, while it is short; then growing is one more
//! segment, and nothing moves. No allocation is longer than `MOST_BYTES`, as the pool fills each with zeros
//! under the lock. The room there is comes out at each power of two, so that a quota, which usually is one,
//! is reached without a segment beyond it.

use crate::room;
use alloc::vec::Vec;

/// Bytes of one allocation.
const MOST_BYTES: usize = 64 * 1024;

/// Values that there is room for from the first on: what is in use changes by so many all the time.
const FEW: usize = 8;

/// A list of values by index.
#[derive(Debug)]
pub struct Segments<T> {
    /// The first segment. A short list is one block of memory.
    first: Vec<T>,
    /// The others. The list of them grows as a vector does.
    rest: Vec<Vec<T>>,
    length: usize,
}

/// There is no memory for another segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

impl<T> Segments<T> {
    /// Values of a segment; the first grows to that. A power of two.
    const EACH: usize = 1 << (MOST_BYTES / size_of::<T>()).ilog2();

    /// Segments besides the first; a power of two, so that the list of them grows to just that.
    const MOST_SEGMENTS: usize = 1 << (MOST_BYTES / size_of::<Vec<T>>()).ilog2();

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
    /// There is no memory, or not for so many: see `MOST_BYTES`.
    pub fn reserve(&mut self, wanted: usize) -> Result<(), OutOfMemory> {
        let first = wanted.min(Self::EACH);
        if self.first.capacity() < first {
            let room = first.checked_next_power_of_two().ok_or(OutOfMemory)?;
            let room = room.max(FEW.min(Self::EACH));
            let more = room.saturating_sub(self.first.len());
            self.first
                .try_reserve_exact(more)
                .map_err(|_| OutOfMemory)?;
        }
        while self.capacity() < wanted {
            if self.rest.len() >= Self::MOST_SEGMENTS {
                return Err(OutOfMemory);
            }
            let mut segment = Vec::new();
            segment
                .try_reserve_exact(Self::EACH)
                .map_err(|_| OutOfMemory)?;
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
        let place = Self::place_of(self.length);
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
        let (segment, _) = Self::place_of(last)?;
        let value = self.segment(segment)?.pop()?;
        self.length = last;
        Some(value)
    }

    /// The value at an index.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&T> {
        let (segment, offset) = Self::place_of(index)?;
        match segment.checked_sub(1) {
            None => self.first.get(offset),
            Some(rest) => self.rest.get(rest)?.get(offset),
        }
    }

    /// The value at an index, to be changed.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let (segment, offset) = Self::place_of(index)?;
        self.segment(segment)?.get_mut(offset)
    }

    /// Values that there is room for.
    fn capacity(&self) -> usize {
        let rest = self.rest.len().saturating_mul(Self::EACH);
        self.first.capacity().saturating_add(rest)
    }

    fn segment(&mut self, number: usize) -> Option<&mut Vec<T>> {
        match number.checked_sub(1) {
            None => Some(&mut self.first),
            Some(rest) => self.rest.get_mut(rest),
        }
    }

    /// The segment of an index, and the place in it.
    fn place_of(index: usize) -> Option<(usize, usize)> {
        Some((
            index.checked_div(Self::EACH)?,
            index.checked_rem(Self::EACH)?,
        ))
    }
}

impl<T> Default for Segments<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{fmt, iter, ptr, vec};

    /// As large as the places of lines and the slots of tables, or as the entries of the wheel.
    type Small = [u64; 2];
    type Large = [u64; 5];

    /// The bytes of each allocation that the list has.
    fn allocations<T>(list: &Segments<T>) -> Vec<usize> {
        let segments = iter::once(&list.first).chain(&list.rest);
        let mut bytes: Vec<_> = segments
            .map(|one| one.capacity() * size_of::<T>())
            .collect();
        bytes.push(list.rest.capacity() * size_of::<Vec<T>>());
        bytes
    }

    /// Room for as many as quotas allow by default, and at most, made one at a time as the driver does it.
    fn reach_quotas<T: Copy + fmt::Debug>(value: T, quotas: &[usize]) {
        let mut list = Segments::new();
        for number in 1..=quotas.iter().copied().max().unwrap() {
            list.reserve(number).unwrap();
            list.push(value).unwrap();
            if quotas.contains(&number) {
                assert_eq!(list.capacity(), number);
                let longest = allocations(&list).into_iter().max();
                assert!(longest <= Some(64 * 1024), "{number}: {longest:?}");
            }
        }
    }

    #[test]
    fn a_quota_is_reached_without_room_beyond_it_and_no_allocation_is_long() {
        reach_quotas(
            Small::default(),
            &[8, 16, 1024, 32_768, 131_072, 262_144, 4_194_304],
        );
        reach_quotas(
            Large::default(),
            &[8, 16, 1024, 32_768, 131_072, 262_144, 1_048_576],
        );
    }

    #[test]
    fn more_segments_than_are_listed_in_one_allocation_are_refused() {
        let mut list = Segments::<[u8; 64 * 1024]>::new();
        let most = Segments::<[u8; 64 * 1024]>::MOST_SEGMENTS;
        assert!(most * size_of::<Vec<u8>>() <= 64 * 1024);
        assert_eq!(list.reserve(1 + most), Ok(()));
        assert_eq!(list.reserve(2 + most), Err(OutOfMemory));
        assert_eq!(list.capacity(), 1 + most);
    }

    #[test]
    fn growing_moves_nothing_beyond_the_first_segment_and_half_of_it_is_used() {
        let each = Segments::<Small>::EACH;
        let mut list = Segments::new();
        assert_eq!(list.push([0; 2]), Err([0; 2]), "no room was made");
        let mut first = ptr::null();
        for number in 0..20_000 {
            list.reserve(number + 1).unwrap();
            list.push([number as u64; 2]).unwrap();
            assert!(
                list.capacity() <= (2 * number).max(FEW).min(number + each),
                "{number}"
            );
            if number == each {
                first = ptr::from_ref(list.get(0).unwrap());
            }
        }
        assert_eq!(ptr::from_ref(list.get(0).unwrap()), first);
        for number in [0, each - 1, each, 2 * each - 1, 2 * each, 19_999] {
            assert_eq!(list.get(number), Some(&[number as u64; 2]));
        }
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
