//! The ABI does not change by accident: codes, sizes and offsets are compared with a golden file.

use std::fmt::Write;
use tlsgate_protocol::{ABI_VERSION, Ioctl, NtStatus, SecurityStatus, limits, payload};

#[test]
fn codes_sizes_and_offsets_match_the_golden_file() {
    let mut text = format!("abi {ABI_VERSION}\n");
    for ioctl in Ioctl::ALL {
        writeln!(text, "ioctl {} {:#010x}", ioctl.name(), ioctl.code()).unwrap();
    }
    for (name, value) in [
        ("MAX_INPUT", limits::MAX_INPUT),
        ("MAX_TOKEN", limits::MAX_TOKEN),
        ("MAX_ALPN_LIST", limits::MAX_ALPN_LIST),
        ("MAX_RECORD", limits::MAX_RECORD),
        ("MAX_RECORDS", limits::MAX_RECORDS),
        ("MAX_OVERHEAD", limits::MAX_OVERHEAD),
        ("MAX_CERTIFICATES", limits::MAX_CERTIFICATES),
        ("MAX_ALERT_RECORD", limits::MAX_ALERT_RECORD),
        ("MAX_SERVER_NAME", limits::MAX_SERVER_NAME),
        ("MAX_PEER_CERTIFICATES", limits::MAX_PEER_CERTIFICATES),
        ("LARGEST_REPLY", limits::LARGEST_REPLY),
    ] {
        writeln!(text, "limit {name} {value}").unwrap();
    }
    for (name, size, fields) in payload::ALL {
        writeln!(text, "struct {name} {size}").unwrap();
        for (field, offset, size) in *fields {
            writeln!(text, "  {offset:4} {size:4} {field}").unwrap();
        }
    }
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/abi.golden");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(golden, &text).unwrap();
    }
    let expected = std::fs::read_to_string(golden).unwrap();
    assert_eq!(
        text, expected,
        "the ABI changed; if that is meant, run this test with BLESS=1"
    );
}

#[test]
fn no_payload_has_padding_and_every_code_is_distinct() {
    for (name, size, fields) in payload::ALL {
        let mut next = 0;
        for (field, offset, field_size) in *fields {
            assert_eq!(*offset, next, "{name}::{field} is behind padding");
            next = offset + field_size;
        }
        assert_eq!(next, *size, "{name} ends in padding");
    }
    for (index, one) in Ioctl::ALL.iter().enumerate() {
        assert_eq!(Ioctl::from_code(one.code()), Some(*one));
        assert_eq!(one.code() & 3, 0, "{} is not METHOD_BUFFERED", one.name());
        assert_ne!(
            (one.code() >> 14) & 3,
            0,
            "{} has no access bits",
            one.name()
        );
        assert!(
            Ioctl::ALL
                .iter()
                .skip(index + 1)
                .all(|other| other.code() != one.code())
        );
    }
}

/// `SUCCEEDED` and `NT_SUCCESS` of the SDK: the sign decides.
#[test]
fn a_status_below_zero_is_an_error() {
    for (status, is_error) in [
        (SecurityStatus::SEC_E_OK, false),
        (SecurityStatus::SEC_I_CONTINUE_NEEDED, false),
        (SecurityStatus::SEC_E_INVALID_TOKEN, true),
    ] {
        assert_eq!(status.is_error(), is_error, "{status:?}");
    }
    for (status, is_success) in [
        (NtStatus::STATUS_SUCCESS, true),
        (NtStatus(0x103), true),
        (NtStatus::STATUS_CANCELLED, false),
    ] {
        assert_eq!(status.is_success(), is_success, "{status:?}");
    }
}

/// The names and codes in the crate's own documentation.
#[test]
fn the_documentation_lists_every_ioctl_with_its_code() {
    let documentation = include_str!("../src/lib.rs");
    for ioctl in Ioctl::ALL {
        let mut name = String::new();
        for letter in ioctl.name().chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
        }
        let row = format!("//! | {name} | {:#010x} |", ioctl.code());
        assert!(documentation.contains(&row), "no row {row}");
    }
    let rows = documentation.matches("| 0x8541").count();
    assert_eq!(rows, Ioctl::ALL.len());
}
