//! What the driver's rim brings for the policy, as plain as it can be: one thread, one handle, a clock that
//! stands still.

use anyhow::{Result, ensure};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};
use tlsgate_core::{
    belongings::Belongings,
    budget::Budget,
    histogram::Histogram,
    issuing::Issuing,
    leg::Leg,
    parties::Parties,
    quarantine::Quarantine,
    queue::{Lane, Limits, Queue},
    rate::Bucket,
    rundown::Rundown,
    session::{Phase, State},
    settings::Settings,
    share::Share,
    slot::{Call, CallSlot},
    ticket::Ticket,
    usage::Usage,
    wheel::{Key, Wheel},
};
use tlsgate_protocol::{CredentialId, SessionId};

/// The time, in 100 ns of unbiased interrupt time: an hour after the start.
pub const NOW: u64 = 3600 * 10_000_000;

/// The driver and one handle.
pub struct World {
    pub gate: Gate,
    pub handle: Handle,
    pub credential: CredentialId,
}

/// What there is once.
pub struct Gate {
    pub settings: Settings,
    pub queue: RefCell<Queue<Box<Operation>>>,
    /// Set from the start: an issuer works off what there is and comes back.
    stopping: AtomicUsize,
    pub wheel: RefCell<Wheel<Watched>>,
    pub sessions: Budget<AtomicUsize>,
    pub pending: Budget<AtomicUsize>,
    pub bytes: Budget<AtomicUsize>,
    pub quarantine: RefCell<Quarantine>,
    pub latency: Histogram,
    pub alive: Rundown<AtomicUsize>,
}

/// What a handle has.
pub struct Handle {
    pub lane: Lane,
    pub bytes: Budget<AtomicUsize>,
    pub places: Budget<AtomicUsize>,
    pub quarantine: Share<AtomicUsize>,
    pub orphans: Share<AtomicUsize>,
    pub own: RefCell<Belongings<Rc<Credential>, Rc<Session>, Rc<Pending>>>,
    pub failures: RefCell<Bucket>,
}

pub struct Credential {
    pub uses: Rundown<AtomicUsize>,
}

pub struct Session {
    pub state: State<AtomicUsize>,
    pub usage: Usage<AtomicUsize>,
    pub slot: CallSlot<AtomicUsize>,
    /// The key of what looks after its call.
    pub watch: AtomicU64,
    pub due: Cell<u64>,
}

/// A request that pends.
#[derive(Default)]
pub struct Pending {
    pub ticket: Ticket<AtomicUsize>,
    pub number: AtomicU64,
    pub deadline: AtomicU64,
}

/// What the wheel holds: it keeps alive what the watch would look at.
#[expect(
    dead_code,
    reason = "nothing here takes so long that the watch looks at it"
)]
pub enum Watched {
    Request(Rc<Pending>),
    Call(Rc<Session>, Call, Rc<Pending>),
}

/// An operation with a leg in it.
pub struct Operation {
    pub lane: Lane,
    pub admitted: bool,
    pub progress: Leg,
    pub pending: Rc<Pending>,
    pub session: Rc<Session>,
    pub id: SessionId,
    /// How many bytes of input it has, charged to its handle.
    pub charge: usize,
}

impl World {
    /// A driver that has just been started, with one handle and one credential.
    pub fn new() -> Self {
        let settings = Settings::default();
        let size = |setting: u32| usize::try_from(setting).expect("a setting is a size");
        let mut queue = Queue::new(Limits {
            lanes: size(settings.handles),
            registered: size(settings.operations),
            registered_per_lane: size(settings.operations_per_handle),
            inside: size(settings.inside),
            inside_least: size(settings.inside_least),
            inside_per_lane: size(settings.inside_per_handle),
            issuers: 2,
        });
        let lane = queue.open_lane().expect("it is the first");
        let mut own = Belongings::new(
            size(settings.credentials_per_handle),
            size(settings.sessions_per_handle),
            usize::MAX,
        );
        let credential = Rc::new(Credential {
            uses: Rundown::new(),
        });
        let Ok(credential) = own.add(|own| &mut own.credentials, credential) else {
            unreachable!("it is the first");
        };
        Self {
            gate: Gate {
                queue: RefCell::new(queue),
                stopping: AtomicUsize::new(1),
                wheel: RefCell::new(Wheel::new()),
                sessions: Budget::new(size(settings.sessions)),
                pending: Budget::new(size(settings.pending)),
                bytes: Budget::new(size(settings.input_mib) << 20),
                quarantine: RefCell::new(Quarantine::new(
                    u64::from(settings.quarantine_ms) * 10_000,
                    size(settings.quarantined),
                )),
                latency: Histogram::new(),
                alive: Rundown::new(),
                settings,
            },
            handle: Handle {
                lane,
                bytes: Budget::new(size(settings.input_mib_per_handle) << 20),
                places: Budget::new(size(settings.pending_per_handle)),
                quarantine: Share::new(size(settings.quarantined_per_handle)),
                orphans: Share::new(size(settings.orphans_per_handle)),
                own: RefCell::new(own),
                failures: RefCell::new(Bucket::new(
                    settings.failures_per_second,
                    settings.failures_burst,
                    NOW,
                )),
            },
            credential: CredentialId::new(credential),
        }
    }

    /// Every request came to its end.
    pub fn at_rest(&self) -> Result<()> {
        let queue = self.gate.queue.borrow();
        ensure!(queue.waiting() == 0, "operations wait");
        ensure!(queue.inside() == 0, "operations are inside");
        ensure!(self.gate.wheel.borrow().is_empty(), "something is watched");
        let own = self.handle.own.borrow();
        ensure!(own.pending.is_empty(), "requests pend");
        ensure!(!own.sessions.is_empty(), "there are no sessions");
        Ok(())
    }
}

impl Session {
    pub fn new() -> Self {
        Self {
            state: State::new(),
            usage: Usage::new(),
            slot: CallSlot::new(),
            watch: AtomicU64::new(0),
            due: Cell::new(0),
        }
    }

    /// When a leg that begins now must be over. As `Session::due` in `driver/src/session.rs`.
    pub fn due(&self, settings: &Settings) -> u64 {
        if self.state.phase() == Phase::Handshaking {
            self.due.get()
        } else {
            NOW + units(settings.handshake_timeout(0))
        }
    }
}

impl Gate {
    /// Forgets what the cell holds the key of. As `Watch::forget` in `driver/src/watch.rs`.
    pub fn unwatch(&self, cell: &AtomicU64) {
        let mut wheel = self.wheel.borrow_mut();
        let key = Key::from_raw(cell.swap(0, Ordering::AcqRel));
        let gone = key.and_then(|key| wheel.remove(key));
        if gone.is_some() {
            wheel.unreserve();
        }
    }

    /// Puts something into the wheel, and its key into the cell.
    pub fn watch(&self, due: u64, value: Watched, cell: &AtomicU64) {
        let mut wheel = self.wheel.borrow_mut();
        wheel.reserve().expect("there is memory");
        let Ok(key) = wheel.insert(due, value) else {
            unreachable!("room was made for it");
        };
        cell.store(key.raw(), Ordering::Release);
    }
}

impl Issuing for Gate {
    type Word = AtomicUsize;
    type Operation = Box<Operation>;
    type Thread = ();

    fn queue<R>(&self, act: impl FnOnce(&mut Queue<Box<Operation>>) -> R) -> R {
        act(&mut self.queue.borrow_mut())
    }

    fn now(&self) -> u64 {
        NOW
    }
    fn stopping(&self) -> &AtomicUsize {
        &self.stopping
    }

    fn release_one(&self) {}

    fn release_all(&self) {}

    fn wait(&self) {}

    fn next_thread(&self) -> Option<()> {
        None
    }

    fn join(&self, (): ()) {}
}

/// The operation of a request, which completes it.
pub struct Party<'a> {
    pub world: &'a World,
    pub pending: &'a Pending,
}

impl Parties for Party<'_> {
    type Word = AtomicUsize;

    fn ticket(&self) -> &Ticket<AtomicUsize> {
        &self.pending.ticket
    }

    fn forget(&self) {
        let number = self.pending.number.swap(0, Ordering::AcqRel);
        let mut own = self.world.handle.own.borrow_mut();
        drop(own.pending.remove(number));
        self.world.gate.unwatch(&self.pending.deadline);
    }

    fn unmark(&self) -> bool {
        true
    }

    fn complete_cancelled(&self) {
        unreachable!("nobody cancels here");
    }

    fn fail_session(&self) {
        unreachable!("nobody gives up here");
    }

    fn orphan_more(&self) {
        unreachable!("nobody gives up here");
    }

    fn orphan_less(&self) {
        unreachable!("nobody gives up here");
    }

    fn tell_orphan(&self) {
        unreachable!("nobody gives up here");
    }
}

/// Milliseconds in the units of the clock.
pub fn units(milliseconds: u32) -> u64 {
    u64::from(milliseconds) * 10_000
}
