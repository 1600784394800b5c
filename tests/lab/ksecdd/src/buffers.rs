//! The caller's buffer descriptors: which shapes are right, and how results are written into
//! them ("Buffers" of `AcceptSecurityContext` (Schannel), "Extra Buffers Returned by Schannel",
//! MicrosoftDocs/win32; microsoft/msquic, `tls_schannel.c`).

use crate::{
    machine::Machine,
    memory::{Place, Watch, get_from},
    protocols,
    rules::{
        ALERT_BUFFER_MISSING, APPLICATION_PROTOCOLS, Checked, DESCRIPTOR_SHAPE, DESCRIPTOR_VERSION,
        INPUT_CHANGED, OUTPUT_TOUCHED, check,
    },
    tls::outcome::{Alert, Outcome},
};
use smallvec::SmallVec;
use std::{ffi::c_void, ptr};
use tlsgate_lab_control::ksecdd::{ExtraPointer, FailedOutput, Missing, Switches};
use windows_sys::Win32::{
    Foundation::SEC_E_OK,
    Security::Authentication::Identity::{
        SECBUFFER_ALERT, SECBUFFER_APPLICATION_PROTOCOLS, SECBUFFER_EMPTY, SECBUFFER_EXTRA,
        SECBUFFER_MISSING, SECBUFFER_TOKEN, SECBUFFER_VERSION, SecBuffer, SecBufferDesc,
    },
};

/// More than any call has.
const MAX_BUFFERS: u32 = 32;

/// As many as most have.
const MOST_OFTEN: usize = 4;

/// A descriptor as the caller passed it.
#[derive(Debug)]
pub struct Buffers {
    descriptor: Place,
    array: Place,
    list: SmallVec<[Buffer; MOST_OFTEN]>,
}

/// One buffer of a descriptor.
#[derive(Debug, Clone, Copy)]
pub struct Buffer {
    /// Its type.
    pub kind: u32,
    /// The memory it names.
    pub place: Place,
    /// Where its `SecBuffer` is.
    header: Place,
}

impl Buffers {
    /// Reads a descriptor.
    ///
    /// # Safety
    ///
    /// Accessible memory there holds a `SecBufferDesc` and `SecBuffer`s.
    pub unsafe fn read(
        machine: &dyn Machine,
        what: &'static str,
        descriptor: *const SecBufferDesc,
    ) -> Checked<Self> {
        // SAFETY: as this function's caller asserts.
        let (description, descriptor) = unsafe { get_from(machine, what, descriptor) }?;
        let SecBufferDesc {
            ulVersion,
            cBuffers,
            pBuffers,
        } = description;
        check(ulVersion == SECBUFFER_VERSION, DESCRIPTOR_VERSION, || {
            format!("{what}: version {ulVersion}")
        })?;
        check(
            (1..=MAX_BUFFERS).contains(&cBuffers),
            DESCRIPTOR_SHAPE,
            || format!("{what}: {cBuffers} buffers"),
        )?;
        let count = cBuffers as usize;
        let mut list = SmallVec::with_capacity(count);
        for index in 0..count {
            let place = pBuffers.cast_const().wrapping_add(index);
            // SAFETY: as this function's caller asserts.
            let (buffer, header) = unsafe { get_from(machine, what, place) }?;
            let SecBuffer {
                cbBuffer,
                BufferType,
                pvBuffer,
            } = buffer;
            let length = if BufferType == SECBUFFER_EMPTY {
                0
            } else {
                cbBuffer as usize
            };
            list.push(Buffer {
                kind: BufferType,
                place: Place::bytes(machine, what, pvBuffer, length)?,
                header,
            });
        }
        Ok(Self {
            descriptor,
            array: Place::bytes(
                machine,
                what,
                pBuffers.cast(),
                count * size_of::<SecBuffer>(),
            )?,
            list,
        })
    }

    /// The buffers.
    pub fn list(&self) -> &[Buffer] {
        &self.list
    }

    /// The types of the buffers.
    pub fn kinds(&self) -> SmallVec<[u32; MOST_OFTEN]> {
        self.list.iter().map(|buffer| buffer.kind).collect()
    }

    /// Watches the descriptor, the array and what buffers hold.
    ///
    /// # Safety
    ///
    /// As for [`Watch::add`].
    unsafe fn watch(&self, watch: &mut Watch, writing: bool) {
        let rule = if writing {
            OUTPUT_TOUCHED
        } else {
            INPUT_CHANGED
        };
        for place in [self.descriptor, self.array] {
            // SAFETY: as this function's caller asserts.
            unsafe { watch.add(place, INPUT_CHANGED, true) };
        }
        for buffer in &self.list {
            // SAFETY: as this function's caller asserts.
            unsafe { watch.add(buffer.place, rule, writing) };
        }
    }
}

impl Buffer {
    /// Replaces the `SecBuffer`.
    ///
    /// # Safety
    ///
    /// It is still there, and nobody else uses it.
    pub unsafe fn replace(&self, kind: u32, length: usize, memory: *mut c_void) {
        let cb = u32::try_from(length).unwrap_or(u32::MAX);
        let replaced = SecBuffer {
            cbBuffer: cb,
            BufferType: kind,
            pvBuffer: memory,
        };
        // SAFETY: as this function's caller asserts.
        unsafe { self.header.put(replaced) };
    }

    /// Changes the length alone.
    ///
    /// # Safety
    ///
    /// As for [`Buffer::replace`].
    pub unsafe fn resize(&self, length: usize) {
        // SAFETY: as this function's caller asserts; the length is the first field.
        unsafe { self.header.put(u32::try_from(length).unwrap_or(u32::MAX)) };
    }

    /// The memory as the caller's pointer.
    pub fn pointer(&self, offset: usize) -> *mut c_void {
        self.place.pointer(offset)
    }
}

/// The input of a leg.
#[derive(Debug)]
pub struct Input {
    buffers: Option<Buffers>,
    /// ALPN names, in a first call.
    pub protocols: Vec<Vec<u8>>,
}

impl Input {
    /// A client's first call may have no input at all.
    pub fn none() -> Self {
        Self {
            buffers: None,
            protocols: Vec::new(),
        }
    }

    /// Reads the input of a leg: TOKEN, one or two EMPTY ("must immediately follow the token"),
    /// and in a first call `APPLICATION_PROTOCOLS`.
    ///
    /// # Safety
    ///
    /// As for [`Buffers::read`].
    pub unsafe fn read(
        machine: &dyn Machine,
        descriptor: *const SecBufferDesc,
        first: bool,
    ) -> Checked<Self> {
        // SAFETY: as this function's caller asserts.
        let buffers = unsafe { Buffers::read(machine, "pInput", descriptor) }?;
        let kinds = buffers.kinds();
        let (base, protocols) = match kinds.as_slice() {
            [base @ .., SECBUFFER_APPLICATION_PROTOCOLS] => (base, buffers.list().last()),
            base => (base, None),
        };
        let shape = matches!(
            base,
            [SECBUFFER_TOKEN, SECBUFFER_EMPTY]
                | [SECBUFFER_TOKEN, SECBUFFER_EMPTY, SECBUFFER_EMPTY]
        );
        check(shape, DESCRIPTOR_SHAPE, || {
            format!("input buffers {kinds:?}")
        })?;
        let protocols = match protocols {
            None => Vec::new(),
            Some(buffer) => {
                check(first, APPLICATION_PROTOCOLS, || {
                    "not the first call".to_owned()
                })?;
                // SAFETY: as this function's caller asserts, and the caller's call is under way.
                protocols::read(unsafe { buffer.place.read() })?
            }
        };
        Ok(Self {
            buffers: Some(buffers),
            protocols,
        })
    }

    /// A client's first call: `APPLICATION_PROTOCOLS` alone, or nothing.
    ///
    /// # Safety
    ///
    /// As for [`Buffers::read`].
    pub unsafe fn read_first_of_client(
        machine: &dyn Machine,
        descriptor: *const SecBufferDesc,
    ) -> Checked<Self> {
        if descriptor.is_null() {
            return Ok(Self::none());
        }
        // SAFETY: as this function's caller asserts.
        let buffers = unsafe { Buffers::read(machine, "pInput", descriptor) }?;
        let kinds = buffers.kinds();
        check(
            kinds.first() == Some(&SECBUFFER_APPLICATION_PROTOCOLS)
                && kinds[1..].iter().all(|&kind| kind == SECBUFFER_EMPTY),
            DESCRIPTOR_SHAPE,
            || format!("first input buffers of a client {kinds:?}"),
        )?;
        // SAFETY: as this function's caller asserts, and the caller's call is under way.
        let protocols = protocols::read(unsafe { buffers.list()[0].place.read() })?;
        Ok(Self {
            buffers: Some(buffers),
            protocols,
        })
    }

    /// Where the token is.
    pub fn token(&self) -> Option<Place> {
        let first = self.buffers.as_ref()?.list().first()?;
        (first.kind == SECBUFFER_TOKEN).then_some(first.place)
    }

    /// Watches all of it.
    ///
    /// # Safety
    ///
    /// As for [`Watch::add`].
    pub unsafe fn watch(&self, watch: &mut Watch) {
        if let Some(buffers) = &self.buffers {
            // SAFETY: as this function's caller asserts.
            unsafe { buffers.watch(watch, false) };
        }
    }

    /// Turns the first EMPTY buffer into EXTRA or MISSING. What is extra lies at the end of the token
    /// ("pvBuffer must not be used as data").
    ///
    /// # Safety
    ///
    /// As for [`Buffer::replace`].
    pub unsafe fn report(&self, extra: usize, missing: Option<usize>, switches: &Switches) {
        let Some(buffers) = &self.buffers else { return };
        let is_empty = |buffer: &&Buffer| buffer.kind == SECBUFFER_EMPTY;
        let Some(empty) = buffers.list().iter().find(is_empty) else {
            return;
        };
        let (kind, length, memory) = if let Some(missing) = missing {
            let Some(hint) = hint(missing, switches.missing) else {
                return;
            };
            (SECBUFFER_MISSING, hint, ptr::null_mut())
        } else if extra > 0 {
            let tail = self
                .token()
                .filter(|_| switches.extra_pointer == ExtraPointer::Given)
                .map_or(ptr::null_mut(), |token| token.pointer(token.len() - extra));
            (SECBUFFER_EXTRA, extra, tail)
        } else {
            return;
        };
        // SAFETY: as this function's caller asserts.
        unsafe { empty.replace(kind, length, memory) };
    }
}

/// What a MISSING buffer says of so many missing bytes.
pub fn hint(missing: usize, setting: Missing) -> Option<usize> {
    match setting {
        Missing::Exact => Some(missing),
        Missing::TooSmall => Some(1),
        Missing::TooLarge => Some(missing + 4096),
        Missing::Absent => None,
    }
}

/// The output of a leg: TOKEN and ALERT.
#[derive(Debug)]
pub struct Output {
    buffers: Buffers,
}

impl Output {
    /// Reads the output of a leg.
    ///
    /// # Safety
    ///
    /// As for [`Buffers::read`].
    pub unsafe fn read(machine: &dyn Machine, descriptor: *const SecBufferDesc) -> Checked<Self> {
        // SAFETY: as this function's caller asserts.
        let buffers = unsafe { Buffers::read(machine, "pOutput", descriptor) }?;
        let kinds = buffers.kinds();
        check(
            kinds.first() == Some(&SECBUFFER_TOKEN),
            DESCRIPTOR_SHAPE,
            || format!("output buffers {kinds:?}"),
        )?;
        check(
            kinds[1..] == [SECBUFFER_ALERT],
            ALERT_BUFFER_MISSING,
            || format!("output buffers {kinds:?}"),
        )?;
        let (token, alert) = (buffers.list()[0].place, buffers.list()[1].place);
        check(token.len() > 0, DESCRIPTOR_SHAPE, || {
            "an output token without memory".to_owned()
        })?;
        check(alert.len() >= 2, ALERT_BUFFER_MISSING, || {
            format!("{} bytes for level and description", alert.len())
        })?;
        Ok(Self { buffers })
    }

    /// Bytes there are for the token.
    pub fn room(&self) -> usize {
        self.buffers.list()[0].place.len()
    }

    /// Watches all of it.
    ///
    /// # Safety
    ///
    /// As for [`Watch::add`].
    pub unsafe fn watch(&self, watch: &mut Watch) {
        // SAFETY: as this function's caller asserts.
        unsafe { self.buffers.watch(watch, true) };
    }

    /// Writes the token, which fits, and the alert.
    ///
    /// # Safety
    ///
    /// As for [`Buffer::replace`].
    pub unsafe fn fill(&self, outcome: &Outcome, switches: &Switches) {
        let [token, alert_buffer, ..] = self.buffers.list() else {
            return;
        };
        let bytes = &outcome.token;
        let failed = outcome.status < SEC_E_OK && bytes.is_empty();
        if !failed || switches.failed_output == FailedOutput::Zeroed {
            // SAFETY: as this function's caller asserts.
            let memory = unsafe { token.place.write() };
            memory[..bytes.len()].copy_from_slice(bytes);
            // SAFETY: as this function's caller asserts.
            unsafe { token.resize(bytes.len()) };
        }
        if let Some(Alert { level, description }) =
            outcome.alert.filter(|_| switches.alert_reported)
        {
            // SAFETY: as this function's caller asserts.
            let memory = unsafe { alert_buffer.place.write() };
            memory[..2].copy_from_slice(&[level, description]);
        }
    }
}
