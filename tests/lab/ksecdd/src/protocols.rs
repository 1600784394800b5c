//! The application protocols a caller offers or accepts: `SEC_APPLICATION_PROTOCOLS`
//! (MicrosoftDocs/sdk-api), which Windows' own headers declare with arrays of length one.

use crate::rules::{APPLICATION_PROTOCOLS, Checked, broken};
use windows_sys::Win32::Security::Authentication::Identity::SecApplicationProtocolNegotiationExt_ALPN;

/// Reads `SEC_APPLICATION_PROTOCOLS`: size of what follows, then lists of extension (2 is ALPN),
/// size and names with their length in front. Unaligned: the lists are.
pub fn read(bytes: &[u8]) -> Checked<Vec<Vec<u8>>> {
    let wrong = |why: &str| broken(APPLICATION_PROTOCOLS, why);
    let Some((size, mut lists)) = bytes.split_first_chunk::<4>() else {
        return wrong("no room for ProtocolListsSize");
    };
    if u32::from_le_bytes(*size) as usize != lists.len() {
        return wrong("ProtocolListsSize is not the size of the lists");
    }
    let mut names = Vec::new();
    while !lists.is_empty() {
        let Some((&[a, b, c, d, low, high], rest)) = lists.split_first_chunk::<6>() else {
            return wrong("no room for a list's header");
        };
        let Some((mut list, rest)) =
            rest.split_at_checked(usize::from(u16::from_le_bytes([low, high])))
        else {
            return wrong("ProtocolListSize is larger than the list");
        };
        lists = rest;
        if i32::from_le_bytes([a, b, c, d]) != SecApplicationProtocolNegotiationExt_ALPN {
            return wrong("a list that is not ALPN");
        }
        while let Some((&length, rest)) = list.split_first() {
            let Some((name, rest)) = rest.split_at_checked(usize::from(length)) else {
                return wrong("a name longer than its list");
            };
            if name.is_empty() {
                return wrong("an empty name");
            }
            names.push(name.to_vec());
            list = rest;
        }
    }
    if names.is_empty() {
        wrong("no names")
    } else {
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protocols(names: &[u8]) -> Vec<u8> {
        let size = u16::try_from(names.len()).unwrap();
        let total = u32::from(size) + 6;
        [
            &total.to_le_bytes()[..],
            &2i32.to_le_bytes(),
            &size.to_le_bytes(),
            names,
        ]
        .concat()
    }

    #[test]
    fn application_protocols_are_read() {
        let names = read(&protocols(b"\x02h2\x08http/1.1")).unwrap();
        assert_eq!(names, [&b"h2"[..], b"http/1.1"]);
    }

    #[test]
    fn application_protocols_cut_anywhere_are_refused() {
        let whole = protocols(b"\x02h2\x08http/1.1");
        for cut in 0..whole.len() {
            let broken = read(&whole[..cut]).unwrap_err();
            assert_eq!(broken.rule, APPLICATION_PROTOCOLS);
        }
        assert!(read(&protocols(b"\x03h2")).is_err());
        assert!(read(&protocols(b"\x00")).is_err());
        assert!(read(&protocols(b"")).is_err());
    }
}
