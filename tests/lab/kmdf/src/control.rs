//! The stand-in's side of the tests' questions.

use crate::{
    bind, dispatch,
    handle::Kind,
    irql::{DISPATCH, PASSIVE},
    object, pool, reference, request, thread, token, unload, worker,
};
use std::{
    path::Path,
    sync::{
        LazyLock, Once, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};
use tlsgate_lab_control::{
    FOLDER,
    kmdf::{Answer, CallbackIrql, MODULE, Question, Report, Switches},
    serve,
};

static SWITCHES: LazyLock<RwLock<Switches>> = LazyLock::new(RwLock::default);

/// How the stand-in is set.
pub fn switches() -> Switches {
    SWITCHES
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

/// The level for a callback that Windows may make at PASSIVE_LEVEL or DISPATCH_LEVEL.
pub fn callback_irql() -> u8 {
    static TURN: AtomicU64 = AtomicU64::new(0);
    match switches().callback_irql {
        CallbackIrql::Passive => PASSIVE,
        CallbackIrql::Alternating if TURN.fetch_add(1, Ordering::Relaxed) % 2 == 0 => PASSIVE,
        CallbackIrql::Alternating | CallbackIrql::Dispatch => DISPATCH,
    }
}

/// Starts to answer questions, once in the life of the process.
pub fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        if let Err(error) = serve(Path::new(FOLDER), MODULE, |question| Ok(answer(question))) {
            crate::stop::stop!("no-control", "{error:#}");
        }
    });
}

fn answer(question: Question) -> Answer {
    match question {
        Question::Report => Answer::Report(report()),
        Question::Switches => Answer::Switches(switches()),
        Question::Set(wanted) => {
            worker::set_count(wanted.workers);
            pool::fail_after(wanted.fail_allocation_after);
            SWITCHES
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .clone_from(&wanted);
            Answer::Switches(wanted)
        }
    }
}

fn report() -> Report {
    let objects = object::census();
    let count = |wanted| objects.iter().filter(|(kind, _)| *kind == wanted).count();
    let pool = pool::usage();
    Report {
        service: bind::service(),
        state: unload::state(),
        pool_blocks: pool.blocks,
        pool_bytes: pool.bytes,
        pool_bytes_peak: pool.peak,
        pool_allocations: pool.allocations,
        files: count(Kind::File),
        requests: count(Kind::Request),
        memory: count(Kind::Memory),
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
    }
}
