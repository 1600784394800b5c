//! Events from their own description: what `TraceLogging` puts beside a payload says how to read it.
//!
//! The format is documented in `TraceLoggingProvider.h` of the Windows SDK. Read are the types that the
//! driver's events have and the plain numbers and texts beside them; of others, what cannot be read is
//! told as bytes.

use serde_json::{Map, Value, json};
use std::fmt::Write;

/// An event as people and scripts read it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub name: String,
    /// In the order of the payload.
    pub fields: Vec<(String, Field)>,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    Number(u64),
    Signed(i64),
    /// With a name, where this project knows one.
    Status(u32, Option<&'static str>),
    Text(String),
    /// A type that is not read here: everything that is left of the payload.
    Bytes(Vec<u8>),
}

/// In-types of `TraceLogging`: how a value's bytes lie. Arrays have further bits and are not read.
mod input {
    pub const ANSI: u8 = 2;
    pub const INT8: u8 = 3;
    pub const UINT8: u8 = 4;
    pub const INT16: u8 = 5;
    pub const UINT16: u8 = 6;
    pub const INT32: u8 = 7;
    pub const UINT32: u8 = 8;
    pub const INT64: u8 = 9;
    pub const UINT64: u8 = 10;
    pub const HEX_INT32: u8 = 20;
    pub const HEX_INT64: u8 = 21;
    pub const COUNTED_ANSI: u8 = 23;
}

/// Out-types: how a value is shown.
mod output {
    pub const NTSTATUS: u8 = 14;
    pub const HRESULT: u8 = 15;
}

/// Another byte of types or tags follows.
const MORE: u8 = 0x80;

/// The event that this metadata (`EVENT_HEADER_EXT_TYPE_EVENT_SCHEMA_TL`) describes, with this payload;
/// `None` when they do not belong together.
pub fn event(metadata: &[u8], payload: &[u8]) -> Option<Event> {
    let (size, mut rest) = metadata.split_first_chunk()?;
    let size = usize::from(u16::from_le_bytes(*size));
    // The size counts itself.
    rest = rest.get(..size.checked_sub(2)?)?;
    tags(&mut rest)?;
    let mut event = Event {
        name: text(&mut rest)?,
        fields: Vec::new(),
    };
    let mut payload = payload;
    while !rest.is_empty() {
        let name = text(&mut rest)?;
        let (how, shown) = types(&mut rest)?;
        let field = value(how, shown, &mut payload)?;
        let unread = matches!(field, Field::Bytes(_));
        event.fields.push((name, field));
        if unread {
            // Nobody knows where the next begins.
            return Some(event);
        }
    }
    payload.is_empty().then_some(event)
}

/// Skips tags: bytes with [`MORE`], and one without.
fn tags(rest: &mut &[u8]) -> Option<()> {
    while byte(rest)? & MORE != 0 {}
    Some(())
}

/// A field's in- and out-type; the latter is 0 when there is none.
fn types(rest: &mut &[u8]) -> Option<(u8, u8)> {
    let how = byte(rest)?;
    if how & MORE == 0 {
        return Some((how, 0));
    }
    let shown = byte(rest)?;
    if shown & MORE != 0 {
        tags(rest)?;
    }
    Some((how & !MORE, shown & !MORE))
}

/// A value of this type from the front of the payload, when it is long enough. Where the type is not
/// read here, all that is left.
fn value(how: u8, shown: u8, payload: &mut &[u8]) -> Option<Field> {
    Some(match how {
        input::INT8 => Field::Signed(i8::from_le_bytes(chunk(payload)?).into()),
        input::UINT8 => Field::Number(u8::from_le_bytes(chunk(payload)?).into()),
        input::INT16 => Field::Signed(i16::from_le_bytes(chunk(payload)?).into()),
        input::UINT16 => Field::Number(u16::from_le_bytes(chunk(payload)?).into()),
        input::INT32 => Field::Signed(i32::from_le_bytes(chunk(payload)?).into()),
        input::UINT32 => Field::Number(u32::from_le_bytes(chunk(payload)?).into()),
        input::INT64 => Field::Signed(i64::from_le_bytes(chunk(payload)?)),
        input::UINT64 | input::HEX_INT64 => Field::Number(u64::from_le_bytes(chunk(payload)?)),
        input::HEX_INT32 => {
            let number = u32::from_le_bytes(chunk(payload)?);
            Field::Status(number, status(number.cast_signed(), shown))
        }
        input::ANSI => Field::Text(text(payload)?),
        input::COUNTED_ANSI => {
            let length = u16::from_le_bytes(chunk(payload)?);
            let (text, behind) = payload.split_at_checked(length.into())?;
            *payload = behind;
            Field::Text(String::from_utf8_lossy(text).into_owned())
        }
        _ => Field::Bytes(std::mem::take(payload).to_vec()),
    })
}

fn status(number: i32, shown: u8) -> Option<&'static str> {
    use tlsgate::protocol::{NtStatus, SecurityStatus};
    match shown {
        output::NTSTATUS => NtStatus(number).name(),
        output::HRESULT => SecurityStatus(number).name(),
        _ => None,
    }
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    let [byte] = chunk(rest)?;
    Some(byte)
}

fn chunk<const SIZE: usize>(rest: &mut &[u8]) -> Option<[u8; SIZE]> {
    let (chunk, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*chunk)
}

/// Text up to the zero behind it.
fn text(rest: &mut &[u8]) -> Option<String> {
    let end = rest.iter().position(|byte| *byte == 0)?;
    let text = String::from_utf8_lossy(&rest[..end]).into_owned();
    *rest = &rest[end + 1..];
    Some(text)
}

impl Event {
    /// A line for people.
    pub fn line(&self) -> String {
        let mut line = self.name.clone();
        for (name, field) in &self.fields {
            // Writing to a text cannot fail.
            let _ = match field {
                Field::Number(number) => write!(line, " {name}={number}"),
                Field::Signed(number) => write!(line, " {name}={number}"),
                Field::Status(number, None) => write!(line, " {name}=0x{number:08X}"),
                Field::Status(_, Some(known)) => write!(line, " {name}={known}"),
                Field::Text(text) => write!(line, " {name}={text:?}"),
                Field::Bytes(bytes) => write!(line, " {name}={bytes:02x?}"),
            };
        }
        line
    }

    /// For scripts: the fields in an object. Statuses are texts, as people write them.
    pub fn json(&self) -> Value {
        let fields: Map<String, Value> = self
            .fields
            .iter()
            .map(|(name, field)| (name.clone(), field.json()))
            .collect();
        json!({ "event": self.name, "fields": fields })
    }
}

impl Field {
    fn json(&self) -> Value {
        match self {
            Self::Number(number) => json!(number),
            Self::Signed(number) => json!(number),
            Self::Status(number, None) => json!(format!("0x{number:08X}")),
            Self::Status(_, Some(name)) => json!(name),
            Self::Text(text) => json!(text),
            Self::Bytes(bytes) => json!(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlsgate_core::event::{Kind, Payload, Value, event_metadata, event_metadata_size};

    /// Everything that the driver's encoder can make.
    const FIELDS: &[(&str, Kind)] = &[
        ("session", Kind::Number),
        ("role", Kind::Text),
        ("ntstatus", Kind::NtStatus),
        ("status", Kind::SecurityStatus),
    ];
    const METADATA: [u8; event_metadata_size("Everything", FIELDS)] =
        event_metadata("Everything", FIELDS);

    fn payload() -> Payload {
        let mut payload = Payload::new();
        for value in [
            Value::Number(u64::MAX),
            Value::Text("sérver"),
            Value::Status(0xC000_0225_u32.cast_signed()),
            Value::Status(0x8009_0326_u32.cast_signed()),
        ] {
            assert!(payload.add(value));
        }
        payload
    }

    #[test]
    fn what_the_driver_writes_is_read() {
        let event = event(&METADATA, payload().bytes()).unwrap();
        assert_eq!(
            event.line(),
            "Everything session=18446744073709551615 role=\"sérver\" ntstatus=STATUS_NOT_FOUND \
             status=SEC_E_ILLEGAL_MESSAGE"
        );
        assert_eq!(
            event.json(),
            json!({
                "event": "Everything",
                "fields": {
                    "session": u64::MAX,
                    "role": "sérver",
                    "ntstatus": "STATUS_NOT_FOUND",
                    "status": "SEC_E_ILLEGAL_MESSAGE",
                },
            })
        );
    }

    #[test]
    fn what_is_cut_is_no_event_and_no_panic() {
        let payload = payload();
        let whole = payload.bytes();
        for cut in 0..whole.len() {
            assert_eq!(event(&METADATA, &whole[..cut]), None, "payload of {cut}");
        }
        for cut in 0..METADATA.len() {
            assert_eq!(event(&METADATA[..cut], whole), None, "metadata of {cut}");
        }
        let long = [whole, &[0]].concat();
        assert_eq!(event(&METADATA, &long), None);
    }

    #[test]
    fn what_microsofts_crate_writes_is_read() {
        // tracelogging 1.2.4: write_event!(PROVIDER, "SessionStarted", ..., u64("session", ...),
        // str8("role", ...)).
        let metadata = b"\x22\0\0SessionStarted\0session\0\x0Arole\0\x97\x23";
        let event = event(metadata, b"\x07\0\0\0\0\0\0\0\x06\0client").unwrap();
        assert_eq!(event.line(), "SessionStarted session=7 role=\"client\"");
    }

    #[test]
    fn other_types_are_read_or_shown_as_bytes() {
        // A tag in front, an i16, a field with a tag of its own, and a GUID, which is not read.
        let metadata = b"\x15\0\x81\0E\0a\0\x05b\0\x88\x80\0c\0\x0Fd\0\x04";
        let metadata = [&[u8::try_from(metadata.len()).unwrap()][..], &metadata[1..]].concat();
        let event = event(&metadata, b"\xFE\xFF\x01\0\0\0guid").unwrap();
        let names: Vec<&str> = event.fields.iter().map(|it| &*it.0).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(event.fields[0].1, Field::Signed(-2));
        assert_eq!(event.fields[1].1, Field::Number(1));
        assert_eq!(event.fields[2].1, Field::Bytes(b"guid".to_vec()));
    }
}
