//! The wrong driver breaks a rule: the lab must name it.

use crate::{bench::within, switches::connect};
use anyhow::{Context, Result, ensure};
use std::{
    ffi::OsStr,
    fs, io,
    path::Path,
    time::{Duration, Instant},
};
use tlsgate::Device;
use tlsgate_lab_control::{
    FOLDER,
    kmdf::{
        self,
        faults::{Caught, DEVICE_PATH, Fault, SERVICE_NAME},
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

/// How often it is looked for.
const INTERVAL: Duration = Duration::from_millis(5);

/// Room for a reply; the same for the request.
const ROOM: usize = 32;

/// Commits one fault, by its function code, and waits until the lab has named the rule. What is not
/// wrong must not be caught.
pub async fn commit_one(function: u32) -> Result<()> {
    let fault = [Fault::Nothing, Fault::Pending]
        .iter()
        .chain(Fault::ALL)
        .copied()
        .find(|fault| *fault as u32 == function)
        .context("no such fault")?;
    let manager = ServiceManager::local_computer(
        None::<&str>,
        ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE,
    )?;
    // It may be there from an earlier run.
    let service = manager
        .open_service(SERVICE_NAME, ServiceAccess::all())
        .or_else(|_| manager.create_service(&service(), ServiceAccess::all()))?;
    service.start::<&OsStr>(&[])?;
    let committed = commit(fault, &service).await;
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
    let expected = format!("STOP {}:", fault.rule());
    ensure!(stop.starts_with(&expected), "caught as {stop}");
    Ok(())
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
    if pends {
        one_worker()?;
    }
    let device = Device::open_path(DEVICE_PATH, true)?;
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
    match fs::read_to_string(Path::new(FOLDER).join("stop.log")) {
        Ok(log) => Ok(log.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn service() -> ServiceInfo {
    ServiceInfo {
        name: SERVICE_NAME.into(),
        display_name: SERVICE_NAME.into(),
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
