//! Whose time it is: in builds that measure, each thread's time is entered for the driver, for what it imports, for
//! ksecdd, or for none of them. In others nothing is.
//!
//! The driver's time runs from each entry into it to its return; what it imports is entered apart, and ksecdd's time,
//! but for what the driver does when it is called back; what a wait takes, and what anybody else does meanwhile on
//! that thread is nobody's. Reading the clock takes time as well: [`total`] takes off what that costs, as it was
//! measured on this machine.

use crate::{call, checks::MEASURED, mine::Mine, object::lock};
use std::{
    arch::x86_64::_rdtsc,
    cell::Cell,
    sync::{
        LazyLock, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Whose a stretch of time is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose {
    /// Neither the driver's nor for it.
    Nobody = 0,
    /// The driver's own code runs.
    Driver = 1,
    /// A function that it imports from the kernel or KMDF runs.
    Import = 2,
    /// A function of ksecdd's runs.
    Engine = 3,
}

const KINDS: usize = 4;

/// One thread's time, in ticks of the processor's counter.
#[derive(Default)]
struct Account {
    whose: AtomicUsize,
    since: AtomicU64,
    ticks: [AtomicU64; KINDS],
    stretches: [AtomicU64; KINDS],
}

static MINE: Mine<Cell<Option<&'static Account>>> = Mine::new(|| Cell::new(None));

/// Every thread's that ever called: they are few, and none is forgotten.
static ALL: Mutex<Vec<&'static Account>> = Mutex::new(Vec::new());

/// Whether time is entered.
static RUNS: AtomicBool = AtomicBool::new(false);
/// When it began to be.
static BEGAN: AtomicU64 = AtomicU64::new(0);

/// What all threads together have spent.
#[derive(Clone, Copy, Default, Debug)]
pub struct Total {
    /// In the driver's own code.
    pub driver: Duration,
    /// In what it imports.
    pub imported: Duration,
    /// In ksecdd.
    pub engine: Duration,
}

/// Runs `work` for somebody.
#[inline]
pub fn of<R>(whose: Whose, work: impl FnOnce() -> R) -> R {
    if !MEASURED {
        return work();
    }
    let before = change(whose);
    let result = work();
    change(before);
    result
}

/// From here on this thread's time is somebody else's; gives whose it was. While none is entered, that is nobody's.
#[inline]
pub fn change(whose: Whose) -> Whose {
    if !MEASURED || !RUNS.load(Relaxed) {
        return Whose::Nobody;
    }
    let account = MINE.get().get().unwrap_or_else(open);
    let before = account.whose.load(Relaxed);
    account.whose.store(whose as usize, Relaxed);
    let now = ticks();
    let since = account.since.load(Relaxed).max(BEGAN.load(Relaxed));
    add(&account.ticks[before], now.saturating_sub(since));
    add(&account.stretches[before], 1);
    account.since.store(now, Relaxed);
    match before {
        0 => Whose::Nobody,
        1 => Whose::Driver,
        2 => Whose::Import,
        _ => Whose::Engine,
    }
}

/// Only its own thread writes to an account.
fn add(sum: &AtomicU64, more: u64) {
    sum.store(sum.load(Relaxed).wrapping_add(more), Relaxed);
}

#[cold]
fn open() -> &'static Account {
    let account: &'static Account = Box::leak(Box::default());
    lock(&ALL).push(account);
    MINE.get().set(Some(account));
    account
}

/// Enters time from now on, or no longer: throughput is measured without.
pub fn run(wanted: bool) {
    if wanted && !RUNS.load(Relaxed) {
        // Whose a thread's time was when it was last entered says nothing now.
        for account in lock(&ALL).iter() {
            account.whose.store(Whose::Nobody as usize, Relaxed);
        }
        BEGAN.store(ticks(), Relaxed);
    }
    RUNS.store(wanted, Relaxed);
}

/// Everything entered so far, without what entering it took.
pub fn total() -> Total {
    let cost = cost();
    let all = lock(&ALL);
    let net = |whose: Whose| {
        let kind = whose as usize;
        let sum = |of: fn(&Account) -> &[AtomicU64; KINDS]| {
            let each = all.iter().map(|account| of(account)[kind].load(Relaxed));
            each.fold(0, u64::wrapping_add)
        };
        let (ticks, stretches) = (
            sum(|account| &account.ticks),
            sum(|account| &account.stretches),
        );
        #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53")]
        time(ticks).saturating_sub(cost[kind].mul_f64(stretches as f64))
    };
    Total {
        driver: net(Whose::Driver),
        imported: net(Whose::Import),
        engine: net(Whose::Engine),
    }
}

/// What entering a stretch adds to the stretch itself, by kind: to an import the reading of the clock; to the driver's
/// time the stand-in's way in and out as well, up to where the clock is read.
fn cost() -> [Duration; KINDS] {
    static COST: OnceLock<[Duration; KINDS]> = OnceLock::new();
    *COST.get_or_init(|| {
        let mut cost = [Duration::ZERO; KINDS];
        let import = Whose::Import as usize;
        cost[import] = measured_cost(|| of(Whose::Import, || std::hint::black_box(())))[import];
        let driver = Whose::Driver as usize;
        cost[driver] =
            measured_cost(|| std::hint::black_box(call::nothing as extern "system" fn())())[driver];
        cost
    })
}

/// What is entered for each kind when the driver does nothing but to call an import, by call: the least of some
/// batches, as a thread that has lost the processor meanwhile would have too much taken off.
fn measured_cost(import: impl Fn()) -> [Duration; KINDS] {
    const BATCHES: u32 = 50;
    const CALLS: u32 = 2_000;
    let did_run = RUNS.load(Relaxed);
    run(true);
    // On an account of its own, which is in no sum.
    let account: &'static Account = Box::leak(Box::default());
    let outer = MINE.get().replace(Some(account));
    let mut least = [u64::MAX; KINDS];
    for _ in 0..BATCHES {
        for ticks in &account.ticks {
            ticks.store(0, Relaxed);
        }
        change(Whose::Driver);
        for _ in 0..CALLS {
            import();
        }
        change(Whose::Nobody);
        for (least, ticks) in least.iter_mut().zip(&account.ticks) {
            *least = ticks.load(Relaxed).min(*least);
        }
    }
    MINE.get().set(outer);
    run(did_run);
    least.map(|ticks| time(ticks) / CALLS)
}

/// The processor's counter, which runs evenly on every processor that Windows 11 does.
pub fn ticks() -> u64 {
    // SAFETY: the instruction is there on every x86-64 processor.
    unsafe { _rdtsc() }
}

/// Ticks as time. The counter's speed is told by the clock since the first call, ten milliseconds at least.
pub fn time(ticks: u64) -> Duration {
    const LEAST: Duration = Duration::from_millis(10);
    static START: LazyLock<(Instant, u64)> = LazyLock::new(|| (Instant::now(), self::ticks()));
    let (began, first) = *START;
    while began.elapsed() < LEAST {
        std::hint::spin_loop();
    }
    let (elapsed, passed) = (began.elapsed(), self::ticks().wrapping_sub(first));
    #[expect(clippy::cast_precision_loss, reason = "a ratio of large numbers")]
    elapsed.mul_f64(ticks as f64 / passed.max(1) as f64)
}
