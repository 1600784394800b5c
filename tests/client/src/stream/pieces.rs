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

/// The length of the whole records at the front, as many as one UNSEAL takes. Of one that claims to be longer
/// than a record can be the header is enough: the driver refuses it, so nobody waits for the rest.
pub fn whole_records(bytes: &[u8]) -> usize {
    let mut whole = 0;
    loop {
        let Some(&[_, _, _, high, low]) = bytes[whole..].first_chunk::<RECORD_HEADER>() else {
            return whole;
        };
        let body = usize::from(u16::from_be_bytes([high, low]));
        let is_possible = RECORD_HEADER + body <= limits::MAX_RECORD;
        let end = whole + RECORD_HEADER + if is_possible { body } else { 0 };
        if end > bytes.len() || end > limits::MAX_RECORDS {
            return whole;
        }
        whole = end;
        if !is_possible {
            return whole;
        }
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
    fn nobody_waits_for_the_rest_of_an_impossible_record() {
        let longest = u16::try_from(limits::MAX_RECORD - RECORD_HEADER).unwrap();
        for (length, whole) in [
            (longest, 0),
            (longest + 1, RECORD_HEADER),
            (0xFFFF, RECORD_HEADER),
        ] {
            let [high, low] = length.to_be_bytes();
            let header = [23, 3, 3, high, low];
            assert_eq!(whole_records(&header[..4]), 0);
            assert_eq!(whole_records(&header), whole, "{length}");
            // What lies behind it is no record.
            let more = [&header[..], &[23, 3, 3, 0, 0]].concat();
            assert_eq!(whole_records(&more), whole, "{length}");
            // What lies in front of it is.
            let behind = [&[23, 3, 3, 0, 0], &header[..]].concat();
            assert_eq!(whole_records(&behind), RECORD_HEADER + whole, "{length}");
        }
    }

    #[test]
    fn no_more_than_one_unseal_takes() {
        let record = [&[23, 3, 3, 0x40, 0][..], &[0; 0x4000]].concat();
        let many = record.repeat(80);
        let most = limits::MAX_RECORDS / record.len() * record.len();
        assert_eq!(whole_records(&many), most);
    }
}
