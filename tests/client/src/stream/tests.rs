//! How records are told apart, and what a stream holds.

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
