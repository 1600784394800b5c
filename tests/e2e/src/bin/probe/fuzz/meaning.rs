//! What a request means to the driver, by the contract's own decoder: whatever it was made of.

use tlsgate::protocol::{CredentialId, Ioctl, NtStatus, Request, Role, SessionId, Target};

/// What the driver must make of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It is malformed: this status, at once; though a token is captured for ACQUIRE_CREDENTIAL before
    /// anybody looks at its bytes.
    Malformed {
        due: NtStatus,
        captures: bool,
    },
    Version,
    Statistics,
    Acquire {
        role: Role,
        replaces: Option<CredentialId>,
    },
    Release(CredentialId),
    /// A first leg.
    Begin {
        role: Role,
        credential: CredentialId,
        input: usize,
    },
    /// A later leg.
    Leg {
        role: Role,
        session: SessionId,
        input: usize,
    },
    Query(SessionId),
    Seal {
        session: SessionId,
        /// Bytes in front of the plaintext.
        offset: usize,
        length: usize,
    },
    Unseal(SessionId, usize),
    Shutdown(SessionId),
    Close(SessionId),
}

impl Meaning {
    /// Of these bytes, and this room for the reply.
    pub fn of(code: u32, input: &[u8], room: usize) -> Self {
        let request = match Request::decode(code, input, room) {
            Ok((_, request)) => request,
            Err(error) => {
                return Self::Malformed {
                    due: error.ntstatus(),
                    captures: code == Ioctl::AcquireCredential.code(),
                };
            }
        };
        match request {
            Request::QueryVersion => Self::Version,
            Request::QueryStatistics => Self::Statistics,
            Request::Acquire(acquire) => Self::Acquire {
                role: acquire.role,
                replaces: acquire.replaces,
            },
            Request::Release(id) => Self::Release(id),
            Request::Accept(leg) => Self::of_leg(Role::Server, &leg.target, leg.input.len()),
            Request::Connect(leg) => Self::of_leg(Role::Client, &leg.target, leg.input.len()),
            Request::QuerySession(id) => Self::Query(id),
            Request::Seal(record) => Self::Seal {
                session: record.session,
                offset: record.offset,
                length: record.length,
            },
            Request::Unseal(record) => Self::Unseal(record.session, record.length),
            Request::Shutdown(id) => Self::Shutdown(id),
            Request::CloseSession(id) => Self::Close(id),
        }
    }

    fn of_leg(role: Role, target: &Target<'_>, input: usize) -> Self {
        match target {
            Target::New(new) => Self::Begin {
                role,
                credential: new.credential,
                input,
            },
            Target::Session(session) => Self::Leg {
                role,
                session: *session,
                input,
            },
        }
    }

    /// The session it names.
    pub fn session(&self) -> Option<u64> {
        match self {
            Self::Leg { session, .. } => Some(session.get()),
            Self::Query(id)
            | Self::Seal { session: id, .. }
            | Self::Unseal(id, _)
            | Self::Shutdown(id)
            | Self::Close(id) => Some(id.get()),
            _ => None,
        }
    }

    /// The credential it names.
    pub fn credential(&self) -> Option<u64> {
        match self {
            Self::Release(id) | Self::Begin { credential: id, .. } => Some(id.get()),
            Self::Acquire { replaces, .. } => replaces.map(CredentialId::get),
            _ => None,
        }
    }

    /// Whether it is answered without a word of ksecdd's.
    pub fn is_immediate(&self) -> bool {
        matches!(
            self,
            Self::Malformed { .. } | Self::Version | Self::Statistics | Self::Shutdown(_)
        )
    }

    /// Whether it may wait for ksecdd, or for what does.
    pub fn pends(&self) -> bool {
        matches!(
            self,
            Self::Acquire { .. }
                | Self::Release(_)
                | Self::Begin { .. }
                | Self::Leg { .. }
                | Self::Close(_)
        )
    }
}

/// The name of a code, for counting.
pub fn name(code: u32) -> &'static str {
    Ioctl::from_code(code).map_or("unknown", Ioctl::name)
}
