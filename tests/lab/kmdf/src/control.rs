//! The stand-in's side of the tests' questions.

use crate::{
    bind, blocks, clock, dispatch, etw, file,
    handle::Kind,
    irql::{DISPATCH, PASSIVE},
    kernel_lookaside, memory, object, pool, reference, request, site, stack,
    stop::lab_failed,
    thread, token, unload, worker,
};
use std::{
    fs, io,
    path::Path,
    sync::{
        Arc, LazyLock, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};
use tlsgate_lab_control::{
    FOLDER,
    kmdf::{Answer, CallbackIrql, FIRST_SWITCHES, MODULE, Question, Report, Switches},
    serve,
};

static SWITCHES: LazyLock<RwLock<Arc<Switches>>> = LazyLock::new(RwLock::default);

/// How the stand-in is set.
pub fn switches() -> Arc<Switches> {
    let switches = SWITCHES.read().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(&switches)
}

/// The level for a callback that Windows may make at PASSIVE_LEVEL or DISPATCH_LEVEL.
pub fn callback_irql() -> u8 {
    static TURN: AtomicBool = AtomicBool::new(false);
    match switches().callback_irql {
        CallbackIrql::Passive => PASSIVE,
        CallbackIrql::Alternating if TURN.fetch_xor(true, Ordering::Relaxed) => PASSIVE,
        CallbackIrql::Alternating | CallbackIrql::Dispatch => DISPATCH,
    }
}

/// Starts to answer questions, set as a test has asked for.
pub fn start() {
    match fs::read(Path::new(FOLDER).join(FIRST_SWITCHES)) {
        Ok(json) => match serde_json::from_slice(&json) {
            Ok(wanted) => set(&wanted),
            Err(error) => lab_failed!("{FIRST_SWITCHES}: {error}"),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => lab_failed!("{FIRST_SWITCHES}: {error}"),
    }
    if let Err(error) = serve(Path::new(FOLDER), MODULE, answer) {
        lab_failed!("{error:#}");
    }
}

/// Takes the port's number away: to whoever waits, that is the sign that the driver has been
/// unloaded and left nothing behind.
pub fn finish() {
    let file = Path::new(FOLDER).join(format!("{MODULE}.port"));
    if let Err(error) = fs::remove_file(&file) {
        lab_failed!("{}: {error}", file.display());
    }
}

fn answer(question: Question) -> anyhow::Result<Answer> {
    Ok(match question {
        Question::Report => Answer::Report(report()),
        Question::Switches => Answer::Switches((*switches()).clone()),
        Question::Set(wanted) => {
            set(&wanted);
            etw::listen(wanted.trace);
            Answer::Switches(wanted)
        }
        Question::AdvanceTime { milliseconds } => {
            clock::advance(milliseconds);
            time()
        }
        Question::Sleep { milliseconds } => {
            clock::sleep(milliseconds);
            time()
        }
        Question::Sites => Answer::Sites(site::all()),
        Question::Events { after } => Answer::Events(etw::events(after)),
        Question::Search { needle } => Answer::Found(blocks::search(&needle)),
        #[cfg(feature = "bench")]
        Question::Bench {
            scenario,
            site,
            effort,
        } => Answer::Bench(crate::bench::run(&scenario, &site, &effort)?),
        #[cfg(not(feature = "bench"))]
        Question::Bench { .. } => anyhow::bail!("this stand-in is not built for measuring"),
    })
}

fn time() -> Answer {
    // In this order the difference is never too small.
    let unbiased = clock::unbiased();
    Answer::Time {
        interrupt: clock::interrupt(),
        unbiased,
    }
}

fn set(wanted: &Switches) {
    worker::set_count(wanted.workers);
    pool::fail_after(wanted.fail_allocation_after);
    pool::fail_one_in(wanted.fail_one_in);
    site::record(wanted.record_sites);
    kernel_lookaside::set_depth(wanted.lookaside_depth);
    if wanted.remember_freed != switches().remember_freed {
        blocks::remember_up_to(wanted.remember_freed);
    }
    *SWITCHES.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(wanted.clone());
}

fn report() -> Report {
    let objects = object::census();
    let count = |wanted| objects.iter().filter(|(kind, _)| *kind == wanted).count();
    let pool = pool::usage();
    let (kept, kept_bytes) = kernel_lookaside::kept();
    Report {
        service: bind::service(),
        state: unload::state(),
        pool_blocks: pool.blocks,
        pool_bytes: pool.bytes,
        pool_bytes_peak: pool.peak,
        pool_allocations: pool.allocations,
        entry_allocations: pool.entry_allocations,
        allocations_refused: pool.refused,
        files: count(Kind::File),
        requests: count(Kind::Request),
        memory: count(Kind::Memory) + pool.entries.saturating_sub(kept),
        memory_bytes: memory::bytes() + pool.entry_bytes.saturating_sub(kept_bytes),
        spin_locks: count(Kind::SpinLock),
        timers: count(Kind::Timer),
        work_items: count(Kind::WorkItem),
        objects: objects.len(),
        threads: thread::running(),
        tokens: token::references(),
        handles: reference::handles(),
        references: reference::references(),
        ioctls: dispatch::arrived(),
        completions: request::completed(),
        cancellations: crate::cancel::called(),
        denials: file::denials(),
        providers: etw::providers(),
        event_writes: etw::writes(),
        stack: stack::deepest(),
    }
}
