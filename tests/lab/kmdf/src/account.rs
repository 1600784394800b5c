//! Accounts by small numbers, for tokens to carry.

use crate::stop::lab_failed;
use std::sync::{LazyLock, PoisonError, RwLock};
use tlsgate_lab_control::kmdf::Account;

/// An account, by its place in a list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AccountNumber(u8);

impl AccountNumber {
    /// SYSTEM's.
    pub const SYSTEM: Self = Self(0);

    /// The number of an account, which is given once.
    pub fn of(account: &Account) -> Self {
        let mut accounts = ACCOUNTS.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = accounts.iter().position(|other| other == account) {
            return Self(u8::try_from(place).unwrap_or_default());
        }
        let Ok(place) = u8::try_from(accounts.len()) else {
            lab_failed!("more than 256 accounts");
        };
        accounts.push(account.clone());
        Self(place)
    }

    /// The account of this number.
    pub fn account(self) -> Account {
        let accounts = ACCOUNTS.read().unwrap_or_else(PoisonError::into_inner);
        accounts[usize::from(self.0)].clone()
    }
}

impl From<u8> for AccountNumber {
    fn from(number: u8) -> Self {
        Self(number)
    }
}

impl From<AccountNumber> for u8 {
    fn from(number: AccountNumber) -> Self {
        number.0
    }
}

static ACCOUNTS: LazyLock<RwLock<Vec<Account>>> =
    LazyLock::new(|| RwLock::new(vec![Account::System]));
