//! The wrong driver breaks each rule once: the lab must name the rule.

use anyhow::{Context, Result, ensure};
use std::{
    ffi::OsStr,
    fs, io,
    path::Path,
    time::{Duration, Instant},
};
use tlsgate_client::Device;
use tlsgate_lab_control::{
    FOLDER, Remote,
    kmdf::faults::{Caught, DEVICE_PATH, Fault, SERVICE_NAME},
    ksecdd::{self, Completion, Question, Switches},
};
use windows_service::{
    service::{
        Service, ServiceAccess, ServiceErrorControl, ServiceInfo, ServiceStartType, ServiceState,
        ServiceType,
    },
    service_manager::{ServiceManager, ServiceManagerAccess},
};

/// How long a broken rule may take to show.
const PATIENCE: Duration = Duration::from_secs(15);

/// Room for a reply; the same for the request.
const ROOM: usize = 32;

/// Every fault, each in a driver process of its own; and what is not wrong.
pub async fn every_fault() -> Result<()> {
    let manager = ServiceManager::local_computer(
        None::<&str>,
        ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE,
    )?;
    let mut missed = Vec::new();
    for &fault in [Fault::Nothing, Fault::Pending].iter().chain(Fault::ALL) {
        if let Err(error) = one(&manager, fault).await {
            println!("{fault:?}: {error:#}");
            missed.push(fault);
        }
    }
    ensure!(
        missed.is_empty(),
        "{} rules were missed: {missed:?}",
        missed.len()
    );
    println!("{} faults, each caught", Fault::ALL.len());
    Ok(())
}

async fn one(manager: &ServiceManager, fault: Fault) -> Result<()> {
    let stops_before = stops()?.len();
    // A service's process is its own: one that a fault has ended leaves the others alone.
    let name = format!("{SERVICE_NAME}{}", fault as u32);
    let service = manager.create_service(&service(&name), ServiceAccess::all())?;
    service.start::<&OsStr>(&[])?;
    hold_calls()?;
    let committed = commit(fault, &service).await;
    if fault.caught() == Caught::Never {
        committed?;
        let stops = stops()?.split_off(stops_before);
        ensure!(stops.is_empty(), "nothing is wrong, and yet {stops:?}");
        return Ok(());
    }
    // The process is gone in the middle of it: what the requests gave is of no interest.
    let deadline = Instant::now() + PATIENCE;
    let stop = loop {
        if let Some(stop) = stops()?.into_iter().nth(stops_before) {
            break stop;
        }
        ensure!(Instant::now() < deadline, "not caught; {committed:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let expected = format!("STOP {}:", fault.rule());
    ensure!(stop.starts_with(&expected), "caught as {stop}");
    Ok(())
}

/// As far as it takes.
async fn commit(fault: Fault, service: &Service) -> Result<()> {
    let device = Device::open_path(DEVICE_PATH, true)?;
    let operation = device.issue(fault.code(), vec![0; ROOM], ROOM);
    let (canceller, cancels) = (
        operation.canceller(),
        fault.caught() == Caught::OnCancel || fault == Fault::Pending,
    );
    if cancels {
        // Answered only when it is cancelled: after it was marked, or before, as may be.
        canceller.cancel();
    }
    if fault == Fault::RequestLeft {
        operation.detach();
    } else {
        let answer = tokio::time::timeout(PATIENCE, operation)
            .await
            .context("no answer")?;
        let wanted = if fault == Fault::Nothing {
            answer.is_ok()
        } else {
            true
        };
        ensure!(wanted, "{answer:?}");
    }
    drop((canceller, device));
    if matches!(fault.caught(), Caught::AtUnload | Caught::Never) {
        service.stop()?;
        let deadline = Instant::now() + PATIENCE;
        while service.query_status()?.current_state != ServiceState::Stopped {
            ensure!(Instant::now() < deadline, "the driver does not stop");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    Ok(())
}

/// Two of the faults want a ksecdd that holds calls back; the others do not mind.
fn hold_calls() -> Result<()> {
    let mut remote = Remote::connect(Path::new(FOLDER), ksecdd::MODULE)?;
    let switches = Switches {
        completion: Completion::Held,
        ..Switches::default()
    };
    let _before: ksecdd::Answer = remote.ask(&Question::Set(switches))?;
    Ok(())
}

/// The broken rules so far.
fn stops() -> Result<Vec<String>> {
    match fs::read_to_string(Path::new(FOLDER).join("stop.log")) {
        Ok(log) => Ok(log.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn service(name: &str) -> ServiceInfo {
    ServiceInfo {
        name: name.into(),
        display_name: "The wrong driver".into(),
        service_type: ServiceType::KERNEL_DRIVER,
        start_type: ServiceStartType::OnDemand,
        error_control: ServiceErrorControl::Normal,
        executable_path: Path::new(FOLDER).join("wrong.sys"),
        launch_arguments: Vec::new(),
        dependencies: Vec::new(),
        account_name: None,
        account_password: None,
    }
}
