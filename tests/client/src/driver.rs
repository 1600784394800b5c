//! One function an IOCTL: typed arguments in, typed replies out.

use crate::{
    Connection, CredentialOptions, Error, Leg, NewSession, Record, Start, Transport,
    call::{length, secure, undo},
    connection::certificates,
    credential_options::{milliseconds, server_name},
    request::alpn_list,
};
use std::{fmt, pin::Pin, sync::Arc};
use tlsgate_protocol::{
    CredentialId, Ioctl, SessionId, limits,
    payload::{
        AcceptRequest, AcquireReply, CloseReply, ConnectRequest, RecordRequest, ReleaseReply,
        ReleaseRequest, RequestHead, SessionReply, SessionRequest, StatisticsReply, VersionReply,
    },
};
use zerocopy::IntoBytes;

/// A request that has been sent. Dropping it cancels the request.
pub type Pending<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// An open handle of the driver; clones share it. Ids are valid on the handle that made them.
///
/// Each function sends its IOCTL when it is called, and its future waits for the reply; dropping that
/// cancels the IOCTL. All may fail with [`Error::Refused`], an NTSTATUS for misuse, a quota or a time
/// that has run out, and with [`Error::Reply`], when program and driver do not match. What the security
/// subsystem makes of a handshake or of records is no error but a part of the reply.
#[derive(Clone)]
pub struct Driver {
    transport: Arc<dyn Transport>,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl Driver {
    /// Opens the device `\\\\.\\TlsGate`; what is made on this handle goes with its last clone.
    ///
    /// All handles of a process share one completion port and one thread that empties it; no request
    /// has a thread of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Open`]: the driver is not running, this account may not use it, or this is not Windows.
    pub fn open() -> Result<Self, Error> {
        #[cfg(windows)]
        return Ok(crate::Device::open()?.driver());
        #[cfg(not(windows))]
        Err(Error::Open(std::io::ErrorKind::Unsupported.into()))
    }

    /// The driver behind this transport.
    pub fn new(transport: impl Transport) -> Self {
        Self {
            transport: Arc::new(transport),
        }
    }

    pub(crate) fn transport(&self) -> &dyn Transport {
        &*self.transport
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

    /// ACQUIRE_CREDENTIAL: the right to be the server, or the client, that the options describe. Its id
    /// has no owner: [`Credential::acquire`](crate::Credential::acquire) gives one that has.
    #[must_use]
    pub fn acquire(&self, options: &CredentialOptions) -> Pending<CredentialId> {
        let request = match options.request() {
            Ok(request) => request,
            Err(error) => return fails(error),
        };
        let driver = self.clone();
        // One that takes another's place has that one's owner.
        let unclaimed = options.is_new().then(|| {
            undo(move |reply: AcquireReply| {
                if let Some(credential) = CredentialId::from_wire(reply.credential) {
                    driver.release_unheard(credential);
                }
            })
        });
        let ioctl = Ioctl::AcquireCredential;
        let reply = self.call::<AcquireReply>(ioctl, &[&request], 0, unclaimed);
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
        let request = release_request(credential);
        let reply = self.fixed::<ReleaseReply>(Ioctl::ReleaseCredential, &request);
        Box::pin(async move {
            let reply = reply.await?;
            secure(Ioctl::ReleaseCredential, reply.head)?;
            Ok(reply.deferred != 0)
        })
    }

    /// RELEASE_CREDENTIAL for those who cannot wait, such as a destructor.
    pub(crate) fn release_unheard(&self, credential: CredentialId) {
        self.transport.post(
            Ioctl::ReleaseCredential.code(),
            release_request(credential).as_bytes().to_vec(),
            size_of::<ReleaseReply>(),
        );
    }

    /// ACCEPT: one server leg over the bytes the peer has sent and no leg has used up yet, at most
    /// [`limits::MAX_INPUT`] (Microsoft's documentation of `AcceptSecurityContext (Schannel)`).
    #[must_use]
    pub fn accept(&self, start: Start<'_>, input: &[u8]) -> Pending<Leg> {
        let (request, alpn) = match accept_request(start, input) {
            Ok(request) => request,
            Err(error) => return fails(error),
        };
        let parts = [request.as_bytes(), &alpn];
        self.leg(Ioctl::Accept, &parts, input, start.is_new())
    }

    /// CONNECT: one client leg. The first one has no input: a client speaks first (Microsoft's
    /// documentation of `InitializeSecurityContext (Schannel)`).
    #[must_use]
    pub fn connect(&self, start: Start<'_>, input: &[u8]) -> Pending<Leg> {
        let (request, name, alpn) = match connect_request(start, input) {
            Ok(request) => request,
            Err(error) => return fails(error),
        };
        let parts = [request.as_bytes(), name.as_bytes(), &alpn];
        self.leg(Ioctl::Connect, &parts, input, start.is_new())
    }

    /// QUERY_SESSION: what was negotiated, and with whom.
    #[must_use]
    pub fn query_session(&self, session: SessionId) -> Pending<Connection> {
        let request = session_request(session);
        let driver = self.clone();
        let ask = move |room| {
            driver.call::<SessionReply>(Ioctl::QuerySession, &[request.as_bytes()], room, None)
        };
        let first = ask(USUAL_CERTIFICATES);
        Box::pin(async move {
            let (mut reply, mut behind) = first.await?;
            secure(Ioctl::QuerySession, reply.head)?;
            let length = usize::try_from(reply.certificates_length).unwrap_or(usize::MAX);
            // All of them or none are there.
            if length > USUAL_CERTIFICATES {
                (reply, behind) = ask(length.min(limits::MAX_PEER_CERTIFICATES)).await?;
                secure(Ioctl::QuerySession, reply.head)?;
            }
            let certificates = certificates(&reply, &behind).ok_or(Error::Reply {
                ioctl: Ioctl::QuerySession,
                problem: "the peer's certificates are not whole",
            })?;
            Ok(Connection::new(&reply, certificates))
        })
    }

    /// SEAL: makes as many records as it takes of at most [`limits::MAX_RECORDS`] bytes (Microsoft's
    /// documentation of `EncryptMessage (Schannel)`).
    #[must_use]
    pub fn seal(&self, session: SessionId, plaintext: &[u8]) -> Pending<Record> {
        self.seal_parts(session, 0, &[plaintext])
    }

    /// SEAL of data that lies in several places. The first record is made without moving its data if the session's
    /// `header` is told ([`Connection`]); 0 does as well.
    pub(crate) fn seal_parts(
        &self,
        session: SessionId,
        header: usize,
        plaintext: &[&[u8]],
    ) -> Pending<Record> {
        const GAP: [u8; limits::MAX_OVERHEAD] = [0; limits::MAX_OVERHEAD];
        let length = plaintext.iter().map(|part| part.len()).sum();
        let room = limits::sealed_room(length, 0, limits::MAX_OVERHEAD, limits::MAX_PLAINTEXT);
        let gap = &GAP[..header.min(GAP.len())];
        self.record(
            Ioctl::Seal,
            session,
            gap,
            plaintext,
            room.unwrap_or(usize::MAX),
        )
    }

    /// UNSEAL: opens as many records as there are in at most [`limits::MAX_RECORDS`] bytes (Microsoft's
    /// documentation of `DecryptMessage (Schannel)`).
    #[must_use]
    pub fn unseal(&self, session: SessionId, records: &[u8]) -> Pending<Record> {
        self.record(Ioctl::Unseal, session, &[], &[records], records.len())
    }

    /// SHUTDOWN: makes the record that says close_notify.
    /// [`RecordOutcome::Failed`](crate::RecordOutcome::Failed) means that this Windows does not make
    /// one; the session is none the worse.
    #[must_use]
    pub fn shutdown(&self, session: SessionId) -> Pending<Record> {
        self.records(
            Ioctl::Shutdown,
            &[session_request(session).as_bytes()],
            ALERT,
            limits::MAX_ALERT_RECORD,
        )
    }

    /// CLOSE_SESSION: deletes the session and waits until it is gone (Microsoft's documentation of
    /// `DeleteSecurityContext`).
    #[must_use]
    pub fn close(&self, session: SessionId) -> Pending<()> {
        let reply = self.fixed::<CloseReply>(Ioctl::CloseSession, &session_request(session));
        Box::pin(async move { secure(Ioctl::CloseSession, reply.await?.head) })
    }

    /// CLOSE_SESSION for those who cannot wait, such as a destructor.
    pub fn abandon(&self, session: SessionId) {
        self.transport.post(
            Ioctl::CloseSession.code(),
            session_request(session).as_bytes().to_vec(),
            size_of::<CloseReply>(),
        );
    }

    fn record(
        &self,
        ioctl: Ioctl,
        session: SessionId,
        gap: &[u8],
        bytes: &[&[u8]],
        room: usize,
    ) -> Pending<Record> {
        let given = bytes.iter().map(|part| part.len()).sum();
        let request = RecordRequest {
            head: RequestHead::default(),
            session: session.get(),
            length: length(given),
            offset: length(gap.len()),
            reserved: [0; 2],
        };
        let parts = [&[request.as_bytes(), gap], bytes].concat();
        self.records(ioctl, &parts, given, room)
    }
}

/// Bytes of an alert: level and description.
const ALERT: usize = 2;

/// Room for the chain of certificates that most peers send.
const USUAL_CERTIFICATES: usize = 8 * 1024;

fn release_request(credential: CredentialId) -> ReleaseRequest {
    ReleaseRequest {
        head: RequestHead::default(),
        credential: credential.get(),
    }
}

fn session_request(session: SessionId) -> SessionRequest {
    SessionRequest {
        head: RequestHead::default(),
        session: session.get(),
    }
}

fn accept_request(start: Start<'_>, input: &[u8]) -> Result<(AcceptRequest, Vec<u8>), Error> {
    let (session, new) = ids(start);
    let alpn = alpn_list(new.map_or(&[], |new| new.alpn))?;
    let request = AcceptRequest {
        head: RequestHead::default(),
        session,
        credential: new.map_or(0, |new| new.credential.get()),
        alpn_length: length(alpn.len()),
        input_length: length(input.len()),
        timeout_ms: milliseconds(new.and_then(|new| new.timeout)),
        reserved: 0,
    };
    Ok((request, alpn))
}

fn connect_request<'a>(
    start: Start<'a>,
    input: &[u8],
) -> Result<(ConnectRequest, &'a str, Vec<u8>), Error> {
    let (session, new) = ids(start);
    let alpn = alpn_list(new.map_or(&[], |new| new.alpn))?;
    let name = new.map_or("", |new| new.server_name);
    let request = ConnectRequest {
        head: RequestHead::default(),
        session,
        credential: new.map_or(0, |new| new.credential.get()),
        server_name_length: server_name(name)?,
        alpn_length: length(alpn.len()),
        input_length: length(input.len()),
        timeout_ms: milliseconds(new.and_then(|new| new.timeout)),
    };
    Ok((request, name, alpn))
}

/// The session's id on the wire, and what is told of a new one.
const fn ids(start: Start<'_>) -> (u64, Option<NewSession<'_>>) {
    match start {
        Start::Continue(session) => (session.get(), None),
        Start::New(new) => (0, Some(new)),
    }
}

fn fails<T: Send + 'static>(error: Error) -> Pending<T> {
    Box::pin(std::future::ready(Err(error)))
}
