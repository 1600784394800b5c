//! The driver's kernel service, by way of the service control manager.

use crate::exit::{self, Failure};
use crate::show::Working;
use anyhow::{Result, anyhow, bail};
use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};
use tlsgate::protocol::SERVICE_NAME;
use windows_service::{
    service::{
        ServiceAccess, ServiceErrorControl, ServiceInfo, ServiceStartType, ServiceState,
        ServiceType,
    },
    service_manager::{ServiceManager, ServiceManagerAccess},
};
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_FILE_NOT_FOUND, ERROR_INVALID_IMAGE_HASH, ERROR_MOD_NOT_FOUND,
    ERROR_PROC_NOT_FOUND, ERROR_SERVICE_ALREADY_RUNNING, ERROR_SERVICE_DOES_NOT_EXIST,
    ERROR_SERVICE_MARKED_FOR_DELETE, ERROR_SERVICE_NOT_ACTIVE,
};

/// How often the service manager is asked: it has no call that waits.
const INTERVAL: Duration = Duration::from_millis(20);

/// The driver's service.
pub struct Service(windows_service::service::Service);

/// What the service manager knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// There is none.
    Absent,
    /// It is there; the driver is not loaded.
    Stopped,
    /// The driver is loaded.
    Running,
    /// On its way from one to the other.
    Changing,
}

/// Looks.
pub fn status() -> Result<Status> {
    let manager = manager(ServiceManagerAccess::CONNECT)?;
    match manager.open_service(SERVICE_NAME, ServiceAccess::QUERY_STATUS) {
        Ok(service) => Ok(match service.query_status()?.current_state {
            ServiceState::Running => Status::Running,
            ServiceState::Stopped => Status::Stopped,
            _ => Status::Changing,
        }),
        Err(error) if is(&error, ERROR_SERVICE_DOES_NOT_EXIST) => Ok(Status::Absent),
        Err(error) => Err(explain("cannot look at the service", error)),
    }
}

impl Service {
    /// The service, if there is one.
    pub fn open() -> Result<Option<Self>> {
        match manager(ServiceManagerAccess::CONNECT)?.open_service(SERVICE_NAME, access()) {
            Ok(service) => Ok(Some(Self(service))),
            Err(error) if is(&error, ERROR_SERVICE_DOES_NOT_EXIST) => Ok(None),
            Err(error) => Err(explain("cannot open the service", error)),
        }
    }

    /// Makes it. A driver that is not plug and play needs no INF: a service of type kernel is all.
    pub fn create(file: PathBuf) -> Result<Self> {
        let info = ServiceInfo {
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
        };
        manager(ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE)?
            .create_service(&info, access())
            .map(Self)
            .map_err(|error| explain("cannot create the service", error))
    }

    /// Loads the driver; it may be loaded already.
    pub fn start(&self, patience: Duration) -> Result<()> {
        match self.0.start::<&str>(&[]) {
            Err(error) if is(&error, ERROR_SERVICE_ALREADY_RUNNING) => {}
            other => other.map_err(|error| explain("the driver does not start", error))?,
        }
        self.wait_for(ServiceState::Running, patience, "starting", "")
    }

    /// Unloads the driver, if it is loaded.
    pub fn stop(&self, patience: Duration) -> Result<()> {
        match self.0.stop() {
            Err(error) if is(&error, ERROR_SERVICE_NOT_ACTIVE) => return Ok(()),
            // It was told to stop before, and waits.
            Err(_) if self.state()? == ServiceState::StopPending => {}
            other => _ = other.map_err(|error| explain("cannot stop the driver", error))?,
        }
        self.wait_for(
            ServiceState::Stopped,
            patience,
            "waiting for the driver to stop",
            "; programs still have its device open, as `tlsgate serve` has: end them, then try again",
        )
    }

    /// Has it deleted: at once, or when the last handle of it is closed.
    pub fn delete(&self) -> Result<()> {
        match self.0.delete() {
            Err(error) if is(&error, ERROR_SERVICE_MARKED_FOR_DELETE) => Ok(()),
            other => other.map_err(|error| explain("cannot delete the service", error)),
        }
    }

    fn state(&self) -> Result<ServiceState> {
        Ok(self.0.query_status()?.current_state)
    }

    fn wait_for(
        &self,
        wanted: ServiceState,
        patience: Duration,
        what: &'static str,
        advice: &str,
    ) -> Result<()> {
        let _working = Working::on(what);
        let deadline = Instant::now() + patience;
        loop {
            let state = self.state()?;
            if state == wanted {
                return Ok(());
            }
            if Instant::now() > deadline {
                let seconds = patience.as_secs();
                bail!("the driver is still {state:?} after {seconds} seconds{advice}");
            }
            thread::sleep(INTERVAL);
        }
    }
}

fn access() -> ServiceAccess {
    ServiceAccess::QUERY_STATUS | ServiceAccess::START | ServiceAccess::STOP | ServiceAccess::DELETE
}

fn manager(access: ServiceManagerAccess) -> Result<ServiceManager> {
    ServiceManager::local_computer(None::<&str>, access)
        .map_err(|error| explain("cannot reach the service manager", error))
}

fn is(error: &windows_service::Error, code: u32) -> bool {
    self::code(error) == Some(code)
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
        Some(ERROR_FILE_NOT_FOUND) => "; its file is gone: `tlsgate install` brings it back",
        Some(ERROR_SERVICE_MARKED_FOR_DELETE) => {
            "; the old service is still being deleted: close what looks at it (services.msc) or \
             restart"
        }
        _ => "",
    };
    match error {
        windows_service::Error::Winapi(error) => anyhow!(Failure::new(
            exit::of_io(&error),
            format!("{what}: {error}{advice}")
        )),
        error => anyhow!("{what}: {error}"),
    }
}
