//! Byte patterns that betray a writer where nobody may write.

/// Bytes in front of and behind a block.
pub const GUARD: usize = 16;
/// What guards are filled with.
pub const FENCE: u8 = 0xFD;
/// What freed memory is filled with.
pub const FREED: u8 = 0xDD;
/// What memory holds that was given out but not initialised.
pub const FRESH: u8 = 0xA5;

/// The offset of the first byte in `bytes` that is not `pattern`.
pub fn first_change(bytes: &[u8], pattern: u8) -> Option<usize> {
    bytes.iter().position(|&byte| byte != pattern)
}

/// A block of memory between two fences. Its first usable byte is aligned to 16 bytes and not to
/// 32, which is all that Windows' pool promises for blocks smaller than a page.
#[derive(Debug)]
pub struct Block {
    /// 16 bytes a unit, which gives the alignment. `bytes` starts `SKEW` units in.
    units: Box<[u128]>,
    size: usize,
}

/// Units in front of the usable bytes: an odd address when counted in units.
const SKEW: usize = GUARD / 16;

impl Block {
    /// A block of `size` bytes, each `fill`.
    pub fn new(size: usize, fill: u8) -> Self {
        // One unit more than needed lets the start be moved to an odd unit.
        let units = size.div_ceil(16) + 2 * SKEW + 1;
        let mut block = Self {
            units: vec![u128::from_ne_bytes([FENCE; 16]); units].into_boxed_slice(),
            size,
        };
        block.bytes_mut().fill(fill);
        block
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

#[cfg(test)]
mod tests {
    use super::*;

    fn write(block: &Block, offset: isize) {
        let address = block.address().wrapping_add_signed(offset) as *mut u8;
        // SAFETY: the tests stay within the fences, which belong to the block's own box.
        unsafe { address.write_volatile(0) };
    }

    #[test]
    fn usable_bytes_are_aligned_to_sixteen_and_no_more() {
        for size in 0..100 {
            let block = Block::new(size, FRESH);
            assert_eq!(block.address() % 32, 16);
            assert_eq!(block.bytes(), vec![FRESH; size]);
            assert_eq!(block.overrun(), None);
        }
    }

    #[test]
    fn a_write_within_is_no_overrun() {
        let block = Block::new(20, FRESH);
        write(&block, 0);
        write(&block, 19);
        assert_eq!(block.overrun(), None);
        assert_eq!(first_change(block.bytes(), FRESH), Some(0));
    }

    #[test]
    fn a_write_past_the_end_is_seen_at_its_place() {
        let block = Block::new(20, FRESH);
        write(&block, 20);
        assert_eq!(block.overrun(), Some(0));
        let block = Block::new(32, FRESH);
        write(&block, 35);
        assert_eq!(block.overrun(), Some(3));
    }

    #[test]
    fn a_write_before_the_start_is_seen_at_its_place() {
        let block = Block::new(20, FRESH);
        write(&block, -1);
        assert_eq!(block.overrun(), Some(-1));
    }
}
