//! Buffer descriptors of the handshake function and of the record functions.
//!
//! The order is msquic's: a TOKEN, then two EMPTY buffers right behind it, in which Schannel
//! reports EXTRA and MISSING; the application protocols last, on the server's first call only. The
//! output has a TOKEN and an ALERT buffer of two bytes.

use core::{ffi::c_void, ptr};
use tlsgate_core::{record::Alert, records::Span, unsealing::Unsealed};
use tlsgate_protocol::SecurityStatus;
use wdk_sys::{
    SECBUFFER_ALERT, SECBUFFER_APPLICATION_PROTOCOLS, SECBUFFER_DATA, SECBUFFER_EMPTY,
    SECBUFFER_EXTRA, SECBUFFER_MISSING, SECBUFFER_STREAM_HEADER, SECBUFFER_STREAM_TRAILER,
    SECBUFFER_TOKEN, SECBUFFER_VERSION, SecBuffer, SecBufferDesc,
};

/// Input of one handshake call. Refers to itself: pinned in its operation while a call uses it.
pub struct InputBuffers {
    array: [SecBuffer; 4],
    descriptor: SecBufferDesc,
}

/// Output of one handshake call. Refers to itself, as above.
pub struct OutputBuffers {
    array: [SecBuffer; 2],
    descriptor: SecBufferDesc,
    alert: [u8; 2],
}

/// The four buffers of one record of SEAL or UNSEAL, for a call that returns before they go.
pub struct RecordBuffers([SecBuffer; 4]);

// SAFETY: the pointers are to memory of the operation that owns the value.
unsafe impl Send for InputBuffers {}
// SAFETY: as above.
unsafe impl Send for OutputBuffers {}

const EMPTY: SecBuffer = SecBuffer {
    cbBuffer: 0,
    BufferType: SECBUFFER_EMPTY,
    pvBuffer: ptr::null_mut(),
};

const NO_BUFFERS: SecBufferDesc = SecBufferDesc {
    ulVersion: SECBUFFER_VERSION,
    cBuffers: 0,
    pBuffers: ptr::null_mut(),
};

impl InputBuffers {
    /// Not usable until tied.
    pub const fn new() -> Self {
        Self {
            array: [EMPTY; 4],
            descriptor: NO_BUFFERS,
        }
    }

    /// Describes `token`, and `protocols` unless they are empty, and gives the descriptor.
    ///
    /// # Safety
    ///
    /// `this` and both slices stay where they are while the call uses them.
    pub unsafe fn tie(
        this: *mut Self,
        token: &mut [u8],
        protocols: &mut [u8],
    ) -> *mut SecBufferDesc {
        // SAFETY: the value is alive and the caller's (this function's contract).
        let value = unsafe { &mut *this };
        let count = if protocols.is_empty() { 3 } else { 4 };
        value.array = [
            buffer(SECBUFFER_TOKEN, token),
            EMPTY,
            EMPTY,
            buffer(SECBUFFER_APPLICATION_PROTOCOLS, protocols),
        ];
        value.descriptor = SecBufferDesc {
            cBuffers: count,
            pBuffers: value.array.as_mut_ptr(),
            ..NO_BUFFERS
        };
        &raw mut value.descriptor
    }

    /// Describes a client's first input: `protocols`, or nothing at all. Gives the descriptor, null for
    /// nothing (documentation of `InitializeSecurityContext (Schannel)`).
    ///
    /// # Safety
    ///
    /// `this` and `protocols` stay where they are while the call uses them.
    pub unsafe fn tie_first(this: *mut Self, protocols: &mut [u8]) -> *mut SecBufferDesc {
        if protocols.is_empty() {
            return ptr::null_mut();
        }
        // SAFETY: the value is alive and the caller's (this function's contract).
        let value = unsafe { &mut *this };
        value.array = [
            buffer(SECBUFFER_APPLICATION_PROTOCOLS, protocols),
            EMPTY,
            EMPTY,
            EMPTY,
        ];
        value.descriptor = SecBufferDesc {
            cBuffers: 1,
            pBuffers: value.array.as_mut_ptr(),
            ..NO_BUFFERS
        };
        &raw mut value.descriptor
    }

    /// The length of the EXTRA buffer: bytes at the end of the token that were not used.
    pub fn extra(&self) -> Option<usize> {
        length_of(&self.array, SECBUFFER_EXTRA)
    }

    /// The length of the MISSING buffer: a hint.
    pub fn missing(&self) -> Option<usize> {
        length_of(&self.array, SECBUFFER_MISSING)
    }
}

impl OutputBuffers {
    /// Not usable until tied.
    pub const fn new() -> Self {
        Self {
            array: [EMPTY; 2],
            descriptor: NO_BUFFERS,
            alert: [0; 2],
        }
    }

    /// Describes `token` as the room for output, and gives the descriptor.
    ///
    /// # Safety
    ///
    /// `this` and `token` stay where they are while the call uses them.
    pub unsafe fn tie(this: *mut Self, token: &mut [u8]) -> *mut SecBufferDesc {
        // SAFETY: the value is alive and the caller's (this function's contract).
        let value = unsafe { &mut *this };
        value.alert = [0; 2];
        value.array = [
            buffer(SECBUFFER_TOKEN, token),
            buffer(SECBUFFER_ALERT, &mut value.alert),
        ];
        value.descriptor = SecBufferDesc {
            cBuffers: 2,
            pBuffers: value.array.as_mut_ptr(),
            ..NO_BUFFERS
        };
        &raw mut value.descriptor
    }

    /// Bytes of token that the call made.
    pub fn produced(&self) -> usize {
        length_of(&self.array, SECBUFFER_TOKEN).unwrap_or(0)
    }

    /// The alert, if the call filled one in: its level is never 0 (RFC 8446, section 6).
    pub const fn alert(&self) -> Option<Alert> {
        match self.alert {
            [0, _] => None,
            [level, description] => Some(Alert { level, description }),
        }
    }
}

impl RecordBuffers {
    /// For SEAL: header, data and trailer lie one behind the other.
    pub fn to_seal(header: &mut [u8], data: &mut [u8], trailer: &mut [u8]) -> Self {
        Self([
            buffer(SECBUFFER_STREAM_HEADER, header),
            buffer(SECBUFFER_DATA, data),
            buffer(SECBUFFER_STREAM_TRAILER, trailer),
            EMPTY,
        ])
    }

    /// For UNSEAL: the record, and room to report what it is made of.
    pub fn to_unseal(record: &mut [u8]) -> Self {
        Self([buffer(SECBUFFER_DATA, record), EMPTY, EMPTY, EMPTY])
    }

    /// The descriptor, for a call that returns while `self` is borrowed.
    pub fn descriptor(&mut self) -> SecBufferDesc {
        SecBufferDesc {
            cBuffers: 4,
            pBuffers: self.0.as_mut_ptr(),
            ..NO_BUFFERS
        }
    }

    /// Bytes of the sealed record: the sum of the first three buffers.
    pub fn sealed(&self) -> usize {
        self.0
            .iter()
            .take(3)
            .fold(0, |sum, part| sum.saturating_add(part.cbBuffer as usize))
    }

    /// What UNSEAL reported of `record`, which begins at this address and has so many bytes. Places are
    /// Schannel's own words: core checks them.
    pub fn unsealed(&self, status: SecurityStatus, record: *const u8, length: usize) -> Unsealed {
        let span = |(start, length)| Span { start, length };
        // Schannel may leave the pointer of EXTRA out; those bytes are the last ones then.
        let extra = length_of(&self.0, SECBUFFER_EXTRA).map(|extra| {
            place_of(&self.0, SECBUFFER_EXTRA, record)
                .unwrap_or((length.saturating_sub(extra), extra))
        });
        Unsealed {
            status,
            data: place_of(&self.0, SECBUFFER_DATA, record).map(span),
            extra: extra.map(span),
            missing: length_of(&self.0, SECBUFFER_MISSING),
        }
    }
}

fn buffer(kind: u32, bytes: &mut [u8]) -> SecBuffer {
    SecBuffer {
        // Every buffer is far below 4 GiB: the limits of the protocol.
        cbBuffer: u32::try_from(bytes.len()).unwrap_or(0),
        BufferType: kind,
        pvBuffer: bytes.as_mut_ptr().cast::<c_void>(),
    }
}

fn find(array: &[SecBuffer], kind: u32) -> Option<&SecBuffer> {
    array.iter().find(|buffer| buffer.BufferType == kind)
}

fn length_of(array: &[SecBuffer], kind: u32) -> Option<usize> {
    find(array, kind).map(|buffer| buffer.cbBuffer as usize)
}

fn place_of(array: &[SecBuffer], kind: u32, start: *const u8) -> Option<(usize, usize)> {
    let buffer = find(array, kind)?;
    let place = buffer.pvBuffer.addr().checked_sub(start.addr())?;
    Some((place, buffer.cbBuffer as usize))
}
