//! Byte patterns that betray a writer where nobody may write, and a reader of what nobody has written.

#[cfg(windows)]
use crate::arena::Units;
use crate::{
    blocks::{self, Use},
    checks,
};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes in front of and behind a block.
pub const GUARD: usize = 16;
/// What guards are filled with.
pub const FENCE: u8 = 0xFD;
/// What freed memory is filled with.
pub const FREED: u8 = 0xDD;
/// What a block holds that was given out but not initialised, over and over.
const FRESH: [u8; 16] = [
    0xA5, 0x3C, 0x96, 0xE1, 0x5B, 0xC7, 0x2D, 0xF8, 0x69, 0x9E, 0x17, 0xD2, 0x4B, 0xB4, 0x8D, 0x72,
];
/// Bytes in a row that are no coincidence.
const RUN: usize = 8;

/// The offset of the first byte in `bytes` that is not `pattern`.
pub fn first_change(bytes: &[u8], pattern: u8) -> Option<usize> {
    bytes.iter().position(|&byte| byte != pattern)
}

/// Where in `bytes` there is something that a block was filled with and nobody has written since.
pub fn first_unwritten(bytes: &[u8]) -> Option<usize> {
    let twice = [FRESH, FRESH].concat();
    bytes.windows(RUN).position(|window| {
        // Each of its bytes is there once.
        let start = FRESH.iter().position(|fresh| *fresh == window[0]);
        start.is_some_and(|start| twice[start..start + RUN] == *window)
    })
}

/// What one system buffer holds that was not initialised: other bytes than any other's.
#[derive(Clone, Copy, Debug)]
pub struct Noise(u64);

impl Noise {
    /// Not used before.
    pub fn next() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        Self(COUNT.fetch_add(1, Ordering::Relaxed) << 32)
    }

    /// The byte at an offset.
    pub fn byte(self, offset: usize) -> u8 {
        self.word(offset / 8)[offset % 8]
    }

    /// Fills a buffer.
    pub fn fill(self, bytes: &mut [u8]) {
        for (index, chunk) in bytes.chunks_mut(8).enumerate() {
            chunk.copy_from_slice(&self.word(index)[..chunk.len()]);
        }
    }

    /// `SplitMix64`'s output function (Steele, Lea and Flood, 2014).
    fn word(self, index: usize) -> [u8; 8] {
        let mut word = (self.0 | index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (word ^ word >> 31).to_le_bytes()
    }
}

/// Where there is no machine, memory lies anywhere.
#[cfg(not(windows))]
#[derive(Debug)]
struct Units(Box<[u128]>);

#[cfg(not(windows))]
impl Units {
    fn new(count: usize) -> Self {
        Self(vec![0; count].into())
    }
}

#[cfg(not(windows))]
impl std::ops::Deref for Units {
    type Target = [u128];

    fn deref(&self) -> &[u128] {
        &self.0
    }
}

#[cfg(not(windows))]
impl std::ops::DerefMut for Units {
    fn deref_mut(&mut self) -> &mut [u128] {
        &mut self.0
    }
}

/// A block of memory between two fences. Its first usable byte is aligned to 16 bytes and not to
/// 32, which is all that Windows' pool promises for blocks smaller than a page.
#[derive(Debug)]
pub struct Block {
    /// 16 bytes a unit, which gives the alignment. `bytes` starts `SKEW` units in.
    units: Units,
    size: usize,
}

/// Units in front of the usable bytes: an odd address when counted in units.
const SKEW: usize = GUARD / 16;

impl Block {
    /// A block of `size` zeros.
    pub fn zeroed(kind: Use, size: usize) -> Self {
        let mut block = Self::unfilled(size);
        if !checks::COSTLY {
            block.bytes_mut().fill(0);
            return block;
        }
        block.units.fill(u128::from_ne_bytes([FENCE; 16]));
        block.bytes_mut().fill(0);
        blocks::enter(block.address(), size, kind);
        block
    }

    fn unfilled(size: usize) -> Self {
        // One unit more than needed lets the start be moved to an odd unit.
        let units = size.div_ceil(16) + 2 * SKEW + 1;
        Self {
            units: Units::new(units),
            size,
        }
    }

    /// A block of `size` bytes that nobody has initialised.
    pub fn fresh(kind: Use, size: usize) -> Self {
        if !checks::COSTLY {
            return Self::unfilled(size);
        }
        let mut block = Self::zeroed(kind, size);
        block.make_fresh();
        block
    }

    /// Nobody has initialised it.
    pub fn make_fresh(&mut self) {
        for (byte, fresh) in self.bytes_mut().iter_mut().zip(FRESH.iter().cycle()) {
            *byte = *fresh;
        }
    }

    /// Where the usable bytes start.
    pub fn address(&self) -> usize {
        self.units.as_ptr() as usize + self.start()
    }

    /// Whether an address is one of its usable bytes'.
    pub fn has(&self, address: usize) -> bool {
        (self.address()..self.address() + self.size).contains(&address)
    }

    /// The usable bytes' count.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The usable bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.all()[self.start()..self.start() + self.size]
    }

    /// The usable bytes.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let (start, size) = (self.start(), self.size);
        // SAFETY: any bytes make valid integers; the length is that of the whole box.
        let all = unsafe {
            std::slice::from_raw_parts_mut(
                self.units.as_mut_ptr().cast::<u8>(),
                self.units.len() * 16,
            )
        };
        &mut all[start..start + size]
    }

    /// How far outside the block somebody wrote: negative before its start, otherwise past its end.
    pub fn overrun(&self) -> Option<isize> {
        if !checks::COSTLY {
            return None;
        }
        let (front, rest) = self.all().split_at(self.start());
        let place = |offset: usize| isize::try_from(offset).unwrap_or(isize::MAX);
        if let Some(offset) = first_change(front, FENCE) {
            return Some(place(offset) - place(front.len()));
        }
        first_change(&rest[self.size..], FENCE).map(place)
    }

    fn start(&self) -> usize {
        let base = self.units.as_ptr() as usize;
        if (base + GUARD).is_multiple_of(32) {
            GUARD + 16
        } else {
            GUARD
        }
    }

    fn all(&self) -> &[u8] {
        // SAFETY: integers have no invalid or padding bytes; the length is that of the whole box.
        unsafe {
            std::slice::from_raw_parts(self.units.as_ptr().cast::<u8>(), self.units.len() * 16)
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if checks::COSTLY {
            blocks::leave(self.address());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_written_is_found() {
        let mut block = Block::fresh(Use::Pool, 40);
        assert_eq!(first_unwritten(block.bytes()), Some(0));
        block.bytes_mut()[..33].fill(7);
        assert_eq!(
            first_unwritten(block.bytes()),
            None,
            "seven bytes may be a coincidence"
        );
        block.bytes_mut()[..33].fill(0);
        assert_eq!(
            first_unwritten(&Block::fresh(Use::Pool, 100).bytes()[77..]),
            Some(0)
        );
    }

    #[test]
    fn no_two_buffers_have_the_same_noise() {
        let (one, other) = (Noise::next(), Noise::next());
        let mut bytes = [0; 100];
        one.fill(&mut bytes);
        assert!((0..100).all(|offset| one.byte(offset) == bytes[offset]));
        let same = (0..100).filter(|&offset| other.byte(offset) == bytes[offset]);
        assert!(same.count() < 8);
    }

    fn write(block: &Block, offset: isize) {
        let address = block.address().wrapping_add_signed(offset) as *mut u8;
        // SAFETY: the tests stay within the fences, which belong to the block's own box.
        unsafe { address.write_volatile(0) };
    }

    #[test]
    fn usable_bytes_are_aligned_to_sixteen_and_no_more() {
        for size in 0..100 {
            let block = Block::zeroed(Use::Pool, size);
            assert_eq!(block.address() % 32, 16);
            assert_eq!(block.bytes(), vec![0; size]);
            assert_eq!(block.overrun(), None);
        }
    }

    #[test]
    fn a_write_within_is_no_overrun() {
        let block = Block::zeroed(Use::Pool, 20);
        write(&block, 0);
        write(&block, 19);
        assert_eq!(block.overrun(), None);
        assert_eq!(first_change(block.bytes(), 1), Some(0));
    }

    #[test]
    fn a_write_past_the_end_is_seen_at_its_place() {
        let block = Block::zeroed(Use::Pool, 20);
        write(&block, 20);
        assert_eq!(block.overrun(), Some(0));
        let block = Block::zeroed(Use::Pool, 32);
        write(&block, 35);
        assert_eq!(block.overrun(), Some(3));
    }

    #[test]
    fn a_write_before_the_start_is_seen_at_its_place() {
        let block = Block::zeroed(Use::Pool, 20);
        write(&block, -1);
        assert_eq!(block.overrun(), Some(-1));
    }
}
