//! Event tracing: providers are counted, what they write is checked, read and recorded.
//!
//! The rules are those of the reference pages of `EtwRegister`, `EtwUnregister`, `EtwSetInformation`,
//! `EtwWriteTransfer` (wdm.h) and `EVENT_INFO_CLASS` (evntprov.h).

use crate::{
    callback, control, event,
    event_data::{self, Data},
    ffi::{In, Out},
    irql::{self, PASSIVE},
    layout::NtStatus,
    object::lock,
    stop::{lab_failed, stop},
    token,
};
use std::{
    collections::{BTreeMap, VecDeque},
    fs::OpenOptions,
    io::Write,
    path::Path,
    sync::{Mutex, PoisonError, RwLock},
};
use tlsgate_lab_control::{
    FOLDER,
    kmdf::{EVENT_LOG, Event, Trace},
};
use windows_sys::Win32::Foundation::{STATUS_INVALID_PARAMETER, STATUS_SUCCESS};

/// `EventProviderSetTraits`
const SET_TRAITS: u32 = 2;
/// `MAX_EVENT_DATA_DESCRIPTORS`
const MOST_DESCRIPTORS: u32 = 128;
/// An event's bytes at most, ETW's own header aside.
const MOST_BYTES: usize = 64 << 10;
/// Events that are kept.
const KEPT: usize = 16_384;

/// GUID
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Guid(u32, u16, u16, [u8; 8]);

/// `EVENT_DESCRIPTOR`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Descriptor {
    id: u16,
    version: u8,
    channel: u8,
    level: u8,
    opcode: u8,
    task: u16,
    keyword: u64,
}

const _: () = {
    assert!(size_of::<Guid>() == 16);
    assert!(size_of::<Descriptor>() == 16);
};

/// `PETWENABLECALLBACK`
pub type Enabled = extern "system" fn(
    source: *const Guid,
    control: u32,
    level: u8,
    any: u64,
    all: u64,
    filter: usize,
    context: usize,
);

#[derive(Clone, Copy)]
struct Provider {
    identifier: Guid,
    callback: Option<Enabled>,
    context: usize,
    has_traits: bool,
}

#[derive(Default)]
struct Log {
    events: VecDeque<Event>,
    last: u64,
    writes: u64,
}

/// By handle.
static PROVIDERS: RwLock<BTreeMap<u64, Provider>> = RwLock::new(BTreeMap::new());
static LOG: Mutex<Option<Log>> = Mutex::new(None);
/// Who listens. Held during the driver's callbacks, too: `EtwUnregister` returns when none runs any more.
static LISTENER: Mutex<Option<Trace>> = Mutex::new(None);

/// Providers that are registered.
pub fn providers() -> usize {
    read().len()
}

/// Calls of `EtwWriteTransfer` so far.
pub fn writes() -> u64 {
    lock(&LOG).as_ref().map_or(0, |log| log.writes)
}

/// The events after the one of this number.
pub fn events(after: u64) -> Vec<Event> {
    lock(&LOG)
        .iter()
        .flat_map(|log| log.events.iter())
        .filter(|event| event.number > after)
        .cloned()
        .collect()
}

fn read() -> BTreeMap<u64, Provider> {
    PROVIDERS
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

/// A trace session starts, ends, or wants something else: every provider is told.
pub fn listen(trace: Option<Trace>) {
    let mut listener = lock(&LISTENER);
    if *listener != trace {
        *listener = trace;
        for provider in read().values() {
            provider.tell(trace);
        }
    }
}

impl Provider {
    fn tell(&self, trace: Option<Trace>) {
        const DISABLE: u32 = 0;
        const ENABLE: u32 = 1;
        let Some(enabled) = self.callback else { return };
        let (control, trace) = trace.map_or(
            (
                DISABLE,
                Trace {
                    level: 0,
                    any: 0,
                    all: 0,
                },
            ),
            |trace| (ENABLE, trace),
        );
        // Of EnableTraceEx2: "any" of 0 is every keyword, which is what providers are told.
        let any = if trace.any == 0 && control == ENABLE {
            u64::MAX
        } else {
            trace.any
        };
        let source = Guid(0, 0, 0, [0; 8]);
        token::on_behalf(None, || {
            callback::call("EtwEnableCallback", PASSIVE, || {
                enabled(
                    &raw const source,
                    control,
                    trace.level,
                    any,
                    trace.all,
                    0,
                    self.context,
                );
            });
        });
    }
}

/// `EtwRegister`: a session that listens already is told before it returns.
pub fn register(
    identifier: In<Guid>,
    callback: Option<Enabled>,
    context: usize,
    result: Out<u64>,
) -> NtStatus {
    /// No address, and no small number.
    const FIRST: u64 = 0x4554_5700;
    let identifier = identifier.need("ProviderId");
    let provider = Provider {
        identifier,
        callback,
        context,
        has_traits: false,
    };
    let listener = lock(&LISTENER);
    let handle = {
        let mut providers = PROVIDERS.write().unwrap_or_else(PoisonError::into_inner);
        let handle = providers
            .last_key_value()
            .map_or(FIRST, |(last, _)| last + 1);
        providers.insert(handle, provider);
        handle
    };
    if listener.is_some() {
        provider.tell(*listener);
    }
    result.set(handle);
    STATUS_SUCCESS
}

/// `EtwUnregister`: afterwards the driver is not called any more.
pub fn unregister(handle: u64) -> NtStatus {
    let _no_callback_runs = lock(&LISTENER);
    let mut providers = PROVIDERS.write().unwrap_or_else(PoisonError::into_inner);
    if providers.remove(&handle).is_none() {
        stop!("etw-not-registered", "EtwUnregister of {handle:#x}");
    }
    STATUS_SUCCESS
}

/// `EtwSetInformation`: a provider's traits are all that is here.
pub fn set_information(handle: u64, class: u32, information: usize, length: u32) -> NtStatus {
    let mut providers = PROVIDERS.write().unwrap_or_else(PoisonError::into_inner);
    let Some(provider) = providers.get_mut(&handle) else {
        stop!("etw-not-registered", "EtwSetInformation of {handle:#x}")
    };
    if class != SET_TRAITS {
        stop!("unimplemented", "EtwSetInformation of class {class}");
    }
    let traits = event_data::bytes(information as u64, length);
    if event::provider(&traits).is_err() || provider.has_traits {
        return STATUS_INVALID_PARAMETER;
    }
    provider.has_traits = true;
    STATUS_SUCCESS
}

/// `EtwWriteTransfer`: every rule holds whether somebody listens or not.
pub fn write(
    handle: u64,
    descriptor: In<Descriptor>,
    _activity: usize,
    _related: usize,
    count: u32,
    data: usize,
) -> NtStatus {
    let Some(provider) = read().get(&handle).copied() else {
        stop!("etw-not-registered", "EtwWriteTransfer to {handle:#x}")
    };
    lock(&LOG).get_or_insert_default().writes += 1;
    let descriptor = descriptor.need("EventDescriptor");
    if count > MOST_DESCRIPTORS {
        stop!("etw-bad-event", "{count} data descriptors");
    }
    let parts: Vec<Data> = (0..count as usize)
        .map(|index| In::at(data + size_of::<Data>() * index).need("UserData"))
        .collect();
    let size: usize = parts.iter().map(|part| part.size as usize).sum();
    if size > MOST_BYTES {
        stop!("etw-too-large", "an event of {size} bytes");
    }
    if !provider.has_traits {
        // EventProviderSetTraits: before it ETW takes no notice of the types.
        stop!(
            "etw-bad-event",
            "descriptors have types, and the provider no traits"
        );
    }
    let (name, decoded) = event_data::read(&parts);
    let listener = *lock(&LISTENER);
    if listener.is_some_and(|trace| wants(trace, &descriptor)) {
        record(Event {
            number: 0,
            provider: name,
            identifier: name_of(provider.identifier),
            name: decoded.name,
            level: descriptor.level,
            keyword: descriptor.keyword,
            irql: irql::current(),
            fields: decoded
                .fields
                .into_iter()
                .map(|field| (field.name, field.value))
                .collect(),
        });
    }
    STATUS_SUCCESS
}

fn wants(trace: Trace, event: &Descriptor) -> bool {
    let level = trace.level == 0 || event.level <= trace.level;
    let any = trace.any == 0 || event.keyword & trace.any != 0;
    level && (event.keyword == 0 || any && event.keyword & trace.all == trace.all)
}

fn name_of(Guid(first, second, third, rest): Guid) -> String {
    let [a, b, tail @ ..] = rest;
    let tail = tail
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    format!("{first:08x}-{second:04x}-{third:04x}-{a:02x}{b:02x}-{tail}")
}

fn record(mut event: Event) {
    let mut log = lock(&LOG);
    let log = log.get_or_insert_default();
    log.last += 1;
    event.number = log.last;
    if let Err(error) = append(&event) {
        lab_failed!("{EVENT_LOG}: {error:#}");
    }
    log.events.push_back(event);
    if log.events.len() > KEPT {
        log.events.pop_front();
    }
}

fn append(event: &Event) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(Path::new(FOLDER).join(EVENT_LOG))?;
    file.write_all(&line)?;
    Ok(())
}

/// STOPs when a provider is left: ETW would call into code that is gone.
pub fn check_at_unload() {
    let left = providers();
    if left > 0 {
        stop!("etw-still-registered", "{left} providers at unload");
    }
}

/// What a test has asked for before the driver was loaded.
pub fn begin() {
    listen(control::switches().trace);
}
