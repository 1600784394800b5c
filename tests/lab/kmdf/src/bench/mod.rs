//! The driver called in its own process, for the benchmarks: files and requests without Wine's IRPs.

mod engine;
pub mod memory;
pub mod recent;
pub mod semaphore;
mod sleepers;

use crate::{
    buffer::Buffer,
    callback,
    carrier::Carrier,
    device::Device,
    file::{self, File},
    handle::Handle,
    irql::PASSIVE,
    kernel_lookaside, ledger, memory as blocks,
    object::{self, Ref},
    pool,
    request::{self, Asked},
    thread, token, unload, wdm,
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    process,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tlsgate_bench::{Completion, Done, Effort, Engine, Gate, Handle as Open, Site, Usage};

/// Runs a scenario, and gives its results; all of it as JSON.
///
/// # Errors
///
/// There is none of this name, or it has failed.
pub fn run(scenario: &str, site: &str, effort: &str) -> Result<String> {
    static START: std::sync::Once = std::sync::Once::new();
    START.call_once(tlsgate_lab_allocator::start);
    let site: Site = serde_json::from_str(site).context("the site")?;
    let effort: Effort = serde_json::from_str(effort).context("the effort")?;
    let here = Here::new()?;
    let results = tlsgate_bench::run(&here, &site, scenario, effort);
    // Whatever it was: the driver is to be unloaded.
    ledger::run(false);
    here.engine(Engine::Inline)?;
    Ok(serde_json::to_string(&results?)?)
}

/// The driver that is loaded.
struct Here {
    device: Ref<Device>,
    caller: token::Caller,
}

impl Here {
    fn new() -> Result<Self> {
        let device = object::all::<Device>().pop().context("no device")?;
        ensure!(device.is_finished(), "the device is not ready");
        Ok(Self {
            device,
            caller: token::Caller::of_process(process::id()),
        })
    }

    fn asked(&self, major: u8, code: u32, input: usize, output: usize) -> Asked {
        Asked {
            major,
            minor: 0,
            code,
            input,
            output,
            caller: self.caller,
        }
    }
}

fn file(handle: Open) -> Ref<File> {
    object::find(Handle(handle.0))
}

impl Gate for Here {
    fn open(&self) -> Result<Open> {
        /// In place of Wine's addresses, none of which is odd.
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        ensure!(unload::file_opening(), "the driver is being unloaded");
        let wdm = NEXT.fetch_add(2, Ordering::Relaxed);
        let file = file::open(&self.device, wdm, self.caller.process);
        let status = Arc::new(Mutex::new(None));
        let told = Arc::clone(&status);
        let carrier = Carrier::Call(Mutex::new(Some(Box::new(move |status, _, _| {
            *object::lock(&told) = Some(status);
        }))));
        let asked = self.asked(wdm::CREATE, 0, 0, 0);
        let request = request::make(
            &self.device,
            &file,
            carrier,
            asked,
            Buffer::Lent(Vec::new()),
        );
        match self.device.init.file.and_then(|config| config.create) {
            None => request::complete(request.handle(), 0, 0),
            Some(create) => token::on_behalf(Some(self.caller), || {
                callback::of_file("EvtDeviceFileCreate", PASSIVE, || {
                    create(self.device.handle(), request.handle(), file.handle());
                });
            }),
        }
        match *object::lock(&status) {
            Some(0..) => Ok(Open(file.handle().0)),
            Some(status) => bail!("EvtDeviceFileCreate: {status:#x}"),
            None => bail!("EvtDeviceFileCreate has not completed its request"),
        }
    }

    fn close(&self, handle: Open) {
        let file = file(handle);
        file::forget_wdm(&file);
        file::close(&file);
    }

    fn issue(
        &self,
        handle: Open,
        code: u32,
        input: usize,
        room: usize,
        mut buffer: Vec<u8>,
        done: Done,
    ) {
        buffer.resize(buffer.len().max(input).max(room), 0);
        let file = file(handle);
        let carrier = Carrier::Call(Mutex::new(Some(Box::new(
            move |status, information, buffer| {
                done(Completion {
                    status,
                    information,
                    buffer,
                });
            },
        ))));
        let asked = self.asked(wdm::DEVICE_CONTROL, code, input, room);
        let request = request::make(&self.device, &file, carrier, asked, Buffer::Lent(buffer));
        file::request_arrived(&file);
        request::arrive(&request);
    }

    fn usage(&self) -> Usage {
        let pool = pool::usage();
        let (blocks, bytes) = blocks::given();
        let (kept, kept_bytes) = kernel_lookaside::kept();
        let time = ledger::total();
        let (hops, hop_count) = semaphore::hops();
        Usage {
            pool_bytes: pool.bytes + bytes + pool.entry_bytes.saturating_sub(kept_bytes),
            pool_blocks: pool.blocks + blocks + pool.entries.saturating_sub(kept),
            pool_allocations: pool.allocations + pool.entry_allocations,
            async_contexts_created: engine::async_contexts_created(),
            driver: time.driver + time.imported,
            imported: time.imported,
            engine: time.engine,
            hops,
            hop_count,
            driver_threads: thread::running(),
        }
    }

    fn clock(&self, runs: bool) {
        ledger::run(runs);
    }

    fn engine(&self, engine: Engine) -> Result<()> {
        engine::set(engine)
    }
}
