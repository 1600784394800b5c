//! Schannel's list of certificates: it is taken exactly when a program that walks it ends where it ends.

use arbitrary::Unstructured;
use tlsgate_core::certificates::is_well_formed;
use tlsgate_protocol::limits::MAX_PEER_CERTIFICATES;

/// Runs it.
pub fn run(bytes: &[u8]) {
    let mut rest = Unstructured::new(bytes);
    let count = u32::from(rest.arbitrary::<u8>().unwrap_or(0));
    let is_large = rest.ratio(1, 64).unwrap_or(false);
    let mut list = rest.take_rest().to_vec();
    if is_large {
        // One certificate, as long as a reply may have it, or one byte more.
        let length = MAX_PEER_CERTIFICATES - 4 + usize::from(count & 1 == 0);
        list = [
            u32::try_from(length)
                .expect("short")
                .to_le_bytes()
                .as_slice(),
            &vec![7; length],
        ]
        .concat();
        assert_eq!(is_well_formed(&list, 1), count & 1 == 1);
        return;
    }
    let walked = walk(&list);
    for count in [count, walked.unwrap_or(0)] {
        assert_eq!(is_well_formed(&list, count), walked == Some(count));
    }
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
