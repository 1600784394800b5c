//! What the doctor has found, and the one thing to do next.

use super::observed::Observed;
use crate::certificate::Described;
use serde::Serialize;
use std::path::PathBuf;

/// Everything; `--json` prints it as it is.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether this program can use the driver.
    pub ready: bool,
    /// What to do next.
    pub next: String,
    /// This program.
    pub program: Version,
    /// The driver's service.
    pub service: Service,
    /// The driver's file.
    pub file: DriverFile,
    /// Whether Windows accepts test signatures.
    pub test_signing: TestSigning,
    /// The driver's device.
    pub device: Device,
    /// What the driver says of itself, if it answers.
    pub driver: Option<Driver>,
    /// The certificates of the machine's store MY that have a private key.
    pub certificates: Vec<Described>,
    /// What Windows leaves open, and this one was observed to do.
    pub observed: Vec<Observed>,
    /// What else deserves a look.
    pub notes: Vec<String>,
}

/// A program's or a driver's version.
#[derive(Debug, Serialize)]
pub struct Version {
    /// As packages have it.
    pub version: String,
    /// Of the IOCTL contract.
    pub abi: u32,
}

/// The service's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Not installed.
    Absent,
    /// Installed, and the driver is not loaded.
    Stopped,
    /// The driver is loaded.
    Running,
    /// Starting or stopping.
    Changing,
    /// The service manager did not tell.
    Unknown,
}

/// The driver's file.
#[derive(Debug, Serialize)]
pub struct DriverFile {
    /// Where it belongs.
    pub path: PathBuf,
    /// Its size in bytes, if it is there.
    pub size: Option<u64>,
}

/// Whether Windows accepts test signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TestSigning {
    /// It does.
    On,
    /// It does not.
    Off,
    /// It did not tell.
    Unknown,
}

/// What became of opening the device and asking for the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// There is none.
    Absent,
    /// This account may not use it.
    Denied,
    /// It opens, or fails to, and nothing makes sense.
    Broken,
    /// The driver speaks another ABI version.
    OtherVersion,
    /// It answers.
    Answers,
}

/// What the driver says of itself.
#[derive(Debug, Serialize)]
pub struct Driver {
    /// Its version; only the number of the ABI is known of another ABI version.
    #[serde(flatten)]
    pub version: Version,
    /// What it takes and makes at most.
    pub limits: Option<Limits>,
    /// The requests that an administrator has switched off.
    pub switched_off: Vec<&'static str>,
}

/// What the driver takes and makes at most.
#[derive(Debug, Serialize)]
pub struct Limits {
    /// Bytes of TLS stream a leg.
    pub largest_input: u32,
    /// Bytes of a leg's reply.
    pub largest_reply: u32,
    /// Bytes of a SEAL or UNSEAL.
    pub largest_records: u32,
    /// Milliseconds of a handshake whose caller names no limit.
    pub default_timeout_ms: u32,
    /// Milliseconds that a caller may name.
    pub longest_timeout_ms: u32,
}

impl Report {
    /// What to do next: the first need that is not met.
    pub fn next_step(&self) -> String {
        if let Some(cure) = self.cure() {
            return cure;
        }
        match self.certificates.iter().find(|one| one.valid_now) {
            Some(one) => format!("tlsgate serve --cert {}", one.thumbprint),
            None => "tlsgate cert new    (a server needs a certificate)".to_owned(),
        }
    }

    /// What makes the driver usable; `None` when it is.
    fn cure(&self) -> Option<String> {
        let cure = match (self.device, self.service) {
            (Device::Answers, _) => return None,
            (Device::OtherVersion, _) => {
                return self
                    .driver
                    .as_ref()
                    .map(|driver| other_version(driver.version.abi));
            }
            (Device::Denied, _) => {
                "run it as an administrator, or let the value Sddl of the driver's Parameters admit \
                 this account"
            }
            (_, Service::Absent | Service::Unknown) => return Some(self.install()),
            (_, Service::Stopped) if self.file.size.is_none() => {
                "tlsgate install    (the service is there, the driver's file is gone)"
            }
            (_, Service::Stopped) => "sc start TlsGate",
            (_, Service::Changing) => {
                "the driver is starting or stopping; it stops when the last program that has its \
                 device open has ended: look again, or restart"
            }
            (_, Service::Running) => "tlsgate uninstall, then tlsgate install",
        };
        Some(cure.to_owned())
    }

    fn install(&self) -> String {
        let install = "tlsgate install    (as an administrator)";
        match self.test_signing {
            TestSigning::On | TestSigning::Unknown => install.to_owned(),
            TestSigning::Off => format!(
                "{install}; for a driver with a test signature, first \
                 `bcdedit /set testsigning on` and a restart"
            ),
        }
    }
}

/// What to do about a driver of another ABI version.
fn other_version(abi: u32) -> String {
    if abi < tlsgate::protocol::ABI_VERSION {
        "tlsgate install    (the driver that runs is older than this program)".to_owned()
    } else {
        "use the tlsgate.exe that came with the driver: it is newer than this program".to_owned()
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn report(device: Device, service: Service) -> Report {
        Report {
            ready: device == Device::Answers,
            next: String::new(),
            program: Version {
                version: "1.2.3".into(),
                abi: 1,
            },
            service,
            file: DriverFile {
                path: "tlsgate.sys".into(),
                size: Some(1),
            },
            test_signing: TestSigning::On,
            device,
            driver: None,
            certificates: Vec::new(),
            observed: Vec::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn the_first_need_comes_first() {
        let next = |device, service| report(device, service).next_step();
        let absent = next(Device::Absent, Service::Absent);
        assert!(absent.starts_with("tlsgate install"), "{absent}");
        assert!(!absent.contains("bcdedit"), "{absent}");
        assert_eq!(next(Device::Absent, Service::Stopped), "sc start TlsGate");
        let denied = next(Device::Denied, Service::Running);
        assert!(denied.contains("administrator"), "{denied}");
        let usable = next(Device::Answers, Service::Running);
        assert!(usable.starts_with("tlsgate cert new"), "{usable}");
    }

    #[test]
    fn test_signing_is_spoken_of_where_it_may_be_what_is_missing() {
        let mut report = report(Device::Absent, Service::Absent);
        report.test_signing = TestSigning::Off;
        assert!(report.next_step().contains("bcdedit /set testsigning on"));
    }

    #[test]
    fn a_file_that_is_gone_is_brought_back() {
        let mut report = report(Device::Absent, Service::Stopped);
        report.file.size = None;
        assert!(report.next_step().starts_with("tlsgate install"));
    }

    #[test]
    fn an_older_driver_is_replaced_and_a_newer_one_is_not() {
        let mut report = report(Device::OtherVersion, Service::Running);
        let mut with = |abi| {
            report.driver = Some(Driver {
                version: Version {
                    version: String::new(),
                    abi,
                },
                limits: None,
                switched_off: Vec::new(),
            });
            report.next_step()
        };
        assert!(with(0).starts_with("tlsgate install"));
        assert!(with(2).contains("newer than this program"));
    }
}
