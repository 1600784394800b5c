//! All policy of the `TlsGate` driver, without I/O, pointers or unsafe code.
//!
//! The driver's rim makes the calls; this crate says which, and what their results mean:
//!
//! * [`record`]: is there a whole TLS record in the caller's bytes, and can it be TLS at all?
//! * [`records`], [`sealing`], [`unsealing`]: many records a call, in place.
//! * [`leg`]: from the result of one SSPI call to the next step: reply, or call again.
//! * [`status`]: the one table from `SECURITY_STATUS` to what it means for a session.
//! * [`ticket`]: who completes a request, exactly once, and whether its operation is an orphan.
//!   [`parties`]: what its result, its cancellation and whoever gives it up do then.
//! * [`slot`]: the callback and its returning call meet; the later one goes on.
//! * [`usage`]: exclusive and shared use of a security context, and its deletion after the last.
//! * [`rundown`]: the same for what is only counted: credentials, the driver itself. [`closing`]: a request
//!   that waits for such an end. [`life`]: the driver's own end.
//! * [`session`]: handshaking, established, failed.
//! * [`queue`]: admission to ksecdd, fair over handles. [`limit`]: how many at a time.
//!   [`issuing`]: who wakes the threads that work it off. [`belongings`]: what a handle has, and its clean-up.
//! * [`budget`]: driver-wide quotas. [`share`]: a handle's part of them. [`rate`]: how often.
//!   [`quarantine`]: what may yet be called back. [`wheel`]: deadlines.
//! * [`settings`]: what an administrator may set. [`sddl`]: who may open the device.
//! * [`histogram`]: how long legs take. [`event`]: what is traced.
//! * [`certificates`]: whether what Schannel tells of the peer adds up.
//! * [`table`]: generation-tagged ids. [`exports`]: what another module exports.
//!   [`room`]: a push that cannot allocate. [`segments`]: a list that grows without moving anything.
//!   [`lines`]: lines that share their room.
//!
//! What several threads touch at once is a transition on one atomic word, or under one lock. Those types
//! are generic over the atomic ([`word::Atomic`]), and the steps between transitions over what the rim
//! brings, so that the models in `tests/loom_*.rs` explore interleavings of the very source that ships.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::disallowed_macros,
        clippy::disallowed_methods,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod belongings;
pub mod budget;
pub mod certificates;
pub mod closing;
pub mod event;
pub mod exports;
pub mod histogram;
pub mod issuing;
pub mod leg;
pub mod life;
pub mod limit;
pub mod lines;
pub mod parties;
pub mod quarantine;
pub mod queue;
pub mod rate;
pub mod record;
pub mod records;
pub mod room;
pub mod rundown;
pub mod sddl;
pub mod sealing;
pub mod segments;
pub mod session;
pub mod settings;
pub mod share;
pub mod slot;
pub mod status;
pub mod table;
pub mod ticket;
pub mod unsealing;
pub mod usage;
pub mod wheel;
pub mod word;
