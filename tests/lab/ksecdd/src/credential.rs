//! A credential: whose it is, what it is good for, who uses it.

use crate::{
    machine::Actor,
    rules::{CREDENTIAL_FREED_IN_USE, Checked, check},
    tls::config,
};
use std::sync::{Arc, Mutex, PoisonError};
/// A credential.
pub struct Credential {
    /// Its number.
    pub id: usize,
    /// Who acquired it.
    pub owner: Actor,
    /// What it is good for.
    pub role: Role,
    users: Mutex<Users>,
}

#[derive(Debug, Default)]
struct Users {
    count: usize,
    freeing: bool,
}

/// What a credential is good for.
pub enum Role {
    /// Accepting.
    Server(config::Server),
    /// Initiating.
    Client(config::Client),
}

/// A security context, or a leg that may make one, that needs a credential alive.
pub struct CredentialUse(pub Arc<Credential>);

impl Credential {
    /// A new credential.
    pub fn new(id: usize, owner: Actor, role: Role) -> Self {
        Self {
            id,
            owner,
            role,
            users: Mutex::default(),
        }
    }

    /// Uses it, unless it is being freed.
    pub fn begin(self: Arc<Self>) -> Option<CredentialUse> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.freeing {
            return None;
        }
        users.count += 1;
        drop(users);
        Some(CredentialUse(self))
    }

    /// Begins to free it: nobody may use it any more, and nobody can from now on.
    pub fn begin_freeing(&self) -> Checked<()> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        check(
            users.count == 0 && !users.freeing,
            CREDENTIAL_FREED_IN_USE,
            || format!("{users:?} of security contexts and calls"),
        )?;
        users.freeing = true;
        Ok(())
    }

    /// It was not freed after all.
    pub fn keep(&self) {
        self.users
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .freeing = false;
    }
}

impl Drop for CredentialUse {
    fn drop(&mut self) {
        self.0
            .users
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .count -= 1;
    }
}
