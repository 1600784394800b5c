//! An ETW session of this program's own, in real time, with the driver's provider enabled in it.
//!
//! As Microsoft's documentation has it under "Configuring and Starting an Event Tracing Session" and
//! "Consuming Events": `StartTraceW`, `EnableTraceEx2`, `OpenTraceW`, and `ProcessTrace` on a thread of
//! its own until the session is stopped.

use super::{Traced, decode};
use anyhow::{Result, anyhow, bail};
use std::{io, mem, ptr, slice, sync::Arc, thread};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use windows_sys::{
    Win32::{
        Foundation::{ERROR_ALREADY_EXISTS, ERROR_SUCCESS, ERROR_WMI_INSTANCE_NOT_FOUND},
        System::Diagnostics::Etw::{
            CONTROLTRACE_HANDLE, CloseTrace, ControlTraceW, EVENT_CONTROL_CODE_ENABLE_PROVIDER,
            EVENT_HEADER_EXT_TYPE_EVENT_SCHEMA_TL, EVENT_RECORD, EVENT_TRACE_CONTROL_STOP,
            EVENT_TRACE_LOGFILEW, EVENT_TRACE_LOGFILEW_0, EVENT_TRACE_LOGFILEW_1,
            EVENT_TRACE_PROPERTIES, EVENT_TRACE_REAL_TIME_MODE, EnableTraceEx2, OpenTraceW,
            PROCESS_TRACE_MODE_EVENT_RECORD, PROCESS_TRACE_MODE_REAL_TIME, PROCESSTRACE_HANDLE,
            ProcessTrace, StartTraceW, WNODE_FLAG_TRACED_GUID,
        },
    },
    core::GUID,
};

/// The driver's provider; `driver/src/trace.rs` has where it comes from.
static PROVIDER: GUID = GUID::from_u128(0xd0ab_eb88_2f9d_5c8e_084e_76ae_e76d_0f1d);

/// The session's name: one on a machine.
const NAME: &str = "TlsGate trace";

/// UTF-16 units of a session's or a file's name, the zero included (`EVENT_TRACE_PROPERTIES`).
const NAME_UNITS: usize = 1024;

/// Every level, up to verbose.
const LEVEL: u8 = 5;

/// Events come out of their buffers at least so often, in seconds.
const FLUSH: u32 = 1;

/// Events that wait to be printed. When there are more, those after them wait in ETW's buffers; what finds
/// no place there either ETW counts as lost.
const WAITING: usize = 1024;

/// What `OpenTraceW` gives when it fails.
const INVALID: u64 = u64::MAX;

/// A session that runs. Dropping it stops it.
pub struct Session {
    name: Vec<u16>,
    control: CONTROLTRACE_HANDLE,
    running: bool,
    reader: Option<thread::JoinHandle<u32>>,
}

/// `EVENT_TRACE_PROPERTIES` with the room for names behind it.
#[repr(C)]
struct Properties {
    head: EVENT_TRACE_PROPERTIES,
    session: [u16; NAME_UNITS],
    file: [u16; NAME_UNITS],
}

impl Session {
    /// Starts it in place of one that another run has, or has left; its events come out of the channel,
    /// which ends with the session.
    pub fn start() -> Result<(Self, Receiver<Traced>)> {
        let name: Vec<u16> = NAME.encode_utf16().chain([0]).collect();
        let mut control = CONTROLTRACE_HANDLE::default();
        let mut started = start(&name, &mut control);
        if started == ERROR_ALREADY_EXISTS {
            stop(CONTROLTRACE_HANDLE::default(), Some(&name))?;
            started = start(&name, &mut control);
        }
        check(started, "start a trace session")?;
        let mut session = Self {
            name,
            control,
            running: true,
            reader: None,
        };
        // SAFETY: the session has been started; the provider's identifier outlives the call.
        let enabled = unsafe {
            EnableTraceEx2(
                control,
                &raw const PROVIDER,
                EVENT_CONTROL_CODE_ENABLE_PROVIDER,
                LEVEL,
                0,
                0,
                0,
                ptr::null(),
            )
        };
        check(enabled, "enable the provider TlsGate")?;
        let (sender, receiver) = channel(WAITING);
        session.reader = Some(session.read(sender)?);
        Ok((session, receiver))
    }

    /// Opens the session for reading and starts the thread that reads.
    fn read(&mut self, sender: Sender<Traced>) -> Result<thread::JoinHandle<u32>> {
        let sender = Arc::new(sender);
        let mut source = EVENT_TRACE_LOGFILEW {
            LoggerName: self.name.as_mut_ptr(),
            Anonymous1: EVENT_TRACE_LOGFILEW_0 {
                ProcessTraceMode: PROCESS_TRACE_MODE_REAL_TIME | PROCESS_TRACE_MODE_EVENT_RECORD,
            },
            Anonymous2: EVENT_TRACE_LOGFILEW_1 {
                EventRecordCallback: Some(take),
            },
            Context: Arc::as_ptr(&sender).cast_mut().cast(),
            ..EVENT_TRACE_LOGFILEW::default()
        };
        // SAFETY: the name is terminated, and lives as long as the session; the context lives until the
        // thread below is done with it.
        let trace = unsafe { OpenTraceW(&raw mut source) };
        if trace.Value == INVALID {
            return Err(failure(
                "read the trace session",
                io::Error::last_os_error(),
            ));
        }
        Ok(thread::Builder::new()
            .name("events".into())
            .spawn(move || process(trace, &sender))?)
    }

    /// Stops it and waits for the last event, for which the channel must have room or be closed.
    pub fn stop(&mut self) -> Result<()> {
        self.running = false;
        stop(self.control, None)?;
        let Some(reader) = self.reader.take() else {
            return Ok(());
        };
        match reader.join() {
            Ok(ERROR_SUCCESS) => Ok(()),
            Ok(code) => check(code, "read the trace session"),
            Err(_) => bail!("the thread that reads events has failed"),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.running
            && let Err(error) = stop(self.control, None)
        {
            eprintln!("tlsgate: the trace session \"{NAME}\" is left: {error:#}");
        }
    }
}

/// Gives events to the callback until the session ends. `sender` is what the callback has: it lives
/// until then, and the channel ends with it.
fn process(trace: PROCESSTRACE_HANDLE, _sender: &Arc<Sender<Traced>>) -> u32 {
    // SAFETY: the trace is open; no start and no end of the time are named.
    let code = unsafe { ProcessTrace(&raw const trace, 1, ptr::null(), ptr::null()) };
    // SAFETY: the trace is open, and closed only here.
    let closed = unsafe { CloseTrace(trace) };
    if code == ERROR_SUCCESS { closed } else { code }
}

/// Takes an event. Called by `ProcessTrace` on its thread.
unsafe extern "system" fn take(record: *mut EVENT_RECORD) {
    // SAFETY: ETW calls with a whole record, which lives as long as the call.
    let record = unsafe { &*record };
    let header = &record.EventHeader;
    // The session begins with an event of ETW's own.
    if header.ProviderId.data1 != PROVIDER.data1 || header.ProviderId.data4 != PROVIDER.data4 {
        return;
    }
    // SAFETY: ETW says how many items and how many bytes of payload there are.
    let items = unsafe { bytes_of(record.ExtendedData, record.ExtendedDataCount) };
    let schema = items
        .iter()
        .find(|item| u32::from(item.ExtType) == EVENT_HEADER_EXT_TYPE_EVENT_SCHEMA_TL);
    let Some(schema) = schema else { return };
    // SAFETY: an item says where its bytes are and how many.
    let metadata = unsafe { bytes_of(schema.DataPtr as *const u8, schema.DataSize) };
    // SAFETY: as above.
    let payload = unsafe { bytes_of(record.UserData.cast::<u8>(), record.UserDataLength) };
    let Some(event) = decode::event(metadata, payload) else {
        eprintln!("tlsgate: an event that does not fit its own description was left out");
        return;
    };
    // SAFETY: the context is the channel's end, which lives until `ProcessTrace` has returned.
    let sender = unsafe { &*record.UserContext.cast::<Sender<Traced>>() };
    // Nobody listens any more only when the program ends.
    let _ = sender.blocking_send(Traced {
        time: header.TimeStamp,
        level: header.EventDescriptor.Level,
        event,
    });
}

/// So many values at this place; none where there is no place.
///
/// # Safety
///
/// They are there, and stay as long as they are used.
unsafe fn bytes_of<'a, T>(place: *const T, count: u16) -> &'a [T] {
    if place.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: the caller's.
    unsafe { slice::from_raw_parts(place, count.into()) }
}

fn properties() -> Box<Properties> {
    let mut properties = Box::new(Properties {
        head: EVENT_TRACE_PROPERTIES::default(),
        session: [0; NAME_UNITS],
        file: [0; NAME_UNITS],
    });
    let head = &mut properties.head;
    head.Wnode.BufferSize = size(size_of::<Properties>());
    head.Wnode.Flags = WNODE_FLAG_TRACED_GUID;
    // Time stamps of the performance counter, which ProcessTrace turns into system time.
    head.Wnode.ClientContext = 1;
    head.LogFileMode = EVENT_TRACE_REAL_TIME_MODE;
    head.FlushTimer = FLUSH;
    head.LoggerNameOffset = size(mem::offset_of!(Properties, session));
    properties
}

fn size(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn start(name: &[u16], control: &mut CONTROLTRACE_HANDLE) -> u32 {
    let mut properties = properties();
    // SAFETY: the name is terminated; the properties have the room that they say.
    unsafe { StartTraceW(control, name.as_ptr(), (&raw mut *properties).cast()) }
}

/// Stops the session of this name, or the one that has been started with this handle, whoever has the
/// name by now. One that is not there has been stopped.
fn stop(control: CONTROLTRACE_HANDLE, name: Option<&[u16]>) -> Result<()> {
    let mut properties = properties();
    properties.head.LogFileNameOffset = size(mem::offset_of!(Properties, file));
    // SAFETY: a name is terminated, and with one the handle means nothing; the properties have the room
    // that they say.
    let code = unsafe {
        ControlTraceW(
            control,
            name.map_or(ptr::null(), <[u16]>::as_ptr),
            (&raw mut *properties).cast(),
            EVENT_TRACE_CONTROL_STOP,
        )
    };
    if code == ERROR_WMI_INSTANCE_NOT_FOUND {
        return Ok(());
    }
    check(code, "stop the trace session")?;
    let (events, buffers) = (
        properties.head.EventsLost,
        properties.head.RealTimeBuffersLost,
    );
    if events != 0 || buffers != 0 {
        eprintln!("tlsgate: ETW has lost {events} events, and {buffers} buffers of them");
    }
    Ok(())
}

fn check(code: u32, what: &str) -> Result<()> {
    if code == ERROR_SUCCESS {
        return Ok(());
    }
    Err(failure(
        what,
        io::Error::from_raw_os_error(code.cast_signed()),
    ))
}

/// What could not be done, why, and what to do.
fn failure(what: &str, error: io::Error) -> anyhow::Error {
    if crate::environment::wine().is_some() {
        // Whatever Wine says is not the reason.
        return anyhow!("cannot {what}: {error}; Wine has no event tracing, run it on Windows");
    }
    anyhow::Error::new(error).context(format!(
        "cannot {what} (run it as an administrator, or as a member of the group Performance Log Users)"
    ))
}
