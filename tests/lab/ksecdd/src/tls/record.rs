//! Where a TLS record ends (RFC 8446, section 5.1).

/// Content types.
pub const ALERT: u8 = 21;
pub const HANDSHAKE: u8 = 22;
pub const APPLICATION_DATA: u8 = 23;
const CHANGE_CIPHER_SPEC: u8 = 20;

/// Content type, version and length.
pub const HEADER: usize = 5;

/// Most plaintext in a record.
pub const MAX_PLAINTEXT: usize = 1 << 14;

/// Longest fragment of any TLS version (TLS 1.2 allows 2,048 bytes of expansion).
const MAX_FRAGMENT: usize = MAX_PLAINTEXT + 2048;

/// What lies at the front of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    /// The start of a record that needs this many more bytes, as far as one can tell.
    Partial {
        /// Bytes still missing of the header or, when that is whole, of the record.
        missing: usize,
    },
    /// A whole record of this many bytes.
    Record(usize),
    /// Nothing that TLS allows.
    NotTls,
}

/// Looks at the front of `stream`.
pub fn front(stream: &[u8]) -> Front {
    let Some(&[content, major, _, high, low]) = stream.first_chunk::<HEADER>() else {
        return Front::Partial {
            missing: HEADER - stream.len(),
        };
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if !(CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&content)
        || major != 3
        || length > MAX_FRAGMENT
    {
        return Front::NotTls;
    }
    match (HEADER + length).checked_sub(stream.len()) {
        None | Some(0) => Front::Record(HEADER + length),
        Some(missing) => Front::Partial { missing },
    }
}

/// A record's header, in the version number every record since TLS 1.2 carries.
pub fn header(content: u8, fragment: usize) -> [u8; HEADER] {
    let [high, low] = u16::try_from(fragment).unwrap_or(u16::MAX).to_be_bytes();
    [content, 3, 3, high, low]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_of_a_record_says_what_is_missing() {
        let mut record = header(HANDSHAKE, 300).to_vec();
        record.resize(HEADER + 300, 7);
        for cut in 0..record.len() {
            let whole = if cut < HEADER { HEADER } else { record.len() };
            assert_eq!(
                front(&record[..cut]),
                Front::Partial {
                    missing: whole - cut
                }
            );
        }
        assert_eq!(front(&record), Front::Record(305));
        record.extend_from_slice(b"more");
        assert_eq!(front(&record), Front::Record(305));
    }

    #[test]
    fn what_is_not_tls_is_told_by_its_header() {
        assert_eq!(front(b"GET / HTTP/1.1\r\n"), Front::NotTls);
        assert_eq!(front(&[22, 2, 0, 0, 1, 0]), Front::NotTls);
        assert_eq!(front(&[23, 3, 3, 0xff, 0xff]), Front::NotTls);
    }
}
