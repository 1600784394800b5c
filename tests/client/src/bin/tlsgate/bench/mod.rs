//! `tlsgate bench`: handshakes a second and how long they take, bytes a second, and the same by rustls
//! in user mode for comparison.

mod load;
mod records;
mod result;
mod round_trip;
mod side;

use clap::{Args, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  tlsgate bench                                    TLS 1.3, whole handshakes, ten seconds
  tlsgate bench --tls 1.2 --resumed --compare      and how rustls does it in user mode
  tlsgate bench --bytes --json > bench.json        bytes a second too, for a script

What is measured: the server's side of connections that do not leave this process, from the start of the
handshake to its end on both sides. Both sides share the processors of this machine. What an IOCTL costs that
does nothing is measured in turn with that (QUERY_VERSION, with as many on their way): so many times as a
handshake has IOCTLs, that is the part of its time that Windows takes to carry them.";

/// The command line.
#[expect(
    clippy::struct_excessive_bools,
    reason = "options are independent of one another"
)]
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Bench {
    /// Stop after so many handshakes.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub handshakes: Option<u64>,
    /// How many connections shake hands at the same time.
    #[arg(long, value_name = "NUMBER", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    pub connections: u16,
    /// Stop after so many seconds, each measurement for itself.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    pub seconds: u16,
    /// The TLS version.
    #[arg(long, value_enum, value_name = "VERSION", default_value_t = crate::cli::Version::Tls13)]
    pub tls: crate::cli::Version,
    /// Whole handshakes, with certificates. That is what is measured unless --resumed is given.
    #[arg(long, conflicts_with = "resumed")]
    pub full: bool,
    /// Resumed handshakes.
    #[arg(long)]
    pub resumed: bool,
    /// Who the clients are: rustls in this process, or the driver.
    #[arg(long, value_enum, default_value_t)]
    pub peer: Peer,
    /// Measure bytes a second too: SEAL as they are written, UNSEAL as they are read.
    #[arg(long)]
    pub bytes: bool,
    /// Measure the same with a server of rustls in user mode, in turn with the driver, and give the
    /// ratio.
    #[arg(long)]
    pub compare: bool,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
    /// Let the private keys of the run's certificates be exported. Windows uses a key in place and
    /// needs it not; the project's lab reads keys out of the store and does.
    #[arg(long)]
    pub exportable_keys: bool,
}

/// Who the clients are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// rustls, in user mode in this process.
    #[default]
    Rustls,
    /// The driver: both sides are its own.
    Tlsgate,
}

#[cfg(windows)]
pub use windows::run;

#[cfg(windows)]
mod windows {
    use super::{
        Bench, load,
        result::{Measured, Run, Trips},
        round_trip::{self, Counted},
        side::{Clients, Server},
    };
    use crate::{
        environment,
        selftest::{pki::Pki, site::Handle, stored::Stored},
    };
    use anyhow::{Context, Result, bail};
    use indicatif::{ProgressBar, ProgressStyle};
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
        time::Duration,
    };
    use tlsgate::Device;

    /// How often the two take turns with --compare.
    const TURNS: u32 = 4;

    /// Of a turn's time, empty IOCTLs have each so much: one part of so many.
    const PARTS: u32 = 8;

    /// Measures and prints.
    pub async fn run(options: &Bench) -> Result<()> {
        let count = Arc::new(AtomicU64::new(0));
        let counted = Counted::new(Device::open()?, Arc::clone(&count));
        let handle = Handle::new(Arc::new(counted));
        let environment = environment::look(&handle.driver).await?;
        eprintln!("making certificates");
        let pki = Arc::new(Pki::new()?);
        let stored = Stored::put(&pki, options.exportable_keys)?;
        let measured = tokio::select! {
            measured = measure(options, &handle, &count, &pki) => measured,
            stopped = tokio::signal::ctrl_c() => {
                stopped.context("cannot wait for Ctrl-C")?;
                bail!("stopped by Ctrl-C")
            }
        };
        stored.remove()?;
        let (measured, trips) = measured?;
        let run = Run::new(options, environment, measured, trips);
        if options.json {
            println!("{}", serde_json::to_string_pretty(&run)?);
        } else {
            print!("{run}");
        }
        Ok(())
    }

    async fn measure(
        options: &Bench,
        handle: &Handle,
        count: &AtomicU64,
        pki: &Arc<Pki>,
    ) -> Result<(Vec<Measured>, Trips)> {
        let mut servers = vec![Server::driver(options, handle, pki).await?];
        if options.compare {
            servers.push(Server::rustls(options, pki)?);
        }
        // Each server's own: what one has for a session to be resumed, the other does not know.
        let mut clients = Vec::new();
        for _ in &servers {
            clients.push(Clients::new(options, handle, pki).await?);
        }
        let turns = if options.compare { TURNS } else { 1 };
        let measurements = servers.len() * if options.bytes { 3 } else { 1 };
        let progress = progress(options, measurements)?;
        let passing = tokio::spawn(pass(progress.clone()));
        let mut measured: Vec<Measured> = servers
            .iter()
            .map(|server| Measured::of(server.name()))
            .collect();
        let mut trips = Trips::default();
        for turn in 0..turns {
            progress.set_message("empty IOCTLs");
            let share = load::Share::of(options, turns, turn);
            trips
                .alone
                .add(round_trip::run(&handle.driver, 1, share.time / PARTS).await?);
            let together = options.connections;
            trips
                .together
                .add(round_trip::run(&handle.driver, together, share.time / PARTS).await?);
            for ((server, clients), measured) in servers.iter().zip(&clients).zip(&mut measured) {
                progress.set_message(format!("{}: handshakes", server.name()));
                let sent = count.load(Ordering::Relaxed);
                let handshakes = load::run(options, share, server, clients).await?;
                if matches!(server, Server::Driver(_)) {
                    trips.ioctls += count.load(Ordering::Relaxed) - sent;
                    trips.handshakes += handshakes.before + handshakes.latency.len();
                }
                measured.handshakes.add(handshakes);
                if options.bytes {
                    progress.set_message(format!("{}: bytes", server.name()));
                    measured
                        .bytes
                        .get_or_insert_default()
                        .add(super::records::run(options, share, server, clients).await?);
                }
            }
        }
        passing.abort();
        progress.finish_and_clear();
        Ok((measured, trips))
    }

    /// On a terminal: how much of the time has passed, and what is being measured. Elsewhere nothing.
    fn progress(options: &Bench, measurements: usize) -> Result<ProgressBar> {
        let seconds = u64::from(options.seconds) * u64::try_from(measurements)?;
        let style = ProgressStyle::with_template("{bar:24} {pos} of {len} s  {msg}")?;
        Ok(ProgressBar::new(seconds).with_style(style))
    }

    /// Moves it on with the time.
    async fn pass(progress: ProgressBar) {
        loop {
            progress.set_position(progress.elapsed().as_secs());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
