//! `tlsgate.exe`: installs the driver, looks after it, makes test certificates, and serves, connects
//! and forwards over TLS connections that the kernel makes.
//!
//! What its exit codes mean is in `exit.rs`, and behind its help.

#![cfg_attr(
    not(windows),
    allow(
        dead_code,
        unused_imports,
        reason = "the program works on Windows; elsewhere only its tests run"
    )
)]

mod bench;
mod carry;
mod certificate;
mod cli;
mod client;
mod connect;
mod credential;
mod doctor;
#[cfg(windows)]
mod driver;
#[cfg(windows)]
mod environment;
mod exit;
mod forward;
mod input;
mod page;
mod selftest;
mod serve;
#[cfg(windows)]
mod service;
mod show;
mod stats;
mod trace;

use clap::Parser;
use std::{io::Write, process::ExitCode};

fn main() -> ExitCode {
    let command = cli::Cli::parse().command;
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let name = show::styled(show::BAD, "tlsgate:");
            anstream::eprintln!("{name} {error:#}");
            ExitCode::from(exit::code(&error) as u8)
        }
    }
}

#[cfg(windows)]
fn run(command: cli::Command) -> anyhow::Result<()> {
    match command {
        cli::Command::Install(options) => service::install(&options),
        cli::Command::Uninstall(options) => service::uninstall(&options),
        cli::Command::Doctor(options) => runtime()?.block_on(doctor::run(&options)),
        cli::Command::Stats(options) => {
            runtime()?.block_on(async { stats::run(&driver::open().await?, &options).await })
        }
        cli::Command::Cert(cli::Cert::New(options)) => certificate::new(&options),
        cli::Command::Cert(cli::Cert::Import(options)) => certificate::import(&options),
        cli::Command::Cert(cli::Cert::List { store, json }) => certificate::list(&store, json),
        cli::Command::Cert(cli::Cert::Remove { thumbprint, store }) => {
            certificate::remove(thumbprint, &store)
        }
        cli::Command::Serve(options) => {
            runtime()?.block_on(async { serve::run(&driver::open().await?, &options).await })
        }
        cli::Command::Connect(options) => {
            runtime()?.block_on(async { connect::run(&driver::open().await?, &options).await })
        }
        cli::Command::Forward(options) => {
            runtime()?.block_on(async { forward::run(&driver::open().await?, &options).await })
        }
        cli::Command::Selftest(options) => runtime()?.block_on(selftest::run(&options)),
        cli::Command::Trace(options) => runtime()?.block_on(trace::run(&options)),
        cli::Command::Bench(options) => runtime()?.block_on(bench::run(&options)),
    }
}

#[cfg(not(windows))]
fn run(_: cli::Command) -> anyhow::Result<()> {
    anyhow::bail!("this program drives a Windows driver: run tlsgate.exe on Windows")
}

/// How long after the driver's own time-out this program gives a handshake up.
const GRACE: std::time::Duration = std::time::Duration::from_millis(500);

/// Tells those who wait for it that connections may come.
fn announce(address: std::net::SocketAddr) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "listening on {address}")?;
    output.flush()
}

#[cfg(windows)]
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}
