//! A queue of bytes.

/// Bytes that are used up from the front.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    used: usize,
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, used: 0 }
    }
}

impl Buffer {
    /// What is not used up yet.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    /// Whether everything is used up.
    pub fn is_empty(&self) -> bool {
        self.rest().is_empty()
    }

    /// Adds bytes at the end.
    pub fn append(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.used);
        self.used = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Uses up so many bytes.
    pub fn advance(&mut self, count: usize) {
        self.used += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_comes_out_in_order() {
        let mut buffer = Buffer::from(b"abc".to_vec());
        buffer.advance(2);
        buffer.append(b"de");
        assert_eq!(buffer.rest(), b"cde");
        buffer.advance(3);
        assert!(buffer.is_empty());
    }
}
