//! What an administrator may set: the values of the service's `Parameters` key, all `REG_DWORD`.
//!
//! One table holds names, bounds and defaults; the driver reads each name once, when it is loaded. A
//! value out of its bounds is not bent into them: the default stays, and the caller is told, so that
//! an event can say so.

/// The longest name, in UTF-16 units: room for a `UNICODE_STRING` on the stack.
pub const LONGEST_NAME: usize = 32;

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The value's name. ASCII.
    pub name: &'static str,
    /// What holds when there is no value.
    pub default: u32,
    /// The least that is taken.
    pub least: u32,
    /// The most that is taken.
    pub most: u32,
    /// What it is, with its unit.
    pub meaning: &'static str,
}

/// A value that was not taken as it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// There is no setting of this name.
    Unknown,
    /// It is out of bounds, or contradicts another one.
    NotTaken {
        /// The setting.
        name: &'static str,
        /// What holds instead.
        used: u32,
    },
}

macro_rules! settings {
    ($($field:ident $name:literal = $default:literal in $least:literal..=$most:literal, $meaning:literal;)+) => {
        /// What holds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Settings {
            $(#[doc = $meaning] pub $field: u32,)+
        }

        /// Every setting.
        pub const TABLE: &[Setting] = &[$(Setting {
            name: $name,
            default: $default,
            least: $least,
            most: $most,
            meaning: $meaning,
        },)+];

        const _: () = {
            $(assert!($least <= $default && $default <= $most, $name);)+
            $(assert!($name.len() <= LONGEST_NAME && $name.is_ascii(), $name);)+
        };

        impl Default for Settings {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl Settings {
            fn field(&mut self, name: &str) -> Option<&mut u32> {
                match name {
                    $($name => Some(&mut self.$field),)+
                    _ => None,
                }
            }
        }
    };
}

settings! {
    sessions "Sessions" = 131_072 in 1..=1_048_576,
        "Sessions in all.";
    sessions_per_handle "SessionsPerHandle" = 32_768 in 1..=1_048_576,
        "Sessions of a handle.";
    credentials "Credentials" = 4_096 in 1..=65_536,
        "Credentials in all.";
    credentials_per_handle "CredentialsPerHandle" = 256 in 1..=65_536,
        "Credentials of a handle.";
    pending "PendingRequests" = 131_072 in 1..=1_048_576,
        "Requests that pend at a time, in all, but for those that close something.";
    pending_per_handle "PendingRequestsPerHandle" = 32_768 in 1..=1_048_576,
        "Requests of a handle that pend at a time, but for those that close something.";
    operations "Operations" = 262_144 in 16..=4_194_304,
        "Operations that exist at a time, one in reserve for each session and credential included.";
    operations_per_handle "OperationsPerHandle" = 131_072 in 16..=4_194_304,
        "The same for a handle.";
    orphans "Orphans" = 192 in 1..=1_048_576,
        "Operations inside ksecdd whose request has been given up, in all.";
    orphans_per_handle "OrphansPerHandle" = 128 in 1..=1_048_576,
        "The same for a handle.";
    input_mib "InputMiB" = 512 in 1..=65_536,
        "Waiting input in all, in MiB of nonpaged pool.";
    input_mib_per_handle "InputMiBPerHandle" = 256 in 1..=65_536,
        "Waiting input of a handle, in MiB of nonpaged pool.";
    inside "LegsInside" = 256 in 1..=65_536,
        "Most operations inside ksecdd at a time; the rest wait, and can be cancelled.";
    inside_least "LegsInsideLeast" = 3 in 1..=65_536,
        "Operations let in however few ksecdd is found to work on at a time; as many as the most for a fixed number.";
    inside_per_handle "LegsInsidePerHandle" = 192 in 1..=65_536,
        "Operations of a handle inside ksecdd at a time.";
    handles "Handles" = 4_096 in 1..=65_536,
        "Open handles.";
    handshake_ms "HandshakeTimeoutMs" = 30_000 in 100..=3_600_000,
        "Time a handshake, or acquiring a credential, may take if its caller does not say, in milliseconds.";
    handshake_most_ms "HandshakeTimeoutMostMs" = 300_000 in 100..=3_600_000,
        "The longest such time; who asks for more gets this. The time a closing request waits, too, in milliseconds.";
    slow_ms "SlowLegMs" = 5_000 in 1..=3_600_000,
        "From then on a leg inside ksecdd is reported as slow, in milliseconds.";
    lost_callback_ms "LostCallbackMs" = 2_000 in 100..=3_600_000,
        "How long a call with a final status may go without its callback, in milliseconds.";
    quarantine_ms "QuarantineMs" = 60_000 in 1_000..=3_600_000,
        "How long an async context that may yet call back is kept at least while the driver is loaded, in milliseconds.";
    quarantined "Quarantined" = 1_024 in 1..=65_536,
        "Async contexts kept so; beyond that no session and no credential begins.";
    quarantined_per_handle "QuarantinedPerHandle" = 256 in 1..=65_536,
        "The same for a handle.";
    failures_per_second "FailuresPerSecond" = 1_000 in 0..=1_000_000,
        "Failed handshakes of a handle a second; 0 is no limit.";
    failures_burst "FailuresBurst" = 4_000 in 1..=1_000_000,
        "Failed handshakes of a handle that are borne at once.";
    disable_acquire "DisableAcquire" = 0 in 0..=1,
        "1 refuses ACQUIRE_CREDENTIAL.";
    disable_accept "DisableAccept" = 0 in 0..=1,
        "1 refuses ACCEPT.";
    disable_connect "DisableConnect" = 0 in 0..=1,
        "1 refuses CONNECT.";
    disable_records "DisableRecords" = 0 in 0..=1,
        "1 refuses SEAL and UNSEAL.";
    disable_shutdown "DisableShutdown" = 0 in 0..=1,
        "1 refuses SHUTDOWN.";
    disable_query "DisableQuery" = 0 in 0..=1,
        "1 refuses QUERY_SESSION.";
}

impl Setting {
    /// The name as the registry wants it, without a terminator; at most [`LONGEST_NAME`] units.
    pub fn utf16(&self) -> impl Iterator<Item = u16> + use<> {
        // ASCII, as asserted with the table.
        self.name.bytes().map(u16::from)
    }

    /// Whether the value is within its bounds.
    #[must_use]
    pub const fn takes(&self, value: u32) -> bool {
        self.least <= value && value <= self.most
    }
}

impl Settings {
    /// Sets one value. [`Self::settle`] follows the last.
    ///
    /// # Errors
    ///
    /// There is no such setting, or the value is out of its bounds: what held before still holds.
    pub fn apply(&mut self, name: &str, value: u32) -> Result<(), Ignored> {
        let setting = TABLE
            .iter()
            .find(|setting| setting.name == name)
            .ok_or(Ignored::Unknown)?;
        let field = self.field(name).ok_or(Ignored::Unknown)?;
        if !setting.takes(value) {
            return Err(Ignored::NotTaken {
                name: setting.name,
                used: *field,
            });
        }
        *field = value;
        Ok(())
    }

    /// Lowers what is more than what bounds it: a handle's share to the whole, the usual time-out to
    /// the longest. `told` hears of each value so lowered that was not a mere default.
    pub fn settle(&mut self, mut told: impl FnMut(Ignored)) {
        for (part, whole) in [
            ("SessionsPerHandle", "Sessions"),
            ("CredentialsPerHandle", "Credentials"),
            ("PendingRequestsPerHandle", "PendingRequests"),
            ("OperationsPerHandle", "Operations"),
            ("Orphans", "LegsInside"),
            ("OrphansPerHandle", "LegsInsidePerHandle"),
            ("OrphansPerHandle", "Orphans"),
            ("InputMiBPerHandle", "InputMiB"),
            ("LegsInsidePerHandle", "LegsInside"),
            ("LegsInsideLeast", "LegsInside"),
            ("QuarantinedPerHandle", "Quarantined"),
            ("HandshakeTimeoutMs", "HandshakeTimeoutMostMs"),
        ] {
            let Some(most) = self.field(whole).copied() else {
                continue;
            };
            let Some(field) = self.field(part).filter(|field| **field > most) else {
                continue;
            };
            let was = core::mem::replace(field, most);
            let setting = TABLE.iter().find(|setting| setting.name == part);
            if let Some(setting) = setting.filter(|setting| setting.default != was) {
                told(Ignored::NotTaken {
                    name: setting.name,
                    used: most,
                });
            }
        }
    }

    /// The handshake time-out, in milliseconds, for a caller that asks for `wanted`; 0 is the usual.
    #[must_use]
    pub const fn handshake_timeout(&self, wanted: u32) -> u32 {
        match wanted {
            0 => self.handshake_ms,
            wanted if wanted > self.handshake_most_ms => self.handshake_most_ms,
            wanted => wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{
        collections::HashSet,
        format,
        string::{String, ToString as _},
        vec,
        vec::Vec,
    };

    #[test]
    fn every_setting_has_a_name_of_its_own_and_can_be_set_to_its_bounds() {
        let mut names = HashSet::new();
        for setting in TABLE {
            assert!(names.insert(setting.name));
            assert!(setting.meaning.ends_with('.'));
            let name: Vec<u16> = setting.utf16().collect();
            assert_eq!(String::from_utf16(&name).unwrap(), setting.name);
            let mut settings = Settings::default();
            assert_eq!(
                settings.field(setting.name),
                Some(&mut setting.default.clone())
            );
            for value in [setting.least, setting.most] {
                assert_eq!(settings.apply(setting.name, value), Ok(()));
                assert_eq!(settings.field(setting.name).copied(), Some(value));
            }
        }
        assert_eq!(
            Settings::default().apply("NoSuch", 1),
            Err(Ignored::Unknown)
        );
    }

    #[test]
    fn the_readme_has_every_setting() {
        let readme = include_str!("../../../README.md");
        for setting in TABLE {
            let row = format!(
                "| {} | {} | {} to {} | {} |",
                setting.name,
                grouped(setting.default),
                grouped(setting.least),
                grouped(setting.most),
                setting.meaning
            );
            assert!(readme.contains(&row), "README.md lacks: {row}");
        }
    }

    /// With commas between groups of three digits.
    fn grouped(number: u32) -> String {
        let digits = number.to_string();
        let mut text = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        text
    }

    #[test]
    fn the_defaults_agree_with_each_other() {
        let mut settings = Settings::default();
        settings.settle(|ignored| panic!("{ignored:?}"));
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn a_share_is_never_more_than_the_whole() {
        let mut settings = Settings::default();
        settings.apply("Sessions", 100).unwrap();
        settings.apply("Credentials", 10).unwrap();
        settings.apply("CredentialsPerHandle", 11).unwrap();
        settings.apply("HandshakeTimeoutMostMs", 1_000).unwrap();
        let mut told = vec![];
        settings.settle(|ignored| told.push(ignored));
        let expected = Settings {
            sessions: 100,
            sessions_per_handle: 100,
            credentials: 10,
            credentials_per_handle: 10,
            handshake_ms: 1_000,
            handshake_most_ms: 1_000,
            ..Settings::default()
        };
        assert_eq!(settings, expected);
        let ignored = Ignored::NotTaken {
            name: "CredentialsPerHandle",
            used: 10,
        };
        assert_eq!(told, [ignored], "only what somebody has set");
        let mut settings = Settings::default();
        settings.apply("Sessions", 100).unwrap();
        settings.apply("SessionsPerHandle", 100).unwrap();
        settings.settle(|ignored| panic!("the whole is no more than that: {ignored:?}"));
    }

    #[test]
    fn a_caller_gets_what_it_asks_for_up_to_the_ceiling() {
        let settings = Settings::default();
        assert_eq!(
            [0, 5, 300_000, u32::MAX].map(|wanted| settings.handshake_timeout(wanted)),
            [30_000, 5, 300_000, 300_000]
        );
    }

    proptest! {
        #[test]
        fn what_is_out_of_bounds_changes_nothing_and_is_told(index in any::<prop::sample::Index>(), value: u32) {
            let setting = index.get(TABLE);
            let mut settings = Settings::default();
            match settings.apply(setting.name, value) {
                Ok(()) => {
                    prop_assert!((setting.least..=setting.most).contains(&value));
                    prop_assert_eq!(settings.field(setting.name).copied(), Some(value));
                }
                Err(ignored) => {
                    prop_assert!(!(setting.least..=setting.most).contains(&value));
                    prop_assert_eq!(ignored, Ignored::NotTaken { name: setting.name, used: setting.default });
                    prop_assert_eq!(settings, Settings::default());
                }
            }
        }
    }
}
