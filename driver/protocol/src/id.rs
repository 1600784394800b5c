//! Ids of what a handle owns: opaque, generation-tagged, never zero.

use core::num::NonZeroU64;

/// Names a session on the handle that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(NonZeroU64);

/// Names a credential on the handle that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CredentialId(NonZeroU64);

macro_rules! id {
    ($name:ident) => {
        impl $name {
            /// The id for its wire form; `None` for 0, which never names anything.
            #[must_use]
            pub const fn from_wire(raw: u64) -> Option<Self> {
                match NonZeroU64::new(raw) {
                    Some(raw) => Some(Self(raw)),
                    None => None,
                }
            }

            /// The id from a number known not to be 0.
            #[must_use]
            pub const fn new(raw: NonZeroU64) -> Self {
                Self(raw)
            }

            /// The number that crosses the wire.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0.get()
            }
        }
    };
}

id!(SessionId);
id!(CredentialId);
