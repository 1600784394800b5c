//! What is let through, and what is not.

use super::*;
use proptest::prelude::*;
use std::{
    format,
    string::{String, ToString},
    vec::Vec,
};

const DEFAULT: &str = "D:P(A;;GA;;;SY)(A;;GA;;;BA)";
const SERVICE: &str = "S-1-5-80-3139157870-2983391045-3678747466-658725712-1809340420";

fn check(text: &str) -> Result<(), Fault> {
    super::check(&text.encode_utf16().collect::<Vec<_>>())
}

fn fault(text: &str) -> (usize, What) {
    let fault = check(text).expect_err(text);
    (fault.at, fault.what)
}

#[test]
fn what_an_administrator_would_write_is_taken() {
    for text in [
        DEFAULT.to_string(),
        "D:P(A;;GRGW;;;LS)".to_string(),
        "D:P(A;;0x12019f;;;NS)(A;;FA;;;SY)".to_string(),
        format!("{DEFAULT}(A;;GRGW;;;{SERVICE})"),
        format!("{DEFAULT}(A;;GRGW;;;S-1-5-21-1-2-3-1001)"),
        format!("D:P{}", "(A;;GA;;;SY)".repeat(16)),
    ] {
        assert_eq!(check(&text), Ok(()), "{text}");
    }
}

#[test]
fn each_fault_is_named_with_its_place() {
    for (text, at, what) in [
        ("", 0, What::NotProtected),
        ("D:(A;;GA;;;SY)", 0, What::NotProtected),
        ("O:BAD:P(A;;GA;;;SY)", 0, What::NotProtected),
        ("D:P", 3, What::Empty),
        ("D:PNO_ACCESS_CONTROL", 3, What::NotAllow),
        ("D:PAI(A;;GA;;;SY)", 3, What::NotAllow),
        ("D:P(D;;GA;;;SY)", 3, What::NotAllow),
        ("D:P(OA;;GA;;;SY)", 3, What::NotAllow),
        ("D:P(A;CI;GA;;;SY)", 3, What::NotAllow),
        ("D:P(A;;;;;SY)", 7, What::Access),
        ("D:P(A;;GAX;;;SY)", 7, What::Access),
        ("D:P(A;;WD;;;SY)", 7, What::Access),
        ("D:P(A;;0x;;;SY)", 7, What::Access),
        ("D:P(A;;0x000;;;SY)", 7, What::Access),
        ("D:P(A;;0x123456789;;;SY)", 7, What::Access),
        ("D:P(A;;0xg;;;SY)", 7, What::Access),
        ("D:P(A;;GA;{};;SY)", 9, What::NotPlain),
        ("D:P(A;;GA;;;)", 12, What::Unknown),
        ("D:P(A;;GA;;;sy)", 12, What::Unknown),
        ("D:P(A;;GA;;;SYS)", 12, What::Unknown),
        ("D:P(A;;GA;;;WD)", 12, What::TooOpen),
        ("D:P(A;;GA;;;S-1-1-0)", 12, What::TooOpen),
        ("D:P(A;;GA;;;S-1-1-00)", 12, What::Unknown),
        ("D:P(A;;GA;;;S-1-5-)", 12, What::Unknown),
        ("D:P(A;;GA;;;S-1-5-4294967296)", 12, What::Unknown),
        ("D:P(A;;GA;;;SY", 12, What::Unfinished),
        ("D:P(A;;GA", 7, What::Unfinished),
        ("D:P(A;;GA;;;SY;(x == 1))", 12, What::Unknown),
        ("D:P(A;;GA;;;SY)S:(AU;SA;GA;;;WD)", 15, What::NotAllow),
        ("D:P(A;;GA;;;SY)\0", 15, What::NotAllow),
    ] {
        assert_eq!(fault(text), (at, what), "{text}");
    }
    let long = format!("D:P{}", "(A;;GA;;;SY)".repeat(17));
    assert_eq!(fault(&long), (3 + 16 * 12, What::TooManyEntries));
    let longer = format!("D:P(A;;{};;;BA)", "GA".repeat(250));
    assert_eq!(fault(&longer), (512, What::TooLong));
    assert_eq!(check(&longer.replacen("GA", "", 1)), Ok(()), "511 units");
    let longest = format!("D:P(A;;{};;;S-1-5-21-1-2-3-1000)", "GA".repeat(241));
    assert_eq!((longest.len(), check(&longest)), (512, Ok(())));
}

#[test]
fn of_all_pairs_of_letters_only_the_known_aliases_are_taken() {
    for first in 0..=u8::MAX {
        for last in 0..=u8::MAX {
            let units = [first, last].map(u16::from);
            let known = KNOWN.contains(&&[first, last]);
            assert_eq!(judge(&units).is_ok(), known, "{first} {last}");
        }
    }
}

/// Everyone, or nearly, by SID, and what is no account at all.
const OPEN_SIDS: [&str; 30] = [
    "S-1-0-0",
    "S-1-1-0",
    "S-1-2-0",
    "S-1-3-0",
    "S-1-5-1",
    "S-1-5-2",
    "S-1-5-3",
    "S-1-5-4",
    "S-1-5-6",
    "S-1-5-7",
    "S-1-5-11",
    "S-1-5-12",
    "S-1-5-13",
    "S-1-5-14",
    "S-1-5-15",
    "S-1-5-21-1-2-3-501",
    "S-1-5-21-1-2-3-513",
    "S-1-5-21-1-2-3-514",
    "S-1-5-21-1-2-3-515",
    "S-1-5-32-545",
    "S-1-5-32-546",
    "S-1-5-32-554",
    "S-1-5-32-555",
    "S-1-5-64-14",
    "S-1-5-80-0",
    "S-1-5-113",
    "S-1-15-2-1",
    "S-1-15-2-2",
    "S-1-15-3-1",
    "S-1-18-1",
];

#[test]
fn nobody_writes_everyone_by_another_name() {
    for sid in OPEN_SIDS {
        assert_eq!(fault(&format!("D:P(A;;GA;;;{sid})")).1, What::TooOpen);
    }
    let deep = format!("D:P(A;;GA;;;S-1-5{})", "-1".repeat(16));
    assert_eq!(fault(&deep).1, What::Unknown);
}

fn access() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::subsequence(&["GA", "GR", "GW", "GX", "FA", "FR", "FW", "FX"][..], 1..=3)
            .prop_map(|rights| rights.concat()),
        (1_u32..).prop_map(|mask| format!("0x{mask:X}")),
        (1_u32..).prop_map(|mask| format!("0x{mask:08x}")),
    ]
}

fn trustee() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(&["SY", "BA", "LS", "NS"][..]).prop_map(String::from),
        any::<[u32; 5]>().prop_map(|[a, b, c, d, e]| format!("S-1-5-80-{a}-{b}-{c}-{d}-{e}")),
        (any::<[u32; 3]>(), 1000_u32..)
            .prop_map(|([a, b, c], relative)| format!("S-1-5-21-{a}-{b}-{c}-{relative}")),
    ]
}

fn entries() -> impl Strategy<Value = Vec<(String, String)>> {
    proptest::collection::vec((access(), trustee()), 1..=6)
}

fn written(entries: &[(String, String)]) -> String {
    let entry = |(access, trustee): &(String, String)| format!("(A;;{access};;;{trustee})");
    format!("D:P{}", entries.iter().map(entry).collect::<String>())
}

proptest! {
    #[test]
    fn good_ones_pass_and_one_dangerous_change_is_refused(
        mut entries in entries(), which in any::<prop::sample::Index>(), sid in proptest::sample::select(&OPEN_SIDS[..]),
    ) {
        let good = written(&entries);
        prop_assert_eq!(check(&good), Ok(()));
        for (from, to) in [("D:P", "D:"), ("D:P", "D:AI"), ("D:P", "O:SYD:P"), ("D:P", "S:P"), ("(A;", "(D;"), ("(A;", "(XA;"),
            ("A;;", "A;OI;"), (";;;", ";;"), (";;;", ";x;;"), ("(", ""), (")", ""), (")", "))"), (")", ";(1))")] {
            prop_assert!(check(&good.replacen(from, to, 1)).is_err(), "{} for {} in {}", to, from, good);
        }
        for tail in ["S:(AU;SA;GA;;;BA)", " ", "\0"] {
            let text = good.clone() + tail;
            prop_assert!(check(&text).is_err(), "{}", text);
        }
        which.get_mut(&mut entries).1 = sid.to_string();
        prop_assert_eq!(fault(&written(&entries)).1, What::TooOpen);
    }

    #[test]
    fn no_text_makes_it_panic_and_a_fault_is_in_it(text in proptest::collection::vec(any::<u16>(), 0..600), good in entries(), cut in any::<prop::sample::Index>()) {
        let good: Vec<u16> = written(&good).encode_utf16().collect();
        let start = cut.index(good.len());
        let mixed: Vec<u16> = good[..start].iter().chain(&text).copied().collect();
        for text in [&text, &mixed, &good[..start].to_vec()] {
            if let Err(fault) = super::check(text) {
                prop_assert!(fault.at <= text.len());
            }
        }
        prop_assert!(super::check(&good[..start]).is_err() || good[start..].starts_with(&[u16::from(b'(')]));
    }
}
