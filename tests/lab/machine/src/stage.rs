//! What a test prepares before a driver is loaded, and what is left when it has gone.

use crate::{Machine, files};
use anyhow::{Context, Result};
use std::fs;
use tlsgate_lab_control::kmdf::{EVENT_LOG, Event, FIRST_SWITCHES, Switches};

/// The file on the machine that brings a value to its registry.
const VALUE: &str = "value.reg";

/// A value of a service's Parameters key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter<'a> {
    /// `REG_DWORD`
    Number(u32),
    /// `REG_SZ`
    Text(&'a str),
    /// Any type, by its number, and any bytes.
    Raw(u32, &'a [u8]),
}

impl Parameter<'_> {
    /// The type's number, and the bytes.
    fn raw(self) -> (u32, Vec<u8>) {
        match self {
            Self::Number(value) => (4, value.to_le_bytes().to_vec()),
            Self::Text(text) => {
                let units = text.encode_utf16().chain([0]);
                (1, units.flat_map(u16::to_le_bytes).collect())
            }
            Self::Raw(kind, bytes) => (kind, bytes.to_vec()),
        }
    }

    /// The line of a file that `reg.exe` imports.
    fn line(self, name: &str) -> String {
        let (kind, bytes) = self.raw();
        let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("\"{name}\"=hex({kind:x}):{}\r\n", bytes.join(","))
    }
}

impl Machine {
    /// Has the KMDF stand-in begin with these switches whenever it is loaded, until the machine is
    /// restarted.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn begin_with(&self, switches: &Switches) -> Result<()> {
        let file = self.lab().join(FIRST_SWITCHES);
        fs::write(&file, serde_json::to_vec(switches)?)
            .with_context(|| format!("writing {}", file.display()))
    }

    /// Every ETW event recorded since the machine was started, those of drivers that have gone included.
    ///
    /// # Errors
    ///
    /// The log cannot be read.
    pub fn logged_events(&self) -> Result<Vec<Event>> {
        files::read_if_present(&self.lab().join(EVENT_LOG))?
            .lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("not an event: {line}")))
            .collect()
    }

    /// Sets a value of a service's Parameters key, which a driver reads when it is loaded.
    ///
    /// # Errors
    ///
    /// `reg.exe` refuses.
    pub fn set_parameter(&self, service: &str, name: &str, value: Parameter) -> Result<()> {
        self.set_parameters(&[service], &[(name, value)])
    }

    /// Sets values of several services' Parameters keys.
    ///
    /// # Errors
    ///
    /// `reg.exe` refuses.
    pub fn set_parameters(&self, services: &[&str], values: &[(&str, Parameter)]) -> Result<()> {
        // A file, because only so `reg.exe` takes values that are not what their types promise.
        let lines: String = values
            .iter()
            .map(|(name, value)| value.line(name))
            .collect();
        let keys: String = services
            .iter()
            .map(|service| ["\r\n[", &parameters(service), "]\r\n", &lines].concat())
            .collect();
        let text = format!("Windows Registry Editor Version 5.00\r\n{keys}");
        // UTF-16 with its mark: of other files the bytes of texts are taken for another encoding's.
        let units = std::iter::once(0xFEFF).chain(text.encode_utf16());
        let bytes: Vec<u8> = units.flat_map(u16::to_le_bytes).collect();
        fs::write(self.lab().join(VALUE), bytes)?;
        self.run("reg", &["import", &format!(r"C:\lab\{VALUE}")])?
            .success()
            .with_context(|| format!("setting values of {services:?}"))?;
        Ok(())
    }

    /// Removes a service's Parameters key, if there is one.
    ///
    /// # Errors
    ///
    /// `reg.exe` cannot be run.
    pub fn clear_parameters(&self, service: &str) -> Result<()> {
        // It fails when there is none.
        let _absent = self.run("reg", &["delete", &parameters(service), "/f"])?;
        let file = self.lab().join(VALUE);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {}", file.display()))
            }
            _ => Ok(()),
        }
    }

    /// Removes a service's Parameters key if a test has set a value since it was last removed: for
    /// what a test that failed has left.
    ///
    /// # Errors
    ///
    /// As for [`Self::clear_parameters`].
    pub fn forget_parameters(&self, service: &str) -> Result<()> {
        if self.lab().join(VALUE).exists() {
            self.clear_parameters(service)?;
        }
        Ok(())
    }

    /// Gives a certificate's key to accounts, by name; to none but the usual ones if there is none.
    ///
    /// # Errors
    ///
    /// The file that says so cannot be written.
    pub fn give_key(&self, thumbprint: &str, accounts: &[&str]) -> Result<()> {
        let folder = self.lab().join("keys");
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let file = folder.join(format!("{thumbprint}.accounts"));
        if accounts.is_empty() {
            return match fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(error).with_context(|| format!("removing {}", file.display()))
                }
                _ => Ok(()),
            };
        }
        fs::write(&file, accounts.join("\n")).with_context(|| format!("writing {}", file.display()))
    }
}

fn parameters(service: &str) -> String {
    format!(r"HKEY_LOCAL_MACHINE\System\CurrentControlSet\Services\{service}\Parameters")
}
