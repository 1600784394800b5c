//! What an administrator has set in the service's Parameters key, read once at the start.

use crate::{
    kmdf::{registry::Key, utf16},
    memory::try_list,
    trace,
};
use alloc::vec::Vec;
use tlsgate_core::{
    room, sddl,
    settings::{Ignored, LONGEST_NAME, Settings, TABLE},
};
use tlsgate_protocol::NtStatus;
use wdk_sys::WDFDRIVER;

/// SYSTEM and Administrators may do everything, all others nothing: `SDDL_DEVOBJ_SYS_ALL_ADM_ALL`.
static DEFAULT_SECURITY: [u16; 27] = utf16("D:P(A;;GA;;;SY)(A;;GA;;;BA)");

/// The value that replaces it.
static SDDL: [u16; 4] = utf16("Sddl");

/// What is set.
pub struct Parameters {
    /// The numbers.
    pub settings: Settings,
    /// Values that were not taken.
    pub ignored: u64,
    /// The device's security descriptor as SDDL, if it is not the usual one.
    security: Option<Vec<u16>>,
}

impl Parameters {
    /// Reads the key. A number that makes no sense is ignored, and an event says so; a security
    /// descriptor that makes none is an error: the usual one might keep out, or let in, whom the
    /// administrator did not mean. IRQL: PASSIVE_LEVEL, from `DriverEntry`.
    ///
    /// # Errors
    ///
    /// The key cannot be read; the descriptor is not to be used, which an event has said.
    ///
    /// # Safety
    ///
    /// `driver` is this driver's framework object.
    pub unsafe fn read(driver: WDFDRIVER) -> Result<Self, NtStatus> {
        let mut parameters = Self {
            settings: Settings::default(),
            ignored: 0,
            security: None,
        };
        // SAFETY: this function's contract.
        let key = unsafe { Key::parameters(driver) };
        let key =
            key.inspect_err(|status| trace::start_failed("Parameters unreadable", status.0))?;
        if let Some(key) = key {
            parameters.read_numbers(&key);
            parameters.security = security(&key)?;
        }
        Ok(parameters)
    }

    /// The device's security descriptor, as SDDL.
    pub fn security(&self) -> &[u16] {
        self.security.as_deref().unwrap_or(&DEFAULT_SECURITY)
    }

    fn read_numbers(&mut self, key: &Key) {
        let mut ignored = 0_u64;
        let mut tell = |name, value: u32, used: u32| {
            ignored = ignored.saturating_add(1);
            trace::setting_ignored(name, u64::from(value), u64::from(used));
        };
        for setting in TABLE {
            let mut name = [0; LONGEST_NAME];
            let mut length = 0_usize;
            for (place, unit) in name.iter_mut().zip(setting.utf16()) {
                *place = unit;
                length = length.saturating_add(1);
            }
            let found = key.number(name.get(..length).unwrap_or_default());
            match found {
                Ok(None) => {}
                Ok(Some(value)) => {
                    if let Err(Ignored::NotTaken { name, used }) =
                        self.settings.apply(setting.name, value)
                    {
                        tell(name, value, used);
                    }
                }
                // Not a number.
                Err(_) => tell(setting.name, 0, setting.default),
            }
        }
        self.settings.settle(|ignored| {
            if let Ignored::NotTaken { name, used } = ignored {
                tell(name, 0, used);
            }
        });
        self.ignored = ignored;
    }
}

/// The security descriptor of the key, if it has one.
fn security(key: &Key) -> Result<Option<Vec<u16>>, NtStatus> {
    let mut units = room_for_text()
        .ok_or(NtStatus::STATUS_INSUFFICIENT_RESOURCES)
        .inspect_err(|status| trace::start_failed("resources", status.0))?;
    let length = match key.text(&SDDL, &mut units) {
        Ok(None) => return Ok(None),
        Ok(Some(text)) => text.len(),
        Err(status) => {
            trace::start_failed("Sddl unreadable", status.0);
            return Err(status);
        }
    };
    units.truncate(length);
    if sddl::check(&units).is_err() {
        let status = NtStatus::STATUS_INVALID_SECURITY_DESCR;
        trace::start_failed("Sddl refused", status.0);
        return Err(status);
    }
    Ok(Some(units))
}

fn room_for_text() -> Option<Vec<u16>> {
    let length = sddl::MOST_UNITS.saturating_add(1);
    let mut units = try_list(length)?;
    while units.len() < length {
        room::push(&mut units, 0).ok()?;
    }
    Some(units)
}
