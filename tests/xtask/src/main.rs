//! `cargo xtask`: sets up what is missing, builds, checks and tests TlsGate on Linux.

mod apt;
mod bench;
mod build;
mod corpus;
mod demo;
mod doctor;
mod documents;
mod end_to_end;
mod faults;
mod fuzz;
mod header;
mod image;
mod imports;
mod inf;
mod isolation;
mod layout;
mod libraries;
mod makefiles;
mod manifests;
mod mutants;
mod package;
mod policy_mutants;
mod process;
mod readme;
mod report;
mod rules;
mod scripts;
mod setup;
mod sign;
mod soak;
mod step;
mod suites;
mod test;
mod toolchain;
mod variants;
mod wdk;
mod workflows;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{build::Tools, layout::Layout, libraries::Origin, step::Steps};

#[derive(Parser)]
#[command(name = "cargo xtask", about, version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install the packages that are missing and get Rust's libraries for Windows.
    Setup {
        /// Where to get Rust's libraries from, instead of the first place that has them.
        #[arg(long)]
        libraries: Option<Origin>,
    },
    /// Build the release package and the lab's modules.
    Build {
        /// Build the driver alone.
        #[arg(long)]
        driver_only: bool,
        /// Build the stand-ins that measure the driver as well; a minute the first time.
        #[arg(long, conflicts_with = "driver_only")]
        bench: bool,
    },
    /// Build all, check the driver, and make the zip with a test-signed driver for a Windows VM.
    Package,
    /// Set up, build, boot the lab, install the driver, serve, and let real TLS clients in.
    Demo {
        /// Keep the server up until Return is pressed, and print the line to try by hand.
        #[arg(long)]
        hold: bool,
    },
    /// Run every check and test.
    Test {
        /// Instead, remove one guard of the driver after the other and see the test fail that proves it
        /// (an hour): all of tests/mutants, or those with these numbers or words in their row.
        #[arg(long, num_args = 0.., value_name = "ROW")]
        mutants: Option<Vec<String>>,
    },
    /// Run the end-to-end tests under every setting of what Windows leaves open (forty minutes).
    Variants {
        /// Only these: names of `Switches::variants` or `Switches::rounds` in tests/lab/control.
        names: Vec<String>,
    },
    /// Feed the decoder, the driver's policy and the whole driver in the lab with random input (twenty minutes).
    Fuzz {
        /// How long each target takes, in seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// What is drawn comes from it.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Only these: folders of tests/fuzz/corpus, or `lab`.
        #[arg(conflicts_with = "record")]
        targets: Vec<String>,
        /// Instead, run the end-to-end tests and keep requests that they send, one of a kind, as
        /// tests/fuzz/corpus/decode/sent-* (ten minutes).
        #[arg(long, exclusive = true)]
        record: bool,
    },
    /// Load the driver with everything at once, honest and hostile, and see it come back to what it had at
    /// first again and again (twenty minutes, unless told otherwise).
    Soak {
        /// How long.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
        minutes: u64,
        /// Decides what each connection does, and how the stand-ins behave, instead of the time of day.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Change the driver's policy wherever cargo-mutants knows a change, and see its tests fail (hours).
    PolicyMutants {
        /// Only these files of driver/core and driver/protocol.
        files: Vec<String>,
    },
    /// Let everything go wrong, one thing at a time: allocations, ksecdd's calls, callers, start and stop. A
    /// sample takes two minutes, everything hours.
    Faults(faults::Order),
    /// Measure the driver's speed and size, and hold the figures against their bounds (fifteen minutes; four with
    /// --quick).
    Bench(bench::Order),
    /// Break every rule of the lab and see each caught (two minutes).
    Rules,
    /// Compare a program's throughput with and without a flood of another's beside it (four minutes).
    Isolation,
    /// Run every case of other people's test suites against the driver's servers (ten minutes).
    Suites,
    /// Tell what is there and what is missing.
    Doctor,
}

fn main() -> ExitCode {
    match run(&Arguments::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The causes, without a back trace: what failed is a tool or a check, not this program.
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("  {}", cause.to_string().replace('\n', "\n  "));
            }
            ExitCode::FAILURE
        }
    }
}

fn run(verb: &Verb) -> Result<()> {
    let layout = Layout::find()?;
    let steps = Steps::start();
    match verb {
        Verb::Setup { libraries } => {
            setup::ensure(&layout, &steps, *libraries)?;
        }
        Verb::Build { driver_only, bench } => {
            let tools = Tools::ready(&layout, &steps)?;
            if *driver_only {
                build::driver(&layout, &tools, &steps)?;
            } else {
                build::all(&layout, &tools, &steps)?;
            }
            if *bench {
                build::bench_stand_ins(&layout, &tools, &steps)?;
            }
        }
        Verb::Package => {
            let tools = Tools::ready(&layout, &steps)?;
            build::all(&layout, &tools, &steps)?;
            steps.step("check the packaged driver", |_| image::package(&layout))?;
            package::make(&layout, &steps)?;
        }
        Verb::Demo { hold } => demo::run(&layout, &steps, *hold)?,
        Verb::Test { mutants } => {
            let tools = Tools::ready(&layout, &steps)?;
            match mutants {
                Some(wanted) => mutants::run(&layout, &tools, &steps, wanted)?,
                None => test::all(&layout, &tools, &steps)?,
            }
        }
        Verb::Variants { names } => variants::run(&layout, &steps, names)?,
        Verb::Fuzz {
            seconds,
            seed,
            targets,
            record,
        } => {
            if *record {
                return corpus::record(&layout, &steps);
            }
            let options = fuzz::Options {
                seconds: *seconds,
                seed: *seed,
                targets,
            };
            fuzz::run(&layout, &steps, &options)?;
        }
        Verb::Soak { minutes, seed } => soak::run(&layout, &steps, *minutes, *seed)?,
        Verb::PolicyMutants { files } => policy_mutants::run(&layout, &steps, files)?,
        Verb::Faults(order) => faults::run(&layout, &steps, order)?,
        Verb::Bench(order) => bench::run(&layout, &steps, order)?,
        Verb::Rules => rules::run(&layout, &Tools::ready(&layout, &steps)?, &steps)?,
        Verb::Isolation => isolation::run(&layout, &steps)?,
        Verb::Suites => suites::run(&layout, &steps)?,
        Verb::Doctor => return doctor::report(&layout),
    }
    steps.finish();
    Ok(())
}
