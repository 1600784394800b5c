//! One function an IOCTL: typed arguments in, typed replies out.

use crate::{
    Certificate, Connection, Error, Leg, Protocols, Record, RecordOutcome, Start, Transport,
    request::alpn_list,
};
use std::{pin::Pin, sync::Arc};
use tlsgate_protocol::{
    ABI_VERSION, CredentialId, Ioctl, NtStatus, SecurityStatus, SessionId, limits,
    payload::{
        AcceptRequest, AcquireReply, AcquireRequest, CloseReply, LegReply, RecordReply,
        RecordRequest, ReleaseReply, ReleaseRequest, ReplyHead, RequestHead, SessionReply,
        SessionRequest, StatisticsReply, VersionReply, outcome, role,
    },
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A request that has been sent. Dropping it cancels the request.
pub type Pending<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// An open handle of the driver; clones share it. Ids are valid on the handle that made them.
#[derive(Clone)]
pub struct Driver {
    transport: Arc<dyn Transport>,
}

impl Driver {
    /// The driver behind this transport.
    pub fn new(transport: impl Transport) -> Self {
        Self {
            transport: Arc::new(transport),
        }
    }

    /// QUERY_VERSION: ABI and driver version, limits, optional functions of ksecdd.
    #[must_use]
    pub fn version(&self) -> Pending<VersionReply> {
        self.fixed(Ioctl::QueryVersion, &RequestHead::default())
    }

    /// QUERY_STATISTICS: counters of the driver and of what it observed of ksecdd.
    #[must_use]
    pub fn statistics(&self) -> Pending<StatisticsReply> {
        self.fixed(Ioctl::QueryStatistics, &RequestHead::default())
    }

    /// ACQUIRE_CREDENTIAL: the right to be the server that this certificate names.
    #[must_use]
    pub fn acquire(
        &self,
        certificate: &Certificate,
        protocols: Protocols,
    ) -> Pending<CredentialId> {
        let certificate = match certificate.reference() {
            Ok(certificate) => certificate,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let request = AcquireRequest {
            head: RequestHead::default(),
            role: role::SERVER,
            protocols: protocols.0,
            certificate_count: 1,
            reserved: 0,
        };
        let reply = self.call::<AcquireReply>(
            Ioctl::AcquireCredential,
            &[request.as_bytes(), certificate.as_bytes()],
            0,
        );
        Box::pin(async move {
            let (reply, _) = reply.await?;
            secure(Ioctl::AcquireCredential, reply.head)?;
            CredentialId::from_wire(reply.credential).ok_or(Error::Reply {
                ioctl: Ioctl::AcquireCredential,
                problem: "no credential",
            })
        })
    }

    /// RELEASE_CREDENTIAL: lets it go, at the latest with the last of its sessions. Says whether
    /// sessions still use it.
    #[must_use]
    pub fn release(&self, credential: CredentialId) -> Pending<bool> {
        let request = ReleaseRequest {
            head: RequestHead::default(),
            credential: credential.get(),
        };
        let reply = self.fixed::<ReleaseReply>(Ioctl::ReleaseCredential, &request);
        Box::pin(async move {
            let reply = reply.await?;
            secure(Ioctl::ReleaseCredential, reply.head)?;
            Ok(reply.deferred != 0)
        })
    }

    /// ACCEPT: one server leg over the bytes the peer has sent and no leg has used up yet.
    #[must_use]
    pub fn accept(&self, start: Start<'_>, input: &[u8]) -> Pending<Leg> {
        let (session, credential, alpn) = match start {
            Start::Continue(session) => (session.get(), 0, Ok(Vec::new())),
            Start::New { credential, alpn } => (0, credential.get(), alpn_list(alpn)),
        };
        let alpn = match alpn {
            Ok(alpn) => alpn,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let request = AcceptRequest {
            head: RequestHead::default(),
            session,
            credential,
            alpn_length: length(alpn.len()),
            input_length: length(input.len()),
        };
        let reply = self.call::<LegReply>(
            Ioctl::Accept,
            &[request.as_bytes(), &alpn, input],
            limits::MAX_TOKEN,
        );
        let given = input.len();
        Box::pin(async move {
            let (reply, rest) = reply.await?;
            let token = produced(Ioctl::Accept, rest, reply.produced)?;
            Ok(Leg {
                status: SecurityStatus(reply.head.status),
                session: SessionId::from_wire(reply.session),
                consumed: consumed(Ioctl::Accept, reply.consumed, given)?,
                token,
                missing: size(reply.missing),
                state: reply.state,
                alert: (reply.alert_level != 0)
                    .then_some((reply.alert_level, reply.alert_description)),
            })
        })
    }

    /// QUERY_SESSION: what was negotiated.
    #[must_use]
    pub fn query_session(&self, session: SessionId) -> Pending<Connection> {
        let request = SessionRequest {
            head: RequestHead::default(),
            session: session.get(),
        };
        let reply = self.fixed::<SessionReply>(Ioctl::QuerySession, &request);
        Box::pin(async move {
            let reply = reply.await?;
            secure(Ioctl::QuerySession, reply.head)?;
            Ok(Connection::from(&reply))
        })
    }

    /// SEAL: makes one record of at most [`limits::MAX_PLAINTEXT`] bytes.
    #[must_use]
    pub fn seal(&self, session: SessionId, plaintext: &[u8]) -> Pending<Record> {
        self.record(Ioctl::Seal, session, plaintext)
    }

    /// UNSEAL: opens one record.
    #[must_use]
    pub fn unseal(&self, session: SessionId, record: &[u8]) -> Pending<Record> {
        self.record(Ioctl::Unseal, session, record)
    }

    /// SHUTDOWN: makes the record that says close_notify. [`RecordOutcome::Failed`] means that this
    /// Windows does not make one; the session is none the worse.
    #[must_use]
    pub fn shutdown(&self, session: SessionId) -> Pending<Record> {
        let request = SessionRequest {
            head: RequestHead::default(),
            session: session.get(),
        };
        let reply = self.call::<RecordReply>(
            Ioctl::Shutdown,
            &[request.as_bytes()],
            limits::MAX_ALERT_RECORD,
        );
        Self::record_of(Ioctl::Shutdown, reply, ALERT)
    }

    /// CLOSE_SESSION: deletes the session and waits until it is gone.
    #[must_use]
    pub fn close(&self, session: SessionId) -> Pending<()> {
        let request = SessionRequest {
            head: RequestHead::default(),
            session: session.get(),
        };
        let reply = self.fixed::<CloseReply>(Ioctl::CloseSession, &request);
        Box::pin(async move { secure(Ioctl::CloseSession, reply.await?.head) })
    }

    /// CLOSE_SESSION for those who cannot wait, such as a destructor.
    pub fn abandon(&self, session: SessionId) {
        let request = SessionRequest {
            head: RequestHead::default(),
            session: session.get(),
        };
        self.transport.post(
            Ioctl::CloseSession.code(),
            request.as_bytes().to_vec(),
            size_of::<CloseReply>(),
        );
    }

    fn record(&self, ioctl: Ioctl, session: SessionId, bytes: &[u8]) -> Pending<Record> {
        let request = RecordRequest {
            head: RequestHead::default(),
            session: session.get(),
            length: length(bytes.len()),
            reserved: 0,
        };
        let reply =
            self.call::<RecordReply>(ioctl, &[request.as_bytes(), bytes], limits::MAX_RECORD);
        Self::record_of(ioctl, reply, bytes.len())
    }

    /// Reads the reply of an IOCTL that was given so many bytes of payload.
    fn record_of(
        ioctl: Ioctl,
        reply: Pending<(RecordReply, Vec<u8>)>,
        given: usize,
    ) -> Pending<Record> {
        Box::pin(async move {
            let (reply, rest) = reply.await?;
            let outcome = match reply.outcome {
                outcome::DATA => RecordOutcome::Data,
                outcome::NEED_MORE => RecordOutcome::NeedMore,
                outcome::RENEGOTIATE => RecordOutcome::Renegotiate,
                outcome::PEER_CLOSED => RecordOutcome::PeerClosed,
                outcome::FAILED => RecordOutcome::Failed,
                _ => {
                    return Err(Error::Reply {
                        ioctl,
                        problem: "unknown outcome",
                    });
                }
            };
            Ok(Record {
                outcome,
                status: SecurityStatus(reply.head.status),
                consumed: consumed(ioctl, reply.consumed, given)?,
                bytes: produced(ioctl, rest, reply.produced)?,
            })
        })
    }

    fn fixed<R: Payload>(
        &self,
        ioctl: Ioctl,
        request: &(impl IntoBytes + Immutable),
    ) -> Pending<R> {
        let reply = self.call::<R>(ioctl, &[request.as_bytes()], 0);
        Box::pin(async move { Ok(reply.await?.0) })
    }

    /// Sends one request and splits the reply into its structure and the bytes behind it.
    fn call<R: Payload>(
        &self,
        ioctl: Ioctl,
        parts: &[&[u8]],
        room: usize,
    ) -> Pending<(R, Vec<u8>)> {
        let reply = self
            .transport
            .ioctl(ioctl.code(), parts.concat(), size_of::<R>() + room);
        Box::pin(async move {
            let mut reply = reply
                .await
                .map_err(|status| Error::Refused { ioctl, status })?;
            let (structure, _) = R::read_from_prefix(&reply).map_err(|_| Error::Reply {
                ioctl,
                problem: "too short",
            })?;
            let (head, _) = ReplyHead::read_from_prefix(&reply).map_err(|_| Error::Reply {
                ioctl,
                problem: "too short",
            })?;
            if head.version != ABI_VERSION {
                return Err(Error::Refused {
                    ioctl,
                    status: NtStatus::STATUS_REVISION_MISMATCH,
                });
            }
            reply.drain(..size_of::<R>());
            Ok((structure, reply))
        })
    }
}

/// Bytes of an alert: level and description.
const ALERT: usize = 2;

/// A reply structure.
trait Payload: FromBytes + KnownLayout + Immutable + Send + 'static {}
impl<T: FromBytes + KnownLayout + Immutable + Send + 'static> Payload for T {}

fn secure(ioctl: Ioctl, head: ReplyHead) -> Result<(), Error> {
    match SecurityStatus(head.status) {
        SecurityStatus::SEC_E_OK => Ok(()),
        status => Err(Error::Security { ioctl, status }),
    }
}

fn produced(ioctl: Ioctl, mut rest: Vec<u8>, produced: u32) -> Result<Vec<u8>, Error> {
    let produced = size(produced);
    if rest.len() < produced {
        return Err(Error::Reply {
            ioctl,
            problem: "fewer bytes than it says",
        });
    }
    rest.truncate(produced);
    Ok(rest)
}

fn consumed(ioctl: Ioctl, consumed: u32, given: usize) -> Result<usize, Error> {
    let consumed = size(consumed);
    if consumed > given {
        return Err(Error::Reply {
            ioctl,
            problem: "consumed more than it was given",
        });
    }
    Ok(consumed)
}

/// A length for the wire. Longer than 4 GiB is longer than anything the driver takes: it says so.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn size(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
