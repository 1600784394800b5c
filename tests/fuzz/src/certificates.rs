//! Schannel's list of certificates: it is taken exactly when a program that walks it ends where it ends.

use arbitrary::{Arbitrary, Unstructured};
use tlsgate_core::certificates::is_well_formed;
use tlsgate_protocol::limits::MAX_PEER_CERTIFICATES;

#[derive(Arbitrary, Debug)]
enum List<'a> {
    /// Certificates of these lengths, the last so many bytes cut off, and another count told.
    Built(Vec<u8>, u8, i8),
    Any(&'a [u8], u8),
    /// One certificate, so many bytes longer than a reply may have it.
    Long(i8),
}

/// Runs it.
pub fn run(bytes: &[u8]) {
    let Ok(list) = Unstructured::new(bytes).arbitrary::<List<'_>>() else {
        return;
    };
    let (list, told) = match list {
        List::Built(lengths, cut, more) => {
            let told = u32::try_from(lengths.len()).expect("few");
            // An empty one is a mistake that is easily made.
            let mut list = lengths
                .iter()
                .flat_map(|length| one(usize::from(*length % 32)))
                .collect::<Vec<u8>>();
            list.truncate(list.len() - usize::from(cut % 4).min(list.len()));
            (list, told.saturating_add_signed((more % 2).into()))
        }
        List::Any(list, told) => (list.to_vec(), told.into()),
        List::Long(more) => {
            let longest = MAX_PEER_CERTIFICATES - 4;
            let list = one(longest.saturating_add_signed((more % 2).into()));
            let good = list.len() <= MAX_PEER_CERTIFICATES;
            assert_eq!(is_well_formed(&list, 1), good);
            return;
        }
    };
    let walked = walk(&list);
    for count in [told, walked.unwrap_or(0)] {
        assert_eq!(
            is_well_formed(&list, count),
            walked == Some(count),
            "{count}"
        );
    }
}

/// A certificate of so many bytes behind its length.
fn one(length: usize) -> Vec<u8> {
    let told = u32::try_from(length).expect("short").to_le_bytes();
    [told.as_slice(), &vec![7; length]].concat()
}

/// How many certificates a program finds that believes every length; none if it runs over the end.
fn walk(list: &[u8]) -> Option<u32> {
    let (mut at, mut count) = (0, 0);
    while at != list.len() {
        let length = list.get(at..at + 4)?;
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
        at += 4 + length;
        if length == 0 || at > list.len() {
            return None;
        }
        count += 1;
    }
    Some(count)
}
