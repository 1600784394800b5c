//! Who may open the device: as the Parameters key says, and nobody if it says nonsense.

use crate::probe::{lab, probe};
use anyhow::{Result, ensure};
use tlsgate_e2e::{Lab, PROGRAM};
use tlsgate_lab_control::{
    kmdf::{self, Account, Switches, Trace, Value},
    ksecdd::{Answer, Question, TokenUse},
};
use tlsgate_lab_machine::Parameter;

/// The service's name, and the value's.
const SERVICE: &str = "TlsGate";
const SDDL: &str = "Sddl";

/// `STATUS_INVALID_SECURITY_DESCR`
const INVALID: u64 = 0xC000_0079;
/// `STATUS_OBJECT_TYPE_MISMATCH`
const MISMATCH: u64 = 0xC000_0024;

#[test]
fn a_service_account_is_admitted_by_the_parameters_and_uses_its_own_key_only() -> Result<()> {
    let lab = lab()?;
    let service = Account::Service("web".into());
    let sddl = format!("D:P(A;;GA;;;SY)(A;;GA;;;{})", service.sid());
    reinstall(&lab, Parameter::Text(&sddl), &Switches::default())?;
    let stranger = lab.machine().run(PROGRAM, &["doctor"])?;
    ensure!(stranger.code != Some(0), "an administrator got in");
    let mut remote = lab.machine().remote(kmdf::MODULE)?;
    ensure!(kmdf::report(&mut remote)?.denials == 1);
    kmdf::set(
        &mut remote,
        &Switches {
            account: service.clone(),
            ..Switches::default()
        },
    )?;
    let admitted = lab.machine().run(PROGRAM, &["doctor"])?;
    ensure!(
        admitted.code == Some(0),
        "the service did not get in: {admitted:?}"
    );
    // Where ksecdd does not look at the caller's token there is no other's key.
    let Answer::Switches(ksecdd) = lab.ask_ksecdd(&Question::Switches)? else {
        anyhow::bail!("ksecdd does not tell its switches");
    };
    if !matches!(ksecdd.token, TokenUse::InWorker | TokenUse::Ignored) {
        let Err(refused) = probe(&lab, &["handshake"]) else {
            anyhow::bail!("the service used another's key");
        };
        let refused = format!("{refused:?}");
        ensure!(refused.contains("SEC_E_NO_CREDENTIALS"), "{refused}");
    }
    lab.machine()
        .give_key(lab.thumbprint(), &[service.name()])?;
    probe(&lab, &["handshake"])?;
    lab.machine().give_key(lab.thumbprint(), &[])?;
    lab.machine().clear_parameters(SERVICE)?;
    lab.finish()
}

#[test]
fn a_bad_sddl_fails_the_start_with_an_event() -> Result<()> {
    let lab = lab()?;
    let long = format!("D:P{}", "(A;;GA;;;SY)".repeat(50));
    let cases = [
        (Parameter::Text("D:P(A;;GA;;;SY"), "Sddl refused", INVALID),
        (
            // Everyone.
            Parameter::Text("D:P(A;;GA;;;WD)"),
            "Sddl refused",
            INVALID,
        ),
        (Parameter::Number(1), "Sddl unreadable", MISMATCH),
        (
            Parameter::Raw(1, &[0x44, 0, 0x3A]),
            "Sddl unreadable",
            MISMATCH,
        ),
        // STATUS_BUFFER_OVERFLOW
        (Parameter::Text(&long), "Sddl unreadable", 0x8000_0005),
    ];
    for (number, (value, what, status)) in cases.into_iter().enumerate() {
        let switches = Switches {
            trace: Some(Trace::EVERYTHING),
            ..Switches::default()
        };
        let started = reinstall(&lab, value, &switches);
        ensure!(started.is_err(), "started with {value:?}");
        lab.machine().check()?;
        let events = lab.machine().logged_events()?;
        ensure!(events.len() == number + 1, "{events:?}");
        let event = &events[number];
        ensure!(event.name == "StartFailed", "{event:?}");
        ensure!(
            event.fields["what"] == Value::Text(what.into()),
            "{event:?}"
        );
        ensure!(
            event.fields["ntstatus"] == Value::Unsigned(status),
            "{event:?}"
        );
    }
    lab.machine().clear_parameters(SERVICE)?;
    lab.install()?;
    lab.finish()
}

/// Installs the driver anew, with the value set and the stand-in's switches from the start.
fn reinstall(lab: &Lab, value: Parameter, switches: &Switches) -> Result<()> {
    // There is none after a start that failed.
    let _uninstalled = lab.machine().run(PROGRAM, &["uninstall"])?;
    lab.machine().begin_with(switches)?;
    lab.machine().set_parameter(SERVICE, SDDL, value)?;
    lab.install()
}
