//! The wrong driver breaks a rule: the lab must name it.

use crate::{bench::within, switches::connect};
use anyhow::{Context, Result, ensure};
use std::{
    ffi::OsStr,
    fs, io,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};
use tlsgate::Device;
use tlsgate_lab_control::{
    FOLDER, Remote,
    kmdf::{
        self,
        faults::{Caught, FILE, Fault, IMPORT, NO_IMPORT, SECOND_FILE, SERVICE_NAME},
    },
    ksecdd::{self, Answer, Completion, Question, Switches},
};
use windows_service::{
    service::{
        Service, ServiceAccess, ServiceErrorControl, ServiceInfo, ServiceStartType, ServiceState,
        ServiceType,
    },
    service_manager::{ServiceManager, ServiceManagerAccess},
};

/// How long a broken rule may take to show: the lab gives a driver ten seconds for requests of
/// handles that are closed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the lab names it.
const STOP_LOG: &str = "stop.log";

/// How often it is looked for.
const INTERVAL: Duration = Duration::from_millis(5);

/// Room for a reply; the same for the request.
const ROOM: usize = 32;

/// Commits faults, by their function codes, one after the other; says of each whether the lab has named its rule.
/// What is not wrong must not be caught.
pub async fn commit_all(functions: &[u32]) -> Result<()> {
    let manager = ServiceManager::local_computer(
        None::<&str>,
        ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE,
    )?;
    for &function in functions {
        let fault = Fault::from_function(function).context("no such fault")?;
        let start = Instant::now();
        let caught = commit_one(&manager, fault).await;
        let caught = caught.map_or_else(|error| format!("{error:#}"), |()| "caught".to_owned());
        let caught = caught.replace('\n', " ");
        println!("{function} {} {caught}", start.elapsed().as_millis());
    }
    Ok(())
}

async fn commit_one(manager: &ServiceManager, fault: Fault) -> Result<()> {
    remove_traces()?;
    if fault == Fault::UnknownImport {
        with_unknown_import()?;
    }
    let service = create(manager, fault, "")?;
    let committed = if fault.caught() == Caught::AtStart {
        start_wrong(manager, fault, &service)
    } else {
        match service.start::<&OsStr>(&[]) {
            Ok(()) => commit(fault, &service).await,
            Err(error) => Err(error.into()),
        }
    };
    let judged = judge(fault, committed).await;
    service.delete()?;
    judged
}

/// Whether it was caught, by its rule, or rightly not.
async fn judge(fault: Fault, committed: Result<()>) -> Result<()> {
    if fault.caught() == Caught::Never {
        committed?;
        let stops = stops()?;
        ensure!(stops.is_empty(), "nothing is wrong, and yet {stops:?}");
        return Ok(());
    }
    // The process is gone in the middle of it: what the request gave is of no interest.
    let deadline = Instant::now() + PATIENCE;
    let stop = loop {
        if let Some(stop) = stops()?.into_iter().next() {
            break stop;
        }
        ensure!(Instant::now() < deadline, "not caught; {committed:?}");
        tokio::time::sleep(INTERVAL).await;
    };
    // When nobody listens to its port any more, the process writes no more.
    while let Ok(mut remote) = Remote::connect(Path::new(FOLDER), kmdf::MODULE) {
        if kmdf::report(&mut remote).is_err() {
            break;
        }
        ensure!(
            Instant::now() < deadline,
            "{stop}, and the process lives on"
        );
        tokio::time::sleep(INTERVAL).await;
    }
    let expected = format!("STOP {}:", fault.rule());
    ensure!(stop.starts_with(&expected), "caught as {stop}");
    Ok(())
}

/// What the fault before has left, which would be taken for this one's.
fn remove_traces() -> Result<()> {
    let ports = [kmdf::MODULE, ksecdd::MODULE].map(|module| format!("{module}.port"));
    for name in ports.into_iter().chain([STOP_LOG.to_owned()]) {
        match fs::remove_file(Path::new(FOLDER).join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// Starts what is wrong from the start.
fn start_wrong(manager: &ServiceManager, fault: Fault, service: &Service) -> Result<()> {
    if fault != Fault::TwoDrivers {
        return Ok(service.start::<&OsStr>(&[])?);
    }
    service.start::<&OsStr>(&[])?;
    let file = |name| Path::new(FOLDER).join(name);
    fs::copy(file(FILE), file(SECOND_FILE))?;
    let second = create(manager, fault, "b")?;
    let started = second.start::<&OsStr>(&[]);
    second.delete()?;
    Ok(started?)
}

/// Makes a copy of the driver that imports what there is not.
fn with_unknown_import() -> Result<()> {
    let mut image = fs::read(Path::new(FOLDER).join(FILE))?;
    let place = image
        .windows(IMPORT.len())
        .position(|bytes| bytes == IMPORT)
        .context("the driver has no such import")?;
    image[place..place + IMPORT.len()].copy_from_slice(NO_IMPORT);
    Ok(fs::write(Path::new(FOLDER).join(SECOND_FILE), image)?)
}

/// As far as it takes.
async fn commit(fault: Fault, service: &Service) -> Result<()> {
    if matches!(fault.caught(), Caught::WhileHeld | Caught::OnRelease) {
        ask_ksecdd(&Question::Set(Switches {
            completion: Completion::Held,
            ..Switches::default()
        }))?;
    }
    // These are told that the driver has the request by the next request's reply.
    let cancels = fault.caught() == Caught::OnCancel || fault == Fault::Pending;
    let pends = cancels || fault == Fault::RequestLeft;
    let waits = [Fault::CompletedWhileQueued, Fault::UsedWhileQueued].contains(&fault);
    if pends || waits {
        one_worker()?;
    }
    let device = Device::open_path(&format!(r"\\.\{}", kmdf::service(fault)), true)?;
    if fault == Fault::TimeRight {
        hours_pass(&device).await?;
        drop(device);
        return stop(service).await;
    }
    // Most of the reply is none of the request's own bytes.
    let input = if fault == Fault::ReplyNotWritten {
        1
    } else {
        ROOM
    };
    let operation = device.issue(fault.code(), vec![0; input], ROOM);
    if pends {
        let next = device.issue(Fault::Nothing.code(), vec![0; ROOM], ROOM);
        let answer = within(next).await?;
        ensure!(answer.is_ok(), "the next request: {answer:?}");
    }
    if cancels {
        operation.canceller().cancel();
    }
    if fault == Fault::RequestLeft {
        operation.detach();
    } else {
        let answer = within(operation).await?;
        ensure!(fault != Fault::Nothing || answer.is_ok(), "{answer:?}");
    }
    drop(device);
    if fault.caught() == Caught::OnRelease {
        ask_ksecdd(&Question::Release(None))?;
    }
    if matches!(fault.caught(), Caught::AtUnload | Caught::Never) {
        stop(service).await?;
    }
    Ok(())
}

async fn stop(service: &Service) -> Result<()> {
    service.stop()?;
    let deadline = Instant::now() + PATIENCE;
    while service.query_status()?.current_state != ServiceState::Stopped {
        ensure!(Instant::now() < deadline, "the driver does not stop");
        tokio::time::sleep(INTERVAL).await;
    }
    Ok(())
}

/// Has the machine sleep for an hour, then lets hours pass until the driver has waited for all of its own.
async fn hours_pass(device: &Device) -> Result<()> {
    const HOUR: u64 = 3_600_000;
    let mut remote = connect(kmdf::MODULE)?;
    kmdf::sleep(&mut remote, HOUR)?;
    let mut operation = Box::pin(device.issue(Fault::TimeRight.code(), vec![0; ROOM], ROOM));
    let deadline = Instant::now() + PATIENCE;
    loop {
        tokio::select! {
            answer = &mut operation => {
                ensure!(answer.is_ok(), "{answer:?}");
                return Ok(());
            }
            () = tokio::time::sleep(INTERVAL) => kmdf::advance_time(&mut remote, HOUR)?,
        }
        ensure!(Instant::now() < deadline, "the driver still waits");
    }
}

/// Has the framework deliver one request after the other.
fn one_worker() -> Result<()> {
    let mut remote = connect(kmdf::MODULE)?;
    let switches = kmdf::Switches {
        workers: 1,
        ..kmdf::Switches::default()
    };
    kmdf::set(&mut remote, &switches)
}

/// Asks the kernel SSPI stand-in.
fn ask_ksecdd(question: &Question) -> Result<Answer> {
    connect(ksecdd::MODULE)?.ask(question)
}

/// The broken rules so far.
fn stops() -> Result<Vec<String>> {
    match fs::read_to_string(Path::new(FOLDER).join(STOP_LOG)) {
        Ok(log) => Ok(log.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// A service of the fault's own, which may be there from a run that was broken off.
fn create(manager: &ServiceManager, fault: Fault, suffix: &str) -> Result<Service> {
    let name = kmdf::service(fault) + suffix;
    if let Ok(left) = manager.open_service(&name, ServiceAccess::all()) {
        return Ok(left);
    }
    let file = if fault == Fault::UnknownImport || !suffix.is_empty() {
        SECOND_FILE
    } else {
        FILE
    };
    let file = format!(r"{FOLDER}\{file}");
    if fault == Fault::TwoDrivers {
        // They share a process, having the same group, which the library does not know.
        let created = Command::new("sc")
            .args(["create", &name, "type=", "kernel", "group=", SERVICE_NAME])
            .args(["binPath=", &file])
            .output()?;
        ensure!(created.status.success(), "sc create {name}: {created:?}");
        return Ok(manager.open_service(&name, ServiceAccess::all())?);
    }
    let service = ServiceInfo {
        name: name.clone().into(),
        display_name: name.into(),
        service_type: ServiceType::KERNEL_DRIVER,
        start_type: ServiceStartType::OnDemand,
        error_control: ServiceErrorControl::Normal,
        executable_path: file.into(),
        launch_arguments: Vec::new(),
        dependencies: Vec::new(),
        account_name: None,
        account_password: None,
    };
    Ok(manager.create_service(&service, ServiceAccess::all())?)
}
