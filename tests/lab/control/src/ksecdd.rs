//! What can be asked of the kernel SSPI stand-in, `ksecdd.sys`.
//!
//! Whatever the public documents leave open about the real `ksecdd.sys` is a field of [`Switches`]
//! with at least two settings, so that no test can pass by agreeing with a guess.
//! [`Switches::variants`] is the list of settings that everything must work under.

mod fault;
mod settings;
mod state;
mod switches;
mod variants;

pub use fault::{Effect, Fault, Function};
pub use settings::{
    CallbackThread, Completion, EmptyData, Extra, ExtraPointer, FailedOutput, Fragments, Latency,
    Missing, NoCertificate, NoProtocol, PostHandshake, Records, RequiresNotify, Revocation,
    RevocationInformation, SniCredential, TokenUse,
};
pub use state::{Acquired, State};
pub use switches::{FACTS, SET_UP, Switches};

use serde::{Deserialize, Serialize};

/// The name under which the stand-in serves and leaves its port.
pub const MODULE: &str = "ksecdd";

/// A question to the stand-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// What is alive, pending and counted: answered by [`Answer::State`].
    State,
    /// How it behaves: answered by [`Answer::Switches`].
    Switches,
    /// Behave so from now on. Answered by [`Answer::Switches`] with the switches as they were; refused
    /// when a fault could have no effect ([`Fault::fits`]).
    Set(Switches),
    /// Let held calls run, oldest first: all of them, or so many. With
    /// [`Switches::lost_callbacks_delivered`] lost callbacks come behind them. Answered by
    /// [`Answer::Released`]; they complete on the stand-in's threads, not before the answer.
    Release(Option<usize>),
}

/// The stand-in's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Question::State`].
    State(State),
    /// To [`Question::Switches`] and [`Question::Set`].
    Switches(Switches),
    /// To [`Question::Release`]: how many held calls, and callbacks that were lost, were let go.
    Released(usize),
}
