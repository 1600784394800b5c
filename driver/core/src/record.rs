//! Looks at the front of a caller's bytes: is a whole TLS record there, and can it be TLS at all?
//!
//! No call to ksecdd is made before one whole record is present, so a peer that dribbles bytes
//! costs no work in the security subsystem; what cannot be TLS never reaches it.

use tlsgate_protocol::SecurityStatus;

/// Bytes in front of every record (RFC 8446, section 5.1).
const HEADER: usize = 5;
/// Largest length that the header of a peer's first record may state: it carries no protection yet, so
/// 2^14 would do; 256 more is what RFC 8446, section 5.2, lets a protected one have.
const MAX_FIRST: usize = 16_384 + 256;
/// Largest length that a later one may state: 2^14 + 2048 (RFC 5246, section 6.2.3). A suite of TLS 1.2
/// that pads may well need more than RFC 8446's 256.
const MAX_LATER: usize = 16_384 + 2048;

const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// What the front of the bytes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// At least one whole record; the first has so many bytes, its header included.
    Whole(usize),
    /// The start of one; so many bytes are missing at least.
    Partial(usize),
    /// Not TLS.
    Refused(Alert),
}

/// A TLS alert: level 1 is a warning, level 2 fatal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The level.
    pub level: u8,
    /// The description (RFC 8446, section 6).
    pub description: u8,
}

/// Where in a connection the bytes stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The peer's first bytes: they must be a handshake record.
    First,
    /// Later ones.
    Later,
}

impl Alert {
    const UNEXPECTED_MESSAGE: Self = Self {
        level: 2,
        description: 10,
    };
    const RECORD_OVERFLOW: Self = Self {
        level: 2,
        description: 22,
    };
    const DECODE_ERROR: Self = Self {
        level: 2,
        description: 50,
    };
    const PROTOCOL_VERSION: Self = Self {
        level: 2,
        description: 70,
    };

    /// What a leg is answered with when its bytes cannot be TLS.
    pub const REFUSAL: SecurityStatus = SecurityStatus::SEC_E_INVALID_TOKEN;

    /// The alert as an unprotected record; legal only before there are keys.
    #[must_use]
    pub const fn record(self) -> [u8; 7] {
        [21, 3, 3, 0, 2, self.level, self.description]
    }
}

/// Looks at the front of `bytes`. Decides as early as the bytes allow.
#[must_use]
pub fn front(bytes: &[u8], place: Place) -> Front {
    let mut header = bytes.iter().copied();
    match (header.next(), place) {
        (None, _) => return Front::Partial(HEADER),
        (Some(HANDSHAKE), Place::First)
        | (Some(CHANGE_CIPHER_SPEC..=APPLICATION_DATA), Place::Later) => {}
        (Some(_), _) => return Front::Refused(Alert::UNEXPECTED_MESSAGE),
    }
    if header.next().is_some_and(|major| major != 3) {
        return Front::Refused(Alert::PROTOCOL_VERSION);
    }
    let Some(&[kind, _, _, high, low]) = bytes.first_chunk::<HEADER>() else {
        return Front::Partial(HEADER.saturating_sub(bytes.len()));
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let most = match place {
        Place::First => MAX_FIRST,
        Place::Later => MAX_LATER,
    };
    if length > most {
        return Front::Refused(Alert::RECORD_OVERFLOW);
    }
    // Only application data may be empty (RFC 8446, section 5.1).
    if length == 0 && kind != APPLICATION_DATA {
        return Front::Refused(Alert::DECODE_ERROR);
    }
    let whole = length.saturating_add(HEADER);
    match whole.saturating_sub(bytes.len()) {
        0 => Front::Whole(whole),
        missing => Front::Partial(missing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    #[test]
    fn plain_http_is_refused_at_its_first_byte() {
        for length in 1..16 {
            let bytes = &b"GET / HTTP/1.1\r\n"[..length];
            assert_eq!(
                front(bytes, Place::First),
                Front::Refused(Alert::UNEXPECTED_MESSAGE)
            );
        }
    }

    #[test]
    fn each_kind_of_nonsense_has_its_alert() {
        for (bytes, place, alert) in [
            (
                &[23, 3, 3, 0, 1, 0][..],
                Place::First,
                Alert::UNEXPECTED_MESSAGE,
            ),
            (
                &[24, 3, 3, 0, 1, 0],
                Place::Later,
                Alert::UNEXPECTED_MESSAGE,
            ),
            (&[22, 2], Place::First, Alert::PROTOCOL_VERSION),
            (&[22, 3, 1, 0x41, 1], Place::First, Alert::RECORD_OVERFLOW),
            (&[22, 3, 1, 0, 0], Place::First, Alert::DECODE_ERROR),
        ] {
            assert_eq!(front(bytes, place), Front::Refused(alert), "{bytes:?}");
        }
        // RFC 8446, sections 5.1 and 6: an alert record of two bytes, fatal.
        let alert = Alert::UNEXPECTED_MESSAGE.record();
        assert_eq!(alert, [21, 3, 3, 0, 2, 2, 10]);
    }

    /// RFC 8446, sections 5.1 and 5.2; RFC 5246, section 6.2.3.
    #[test]
    fn lengths_and_kinds_are_bounded_as_the_documents_say() {
        let stated = |kind, length: u16, place| {
            let [high, low] = length.to_be_bytes();
            let mut bytes = vec![kind, 3, 3, high, low];
            bytes.resize(HEADER + usize::from(length), 0);
            front(&bytes, place)
        };
        for (place, most) in [(Place::First, 16_640), (Place::Later, 18_432)] {
            let whole = Front::Whole(usize::from(most) + 5);
            assert_eq!(stated(HANDSHAKE, most, place), whole);
            let long = Front::Refused(Alert::RECORD_OVERFLOW);
            assert_eq!(stated(HANDSHAKE, most + 1, place), long);
        }
        for kind in 20..=22 {
            let empty = Front::Refused(Alert::DECODE_ERROR);
            assert_eq!(stated(kind, 0, Place::Later), empty, "{kind}");
        }
        assert_eq!(stated(APPLICATION_DATA, 0, Place::Later), Front::Whole(5));
        for kind in [0, 19, 24, 255] {
            let unknown = Front::Refused(Alert::UNEXPECTED_MESSAGE);
            assert_eq!(stated(kind, 1, Place::Later), unknown, "{kind}");
        }
        assert_eq!(front(&[], Place::First), Front::Partial(5));
        assert_eq!(front(&[22, 3], Place::First), Front::Partial(3));
    }

    proptest! {
        #[test]
        fn a_record_is_whole_exactly_when_its_last_byte_is_there(length in 1_usize..=MAX_FIRST, cut in 0_usize..20_000) {
            let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
            let mut bytes = vec![22, 3, 3, high, low];
            bytes.resize(HEADER + length, 0);
            let cut = cut.min(bytes.len());
            match front(&bytes[..cut], Place::First) {
                Front::Whole(whole) => prop_assert_eq!((cut, whole), (bytes.len(), bytes.len())),
                Front::Partial(missing) => prop_assert!(missing >= 1 && cut + missing <= bytes.len()),
                Front::Refused(alert) => prop_assert!(false, "{:?}", alert),
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = (front(&bytes, Place::First), front(&bytes, Place::Later));
        }
    }
}
