//! How much of what there is goes into one SEAL, or one UNSEAL.

use std::io::IoSlice;
use tlsgate_protocol::limits;

/// Most bytes of a record's header (RFC 8446, section 5.1).
const RECORD_HEADER: usize = 5;

/// The first `most` bytes of these slices.
pub fn front<'a>(slices: &'a [IoSlice<'_>], most: usize) -> Vec<&'a [u8]> {
    let mut room = most;
    let mut parts = Vec::new();
    for slice in slices {
        let part = &slice[..slice.len().min(room)];
        room -= part.len();
        if !part.is_empty() {
            parts.push(part);
        }
    }
    parts
}

/// The length of the whole records at the front, as many as one UNSEAL takes. One that claims to be
/// longer than a record can be counts as whole at the longest: the driver refuses it.
pub fn whole_records(bytes: &[u8]) -> usize {
    let mut whole = 0;
    loop {
        let Some(&[_, _, _, high, low]) = bytes[whole..].first_chunk::<RECORD_HEADER>() else {
            return whole;
        };
        let body = usize::from(u16::from_be_bytes([high, low]));
        let end = whole + (RECORD_HEADER + body).min(limits::MAX_RECORD);
        if end > bytes.len() || end > limits::MAX_RECORDS {
            return whole;
        }
        whole = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_of_slices_is_as_long_as_it_may_be() {
        let slices = [&b"abc"[..], b"", b"de", b"f"].map(IoSlice::new);
        assert_eq!(front(&slices, 9), [&b"abc"[..], b"de", b"f"]);
        assert_eq!(front(&slices, 4), [&b"abc"[..], b"d"]);
        assert!(front(&slices, 0).is_empty());
    }

    #[test]
    fn a_record_is_whole_at_its_own_length() {
        assert_eq!(whole_records(&[]), 0);
        assert_eq!(whole_records(&[23, 3, 3, 0]), 0);
        assert_eq!(whole_records(&[23, 3, 3, 0, 1]), 0);
        assert_eq!(whole_records(&[23, 3, 3, 0, 1, 9, 23]), 6);
        assert_eq!(whole_records(&[23, 3, 3, 0, 1, 9, 23, 3, 3, 0, 0, 23]), 11);
    }

    #[test]
    fn an_impossible_record_is_whole_at_the_longest() {
        let mut bytes = vec![23, 3, 3, 0xFF, 0xFF];
        bytes.resize(limits::MAX_RECORD - 1, 0);
        assert_eq!(whole_records(&bytes), 0);
        bytes.push(0);
        assert_eq!(whole_records(&bytes), limits::MAX_RECORD);
    }

    #[test]
    fn no_more_than_one_unseal_takes() {
        let record = [&[23, 3, 3, 0x40, 0][..], &[0; 0x4000]].concat();
        let many = record.repeat(80);
        let most = limits::MAX_RECORDS / record.len() * record.len();
        assert_eq!(whole_records(&many), most);
    }
}
