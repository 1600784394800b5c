//! Event tracing: a provider's registration with ETW, and the way of an event to it.
//!
//! Microsoft documents it on the pages of `EtwRegister`, `EtwUnregister`, `EtwSetInformation` and
//! `EtwWriteTransfer` (wdm.h) and of `EVENT_DATA_DESCRIPTOR` (evntprov.h).

use core::{
    ffi::c_void,
    mem::offset_of,
    ptr,
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
};
use tlsgate_core::event::{Listening, Payload};
use tlsgate_protocol::NtStatus;

use super::check;

/// `EventProviderSetTraits`: the name, and that ETW minds the types of data descriptors.
const SET_TRAITS: u32 = 2;
/// `EVENT_CONTROL_CODE_DISABLE_PROVIDER`
const DISABLE: u32 = 0;
/// `EVENT_CONTROL_CODE_ENABLE_PROVIDER`
const ENABLE: u32 = 1;
/// `WINEVENT_CHANNEL_TRACELOGGING`: who reads finds the fields in the event itself.
const CHANNEL: u8 = 11;
/// `EVENT_DATA_DESCRIPTOR_TYPE_EVENT_METADATA`
const EVENT_METADATA: u32 = 1;
/// `EVENT_DATA_DESCRIPTOR_TYPE_PROVIDER_METADATA`
const PROVIDER_METADATA: u32 = 2;

/// GUID
#[repr(C)]
pub struct Guid {
    /// The first group of digits.
    pub first: u32,
    /// The second.
    pub second: u16,
    /// The third.
    pub third: u16,
    /// The rest, byte by byte.
    pub rest: [u8; 8],
}

/// `EVENT_DESCRIPTOR`
#[repr(C)]
struct Descriptor {
    id: u16,
    version: u8,
    channel: u8,
    level: u8,
    opcode: u8,
    task: u16,
    keyword: u64,
}

/// `EVENT_DATA_DESCRIPTOR`
#[repr(C)]
struct Data {
    address: u64,
    size: u32,
    /// The lowest byte is the type; the rest is reserved and 0.
    kind: u32,
}

const _: () = {
    assert!(size_of::<Guid>() == 16 && align_of::<Guid>() == 4);
    assert!(size_of::<Descriptor>() == 16 && offset_of!(Descriptor, keyword) == 8);
    assert!(size_of::<Data>() == 16 && offset_of!(Data, kind) == 12);
};

impl Data {
    fn new(bytes: &[u8], kind: u32) -> Self {
        Self {
            address: bytes.as_ptr() as u64,
            size: u32::try_from(bytes.len()).unwrap_or_default(),
            kind,
        }
    }
}

/// `PETWENABLECALLBACK`
type Enabled = unsafe extern "C" fn(
    source: *const Guid,
    control: u32,
    level: u8,
    any: u64,
    all: u64,
    filter: *mut c_void,
    context: *mut c_void,
);

// wdm.h declares them; what they take (evntprov.h) is in the kernel's headers only in parts.
unsafe extern "system" {
    fn EtwRegister(
        provider: *const Guid,
        callback: Option<Enabled>,
        context: *mut c_void,
        handle: *mut u64,
    ) -> i32;
    fn EtwUnregister(handle: u64) -> i32;
    fn EtwSetInformation(handle: u64, class: u32, information: *const c_void, length: u32) -> i32;
    fn EtwWriteTransfer(
        handle: u64,
        event: *const Descriptor,
        activity: *const Guid,
        related: *const Guid,
        count: u32,
        data: *const Data,
    ) -> i32;
}

/// An event's fixed part.
pub struct Event {
    /// 1 critical, 2 error, 3 warning, 4 information, 5 verbose.
    pub level: u8,
    /// What it is about, a bit each.
    pub keyword: u64,
    /// Its name and fields.
    pub metadata: &'static [u8],
}

/// A provider of events. Static: ETW keeps its address while it is registered.
pub struct Provider {
    id: Guid,
    metadata: &'static [u8],
    handle: AtomicU64,
    /// 1 more than the level that is listened to, for 0 is one, too; 0 when nobody listens.
    level_and_one: AtomicU8,
    any: AtomicU64,
    all: AtomicU64,
}

impl Provider {
    /// One that is not registered.
    pub const fn new(id: Guid, metadata: &'static [u8]) -> Self {
        Self {
            id,
            metadata,
            handle: AtomicU64::new(0),
            level_and_one: AtomicU8::new(0),
            any: AtomicU64::new(0),
            all: AtomicU64::new(0),
        }
    }

    /// Registers it. IRQL: PASSIVE_LEVEL, on a system thread.
    ///
    /// # Errors
    ///
    /// ETW refuses; nothing is traced then, which is no reason to fail.
    ///
    /// # Safety
    ///
    /// It is not registered, nobody else registers or unregisters it meanwhile, and
    /// [`Self::unregister`] is called before the driver goes.
    pub unsafe fn register(&'static self) -> Result<(), NtStatus> {
        let mut handle = 0;
        let context = ptr::from_ref(self).cast_mut().cast();
        // SAFETY: identifier and context are static; the callback is code of this image, and both are
        // there until `unregister`; the place for the result is ours.
        check(unsafe { EtwRegister(&raw const self.id, Some(enabled), context, &raw mut handle) })?;
        let traits = self.metadata;
        let length = u32::try_from(traits.len()).unwrap_or_default();
        // SAFETY: just registered; the traits are static, and their length is theirs.
        let set =
            check(unsafe { EtwSetInformation(handle, SET_TRAITS, traits.as_ptr().cast(), length) });
        if set.is_err() {
            // Without traits ETW takes metadata for data: better no events than unreadable ones.
            // SAFETY: just registered, and known to nobody else.
            let _status = unsafe { EtwUnregister(handle) };
            self.level_and_one.store(0, Ordering::Relaxed);
            return set;
        }
        self.handle.store(handle, Ordering::Release);
        Ok(())
    }

    /// Takes the registration back, if there is one. When it returns ETW calls no more. IRQL:
    /// PASSIVE_LEVEL.
    pub fn unregister(&self) {
        let handle = self.handle.swap(0, Ordering::AcqRel);
        if handle != 0 {
            // SAFETY: registered, and nobody else has the handle any more. Every writer has gone: whoever
            // calls this says so by unloading.
            let _status = unsafe { EtwUnregister(handle) };
            self.level_and_one.store(0, Ordering::Relaxed);
        }
    }

    /// Whether somebody listens to such events. A load and a comparison when nobody does. Any IRQL.
    #[inline]
    pub fn wants(&self, event: &Event) -> bool {
        let Some(level) = self.level_and_one.load(Ordering::Acquire).checked_sub(1) else {
            return false;
        };
        let listening = Listening {
            level,
            any: self.any.load(Ordering::Relaxed),
            all: self.all.load(Ordering::Relaxed),
        };
        listening.wants(event.level, event.keyword)
    }

    /// Writes an event. Any IRQL: what it passes is static or on the stack, and neither is paged out while
    /// this runs ("data passed ... cannot be pageable" above APC_LEVEL, says `EtwWriteTransfer`'s page).
    /// An event that ETW cannot take is lost, and ETW counts it.
    pub fn write(&self, event: &Event, payload: &Payload) {
        let handle = self.handle.load(Ordering::Acquire);
        if handle == 0 {
            return;
        }
        let descriptor = Descriptor {
            id: 0,
            version: 0,
            channel: CHANNEL,
            level: event.level,
            opcode: 0,
            task: 0,
            keyword: event.keyword,
        };
        let data = [
            Data::new(self.metadata, PROVIDER_METADATA),
            Data::new(event.metadata, EVENT_METADATA),
            Data::new(payload.bytes(), 0),
        ];
        // SAFETY: the handle is registered until the driver is unloaded; descriptor and data live across
        // the call and tell true lengths; the activities are optional.
        let _status = unsafe {
            EtwWriteTransfer(
                handle,
                &raw const descriptor,
                ptr::null(),
                ptr::null(),
                3,
                data.as_ptr(),
            )
        };
    }
}

/// Somebody listens from now on, or no more. IRQL: PASSIVE_LEVEL.
///
/// # Safety
///
/// Called by ETW, with the context that was registered.
unsafe extern "C" fn enabled(
    _source: *const Guid,
    control: u32,
    level: u8,
    any: u64,
    all: u64,
    _filter: *mut c_void,
    context: *mut c_void,
) {
    // SAFETY: the context is a static provider.
    let provider = unsafe { &*context.cast::<Provider>() };
    match control {
        DISABLE => provider.level_and_one.store(0, Ordering::Relaxed),
        ENABLE => {
            provider.any.store(any, Ordering::Relaxed);
            provider.all.store(all, Ordering::Relaxed);
            // Levels end at 255, which stands for every one as 0 does.
            let level_and_one = level.checked_add(1).unwrap_or(1);
            provider
                .level_and_one
                .store(level_and_one, Ordering::Release);
        }
        // A request to write what is the case, which nothing here does.
        _ => {}
    }
}
