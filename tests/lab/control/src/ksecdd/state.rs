//! What is alive in the stand-in, pending and counted.

use super::Function;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is alive, pending and counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Async contexts made and not freed.
    pub async_contexts: usize,
    /// Credentials acquired and not freed.
    pub credentials: usize,
    /// Security contexts made and not deleted.
    pub contexts: usize,
    /// Buffers that `FreeContextBuffer` has not seen yet.
    pub context_buffers: usize,
    /// Asynchronous calls accepted whose callback has not returned, held ones included. A call
    /// whose callback got lost counts no more.
    pub in_flight: usize,
    /// Calls kept back by [`super::Completion::Held`] or [`super::Effect::Never`].
    pub held: usize,
    /// Most calls that were in flight at once.
    pub most_in_flight: usize,
    /// Callbacks that got lost so far ([`super::Effect::CallbackLost`]).
    pub callbacks_lost: u64,
    /// Lost callbacks that have not been delivered after all. Their async contexts cannot be freed.
    pub callbacks_owed: usize,
    /// Calls made so far, by function.
    pub calls: BTreeMap<Function, u64>,
    /// Statuses that asynchronous calls completed with, and how often.
    pub completions: BTreeMap<i32, u64>,
    /// What the last sixteen acquire calls asked for, the latest last, whatever came of them.
    pub acquired: Vec<Acquired>,
}

impl State {
    /// Whether nothing is left that a driver would have had to give back. What it cannot give back,
    /// because a callback got lost, is not held against it.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.left_behind() == 0
    }

    /// How many things are left that a driver would have had to give back.
    #[must_use]
    pub fn left_behind(&self) -> usize {
        self.async_contexts.saturating_sub(self.callbacks_owed)
            + self.credentials
            + self.contexts
            + self.context_buffers
            + self.in_flight
    }
}

/// What an acquire call asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acquired {
    /// `SECPKG_CRED_INBOUND`, not OUTBOUND.
    pub server: bool,
    /// `SCH_CREDENTIALS.dwFlags`.
    pub flags: u32,
    /// `pszPrincipal`; empty when there was none.
    pub principal: String,
    /// `TLS_PARAMETERS.grbitDisabledProtocols`; 0 without parameters.
    pub disabled_protocols: u32,
    /// SHA-1 of each certificate, in hexadecimal.
    pub certificates: Vec<String>,
    /// The account whose token the thread acted under.
    pub account: String,
}
