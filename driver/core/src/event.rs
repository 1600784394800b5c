//! What an ETW event consists of: self-describing metadata, made at compile time, and a payload.
//!
//! The format is `TraceLogging`'s: `TraceLoggingProvider.h` of the Windows SDK describes it, and Microsoft's
//! `tracelogging` crate, against whose bytes the tests hold these, writes it. That crate itself cannot
//! serve here: its registration can panic, and it links to a library of user mode.

/// A field's type: the `InType` that says how its bytes are laid out, and the `OutType` that says how a
/// reader shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A `u64`.
    Number,
    /// An `i32` that readers show as an NTSTATUS.
    NtStatus,
    /// An `i32` that readers show as an HRESULT, which is what a `SECURITY_STATUS` is.
    SecurityStatus,
    /// UTF-8, with its length in bytes in front.
    Text,
}

impl Kind {
    /// In- and out-type; the upper bit of the first says that there is a second.
    const fn code(self) -> (u8, u8) {
        const MORE: u8 = 0x80;
        const UINT64: u8 = 10;
        const HEX_INT32: u8 = 20;
        const COUNTED_STRING: u8 = 23;
        const NTSTATUS: u8 = 14;
        const HRESULT: u8 = 15;
        const UTF8: u8 = 35;
        match self {
            Self::Number => (UINT64, 0),
            Self::NtStatus => (HEX_INT32 | MORE, NTSTATUS),
            Self::SecurityStatus => (HEX_INT32 | MORE, HRESULT),
            Self::Text => (COUNTED_STRING | MORE, UTF8),
        }
    }
}

/// A field's name and type.
pub type Field = (&'static str, Kind);

/// Bytes in front of the event's name: the metadata's size, and a tag without a bit set.
const EVENT_HEAD: usize = 3;
/// Bytes in front of the provider's name: the metadata's size.
const PROVIDER_HEAD: usize = 2;

/// The size of [`event_metadata`] in bytes.
#[must_use]
#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
#[expect(clippy::arithmetic_side_effects, reason = "evaluated at compile time")]
pub const fn event_metadata_size(name: &str, fields: &[Field]) -> usize {
    let (mut size, mut index) = (EVENT_HEAD + name.len() + 1, 0);
    while index < fields.len() {
        let (field, kind) = fields[index];
        let types = if kind.code().1 == 0 { 1 } else { 2 };
        size += field.len() + 1 + types;
        index += 1;
    }
    size
}

/// The metadata of an event: its name and its fields. `SIZE` is [`event_metadata_size`].
///
/// # Panics
///
/// At compile time, when `SIZE` is another.
#[must_use]
#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
#[expect(clippy::arithmetic_side_effects, reason = "evaluated at compile time")]
pub const fn event_metadata<const SIZE: usize>(name: &str, fields: &[Field]) -> [u8; SIZE] {
    assert!(SIZE == event_metadata_size(name, fields));
    let (mut bytes, mut place) = text(sized([0; SIZE]), EVENT_HEAD, name);
    let mut index = 0;
    while index < fields.len() {
        let (field, kind) = fields[index];
        (bytes, place) = text(bytes, place, field);
        let (input, output) = kind.code();
        bytes[place] = input;
        place += 1;
        if output != 0 {
            bytes[place] = output;
            place += 1;
        }
        index += 1;
    }
    bytes
}

/// The size of [`provider_metadata`] in bytes.
#[must_use]
#[expect(clippy::arithmetic_side_effects, reason = "evaluated at compile time")]
pub const fn provider_metadata_size(name: &str) -> usize {
    PROVIDER_HEAD + name.len() + 1
}

/// The metadata, or traits, of a provider: its name. `SIZE` is [`provider_metadata_size`].
///
/// # Panics
///
/// At compile time, when `SIZE` is another.
#[must_use]
pub const fn provider_metadata<const SIZE: usize>(name: &str) -> [u8; SIZE] {
    assert!(SIZE == provider_metadata_size(name));
    text(sized([0; SIZE]), PROVIDER_HEAD, name).0
}

/// Puts the size in front.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the assertion is evaluated at compile time"
)]
const fn sized<const SIZE: usize>(mut bytes: [u8; SIZE]) -> [u8; SIZE] {
    assert!(SIZE <= u16::MAX as usize);
    [bytes[0], bytes[1]] = (SIZE as u16).to_le_bytes();
    bytes
}

/// Puts a text and the zero behind it to `place`; gives the place behind both.
#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
#[expect(clippy::arithmetic_side_effects, reason = "evaluated at compile time")]
const fn text<const SIZE: usize>(
    mut bytes: [u8; SIZE],
    place: usize,
    text: &str,
) -> ([u8; SIZE], usize) {
    let (text, mut index) = (text.as_bytes(), 0);
    while index < text.len() {
        assert!(text[index] != 0);
        bytes[place + index] = text[index];
        index += 1;
    }
    (bytes, place + index + 1)
}

/// Bytes of a payload: a few numbers and short words.
pub const PAYLOAD: usize = 160;

/// Bytes of a text at most; what is longer is cut.
pub const TEXT: usize = 48;

/// The values of an event, one behind the other, in the order of its fields.
#[derive(Debug)]
pub struct Payload {
    bytes: [u8; PAYLOAD],
    length: usize,
}

impl Payload {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: [0; PAYLOAD],
            length: 0,
        }
    }

    /// The bytes so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Adds a value; false, and nothing added, when there is no room.
    pub fn add(&mut self, value: Value<'_>) -> bool {
        match value {
            Value::Number(number) => self.put(&[&number.to_le_bytes()]),
            Value::Status(status) => self.put(&[&status.to_le_bytes()]),
            Value::Text(text) => {
                let text = cut(text).as_bytes();
                let length = u16::try_from(text.len()).unwrap_or_default();
                self.put(&[&length.to_le_bytes(), text])
            }
        }
    }

    fn put(&mut self, parts: &[&[u8]]) -> bool {
        let mut length = self.length;
        for part in parts {
            let Some(end) = length.checked_add(part.len()) else {
                return false;
            };
            let Some(room) = self.bytes.get_mut(length..end) else {
                return false;
            };
            for (place, byte) in room.iter_mut().zip(part.iter()) {
                *place = *byte;
            }
            length = end;
        }
        self.length = length;
        true
    }
}

impl Default for Payload {
    fn default() -> Self {
        Self::new()
    }
}

/// At most [`TEXT`] bytes of a text, whole characters.
fn cut(text: &str) -> &str {
    let end = text.floor_char_boundary(TEXT);
    text.get(..end).unwrap_or_default()
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Of [`Kind::Number`].
    Number(u64),
    /// Of [`Kind::NtStatus`] and [`Kind::SecurityStatus`].
    Status(i32),
    /// Of [`Kind::Text`].
    Text(&'a str),
}

/// Who listens to a provider, from its enable callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listening {
    /// The highest level of detail that is wanted; 0 for every one.
    pub level: u8,
    /// Keywords of which an event must have one.
    pub any: u64,
    /// Keywords of which an event must have each.
    pub all: u64,
}

impl Listening {
    /// Whether an event of this level (1 critical to 5 verbose) and these keywords is wanted. The rule of
    /// `EnableTraceEx2`: an event without keywords is always wanted, whatever the masks; `any` of 0 is every
    /// keyword.
    #[must_use]
    pub const fn wants(self, level: u8, keyword: u64) -> bool {
        let level_wanted = self.level == 0 || level <= self.level;
        let any = self.any == 0 || keyword & self.any != 0;
        level_wanted && (keyword == 0 || any && keyword & self.all == self.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{string::String, vec::Vec};

    #[test]
    fn metadata_is_what_microsofts_crate_makes() {
        // tracelogging 1.2.4: write_event!(PROVIDER, "SessionStarted", ..., u64("session", ...),
        // str8("role", ...)) and define_provider!(PROVIDER, "TlsGate").
        const FIELDS: &[Field] = &[("session", Kind::Number), ("role", Kind::Text)];
        const SIZE: usize = event_metadata_size("SessionStarted", FIELDS);
        let expected = b"\x22\0\0SessionStarted\0session\0\x0Arole\0\x97\x23";
        assert_eq!(
            event_metadata::<SIZE>("SessionStarted", FIELDS).as_slice(),
            expected
        );
        assert_eq!(&provider_metadata::<10>("TlsGate"), b"\x0A\0TlsGate\0");
    }

    #[test]
    fn statuses_have_an_out_type() {
        const FIELDS: &[Field] = &[("a", Kind::NtStatus), ("b", Kind::SecurityStatus)];
        const SIZE: usize = event_metadata_size("E", FIELDS);
        assert_eq!(
            &event_metadata::<SIZE>("E", FIELDS),
            b"\x0D\0\0E\0a\0\x94\x0Eb\0\x94\x0F"
        );
    }

    #[test]
    fn values_lie_behind_one_another() {
        let mut payload = Payload::new();
        assert!(payload.add(Value::Number(0x0102_0304_0506_0708)));
        assert!(payload.add(Value::Text("ab")));
        assert!(payload.add(Value::Status(-2)));
        assert_eq!(
            payload.bytes(),
            b"\x08\x07\x06\x05\x04\x03\x02\x01\x02\0ab\xFE\xFF\xFF\xFF"
        );
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let mut payload = Payload::new();
        let text: String = "é".repeat(TEXT);
        assert!(payload.add(Value::Text(&text)));
        assert_eq!(payload.bytes().len(), 2 + TEXT);
        let odd = std::format!("a{text}");
        let mut payload = Payload::new();
        assert!(payload.add(Value::Text(&odd)));
        assert_eq!(payload.bytes().len(), 2 + TEXT - 1);
    }

    #[test]
    fn whoever_listens_gets_what_it_asked_for() {
        let listening = |level, any, all| Listening { level, any, all };
        assert!(listening(4, 0, 0).wants(4, 1));
        assert!(!listening(4, 0, 0).wants(5, 1));
        assert!(listening(0, 0, 0).wants(5, 1));
        assert!(!listening(5, 6, 0).wants(4, 1));
        assert!(listening(5, 6, 0).wants(4, 3));
        assert!(!listening(5, 6, 3).wants(4, 2));
        assert!(listening(5, 6, 3).wants(4, 0));
    }

    proptest! {
        #[test]
        fn a_payload_holds_whole_values_and_never_overflows(
            values in prop::collection::vec(
                prop_oneof![
                    any::<u64>().prop_map(|number| (number, None)),
                    ".{0,80}".prop_map(|text| (0, Some(text))),
                ],
                0..40,
            ),
        ) {
            let mut payload = Payload::new();
            let mut expected = Vec::new();
            for (number, text) in &values {
                let value = text.as_deref().map_or(Value::Number(*number), Value::Text);
                let before = payload.bytes().to_vec();
                if payload.add(value) {
                    prop_assert!(payload.bytes().starts_with(&before));
                    expected.push(payload.bytes().len() - before.len());
                } else {
                    prop_assert_eq!(payload.bytes(), &before[..]);
                }
            }
            prop_assert_eq!(payload.bytes().len(), expected.iter().sum::<usize>());
            prop_assert!(payload.bytes().len() <= PAYLOAD);
        }
    }
}
