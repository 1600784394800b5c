//! Accounts: who a token is, and the security identifiers that come with it.

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use std::fmt::Write as _;

/// The account of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Account {
    /// SYSTEM.
    System,
    /// The machine's administrator.
    Administrator,
    /// The account of a service, `NT SERVICE\\name`.
    Service(String),
    /// A user who is nothing else.
    User(String),
}

impl Account {
    /// What the account is called: "SYSTEM", "Administrators", or the name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::System => "SYSTEM",
            Self::Administrator => "Administrators",
            Self::Service(name) | Self::User(name) => name,
        }
    }

    /// The account's own SID: for a descriptor that admits it alone.
    ///
    /// A service's is that of Windows (`sc showsid`): the SHA-1 of its name in upper case. Users' end in a
    /// number made of their name.
    #[must_use]
    pub fn sid(&self) -> String {
        match self {
            Self::System => "S-1-5-18".into(),
            Self::Administrator => "S-1-5-21-1-2-3-500".into(),
            Self::Service(name) => {
                let mut sid = String::from("S-1-5-80");
                for word in name_hash(name) {
                    // Writing to a string cannot fail.
                    _ = write!(sid, "-{word}");
                }
                sid
            }
            Self::User(name) => format!("S-1-5-21-1-2-3-{}", 1000 + (name_hash(name)[0] >> 1)),
        }
    }

    /// The SIDs of a token of the account: its own, and those of its groups (well-known SIDs,
    /// MicrosoftDocs/win32).
    #[must_use]
    pub fn sids(&self) -> Vec<String> {
        const WORLD: &str = "S-1-1-0";
        const INTERACTIVE: &str = "S-1-5-4";
        const SERVICE: &str = "S-1-5-6";
        const AUTHENTICATED: &str = "S-1-5-11";
        const ADMINISTRATORS: &str = "S-1-5-32-544";
        const USERS: &str = "S-1-5-32-545";
        let groups: &[&str] = match self {
            Self::System => &[ADMINISTRATORS],
            Self::Administrator => &[ADMINISTRATORS, USERS, INTERACTIVE],
            Self::Service(_) => &[USERS, SERVICE],
            Self::User(_) => &[USERS, INTERACTIVE],
        };
        let groups = groups.iter().chain(&[WORLD, AUTHENTICATED]);
        std::iter::once(self.sid())
            .chain(groups.map(|&sid| sid.to_owned()))
            .collect()
    }
}

/// The SHA-1 of a name in upper case, as five numbers.
fn name_hash(name: &str) -> [u32; 5] {
    let units = name.to_uppercase();
    let bytes: Vec<u8> = units.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let hash: [u8; 20] = Sha1::digest(bytes).into();
    let mut words = [0; 5];
    for (word, bytes) in words.iter_mut().zip(hash.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_the_sids_that_windows_gives_them() {
        // A well-known one: TrustedInstaller.
        let sid = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464";
        assert_eq!(Account::Service("TrustedInstaller".into()).sid(), sid);
        assert_eq!(Account::Service("trustedinstaller".into()).sid(), sid);
    }

    #[test]
    fn accounts_differ() {
        let accounts = [
            Account::System,
            Account::Administrator,
            Account::Service("a".into()),
            Account::Service("b".into()),
            Account::User("a".into()),
            Account::User("b".into()),
        ];
        for (index, one) in accounts.iter().enumerate() {
            assert!(one.sids().contains(&one.sid()));
            for other in &accounts[index + 1..] {
                assert_ne!(one.sid(), other.sid());
                assert!(!other.sids().contains(&one.sid()));
            }
        }
    }
}
