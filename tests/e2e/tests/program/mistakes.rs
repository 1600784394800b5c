//! What people get wrong: each mistake has its exit code, and a message that says what to do.

use crate::tool::{done, fails, is, json, text};
use anyhow::{Result, ensure};
use std::net::TcpListener;
use tlsgate_e2e::Lab;
use tlsgate_lab_control::kmdf::{self, Account, Switches};
use tlsgate_lab_machine::{Machine, Parameter};

/// The driver that can stand in for one of another ABI version, and the value that says which.
const OTHER_DRIVER: &str = r"C:\lab\wrong.sys";
const SERVICE: &str = "TlsGate";
const ABI: &str = "Abi";

/// A certificate that no store has.
const UNKNOWN: &str = "00112233445566778899AABBCCDDEEFF00112233";

#[test]
fn each_mistake_has_its_exit_code_and_says_what_to_do() -> Result<()> {
    let lab = Lab::start(&mut |_| {})?;
    let machine = lab.machine();
    wrong_usage(machine)?;
    wrong_certificates(&lab)?;
    wrong_places(&lab)?;
    no_access(&lab)?;
    lab.uninstall()?;
    no_driver(&lab)?;
    another_version(machine)?;
    lab.finish()
}

fn wrong_usage(machine: &Machine) -> Result<()> {
    fails(machine, 2, &["dance"], &["unrecognized subcommand"])?;
    fails(
        machine,
        2,
        &["serve", "--cert", "12"],
        &["40 hexadecimal digits"],
    )?;
    let both = ["serve", "--cert", UNKNOWN, "--echo", "--dir", "."];
    fails(machine, 2, &both, &["cannot be used with"])?;
    fails(machine, 1, &["connect", "localhost"], &["HOST:PORT"])?;
    let help = done(machine, &["--help"])?;
    for line in ["  3  the driver is not there", "  tlsgate cert new"] {
        ensure!(help.contains(line), "the help lacks {line:?}: {help}");
    }
    for command in [
        "install", "doctor", "stats", "cert", "serve", "connect", "forward",
    ] {
        let help = done(machine, &[command, "--help"])?;
        ensure!(help.contains("Examples:\n"), "{command} has no examples");
    }
    Ok(())
}

fn wrong_certificates(lab: &Lab) -> Result<()> {
    let machine = lab.machine();
    // None: those that are there are told.
    let wanted = ["--cert THUMBPRINT", lab.thumbprint()];
    fails(machine, 2, &["serve", "--listen", "127.0.0.1:0"], &wanted)?;
    let unknown = ["serve", "--listen", "127.0.0.1:0", "--cert", UNKNOWN];
    let cure = [
        UNKNOWN,
        "the machine's store MY",
        "`tlsgate cert list",
        "`tlsgate cert new`",
    ];
    fails(machine, 1, &unknown, &cure)?;
    fails(machine, 1, &["cert", "remove", UNKNOWN], &cure)?;
    // One of them is enough.
    let several = [&unknown[..], &["--cert", lab.thumbprint()]].concat();
    fails(machine, 1, &several, &[UNKNOWN])
}

fn wrong_places(lab: &Lab) -> Result<()> {
    let machine = lab.machine();
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let serve = ["serve", "--cert", lab.thumbprint(), "--listen", &address];
    fails(
        machine,
        1,
        &serve,
        &["cannot listen on", &address, "--listen ADDR"],
    )?;
    let folder = ["serve", "--cert", lab.thumbprint(), "--dir", r"C:\nowhere"];
    fails(machine, 1, &folder, &[r"there is no folder C:\nowhere"])?;
    let driver = ["install", "--driver", r"C:\nowhere\tlsgate.sys"];
    fails(
        machine,
        1,
        &driver,
        &[r"there is no driver C:\nowhere", "--driver PATH"],
    )?;
    let file = ["cert", "import", r"C:\nowhere.pfx"];
    fails(machine, 1, &file, &[r"cannot read C:\nowhere.pfx"])?;
    drop(taken);
    fails(
        machine,
        1,
        &["connect", &address],
        &["cannot connect to", &address],
    )
}

/// An account that the device's descriptor does not let in. Windows says so when it opens the device,
/// Wine when it sends something.
fn no_access(lab: &Lab) -> Result<()> {
    let machine = lab.machine();
    let mut remote = machine.remote(kmdf::MODULE)?;
    let stranger = Switches {
        account: Account::User("stranger".into()),
        ..Switches::default()
    };
    kmdf::set(&mut remote, &stranger)?;
    fails(machine, 4, &["stats"], &["as an administrator"])?;
    let serve = [
        "serve",
        "--cert",
        lab.thumbprint(),
        "--listen",
        "127.0.0.1:0",
    ];
    fails(machine, 4, &serve, &["as an administrator"])?;
    let report = json(machine, 1, &["doctor"])?;
    is(&report, "/device", "denied")?;
    is(&report, "/service", "running")?;
    ensure!(text(&report, "/next")?.contains("Sddl"), "{report:#}");
    kmdf::set(&mut remote, &Switches::default())
}

fn no_driver(lab: &Lab) -> Result<()> {
    let machine = lab.machine();
    let serve = [
        "serve",
        "--cert",
        lab.thumbprint(),
        "--listen",
        "127.0.0.1:0",
    ];
    for command in [
        &["stats"][..],
        &serve,
        &["connect", "localhost:1"],
        &["forward", "localhost:1"],
    ] {
        fails(
            machine,
            3,
            command,
            &["the driver is not running", "`tlsgate install`"],
        )?;
    }
    // What is not there need not be removed.
    let said = done(machine, &["uninstall"])?;
    ensure!(said.contains("there is no service TlsGate"), "{said}");
    Ok(())
}

/// A driver that is older than the program, one that is newer, and the way back.
fn another_version(machine: &Machine) -> Result<()> {
    for (abi, cure) in [(0, "it is older: `tlsgate install`"), (2, "it is newer")] {
        machine.set_parameter(SERVICE, ABI, Parameter::Number(abi))?;
        done(machine, &["install", "--driver", OTHER_DRIVER])?;
        let version = format!("ABI version {abi}");
        fails(machine, 5, &["stats"], &[&version, cure])?;
        fails(machine, 5, &["connect", "localhost:1"], &[&version, cure])?;
        let report = json(machine, 1, &["doctor"])?;
        is(&report, "/device", "other_version")?;
        is(&report, "/driver/abi", abi)?;
        is(&report, "/program/abi", 1)?;
        let next = text(&report, "/next")?;
        ensure!(next.starts_with("tlsgate install") == (abi == 0), "{next}");
    }
    machine.clear_parameters(SERVICE)?;
    done(machine, &["install"])?;
    is(&json(machine, 0, &["doctor"])?, "/driver/abi", 1)
}
