//! `tlsgate.exe`: installs the driver, looks after it, makes test certificates, and serves a page
//! over TLS connections that the kernel makes.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage.

#![cfg_attr(
    not(windows),
    allow(
        dead_code,
        reason = "the program works on Windows; elsewhere only its tests run"
    )
)]

mod certificate;
mod cli;
#[cfg(windows)]
mod doctor;
mod page;
mod serve;
#[cfg(windows)]
mod service;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let command = cli::Cli::parse().command;
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tlsgate: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(windows)]
fn run(command: cli::Command) -> anyhow::Result<()> {
    match command {
        cli::Command::Install(options) => service::install(&options),
        cli::Command::Uninstall => service::uninstall(),
        cli::Command::Doctor => runtime()?.block_on(doctor::run()),
        cli::Command::Cert(cli::Cert::New(options)) => certificate::new(&options),
        cli::Command::Cert(cli::Cert::List) => certificate::list(),
        cli::Command::Cert(cli::Cert::Remove { thumbprint }) => certificate::remove(thumbprint),
        cli::Command::Serve(options) => runtime()?.block_on(async {
            serve::run(&tlsgate_client::Device::open()?.driver(), &options).await
        }),
    }
}

#[cfg(not(windows))]
fn run(_: cli::Command) -> anyhow::Result<()> {
    anyhow::bail!("this program drives a Windows driver: run tlsgate.exe on Windows")
}

#[cfg(windows)]
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}
