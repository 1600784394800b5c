//! Lines of waiting values that share their room: one more line costs nothing, and a place that one leaves is
//! another's.

use crate::segments::{OutOfMemory, Segments};
use core::num::NonZeroU32;

/// The places of all lines.
#[derive(Debug)]
pub struct Places<T> {
    places: Segments<Place<T>>,
    /// The first free place; each names the next.
    free: Link,
}

/// One line: who has come first goes first. Means something to one [`Places`] only.
#[derive(Debug, Default)]
pub struct Line {
    first: Link,
    last: Link,
}

/// The index of a place, and one.
type Link = Option<NonZeroU32>;

#[derive(Debug)]
struct Place<T> {
    /// Behind this one in the line, or among the free ones.
    next: Link,
    value: Option<T>,
}

impl<T> Places<T> {
    /// No places; allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            places: Segments::new(),
            free: None,
        }
    }

    /// Makes room for so many values in all lines together.
    ///
    /// # Errors
    ///
    /// There is no memory.
    pub fn reserve(&mut self, wanted: usize) -> Result<(), OutOfMemory> {
        self.places.reserve(wanted)
    }

    /// Puts a value at the end of a line.
    ///
    /// # Errors
    ///
    /// The value comes back when there is no room.
    pub fn push(&mut self, line: &mut Line, value: T) -> Result<(), T> {
        let Some(link) = self.free_place() else {
            return Err(value);
        };
        let Some(place) = self.place(link) else {
            return Err(value);
        };
        let next_free = place.next.take();
        place.value = Some(value);
        self.free = next_free;
        match line.last.replace(link).and_then(|last| self.place(last)) {
            Some(last) => last.next = Some(link),
            None => line.first = Some(link),
        }
        Ok(())
    }

    /// Takes the first value of a line.
    pub fn pop(&mut self, line: &mut Line) -> Option<T> {
        let link = line.first?;
        let free = self.free;
        let place = self.place(link)?;
        let value = place.value.take();
        line.first = core::mem::replace(&mut place.next, free);
        if line.first.is_none() {
            line.last = None;
        }
        self.free = Some(link);
        value
    }

    fn place(&mut self, link: NonZeroU32) -> Option<&mut Place<T>> {
        let index = link.get().checked_sub(1)?;
        self.places.get_mut(usize::try_from(index).ok()?)
    }

    /// A free place, made if need be within the room that there is.
    fn free_place(&mut self) -> Link {
        if self.free.is_none() {
            let number = u32::try_from(self.places.len()).ok()?.checked_add(1)?;
            let place = Place {
                next: None,
                value: None,
            };
            self.places.push(place).ok()?;
            self.free = NonZeroU32::new(number);
        }
        self.free
    }
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl Line {
    /// Nobody stands in it.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            first: None,
            last: None,
        }
    }

    /// Whether nobody stands in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{boxed::Box, collections::VecDeque};

    #[test]
    fn a_place_is_small_and_there_is_none_without_room() {
        assert_eq!(size_of::<Place<Box<u8>>>(), 16);
        let (mut places, mut line) = (Places::new(), Line::new());
        assert_eq!(places.push(&mut line, 'a'), Err('a'));
        assert!(line.is_empty());
    }

    #[test]
    fn places_are_used_again_by_any_line() {
        let (mut places, mut one, mut other) = (Places::new(), Line::new(), Line::new());
        places.reserve(2).unwrap();
        for round in 0..1000 {
            places.push(&mut one, round).unwrap();
            places.push(&mut other, round).unwrap();
            assert_eq!(places.pop(&mut one), Some(round));
            assert_eq!(places.pop(&mut other), Some(round));
        }
        assert_eq!(places.places.len(), 2);
    }

    proptest! {
        #[test]
        fn each_line_is_a_queue(moves in proptest::collection::vec((0..3_usize, any::<bool>()), 1..400)) {
            let mut places = Places::default();
            let mut lines: [(Line, VecDeque<usize>); 3] = Default::default();
            places.reserve(moves.len()).unwrap();
            for (number, (line, push)) in moves.into_iter().enumerate() {
                let (line, model) = &mut lines[line];
                if push {
                    places.push(line, number).unwrap();
                    model.push_back(number);
                } else {
                    prop_assert_eq!(places.pop(line), model.pop_front());
                }
                prop_assert_eq!(line.is_empty(), model.is_empty());
            }
        }
    }
}
