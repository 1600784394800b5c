//! Who may open the device: the check against a regular expression of the grammar, and the well-known SIDs.

use crate::dictionary;
use regex::Regex;
use std::sync::LazyLock;
use tlsgate_core::sddl::{MOST_UNITS, check};

/// A text may have these words, so that random ones get beyond its first letters.
const WORDS: &[&str] = &[
    "D:P",
    "(A;;",
    "GA",
    "GR",
    "FX",
    "0x",
    "1F01FF",
    "0",
    ";;;",
    "SY",
    "BA",
    "WD",
    "AU",
    ")",
    "S-1-",
    "5",
    "-",
    "18",
    "19",
    "32",
    "544",
    "545",
    "549",
    "551",
    "569",
    "80",
    "82",
    "21",
    "500",
    "512",
    "519",
    "999",
    "1000",
    "4294967295",
    "4294967296",
    "12",
    "1",
    ";",
    "(",
    "A",
    "D",
    "00",
    "S-1-5-80-1-2-3-4-5",
    "S-1-5-21-1-2-3-",
    "S-1-12-1-1-2-3-4",
    "(A;;GA;;;SY)",
    "(A;;GA;;;BA)",
    "LS",
    "NS",
    "IU",
    "FR",
    "FW",
    "GX",
    "GW",
    "FA",
    "CY",
    "BO",
    "SO",
    "EA",
    "DA",
    "LA",
    "0x0",
    "0x1234567",
    "S-1-5-20",
    "BU",
];

/// The grammar: the masks and SIDs that it lets through are looked at one by one.
static GRAMMAR: LazyLock<Regex> = LazyLock::new(|| {
    let access = "(?:0x[0-9A-Fa-f]{1,8}|(?:GA|GR|GW|GX|FA|FR|FW|FX)+)";
    let who = "(?:SY|BA|LS|NS|LA|DA|EA|SO|BO|CY|S-1-[0-9]+(?:-[0-9]+){0,15})";
    let entry = format!(r"\(A;;{access};;;{who}\)");
    Regex::new(&format!("^D:P(?:{entry}){{1,16}}$")).expect("it is well formed")
});

static ENTRY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\(A;;([^;]*);;;([^)]*)\)").expect("it is well formed"));

/// Who may be in an entry: accounts and groups as they are, and close to them.
const WHO: &[&str] = &[
    "SY",
    "BA",
    "LS",
    "NS",
    "LA",
    "DA",
    "EA",
    "SO",
    "BO",
    "CY",
    "WD",
    "AU",
    "BU",
    "IU",
    "sy",
    "S-1-5-18",
    "S-1-5-17",
    "S-1-5-20",
    "S-1-5-21",
    "S-1-5-32-544",
    "S-1-5-32-545",
    "S-1-5-32-569",
    "S-1-5-80-1-2-3-4-5",
    "S-1-5-80-1-2-3-4",
    "S-1-5-82-1-2-3-4-5",
    "S-1-5-21-1-2-3-500",
    "S-1-5-21-1-2-3-513",
    "S-1-5-21-1-2-3-999",
    "S-1-5-21-1-2-3-1000",
    "S-1-5-21-1-2-3-4294967295",
    "S-1-5-21-1-2-3-4294967296",
    "S-1-5-21-1-2-3-01000",
    "S-1-12-1-1-2-3-4",
    "S-1-12-1-1-2-3",
    "S-1-1-0",
    "S-1-5",
    "",
];

/// What an entry may give.
const ACCESS: &[&str] = &[
    "GA",
    "GR",
    "GRGW",
    "FA",
    "FRFWFX",
    "0x1F01FF",
    "0x1",
    "0x0",
    "0x000000001",
    "0x",
    "0xG",
    "GAG",
    "GX",
    "",
];

/// Runs it.
pub fn run(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else {
        return;
    };
    if first % 2 == 0 {
        check_one(&entries(bytes).encode_utf16().collect::<Vec<u16>>());
        return;
    }
    let mut text = dictionary::text(WORDS, bytes);
    check_one(&text);
    // Long ones are rare, and random ones rarely begin right.
    text.splice(0..0, "D:P(A;;GA;;;SY)".encode_utf16());
    check_one(&text);
}

/// A text of entries, each of three bytes: access, whose, and rarely what is wrong.
fn entries(bytes: &[u8]) -> String {
    let entries = bytes.as_chunks::<3>().0.iter().map(|entry| {
        let [access, who, wrong] = entry.map(usize::from);
        let (access, who) = (ACCESS[access % ACCESS.len()], WHO[who % WHO.len()]);
        match wrong {
            0 => format!("(D;;{access};;;{who})"),
            1 => format!("(A;;{access};;;{who}"),
            2 => format!("(A;OI;{access};;;{who})"),
            3 => format!("(A;;{access};1;;{who})"),
            4 => format!("(A;;{access};;;{who}) "),
            _ => format!("(A;;{access};;;{who})"),
        }
    });
    format!("D:P{}", entries.collect::<Vec<_>>().concat())
}

fn check_one(text: &[u16]) {
    let answer = check(text);
    if let Err(fault) = answer {
        assert!(fault.at <= text.len());
    }
    let readable = String::from_utf16_lossy(text);
    assert_eq!(answer.is_ok(), is_good(text), "{readable:?}: {answer:?}");
}

fn is_good(text: &[u16]) -> bool {
    let Ok(readable) = String::from_utf16(text) else {
        return false;
    };
    text.len() <= MOST_UNITS
        && GRAMMAR.is_match(&readable)
        && ENTRY
            .captures_iter(&readable)
            .all(|entry| is_mask(&entry[1]) && is_narrow(&entry[2]))
}

/// Rights by name, or a mask that is not 0.
fn is_mask(access: &str) -> bool {
    access
        .strip_prefix("0x")
        .is_none_or(|digits| u32::from_str_radix(digits, 16).is_ok_and(|mask| mask != 0))
}

/// An alias, or a SID of Microsoft's page "Well-known SIDs" that is one account's or of administrators alone.
fn is_narrow(who: &str) -> bool {
    let Some(numbers) = who.strip_prefix("S-1-") else {
        return true;
    };
    let mut parts = Vec::new();
    for number in numbers.split('-') {
        match number.parse::<u32>() {
            Ok(part) if part.to_string() == number => parts.push(part),
            _ => return false,
        }
    }
    match parts[..] {
        // NT AUTHORITY: System, Local Service, Network Service.
        [5, one] => (18..=20).contains(&one),
        // BUILTIN: Administrators, Server, Backup and Cryptographic Operators.
        [5, 32, one] => [544, 549, 551, 569].contains(&one),
        // A service, an application pool.
        [5, 80 | 82, ..] => parts.len() == 7,
        // A machine's or a domain's: made by someone, or its administrators.
        [5, 21, _, _, _, one] => one >= 1000 || [500, 512, 519].contains(&one),
        // Entra ID.
        [12, 1, ..] => parts.len() == 6,
        _ => false,
    }
}
