//! Builds the release package, `target/package`, and the lab's modules, `target/lab/modules`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    inf,
    layout::Layout,
    process, setup,
    step::{Step, Steps},
    toolchain::{GNU, MSVC, Toolchain},
    wdk::Wdk,
};

/// Mingw-w64's linker and compiler.
const MINGW_GCC: &str = "x86_64-w64-mingw32-gcc";
/// Packages of the root workspace that are built for Windows: what comes of each, and its place.
const PROGRAMS: [(&str, &str, PlaceOf); 3] = [
    ("tlsgate-client", "tlsgate.exe", |layout| {
        layout.package().join("tlsgate.exe")
    }),
    ("tlsgate-lab-kmdf", "wdfldr.dll", |layout| {
        layout.modules().join("wdfldr.sys")
    }),
    ("tlsgate-lab-ksecdd", "ksecdd.dll", |layout| {
        layout.modules().join("ksecdd.sys")
    }),
];
/// The library's examples.
const EXAMPLES: [&str; 5] = ["echo", "hyper_client", "hyper_server", "mutual_tls", "sni"];
type PlaceOf = fn(&Layout) -> PathBuf;

/// The tools that everything is built with.
pub struct Tools {
    pub toolchain: Toolchain,
    pub wdk: Wdk,
}

impl Tools {
    /// Sets up what is missing.
    pub fn ready(layout: &Layout, steps: &Steps) -> Result<Self> {
        let toolchain = setup::ensure(layout, steps, None)?;
        let wdk = steps.step("prepare the stand-in WDK", |_| {
            Wdk::prepare(layout, &toolchain)
        })?;
        Ok(Self { toolchain, wdk })
    }
}

/// Builds everything.
pub fn all(layout: &Layout, tools: &Tools, steps: &Steps) -> Result<()> {
    driver(layout, tools, steps)?;
    steps.step("build the lab's wrong driver", |step| {
        let built = build_driver(layout, tools, "wrong", &layout.driver_target(), step)?;
        install(
            &built.join("wrong.dll"),
            &layout.modules().join("wrong.sys"),
        )
    })?;
    steps.step("build the client and the stand-ins", |step| {
        programs(layout, tools, step)
    })?;
    steps.step("build the library's examples", |step| {
        examples(layout, tools, step)
    })?;
    if layout.root().join("tests/e2e/src/bin/probe").exists() {
        steps.step("build the tests' probe", |step| probe(layout, tools, step))?;
        steps.step("build ksecdd.sys with its optional export", |step| {
            ksecdd_with_optional_export(layout, tools, step)
        })?;
    }
    steps.step("build the C program", |step| c_program(layout, step))?;
    steps.step("build bcryptprimitives.dll", |step| {
        process_prng(layout, step)
    })
}

/// Builds `tlsgate.sys` alone, with its link map and its INF.
pub fn driver(layout: &Layout, tools: &Tools, steps: &Steps) -> Result<()> {
    steps.step("build tlsgate.sys", |step| {
        let built = build_driver(layout, tools, "tlsgate", &layout.driver_target(), step)?;
        let package = layout.package();
        install(&built.join("tlsgate.dll"), &package.join("tlsgate.sys"))?;
        install(
            &built.join("deps/tlsgate.map"),
            &package.join("tlsgate.map"),
        )?;
        let template = fs::read_to_string(layout.root().join("inf/tlsgate.inx"))?;
        fs::write(package.join("tlsgate.inf"), inf::made_of(&template)?)?;
        Ok(())
    })
}

/// Builds one package of the cross workspace and gives the folder of the result.
pub fn build_driver(
    layout: &Layout,
    tools: &Tools,
    package: &str,
    target_folder: &Path,
    step: &Step,
) -> Result<PathBuf> {
    let mut cargo = tools.wdk.cargo(layout, &tools.toolchain, "build")?;
    process::run(
        cargo
            .args(["-p", package])
            .env("CARGO_TARGET_DIR", target_folder),
        step,
    )?;
    Ok(target_folder.join(MSVC).join("release"))
}

/// A cargo command for what runs in user mode: programs, and the stand-ins.
pub fn windows_cargo(layout: &Layout, tools: &Tools, verb: &str) -> Command {
    let mut cargo = unoptimised_windows_cargo(layout, tools, verb);
    cargo.arg("--release");
    cargo
}

/// The same without optimisation.
fn unoptimised_windows_cargo(layout: &Layout, tools: &Tools, verb: &str) -> Command {
    let mut cargo = tools.toolchain.cargo(&[]);
    cargo
        .current_dir(layout.root())
        .args([verb, "--locked", "--target", GNU])
        .env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER", MINGW_GCC)
        .env("CARGO_TARGET_DIR", layout.windows_target());
    cargo
}

/// Cargo's arguments that name the packages built for Windows.
pub fn windows_packages() -> impl Iterator<Item = &'static str> {
    PROGRAMS.iter().flat_map(|(package, ..)| ["-p", package])
}

fn programs(layout: &Layout, tools: &Tools, step: &Step) -> Result<()> {
    let mut cargo = windows_cargo(layout, tools, "build");
    process::run(cargo.args(windows_packages()), step)?;
    let built = layout.windows_target().join(GNU).join("release");
    for (_, file, place_of) in &PROGRAMS {
        install(&built.join(file), &place_of(layout))?;
    }
    Ok(())
}

/// Builds the library's examples, which the end-to-end tests run on the machine under test. Without
/// optimisation: nobody measures them, and they are linked anew with every change of the library.
fn examples(layout: &Layout, tools: &Tools, step: &Step) -> Result<()> {
    let mut cargo = unoptimised_windows_cargo(layout, tools, "build");
    cargo
        .args(["-p", "tlsgate-client", "--examples"])
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    process::run(&mut cargo, step)?;
    let built = layout.windows_target().join(GNU).join("debug/examples");
    for name in EXAMPLES {
        let file = format!("{name}.exe");
        install(&built.join(&file), &layout.modules().join(&file))?;
    }
    Ok(())
}

/// The kernel SSPI stand-in with the export that not every ksecdd.sys has, for the test of that. In
/// a folder of its own: both have the same file name.
fn ksecdd_with_optional_export(layout: &Layout, tools: &Tools, step: &Step) -> Result<()> {
    let folder = layout.windows_target().join("requires-notify");
    let mut cargo = windows_cargo(layout, tools, "build");
    let package = [
        "-p",
        "tlsgate-lab-ksecdd",
        "--lib",
        "--features",
        "requires-notify",
    ];
    process::run(cargo.args(package).env("CARGO_TARGET_DIR", &folder), step)?;
    install(
        &folder.join(GNU).join("release/ksecdd.dll"),
        &layout.modules().join("ksecdd-requires-notify.sys"),
    )
}

/// Builds the stand-ins that measure the driver in its own process, and leave costly checks out: `bench` of
/// `tests/lab/kmdf` and `tests/lab/ksecdd`. In folders of their own, beside those that check.
pub fn bench_stand_ins(layout: &Layout, tools: &Tools, steps: &Steps) -> Result<()> {
    steps.step("build the stand-ins that measure", |step| {
        process::run(&mut bench_cargo(layout, tools, "build"), step)?;
        let folder = bench_target(layout);
        for (built, name) in [("wdfldr.dll", "wdfldr.sys"), ("ksecdd.dll", "ksecdd.sys")] {
            install(
                &folder.join(GNU).join("release").join(built),
                &layout.bench_modules().join(name),
            )?;
        }
        Ok(())
    })
}

/// A cargo command for the stand-ins that measure.
pub fn bench_cargo(layout: &Layout, tools: &Tools, verb: &str) -> Command {
    let features = "tlsgate-lab-kmdf/bench,tlsgate-lab-ksecdd/bench";
    let mut cargo = windows_cargo(layout, tools, verb);
    cargo
        .args(["-p", "tlsgate-lab-kmdf", "-p", "tlsgate-lab-ksecdd"])
        .args(["--lib", "--features", features])
        .env("CARGO_TARGET_DIR", bench_target(layout));
    cargo
}

fn bench_target(layout: &Layout) -> PathBuf {
    layout.windows_target().join("bench")
}

/// Builds the program that the end-to-end tests run on the machine under test.
fn probe(layout: &Layout, tools: &Tools, step: &Step) -> Result<()> {
    let mut cargo = windows_cargo(layout, tools, "build");
    process::run(cargo.args(["-p", "tlsgate-e2e", "--bin", "probe"]), step)?;
    let built = layout.windows_target().join(GNU).join("release/probe.exe");
    install(&built, &layout.modules().join("probe.exe"))
}

/// Builds the example in C, which has the checked-in header and nothing else of this project.
fn c_program(layout: &Layout, step: &Step) -> Result<()> {
    fs::create_dir_all(layout.modules())?;
    process::run(
        Command::new(MINGW_GCC)
            .args(["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-s"])
            .args(["-Wl,--no-insert-timestamp", "-I"])
            .arg(layout.root().join("driver/protocol/include"))
            .arg("-o")
            .arg(layout.modules().join("handshake.exe"))
            .arg(layout.root().join("tests/c/handshake.c"))
            .arg("-lws2_32"),
        step,
    )
}

/// Builds the library that Wine lacks and Rust's standard library needs.
fn process_prng(layout: &Layout, step: &Step) -> Result<()> {
    let place = layout.modules().join("bcryptprimitives.dll");
    fs::create_dir_all(layout.modules())?;
    process::run(
        Command::new(MINGW_GCC)
            .args([
                "-shared",
                "-s",
                "-O2",
                "-Wall",
                "-Werror",
                "-Wl,--no-insert-timestamp",
                "-o",
            ])
            .arg(place)
            .arg(
                layout
                    .root()
                    .join("tests/lab/bcryptprimitives/ProcessPrng.c"),
            )
            .arg("-ladvapi32"),
        step,
    )
}

/// Puts a built file in its place.
fn install(built: &Path, place: &Path) -> Result<()> {
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(built, place)
        .with_context(|| format!("cannot copy {} to {}", built.display(), place.display()))?;
    Ok(())
}
