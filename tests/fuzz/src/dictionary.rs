//! Texts from bytes: each byte is a word of a language, so that random bytes are nearly sentences.

/// The text whose words the bytes name; a byte beyond the last word stands for itself.
pub fn text(words: &[&str], bytes: &[u8]) -> Vec<u16> {
    bytes
        .iter()
        .flat_map(|byte| match words.get(usize::from(*byte)) {
            Some(word) => word.encode_utf16().collect(),
            None => vec![u16::from(*byte) << (byte & 7)],
        })
        .collect()
}
