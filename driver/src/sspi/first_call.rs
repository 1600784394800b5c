//! What only the calls before there is a context get: a server's protocols to choose from, the name of the
//! server that a client connects to.

use super::schannel::ALPN_EXTENSION;
use crate::{buffer::Buffer, nt::lookaside::Lookaside};
use core::ptr;
use wdk_sys::UNICODE_STRING;

/// Bytes of `SEC_APPLICATION_PROTOCOLS` with one list, in front of the list: its own size, the extension, the
/// list's size.
const LIST_OFFSET: usize = 10;

/// Protocols and a name, in memory of their own that goes as soon as there is a context.
pub struct FirstCall {
    /// `SEC_APPLICATION_PROTOCOLS`, or nothing; then the name in UTF-16, which begins at an even offset.
    bytes: Option<Buffer>,
    protocols: usize,
}

/// `pszTargetName`: refers to a [`FirstCall`].
pub struct TargetName(UNICODE_STRING);

// SAFETY: the pointer is to memory of the session whose use right the leg with this value holds.
unsafe impl Send for TargetName {}

impl FirstCall {
    /// With an ALPN list (8-bit length-prefixed names) and a server's name in ASCII; both may be empty. IRQL: up
    /// to DISPATCH_LEVEL. `None` when there is no memory.
    pub fn new(list: &Lookaside, alpn: &[u8], name: &[u8]) -> Option<Self> {
        let protocols = if alpn.is_empty() {
            0
        } else {
            LIST_OFFSET.checked_add(alpn.len())?
        };
        let name_offset = protocols.checked_next_multiple_of(2)?;
        let length = name_offset.checked_add(name.len().checked_mul(2)?)?;
        if length == 0 {
            return Some(Self {
                bytes: None,
                protocols,
            });
        }
        let mut bytes = Buffer::zeroed(list, length)?;
        let (front, units) = bytes.bytes_mut().split_at_mut_checked(name_offset)?;
        if protocols != 0 {
            let list = u16::try_from(alpn.len()).ok()?;
            // Extension and list length stand in front of the names.
            let all = u32::from(list).checked_add(6)?;
            let head = all.to_le_bytes().into_iter();
            let head = head.chain(ALPN_EXTENSION.to_le_bytes());
            let head = head.chain(list.to_le_bytes());
            for (place, byte) in front.iter_mut().zip(head.chain(alpn.iter().copied())) {
                *place = byte;
            }
        }
        // The low bytes of the units; the high ones are 0.
        for (place, byte) in units.iter_mut().step_by(2).zip(name) {
            *place = *byte;
        }
        Some(Self {
            bytes: Some(bytes),
            protocols,
        })
    }

    /// `SEC_APPLICATION_PROTOCOLS`, which may be empty, and the server's name, for as long as this is there and
    /// not forgotten. Both at once: taking one later would end the use of the other's address.
    pub fn parts(&mut self) -> (&mut [u8], TargetName) {
        let start = self.protocols.checked_next_multiple_of(2);
        let bytes = self.bytes.as_mut().map(Buffer::bytes_mut);
        let halves = bytes
            .zip(start)
            .and_then(|(bytes, start)| bytes.split_at_mut_checked(start));
        let (front, name) = halves.unwrap_or_default();
        let protocols = front.get_mut(..self.protocols).unwrap_or_default();
        (protocols, TargetName::of(name))
    }

    /// No call will get it any more. IRQL: up to DISPATCH_LEVEL.
    pub fn forget(&mut self) {
        self.bytes = None;
    }
}

impl TargetName {
    /// No name.
    pub const fn none() -> Self {
        Self(UNICODE_STRING {
            Length: 0,
            MaximumLength: 0,
            Buffer: ptr::null_mut(),
        })
    }

    /// A name in UTF-16.
    fn of(name: &mut [u8]) -> Self {
        let Some(length) = u16::try_from(name.len()).ok().filter(|length| *length != 0) else {
            return Self::none();
        };
        Self(UNICODE_STRING {
            Length: length,
            MaximumLength: length,
            Buffer: name.as_mut_ptr().cast(),
        })
    }

    /// Whether there is no name.
    pub const fn is_none(&self) -> bool {
        self.0.Buffer.is_null()
    }

    /// The string's address; null when there is no name.
    pub const fn address(&mut self) -> *mut UNICODE_STRING {
        if self.0.Length == 0 {
            ptr::null_mut()
        } else {
            &raw mut self.0
        }
    }
}
