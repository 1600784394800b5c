//! `WDFTIMER`

use crate::{
    attributes::Attributes,
    callback, clock,
    ffi::{In, Out},
    handle::{Handle, Kind},
    irql::{self, DISPATCH, PASSIVE},
    layout::{EXECUTION_PASSIVE, NtStatus, ObjectAttributes, TimerConfig},
    object::{self, Body, Ref, lock},
    stop::stop,
    token, worker,
};
use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, Once, PoisonError},
    thread::{self, ThreadId},
    time::Duration,
};
use windows_sys::Win32::Foundation::STATUS_SUCCESS;

/// `STATUS_WDF_INCOMPATIBLE_EXECUTION_LEVEL`
const INCOMPATIBLE_EXECUTION_LEVEL: NtStatus = 0xC020_020C_u32.cast_signed();

struct Timer {
    expired: extern "system" fn(Handle),
    period: Option<Duration>,
    passive: bool,
    state: Mutex<State>,
    idle: Condvar,
}

#[derive(Default)]
struct State {
    /// Started and not stopped: a periodic timer goes on.
    started: bool,
    /// Expirations whose callback has not returned.
    due: usize,
    /// The thread that is in the callback.
    running: Option<ThreadId>,
}

impl Body for Timer {
    const KIND: Kind = Kind::Timer;

    fn deleted(&self, handle: Handle) {
        lock(&self.state).started = false;
        unset(handle);
        self.wait();
    }
}

impl Timer {
    /// Waits until the callback has returned.
    fn wait(&self) {
        let state = lock(&self.state);
        if state.running == Some(thread::current().id()) {
            stop!("timer-waits-for-itself", "from within EvtTimerFunc");
        }
        drop(
            self.idle
                .wait_while(state, |state| state.due > 0)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}

/// Timers that are set, by due time on the lab's clock ([`clock::unbiased`]).
static SET: Mutex<BTreeMap<(u64, u64), Handle>> = Mutex::new(BTreeMap::new());
static CHANGED: Condvar = Condvar::new();
static STARTED: Once = Once::new();

/// `WdfTimerCreate`
pub fn create(
    config: In<TimerConfig>,
    attributes: In<ObjectAttributes>,
    result: Out<Handle>,
) -> NtStatus {
    let config = config.need("WDF_TIMER_CONFIG");
    if config.size as usize != size_of::<TimerConfig>() {
        stop!("structure-size", "WDF_TIMER_CONFIG.Size is {}", config.size);
    }
    let attributes = Attributes::read(attributes);
    let (Some(parent), Some(expired)) = (attributes.parent, config.expired) else {
        stop!(
            "timer-config",
            "a timer needs ParentObject and EvtTimerFunc"
        );
    };
    let passive = attributes.execution_level == EXECUTION_PASSIVE;
    // WDF_TIMER_CONFIG: a timer that serialises with a passive parent must be passive as well.
    let parent = object::any(parent).attributes.execution_level;
    if config.serialize != 0 && parent == EXECUTION_PASSIVE && !passive {
        return INCOMPATIBLE_EXECUTION_LEVEL;
    }
    let period = (config.period > 0).then(|| Duration::from_millis(config.period.into()));
    let body = Timer {
        expired,
        period,
        passive,
        state: Mutex::default(),
        idle: Condvar::new(),
    };
    result.set(object::create(&attributes, None, body).handle());
    STARTED.call_once(|| _ = thread::spawn(run));
    STATUS_SUCCESS
}

/// `WdfTimerStart`: true if it was set before.
pub fn start(handle: Handle, due: i64) -> u8 {
    let timer = object::find::<Timer>(handle);
    if due > 0 {
        stop!("unimplemented", "WdfTimerStart with an absolute time");
    }
    lock(&timer.state).started = true;
    let was_set = unset(handle);
    set(
        handle,
        Duration::from_nanos(due.unsigned_abs().saturating_mul(100)),
    );
    u8::from(was_set)
}

/// `WdfTimerStop`: true if it was set.
pub fn cancel(handle: Handle, wait: u8) -> u8 {
    let timer = object::find::<Timer>(handle);
    lock(&timer.state).started = false;
    let was_set = unset(handle);
    if wait != 0 {
        irql::at_most("WdfTimerStop with Wait", PASSIVE);
        timer.wait();
    }
    u8::from(was_set)
}

/// `WdfTimerGetParentObject`
pub fn parent(handle: Handle) -> Handle {
    object::find::<Timer>(handle)
        .parent()
        .unwrap_or(Handle::NONE)
}

/// Time was advanced.
pub fn time_has_passed() {
    // With the lock: the thread below has read the clock before or will read it after.
    let _set = lock(&SET);
    CHANGED.notify_all();
}

fn set(handle: Handle, delay: Duration) {
    let delay = u64::try_from(delay.as_nanos() / 100).unwrap_or(u64::MAX);
    let due = clock::unbiased().saturating_add(delay);
    lock(&SET).insert((due, handle.0), handle);
    CHANGED.notify_all();
}

fn unset(handle: Handle) -> bool {
    let mut set = lock(&SET);
    let before = set.len();
    set.retain(|_, other| *other != handle);
    set.len() < before
}

/// The thread that waits for timers to become due.
fn run() {
    let mut set = lock(&SET);
    loop {
        let now = clock::unbiased();
        let next = set.first_key_value().map(|(&key, _)| key);
        set = match next {
            None => CHANGED.wait(set).unwrap_or_else(PoisonError::into_inner),
            Some((due, _)) if due > now => {
                CHANGED
                    .wait_timeout(set, Duration::from_nanos((due - now).saturating_mul(100)))
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
            Some(key) => {
                if let Some(handle) = set.remove(&key) {
                    // Counted while the list is locked: deletion waits for the lock, then for the
                    // callback.
                    let timer = object::find_even_deleted::<Timer>(handle);
                    lock(&timer.state).due += 1;
                    worker::submit(move || expire(&timer));
                }
                set
            }
        };
    }
}

fn expire(timer: &Ref<Timer>) {
    lock(&timer.state).running = Some(thread::current().id());
    let level = if timer.passive { PASSIVE } else { DISPATCH };
    token::on_behalf(None, || {
        callback::call("EvtTimerFunc", level, || (timer.expired)(timer.handle()));
    });
    if let Some(period) = timer.period
        && lock(&timer.state).started
    {
        set(timer.handle(), period);
        // Stopped in between: whoever did so has not seen what was just set.
        if !lock(&timer.state).started {
            unset(timer.handle());
        }
    }
    let mut state = lock(&timer.state);
    state.running = None;
    state.due -= 1;
    timer.idle.notify_all();
}
