//! `tlsgate install` and `tlsgate uninstall`: the driver's file and its kernel service.

use crate::cli;
use anyhow::{Context, Result, anyhow, bail};
use std::{
    env, fs, io,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};
use tlsgate::protocol::SERVICE_NAME;
use windows_service::{
    service::{
        Service, ServiceAccess, ServiceErrorControl, ServiceInfo, ServiceStartType, ServiceState,
        ServiceType,
    },
    service_manager::{ServiceManager, ServiceManagerAccess},
};
use windows_sys::Win32::{
    Foundation::{
        ERROR_ACCESS_DENIED, ERROR_INVALID_IMAGE_HASH, ERROR_MOD_NOT_FOUND, ERROR_PROC_NOT_FOUND,
        ERROR_SERVICE_ALREADY_RUNNING, ERROR_SERVICE_DOES_NOT_EXIST,
        ERROR_SERVICE_MARKED_FOR_DELETE, ERROR_SERVICE_NOT_ACTIVE,
    },
    System::SystemInformation::GetSystemDirectoryW,
};

/// How long the driver may take to start or stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// Copies the file, creates the service and starts it; each step says so.
pub fn install(options: &cli::Install) -> Result<()> {
    let source = match &options.driver {
        Some(path) => path.clone(),
        None => env::current_exe()?.with_file_name("tlsgate.sys"),
    };
    if !source.is_file() {
        bail!(
            "there is no {}; name the driver with --driver PATH",
            source.display()
        );
    }
    let target = installed_file()?;
    let manager = manager(ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE)?;
    if let Some(service) = open(&manager)? {
        println!("stopping the driver that is installed");
        stop(&service)?;
    }
    println!("copying {} to {}", source.display(), target.display());
    fs::copy(&source, &target).with_context(|| format!("cannot write {}", target.display()))?;
    let service = if let Some(service) = open(&manager)? {
        // An INF may have made it, for the file in its driver store.
        service
            .change_config(&service_info(target))
            .map_err(|error| explain("cannot change the service", error))?;
        service
    } else {
        println!("creating the service {SERVICE_NAME}");
        manager
            .create_service(&service_info(target), access())
            .map_err(|error| explain("cannot create the service", error))?
    };
    println!("starting it");
    match service.start::<&str>(&[]) {
        Err(error) if code(&error) == Some(ERROR_SERVICE_ALREADY_RUNNING) => {}
        other => other.map_err(|error| explain("the driver does not start", error))?,
    }
    wait_for(&service, ServiceState::Running)?;
    println!("the driver is running");
    Ok(())
}

/// Undoes what [`install`] did. What is not there is no error.
pub fn uninstall() -> Result<()> {
    let manager = manager(ServiceManagerAccess::CONNECT)?;
    match open(&manager)? {
        Some(service) => {
            println!("stopping the driver");
            stop(&service)?;
            println!("deleting the service {SERVICE_NAME}");
            match service.delete() {
                Err(error) if code(&error) == Some(ERROR_SERVICE_MARKED_FOR_DELETE) => {}
                other => other.map_err(|error| explain("cannot delete the service", error))?,
            }
        }
        None => println!("there is no service {SERVICE_NAME}"),
    }
    let file = installed_file()?;
    match fs::remove_file(&file) {
        Ok(()) => println!("removed {}", file.display()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("cannot remove {}", file.display()));
        }
    }
    Ok(())
}

/// The service's state in words.
pub fn state() -> Result<String> {
    let manager = manager(ServiceManagerAccess::CONNECT)?;
    let state = ServiceAccess::QUERY_STATUS;
    match manager.open_service(SERVICE_NAME, state) {
        Ok(service) => Ok(match service.query_status()?.current_state {
            ServiceState::Running => "running".to_owned(),
            ServiceState::Stopped => "stopped; `sc start TlsGate` starts it".to_owned(),
            other => format!("{other:?}"),
        }),
        Err(error) if code(&error) == Some(ERROR_SERVICE_DOES_NOT_EXIST) => {
            Ok("not installed; `tlsgate install` installs it".to_owned())
        }
        Err(error) => Err(explain("cannot look at the service", error)),
    }
}

/// A driver that is not plug and play needs no INF: a service of type kernel is all.
fn service_info(file: PathBuf) -> ServiceInfo {
    ServiceInfo {
        name: SERVICE_NAME.into(),
        display_name: "TlsGate: TLS handshakes in the kernel".into(),
        service_type: ServiceType::KERNEL_DRIVER,
        start_type: ServiceStartType::OnDemand,
        error_control: ServiceErrorControl::Normal,
        executable_path: file,
        launch_arguments: Vec::new(),
        dependencies: Vec::new(),
        account_name: None,
        account_password: None,
    }
}

fn access() -> ServiceAccess {
    ServiceAccess::QUERY_STATUS
        | ServiceAccess::CHANGE_CONFIG
        | ServiceAccess::START
        | ServiceAccess::STOP
        | ServiceAccess::DELETE
}

fn manager(access: ServiceManagerAccess) -> Result<ServiceManager> {
    ServiceManager::local_computer(None::<&str>, access)
        .map_err(|error| explain("cannot reach the service manager", error))
}

fn open(manager: &ServiceManager) -> Result<Option<Service>> {
    match manager.open_service(SERVICE_NAME, access()) {
        Ok(service) => Ok(Some(service)),
        Err(error) if code(&error) == Some(ERROR_SERVICE_DOES_NOT_EXIST) => Ok(None),
        Err(error) => Err(explain("cannot open the service", error)),
    }
}

fn stop(service: &Service) -> Result<()> {
    match service.stop() {
        Err(error) if code(&error) == Some(ERROR_SERVICE_NOT_ACTIVE) => Ok(()),
        other => {
            other.map_err(|error| explain("cannot stop the driver", error))?;
            wait_for(service, ServiceState::Stopped)
                .context("programs may still hold the device open: end them first")
        }
    }
}

/// The service manager has no call that waits: it is asked until it says so.
fn wait_for(service: &Service, wanted: ServiceState) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let state = service.query_status()?.current_state;
        if state == wanted {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!(
                "the driver is still {state:?} after {} seconds",
                PATIENCE.as_secs()
            );
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn installed_file() -> Result<PathBuf> {
    let mut buffer = [0; 260];
    // SAFETY: the buffer has as many units as it is said to have.
    let length = unsafe { GetSystemDirectoryW(buffer.as_mut_ptr(), 260) };
    let folder = usize::try_from(length)
        .ok()
        .filter(|length| *length > 0)
        .and_then(|length| buffer.get(..length))
        .ok_or_else(io::Error::last_os_error)?;
    Ok(PathBuf::from(String::from_utf16(folder)?)
        .join("drivers")
        .join("tlsgate.sys"))
}

fn code(error: &windows_service::Error) -> Option<u32> {
    match error {
        windows_service::Error::Winapi(error) => error.raw_os_error()?.try_into().ok(),
        _ => None,
    }
}

/// The error with what to do about it.
fn explain(what: &str, error: windows_service::Error) -> anyhow::Error {
    let advice = match code(&error) {
        Some(ERROR_ACCESS_DENIED) => "; run it as an administrator",
        Some(ERROR_INVALID_IMAGE_HASH) => {
            "; Windows does not accept its signature: on a test machine run \
             `bcdedit /set testsigning on` and restart"
        }
        Some(ERROR_PROC_NOT_FOUND | ERROR_MOD_NOT_FOUND) => {
            "; this Windows is too old for it: it needs Windows 11 or Windows Server 2022"
        }
        Some(ERROR_SERVICE_MARKED_FOR_DELETE) => {
            "; the old service is still being deleted: close what looks at it (services.msc) or \
             restart"
        }
        _ => "",
    };
    match error {
        windows_service::Error::Winapi(error) => anyhow!("{what}: {error}{advice}"),
        error => anyhow!("{what}: {error}"),
    }
}
