//! What a test prepares before a driver is loaded, and what is left when it has gone.

use crate::{Machine, files};
use anyhow::{Context, Result};
use std::fs;
use tlsgate_lab_control::kmdf::{EVENT_LOG, Event, FIRST_SWITCHES, Switches};

/// A value of a service's Parameters key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter<'a> {
    /// `REG_DWORD`
    Number(u32),
    /// `REG_SZ`
    Text(&'a str),
    /// `REG_BINARY`, in hexadecimal digits.
    Binary(&'a str),
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
        let number;
        let (kind, value) = match value {
            Parameter::Number(value) => {
                number = value.to_string();
                ("REG_DWORD", number.as_str())
            }
            Parameter::Text(text) => ("REG_SZ", text),
            Parameter::Binary(digits) => ("REG_BINARY", digits),
        };
        let key = parameters(service);
        self.run(
            "reg",
            &["add", &key, "/v", name, "/t", kind, "/d", value, "/f"],
        )?
        .success()
        .with_context(|| format!("setting {name}"))?;
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
        Ok(())
    }
}

fn parameters(service: &str) -> String {
    format!(r"HKLM\System\CurrentControlSet\Services\{service}\Parameters")
}
