//! How deep the driver's own code goes into the stack: what lies below it is painted before it runs, and looked
//! at when it calls the stand-in or returns.
//!
//! A kernel stack on x64 has 24 KiB ("Using the Kernel Stack", windows-driver-docs), for a whole chain of drivers
//! and what they call. So each entry into the driver gets a quarter of it. What the stand-in and Wine use while
//! the driver waits for them is not the driver's; the frame that the call itself takes is counted (some 200
//! bytes).

use crate::{
    checks,
    ledger::{self, Whose},
    object::lock,
    stop::stop,
};
use std::{arch::asm, cell::Cell, collections::BTreeMap, sync::Mutex};

/// Bytes that an entry into the driver may use.
const MOST: usize = 6 << 10;
/// Bytes below an entry that are painted: the rest of the way of a frame of a page that begins above [`MOST`],
/// and more.
const WINDOW: usize = 12 << 10;
/// The paint: no address, and no number that anybody would write.
const PAINT: u64 = 0x5AC4_F00D_5AC4_F00D;
/// A page.
const PAGE: usize = 4096;

/// An entry into the driver.
#[derive(Clone, Copy)]
struct Entry {
    /// What is called; empty when this thread is not in the driver.
    name: &'static str,
    /// The stack pointer there.
    top: usize,
    /// The deepest so far, in bytes.
    deepest: usize,
}

impl Entry {
    const NONE: Self = Self {
        name: "",
        top: 0,
        deepest: 0,
    };
}

thread_local! {
    static ENTRY: Cell<Entry> = const { Cell::new(Entry::NONE) };
}

/// The deepest of each entry so far, in bytes.
static DEEPEST: Mutex<BTreeMap<&'static str, usize>> = Mutex::new(BTreeMap::new());

/// The deepest of each entry so far, in bytes.
pub fn deepest() -> BTreeMap<String, usize> {
    let deepest = lock(&DEEPEST);
    deepest
        .iter()
        .map(|(name, &bytes)| ((*name).to_owned(), bytes))
        .collect()
}

/// Runs code of the driver's, and STOPs when that has used too much.
#[inline(never)]
pub fn measured<R>(name: &'static str, code: impl FnOnce() -> R) -> R {
    if !checks::COSTLY {
        return code();
    }
    let outer = begin(name);
    let result = code();
    look();
    ENTRY.set(outer);
    result
}

/// From here on this thread is in the driver; gives what it was in before.
#[inline(never)]
fn begin(name: &'static str) -> Entry {
    let outer = ENTRY.replace(Entry {
        name,
        top: pointer(),
        deepest: 0,
    });
    paint();
    outer
}

/// As [`measured`], for code that is called by somebody else as soon as this thread goes on, and whose end
/// nobody tells.
pub fn enter(name: &'static str) {
    if checks::COSTLY {
        _ = begin(name);
    }
}

/// The driver calls the stand-in, or returns: how deep was it?
#[inline]
pub fn look() {
    if checks::COSTLY {
        look_down();
    }
}

#[inline(never)]
fn look_down() {
    let entry = ENTRY.get();
    if entry.name.is_empty() {
        return;
    }
    let end = pointer();
    let mut place = entry.top - WINDOW;
    while place < end && word(place) == PAINT {
        place += size_of::<u64>();
    }
    let depth = entry.top - place.min(end);
    if depth > entry.deepest {
        ENTRY.set(Entry {
            deepest: depth,
            ..entry
        });
        note(entry.name, depth);
    }
}

/// The stand-in returns into the driver: what it has used of the stack is painted over.
#[inline]
pub fn paint() {
    if checks::COSTLY {
        paint_over();
    }
}

#[inline(never)]
fn paint_over() {
    let entry = ENTRY.get();
    if entry.name.is_empty() {
        return;
    }
    let (floor, end) = (entry.top - WINDOW, pointer());
    // A stack grows page by page.
    let mut page = end;
    while page > floor {
        word(page);
        page = page.saturating_sub(PAGE);
    }
    let words = end.saturating_sub(floor) / size_of::<u64>();
    // SAFETY: what lies below the stack pointer is nobody's (x64 calling convention); the block ends below this
    // function's own, and neither calls nor pushes. No thread of the lab has so little stack that the window
    // does not fit.
    unsafe {
        asm!(
            "rep stosq",
            inout("rcx") words => _,
            inout("rdi") floor => _,
            in("rax") PAINT,
            options(nostack, preserves_flags),
        );
    }
}

#[inline(never)]
fn note(name: &'static str, depth: usize) {
    {
        let mut deepest = lock(&DEEPEST);
        let deepest = deepest.entry(name).or_default();
        *deepest = depth.max(*deepest);
    }
    if depth > MOST {
        stop!("stack-too-deep", "{name}: {depth} bytes, of {MOST}");
    }
}

/// The stack pointer.
#[inline(always)]
#[expect(clippy::inline_always, reason = "it is the caller's that is meant")]
fn pointer() -> usize {
    let pointer;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rsp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer
}

/// What stands on the stack.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a call would write where this reads")]
fn word(place: usize) -> u64 {
    // SAFETY: of this thread's stack, and aligned: the pointer is, where it was noted.
    unsafe { (place as *const u64).read_volatile() }
}

/// `LabEnter` of the lab's C interface: the driver has called another stand-in.
#[unsafe(no_mangle)]
pub extern "system" fn LabEnter() {
    look();
    ledger::change(Whose::Engine);
}

/// `LabLeave` of the lab's C interface: another stand-in returns into the driver.
#[unsafe(no_mangle)]
pub extern "system" fn LabLeave() {
    ledger::change(Whose::Driver);
    paint();
}
