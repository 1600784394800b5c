//! `tlsgate install` and `tlsgate uninstall`: the driver's file and its kernel service.

mod control;

pub use control::{Service, Status, status};

use crate::{
    cli,
    exit::{self, Failure},
    show::{GOOD, styled},
};
use anyhow::{Context, Result, anyhow};
use std::{
    env, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};
use tlsgate::protocol::SERVICE_NAME;
use windows_sys::Win32::{
    Foundation::ERROR_SHARING_VIOLATION, System::SystemInformation::GetSystemDirectoryW,
};

/// Copies the file, creates the service and starts it; each step says so.
pub fn install(options: &cli::Install) -> Result<()> {
    let source = match &options.driver {
        Some(path) => path.clone(),
        None => env::current_exe()?.with_file_name("tlsgate.sys"),
    };
    if !source.is_file() {
        anyhow::bail!(
            "there is no driver {}; name it with --driver PATH",
            source.display()
        );
    }
    let target = installed_file()?;
    let patience = Duration::from_secs(options.timeout.into());
    let installed = Service::open()?;
    if let Some(service) = &installed {
        step("stopping the driver that is installed");
        service.stop(patience)?;
    }
    step(&format!(
        "copying {} to {}",
        source.display(),
        target.display()
    ));
    fs::copy(&source, &target)
        .map_err(|error| file_error(&error, &format!("cannot write {}", target.display())))?;
    let service = if let Some(service) = installed {
        service
    } else {
        step(&format!("creating the service {SERVICE_NAME}"));
        Service::create(target)?
    };
    step("starting it");
    service.start(patience)?;
    anstream::println!("{}", styled(GOOD, "the driver is running"));
    Ok(())
}

/// Undoes what [`install`] did. What is not there is no error.
pub fn uninstall(options: &cli::Uninstall) -> Result<()> {
    match Service::open()? {
        Some(service) => {
            step("stopping the driver");
            service.stop(Duration::from_secs(options.timeout.into()))?;
            step(&format!("deleting the service {SERVICE_NAME}"));
            service.delete()?;
        }
        None => step(&format!("there is no service {SERVICE_NAME}")),
    }
    let file = installed_file()?;
    match fs::remove_file(&file) {
        Ok(()) => step(&format!("removed {}", file.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(file_error(
                &error,
                &format!("cannot remove {}", file.display()),
            ));
        }
    }
    anstream::println!("{}", styled(GOOD, "the driver is gone"));
    Ok(())
}

/// Where the driver's file is when it is installed.
pub fn installed_file() -> Result<PathBuf> {
    let mut buffer = [0; 260];
    // SAFETY: the buffer has as many units as it is said to have.
    let length = unsafe { GetSystemDirectoryW(buffer.as_mut_ptr(), 260) };
    let folder = usize::try_from(length)
        .ok()
        .filter(|length| *length > 0)
        .and_then(|length| buffer.get(..length))
        .ok_or_else(io::Error::last_os_error)
        .context("this Windows does not tell where its system folder is")?;
    Ok(Path::new(&String::from_utf16(folder)?)
        .join("drivers")
        .join("tlsgate.sys"))
}

fn step(what: &str) {
    anstream::println!("{what}");
}

/// The error with what to do about it.
fn file_error(error: &io::Error, what: &str) -> anyhow::Error {
    let advice = match error.raw_os_error().map(i32::cast_unsigned) {
        Some(ERROR_SHARING_VIOLATION) => {
            "; it is still in use: end the programs that have the device open, or restart"
        }
        _ if error.kind() == io::ErrorKind::PermissionDenied => "; run it as an administrator",
        _ => "",
    };
    anyhow!(Failure::new(
        exit::of_io(error),
        format!("{what}: {error}{advice}")
    ))
}
