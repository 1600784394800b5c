//! Whether a reply has bytes that nobody has written, told from the noise that its buffer began with.

use crate::guard::Noise;
use std::collections::HashMap;

/// Bytes that are the buffer's own, in a row: that many are no coincidence.
const RUN: u8 = 8;

/// Looks at replies, by control code.
#[derive(Default)]
pub struct Listener {
    /// In how many replies in a row the byte at each offset was the buffer's own: a single byte that is
    /// never written shows after a while.
    rows: HashMap<u32, Vec<u8>>,
}

impl Listener {
    /// The offset of a byte that nobody has written: one of a run of them in this reply, or one that has
    /// not been written in several replies in a row. The caller's own input is in front.
    pub fn unwritten(
        &mut self,
        code: u32,
        reply: &[u8],
        input: usize,
        noise: Noise,
    ) -> Option<usize> {
        let row = self.rows.entry(code).or_default();
        row.resize(row.len().max(reply.len()), 0);
        let mut run = 0;
        let bytes = reply.iter().zip(row).enumerate().skip(input);
        for (offset, (byte, before)) in bytes {
            if *byte == noise.byte(offset) {
                run += 1;
                *before += 1;
                if run == RUN || *before == RUN {
                    return Some(offset);
                }
            } else {
                (run, *before) = (0, 0);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reply of so many zeros behind 16 bytes of input, but for some bytes that are not written.
    fn reply(length: usize, missed: std::ops::Range<usize>) -> (Vec<u8>, Noise) {
        let noise = Noise::next();
        let mut bytes = vec![0; length];
        noise.fill(&mut bytes);
        for (offset, byte) in bytes.iter_mut().enumerate() {
            if !missed.contains(&offset) {
                *byte = 0;
            }
        }
        (bytes, noise)
    }

    #[test]
    fn a_run_is_seen_at_once_and_a_single_byte_after_a_while() {
        let mut listener = Listener::default();
        for _ in 0..100 {
            let (bytes, noise) = reply(64, 0..16);
            assert_eq!(
                listener.unwritten(1, &bytes, 16, noise),
                None,
                "its own input"
            );
        }
        let (bytes, noise) = reply(64, 40..48);
        assert_eq!(listener.unwritten(1, &bytes, 16, noise), Some(47));
        let mut seen = (0..8).map(|_| {
            let (bytes, noise) = reply(64, 33..34);
            listener.unwritten(2, &bytes, 16, noise)
        });
        assert_eq!(seen.by_ref().take(7).flatten().next(), None);
        assert_eq!(seen.next(), Some(Some(33)));
    }
}
