//! The peer's certificates as Schannel tells them: a 32-bit length and so many bytes of DER, again
//! and again (`SECPKG_ATTR_REMOTE_CERTIFICATES`, as msquic reads it in the kernel).
//!
//! QUERY_SESSION gives the list on in this very form, to a program that will walk it: so what does
//! not add up is never given on.

use tlsgate_protocol::limits::MAX_PEER_CERTIFICATES;

/// Bytes of length in front of a certificate, little endian.
const LENGTH: usize = 4;

/// Whether `list` holds exactly `count` certificates, each with at least one byte, nothing behind
/// the last one, and no more bytes in all than a reply may have.
#[must_use]
pub fn is_well_formed(list: &[u8], count: u32) -> bool {
    list.len() <= MAX_PEER_CERTIFICATES && counted(list) == Some(count)
}

/// How many certificates the list is made of, or `None` when a length does not fit.
fn counted(mut list: &[u8]) -> Option<u32> {
    let mut count = 0_u32;
    while !list.is_empty() {
        let (length, rest) = list.split_first_chunk::<LENGTH>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        if length == 0 {
            return None;
        }
        list = rest.split_at_checked(length)?.1;
        count = count.checked_add(1)?;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};
    use std::vec::Vec;

    fn list(certificates: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for certificate in certificates {
            bytes.extend(u32::try_from(certificate.len()).unwrap().to_le_bytes());
            bytes.extend(certificate);
        }
        bytes
    }

    #[test]
    fn no_certificates_are_a_list_of_none() {
        assert!(is_well_formed(&[], 0));
        assert!(!is_well_formed(&[], 1));
    }

    #[test]
    fn a_length_that_exceeds_the_list_is_not_believed() {
        assert!(is_well_formed(&[1, 0, 0, 0, 0x30], 1));
        assert!(!is_well_formed(&[2, 0, 0, 0, 0x30], 1));
        assert!(!is_well_formed(&[0xFF, 0xFF, 0xFF, 0xFF, 0x30], 1));
        assert!(!is_well_formed(&[1, 0, 0], 1));
    }

    #[test]
    fn an_empty_certificate_is_none() {
        assert!(!is_well_formed(&[0, 0, 0, 0], 1));
    }

    #[test]
    fn a_list_longer_than_a_reply_may_have_is_refused() {
        let longest = MAX_PEER_CERTIFICATES - LENGTH;
        assert!(is_well_formed(
            &list(&[Vec::from_iter([7].repeat(longest))]),
            1
        ));
        assert!(!is_well_formed(
            &list(&[Vec::from_iter([7].repeat(longest + 1))]),
            1
        ));
    }

    proptest! {
        #[test]
        fn what_adds_up_is_taken_and_nothing_else(
            certificates in vec(vec(any::<u8>(), 1..40), 0..8),
            cut in any::<proptest::sample::Index>(),
        ) {
            let whole = list(&certificates);
            let count = u32::try_from(certificates.len()).unwrap();
            prop_assert!(is_well_formed(&whole, count));
            prop_assert!(!is_well_formed(&whole, count + 1));
            if !whole.is_empty() {
                prop_assert!(!is_well_formed(&whole[..cut.index(whole.len())], count));
            }
        }

        #[test]
        fn a_program_that_walks_what_was_taken_stays_inside(bytes in vec(any::<u8>(), 0..64), small in any::<bool>()) {
            // Random lengths are rarely small enough to mean anything.
            let bytes: Vec<u8> = bytes.into_iter().map(|byte| if small { byte % 3 } else { byte }).collect();
            let taken = (0..=16).find(|&count| is_well_formed(&bytes, count));
            if let Some(count) = taken {
                let mut rest = bytes.as_slice();
                for _ in 0..count {
                    let length = u32::from_le_bytes(rest[..LENGTH].try_into().unwrap());
                    rest = &rest[LENGTH + usize::try_from(length).unwrap()..];
                }
                prop_assert!(rest.is_empty());
            }
        }
    }
}
