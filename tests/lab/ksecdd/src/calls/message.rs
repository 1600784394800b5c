//! `SealMessage` and `UnsealMessage`: `EncryptMessage` and `DecryptMessage` (Schannel),
//! MicrosoftDocs/win32, under the names that the kernel exports.

use crate::{
    buffers::{Buffer, Buffers, hint},
    context::Use,
    ksecdd::Ksecdd,
    rules::{Checked, DESCRIPTOR_SHAPE, broken, check},
    tls::{
        record::{Front, MAX_PLAINTEXT, front},
        session::{Session, Unsealed},
    },
};
use std::{ptr, slice};
use tlsgate_lab_control::ksecdd::{EmptyData, ExtraPointer, Function, Switches};
use windows_sys::Win32::{
    Foundation::{
        SEC_E_BUFFER_TOO_SMALL, SEC_E_INCOMPLETE_MESSAGE, SEC_E_INVALID_HANDLE,
        SEC_E_INVALID_TOKEN, SEC_E_MESSAGE_ALTERED, SEC_E_OK, SEC_E_OUT_OF_SEQUENCE,
        SEC_E_QOP_NOT_SUPPORTED, SEC_E_UNSUPPORTED_FUNCTION, SEC_I_CONTEXT_EXPIRED,
        SEC_I_RENEGOTIATE,
    },
    Security::{
        Authentication::Identity::{
            SECBUFFER_DATA, SECBUFFER_EMPTY, SECBUFFER_EXTRA, SECBUFFER_MISSING,
            SECBUFFER_STREAM_HEADER, SECBUFFER_STREAM_TRAILER, SECQOP_WRAP_OOB_DATA, SecBufferDesc,
        },
        Credentials::SecHandle,
    },
};

impl Ksecdd {
    /// `SealMessage`.
    ///
    /// # Safety
    ///
    /// What pointers to accessible memory point to is of the type they say; nobody else uses
    /// the buffers.
    pub unsafe fn seal_message(
        &self,
        context: *const SecHandle,
        quality: u32,
        message: *const SecBufferDesc,
        sequence: u32,
    ) -> Checked<i32> {
        let function = Function::SealMessage;
        self.enter(function)?;
        // SAFETY: as this function's caller asserts.
        let Some(context) = (unsafe { self.context(context) })? else {
            return Ok(SEC_E_INVALID_HANDLE);
        };
        check_sequence(sequence)?;
        // SAFETY: as this function's caller asserts.
        let buffers = unsafe { Buffers::read(&*self.machine, "pMessage", message) }?;
        let parts = SealParts::of(&buffers)?;
        let alert = match quality {
            0 => false,
            SECQOP_WRAP_OOB_DATA if self.switches().out_of_band_alert => true,
            SECQOP_WRAP_OOB_DATA => return Ok(SEC_E_UNSUPPORTED_FUNCTION),
            _ => return Ok(SEC_E_QOP_NOT_SUPPORTED),
        };
        let used = context.begin(Use::Seal)?;
        if let Some(status) = self.fault_at_once(function) {
            return Ok(status);
        }
        let status = used.context.with_session(|session| {
            // SAFETY: as this function's caller asserts.
            unsafe { parts.seal(session, alert) }
        });
        Ok(status.unwrap_or(SEC_E_OUT_OF_SEQUENCE))
    }

    /// `UnsealMessage`.
    ///
    /// # Safety
    ///
    /// What pointers to accessible memory point to is of the type they say; nobody else uses
    /// the buffers.
    pub unsafe fn unseal_message(
        &self,
        context: *const SecHandle,
        message: *const SecBufferDesc,
        sequence: u32,
    ) -> Checked<i32> {
        let function = Function::UnsealMessage;
        self.enter(function)?;
        // SAFETY: as this function's caller asserts.
        let Some(context) = (unsafe { self.context(context) })? else {
            return Ok(SEC_E_INVALID_HANDLE);
        };
        check_sequence(sequence)?;
        // SAFETY: as this function's caller asserts.
        let buffers = unsafe { Buffers::read(&*self.machine, "pMessage", message) }?;
        let kinds = buffers.kinds();
        check(
            *kinds
                == [
                    SECBUFFER_DATA,
                    SECBUFFER_EMPTY,
                    SECBUFFER_EMPTY,
                    SECBUFFER_EMPTY,
                ],
            DESCRIPTOR_SHAPE,
            || format!("buffers to unseal {kinds:?}"),
        )?;
        let used = context.begin(Use::Unseal)?;
        if let Some(status) = self.fault_at_once(function) {
            return Ok(status);
        }
        let switches = self.switches();
        let status = used.context.with_session(|session| {
            // SAFETY: as this function's caller asserts.
            unsafe { unseal(session, buffers.list(), &switches) }
        });
        Ok(status.unwrap_or(SEC_E_OUT_OF_SEQUENCE))
    }
}

/// Schannel uses no sequence numbers: the parameter must be zero.
fn check_sequence(sequence: u32) -> Checked<()> {
    check(sequence == 0, DESCRIPTOR_SHAPE, || {
        format!("MessageSeqNo {sequence}")
    })
}

/// HEADER, DATA, TRAILER in one piece.
struct SealParts {
    header: Buffer,
    data: Buffer,
    trailer: Buffer,
}

impl SealParts {
    fn of(buffers: &Buffers) -> Checked<Self> {
        let kinds = buffers.kinds();
        let right = matches!(
            kinds.as_slice(),
            [
                SECBUFFER_STREAM_HEADER,
                SECBUFFER_DATA,
                SECBUFFER_STREAM_TRAILER
            ] | [
                SECBUFFER_STREAM_HEADER,
                SECBUFFER_DATA,
                SECBUFFER_STREAM_TRAILER,
                SECBUFFER_EMPTY
            ]
        );
        let &[header, data, trailer, ..] = buffers.list() else {
            return broken(DESCRIPTOR_SHAPE, format!("buffers to seal {kinds:?}"));
        };
        check(right, DESCRIPTOR_SHAPE, || {
            format!("buffers to seal {kinds:?}")
        })?;
        let contiguous = header.pointer(header.place.len()) == data.pointer(0)
            && data.pointer(data.place.len()) == trailer.pointer(0);
        check(contiguous, DESCRIPTOR_SHAPE, || {
            "header, data and trailer lie apart".to_owned()
        })?;
        Ok(Self {
            header,
            data,
            trailer,
        })
    }

    /// # Safety
    ///
    /// The memory is there and nobody else uses it.
    unsafe fn seal(&self, session: &mut Session, alert: bool) -> i32 {
        let (header, trailer) = (session.header(), session.trailer());
        let data = self.data.place.len();
        if self.header.place.len() < header || self.trailer.place.len() < trailer {
            return SEC_E_BUFFER_TOO_SMALL;
        }
        if data > MAX_PLAINTEXT || self.header.place.len() != header || (alert && data != 2) {
            return SEC_E_INVALID_TOKEN;
        }
        let start = self.header.pointer(0).cast::<u8>();
        // SAFETY: the three buffers are accessible and contiguous, and nobody else's now.
        let record = unsafe { slice::from_raw_parts_mut(start, header + data + trailer) };
        let status = session.seal(alert, record);
        if status == SEC_E_OK {
            // SAFETY: as this function's caller asserts.
            unsafe { self.trailer.resize(trailer) };
        }
        status
    }
}

/// # Safety
///
/// The memory is there and nobody else uses it.
unsafe fn unseal(session: &mut Session, buffers: &[Buffer], switches: &Switches) -> i32 {
    let &[data, second, third, fourth] = buffers else {
        return SEC_E_INVALID_TOKEN;
    };
    // SAFETY: as this function's caller asserts.
    let bytes = unsafe { data.place.write() };
    let total = bytes.len();
    let length = match front(bytes) {
        Front::Record(length) => length,
        Front::Partial { missing } => {
            if let Some(hint) = hint(missing, switches.missing) {
                // SAFETY: as this function's caller asserts.
                unsafe { second.replace(SECBUFFER_MISSING, hint, ptr::null_mut()) };
            }
            return SEC_E_INCOMPLETE_MESSAGE;
        }
        Front::NotTls => return SEC_E_MESSAGE_ALTERED,
    };
    let (status, plaintext, extra_from) = match session.unseal(&mut bytes[..length]) {
        Unsealed::Failed(status) => return status,
        Unsealed::Data(plaintext) => (SEC_E_OK, plaintext, length),
        Unsealed::Closed => (SEC_I_CONTEXT_EXPIRED, length..length, length),
        // The caller passes on the buffer as it is now, this record first. Documents before
        // November 2025 have it in an EXTRA buffer, that of then says there may be none.
        Unsealed::Renegotiate if switches.renegotiate_extra => (SEC_I_RENEGOTIATE, 0..0, 0),
        Unsealed::Renegotiate => {
            // SAFETY: as this function's caller asserts.
            unsafe { data.replace(SECBUFFER_DATA, 0, data.pointer(0)) };
            return SEC_I_RENEGOTIATE;
        }
    };
    let left_out = plaintext.is_empty() && switches.empty_data == EmptyData::LeftOut;
    let content = if left_out {
        SECBUFFER_EMPTY
    } else {
        SECBUFFER_DATA
    };
    let results = [
        (data, SECBUFFER_STREAM_HEADER, 0..plaintext.start),
        (second, content, plaintext.clone()),
        (
            third,
            SECBUFFER_STREAM_TRAILER,
            plaintext.end..extra_from.max(plaintext.end),
        ),
    ];
    for (buffer, kind, range) in results {
        // SAFETY: as this function's caller asserts.
        unsafe { buffer.replace(kind, range.len(), data.pointer(range.start)) };
    }
    if extra_from < total {
        let extra = match switches.extra_pointer {
            ExtraPointer::Documented | ExtraPointer::Given => data.pointer(extra_from),
            ExtraPointer::Absent => ptr::null_mut(),
        };
        // SAFETY: as this function's caller asserts.
        unsafe { fourth.replace(SECBUFFER_EXTRA, total - extra_from, extra) };
    }
    status
}
