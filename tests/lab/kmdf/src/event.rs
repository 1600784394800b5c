//! What an ETW event says: `TraceLogging`'s metadata, as `TraceLoggingProvider.h` of the Windows SDK
//! describes it, and the values that go with it.

use tlsgate_lab_control::kmdf::Value;

/// An event that could be read.
#[derive(Debug, PartialEq)]
pub struct Decoded {
    /// The event's name.
    pub name: String,
    /// Its fields, in order.
    pub fields: Vec<Field>,
}

/// One field.
#[derive(Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// The same, should it be an address; of a number of 8 bytes.
    pub address: Option<u64>,
}

/// Set in a type when an out-type follows it, in an out-type or tag when a tag's byte does.
const MORE: u8 = 0x80;
/// Arrays, and types of the provider's own: not read here.
const COUNTED_OR_CUSTOM: u8 = 0x60;

/// Bytes that are read from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize, what: &str) -> Result<&'a [u8], String> {
        let (bytes, rest) = self
            .0
            .split_at_checked(count)
            .ok_or_else(|| format!("{what} of {count} bytes, and {} are left", self.0.len()))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn byte(&mut self, what: &str) -> Result<u8, String> {
        Ok(self.bytes(1, what)?[0])
    }

    fn size(&mut self, what: &str) -> Result<usize, String> {
        let bytes = self.bytes(2, what)?;
        Ok(usize::from(bytes[0]) | usize::from(bytes[1]) << 8)
    }

    /// Text up to a zero.
    fn name(&mut self, what: &str) -> Result<String, String> {
        let end = self.0.iter().position(|&byte| byte == 0);
        let end = end.ok_or_else(|| format!("{what} does not end"))?;
        let name = utf8(self.bytes(end + 1, what)?, end, what)?;
        if name.is_empty() {
            return Err(format!("{what} is empty"));
        }
        Ok(name)
    }

    /// A tag's bytes, of which the last has no upper bit.
    fn tag(&mut self, what: &str) -> Result<(), String> {
        while self.byte(what)? & MORE != 0 {}
        Ok(())
    }
}

fn utf8(bytes: &[u8], length: usize, what: &str) -> Result<String, String> {
    String::from_utf8(bytes[..length].to_vec()).map_err(|_| format!("{what} is no UTF-8"))
}

/// Metadata after its size, which must be true.
fn sized<'a>(metadata: &'a [u8], what: &str) -> Result<Reader<'a>, String> {
    let mut reader = Reader(metadata);
    let size = reader.size(what)?;
    if size == metadata.len() {
        Ok(reader)
    } else {
        Err(format!(
            "{what} is of {} bytes and says {size}",
            metadata.len()
        ))
    }
}

/// A provider's name, from its metadata or traits.
pub fn provider(metadata: &[u8]) -> Result<String, String> {
    sized(metadata, "the provider's metadata")?.name("the provider's name")
}

/// Reads an event.
pub fn decode(metadata: &[u8], payload: &[u8]) -> Result<Decoded, String> {
    let mut metadata = sized(metadata, "the event's metadata")?;
    metadata.tag("the event's tag")?;
    let name = metadata.name("the event's name")?;
    let (mut fields, mut payload) = (Vec::new(), Reader(payload));
    while !metadata.0.is_empty() {
        fields.push(field(&mut metadata, &mut payload)?);
    }
    if !payload.0.is_empty() {
        return Err(format!(
            "{name}: {} bytes behind the last field",
            payload.0.len()
        ));
    }
    Ok(Decoded { name, fields })
}

fn field(metadata: &mut Reader, payload: &mut Reader) -> Result<Field, String> {
    let name = metadata.name("a field's name")?;
    let kind = metadata.byte(&name)?;
    if kind & MORE != 0 && metadata.byte(&name)? & MORE != 0 {
        metadata.tag(&name)?;
    }
    let mut integer = |count| payload.bytes(count, &name).map(number);
    let mut address = None;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "of so many bytes is what was read"
    )]
    let value = match kind & !MORE {
        3 => Value::Signed(i64::from(integer(1)? as i8)),
        5 => Value::Signed(i64::from(integer(2)? as i16)),
        7 => Value::Signed(i64::from(integer(4)? as i32)),
        4 => Value::Unsigned(integer(1)?),
        6 => Value::Unsigned(integer(2)?),
        8 | 13 | 20 => Value::Unsigned(integer(4)?),
        9 => {
            let value = integer(8)?;
            address = Some(value);
            Value::Signed(value.cast_signed())
        }
        10 | 21 => {
            let value = integer(8)?;
            address = Some(value);
            Value::Unsigned(value)
        }
        23 => {
            let length = payload.size(&name)?;
            Value::Text(utf8(payload.bytes(length, &name)?, length, &name)?)
        }
        counted if counted & COUNTED_OR_CUSTOM != 0 => {
            return Err(format!("{name}: the lab reads no arrays (type {kind:#x})"));
        }
        _ => return Err(format!("{name}: the lab does not read type {kind:#x}")),
    };
    Ok(Field {
        name,
        value,
        address,
    })
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Microsoft's `tracelogging` 1.2.4 makes of `write_event!(PROVIDER, "Golden", ..., u32("u", ..),
    /// i32("i", ..), u64_hex("hex", ..), i64("l", ..), bool32("b", ..), str8("text", ..), errno("e", ..),
    /// win_ntstatus("status", ..))`.
    const GOLDEN: &[u8] =
        b"\x2E\0\0Golden\0u\0\x08i\0\x07hex\0\x15l\0\x09b\0\x0Dtext\0\x97\x23e\0\x07\
                            status\0\x94\x0E";

    fn field(name: &str, value: Value, address: Option<u64>) -> Field {
        Field {
            name: name.into(),
            value,
            address,
        }
    }

    #[test]
    fn microsofts_metadata_is_read() {
        let mut payload = Vec::new();
        payload.extend(5u32.to_le_bytes());
        payload.extend((-6i32).to_le_bytes());
        payload.extend(0xFFFF_8000_0000_0001u64.to_le_bytes());
        payload.extend((-1i64).to_le_bytes());
        payload.extend(1u32.to_le_bytes());
        payload.extend(b"\x03\0abc");
        payload.extend(2u32.to_le_bytes());
        payload.extend(0xC000_0022u32.to_le_bytes());
        let decoded = decode(GOLDEN, &payload).unwrap();
        assert_eq!(decoded.name, "Golden");
        assert_eq!(
            decoded.fields,
            [
                field("u", Value::Unsigned(5), None),
                field("i", Value::Signed(-6), None),
                field(
                    "hex",
                    Value::Unsigned(0xFFFF_8000_0000_0001),
                    Some(0xFFFF_8000_0000_0001)
                ),
                field("l", Value::Signed(-1), Some(u64::MAX)),
                field("b", Value::Unsigned(1), None),
                field("text", Value::Text("abc".into()), None),
                field("e", Value::Signed(2), None),
                field("status", Value::Unsigned(0xC000_0022), None),
            ]
        );
        // Neither a byte less nor one more.
        assert!(decode(GOLDEN, &payload[..payload.len() - 1]).is_err());
        payload.push(0);
        assert!(decode(GOLDEN, &payload).is_err());
    }

    #[test]
    fn providers_have_names() {
        assert_eq!(provider(b"\x0A\0TlsGate\0").unwrap(), "TlsGate");
        for wrong in [
            &b"\x0B\0TlsGate\0"[..],
            b"\x03\0\0",
            b"\x05\0abc",
            b"\x01",
            b"",
        ] {
            assert!(provider(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn damaged_metadata_is_told() {
        let sound = b"\x0A\0\0E\0a\0\x97\x23\0";
        assert!(
            decode(sound, b"").is_err(),
            "a name that is missing its end"
        );
        for wrong in [
            &b"\x09\0\0E\0a\0\x97"[..], // no out-type
            b"\x08\0\0E\0a\0\x61",      // a counted array
            b"\x08\0\0E\0a\0\x0B",      // a float
            b"\x05\0\x80E\0",           // a tag that goes on, and no name
        ] {
            assert!(decode(wrong, &[0; 16]).is_err(), "{wrong:?}");
        }
        assert!(
            decode(b"\x09\0\0E\0a\0\x97\x23", b"\x01\0\xFF").is_err(),
            "no UTF-8"
        );
    }
}
