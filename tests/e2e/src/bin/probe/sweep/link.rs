//! Credentials and sessions on a stage: a request a step, and a session's peer kept beside it.

use super::{
    peer::Peer,
    stage::{Ended, Stage, Step, What},
};
use crate::raw::{self, Request, Wish};
use anyhow::{Context, anyhow};
use tlsgate::protocol::{
    CredentialId, Ioctl, SecurityStatus, SessionId, limits,
    payload::{
        AcquireReply, CloseReply, LegReply, RecordReply, ReleaseReply, SessionReply, outcome, role,
        state,
    },
};

/// A session and its peer.
pub struct Link {
    /// The driver's end.
    pub session: SessionId,
    /// The other end.
    pub peer: Peer,
    ioctl: Ioctl,
    /// What the peer has said and the driver has not used up.
    bytes: Vec<u8>,
}

impl Link {
    /// A server's session: all of its legs.
    pub async fn accept(
        stage: &mut Stage<'_>,
        credential: CredentialId,
        mut peer: Peer,
    ) -> Step<Self> {
        let bytes = peer.take()?;
        let first = raw::accept_new(credential, &bytes);
        Self::begin(stage, &first, peer, bytes)
            .await?
            .finish(stage)
            .await
    }

    /// A client's session: all of its legs.
    pub async fn connect(
        stage: &mut Stage<'_>,
        credential: CredentialId,
        peer: Peer,
    ) -> Step<Self> {
        let first = raw::connect_new(credential);
        Self::begin(stage, &first, peer, Vec::new())
            .await?
            .finish(stage)
            .await
    }

    /// A session after its first leg.
    pub async fn begin(
        stage: &mut Stage<'_>,
        first: &Request,
        mut peer: Peer,
        mut bytes: Vec<u8>,
    ) -> Step<Self> {
        let (leg, token) = leg(stage, first).await?;
        bytes.drain(..leg.consumed as usize);
        peer.give(&token)?;
        bytes.extend(peer.take()?);
        let session = SessionId::from_wire(leg.session).context("a leg without a session")?;
        Ok(Self {
            session,
            peer,
            ioctl: first.ioctl,
            bytes,
        })
    }

    /// The legs that are left.
    pub async fn finish(mut self, stage: &mut Stage<'_>) -> Step<Self> {
        loop {
            let next = self.next(&self.bytes);
            let (leg, token) = leg(stage, &next).await?;
            self.bytes.drain(..leg.consumed as usize);
            self.peer.give(&token)?;
            let answer = self.peer.take()?;
            let is_stuck = leg.consumed == 0 && answer.is_empty();
            self.bytes.extend(answer);
            if leg.state == state::ESTABLISHED {
                return Ok(self);
            }
            if is_stuck || self.bytes.is_empty() {
                return Err(stage.failed(self.ioctl, leg.head));
            }
        }
    }

    fn next(&self, bytes: &[u8]) -> Request {
        match self.ioctl {
            Ioctl::Accept => raw::accept_next(self.session, bytes),
            _ => raw::connect_next(self.session, bytes),
        }
    }

    /// A record each way.
    pub async fn talk(&mut self, stage: &mut Stage<'_>) -> Step<()> {
        self.say(stage, b"ping").await?;
        let record = self.peer.say(b"pong")?;
        self.hear(stage, &record, b"pong").await
    }

    /// SEAL: the peer gets the data.
    pub async fn say(&mut self, stage: &mut Stage<'_>, data: &[u8]) -> Step<()> {
        let mut request = raw::record(Ioctl::Seal, self.session, data);
        request.room = limits::sealed_room(data.len(), 0, 2048, limits::MAX_PLAINTEXT)
            .context("too much data")?
            + size_of::<RecordReply>();
        let (reply, bytes) = record(stage, &request).await?;
        if reply.outcome != outcome::DATA {
            return Err(stage.failed(Ioctl::Seal, reply.head));
        }
        let heard = self.peer.give(&bytes)?;
        self.bytes.extend(self.peer.take()?);
        if heard != data {
            return Err(anyhow!("the peer has heard something else").into());
        }
        Ok(())
    }

    /// UNSEAL: the data in these records comes, whatever stands between them.
    pub async fn hear(&mut self, stage: &mut Stage<'_>, records: &[u8], data: &[u8]) -> Step<()> {
        self.bytes.extend(records);
        let mut heard = Vec::new();
        while !self.bytes.is_empty() {
            if self.open(stage, &mut heard).await? == outcome::PEER_CLOSED {
                break;
            }
        }
        if heard != data {
            return Err(anyhow!("{} bytes were heard, or others", heard.len()).into());
        }
        Ok(())
    }

    /// One UNSEAL, and the leg that it may want.
    async fn open(&mut self, stage: &mut Stage<'_>, heard: &mut Vec<u8>) -> Step<u32> {
        let mut request = raw::record(Ioctl::Unseal, self.session, &self.bytes);
        request.room = size_of::<RecordReply>() + self.bytes.len();
        let (reply, bytes) = record(stage, &request).await?;
        self.bytes.drain(..reply.consumed as usize);
        let (data, token) = bytes
            .split_at_checked(reply.produced as usize)
            .context("a short reply")?;
        heard.extend(data);
        match reply.outcome {
            outcome::DATA | outcome::PEER_CLOSED => {}
            outcome::RENEGOTIATE => self.after_handshake(stage, token).await?,
            _ => return Err(stage.failed(Ioctl::Unseal, reply.head)),
        }
        Ok(reply.outcome)
    }

    /// The leg of a post-handshake message.
    async fn after_handshake(&mut self, stage: &mut Stage<'_>, token: &[u8]) -> Step<()> {
        let mut rest = token.to_vec();
        while !rest.is_empty() {
            let (leg, token) = leg(stage, &self.next(&rest)).await?;
            self.peer.give(&token)?;
            if leg.consumed == 0 || leg.state != state::ESTABLISHED {
                return Err(stage.failed(self.ioctl, leg.head));
            }
            rest.drain(..leg.consumed as usize);
        }
        let answer = self.peer.take()?;
        self.bytes.extend(answer);
        Ok(())
    }

    /// QUERY_SESSION.
    pub async fn query(&self, stage: &mut Stage<'_>) -> Step<SessionReply> {
        let mut request = raw::session(Ioctl::QuerySession, self.session);
        request.room += 8 * 1024;
        let reply = stage.ask(&request).await?;
        let reply: SessionReply = raw::structure(&reply)?;
        if reply.head.status != SecurityStatus::SEC_E_OK.0 {
            return Err(stage.failed(request.ioctl, reply.head));
        }
        Ok(reply)
    }

    /// SHUTDOWN; nothing where ksecdd makes no alerts.
    pub async fn shut_down(&mut self, stage: &mut Stage<'_>) -> Step<()> {
        let request = raw::session(Ioctl::Shutdown, self.session);
        let (reply, bytes) = record(stage, &request).await?;
        if reply.outcome == outcome::DATA {
            self.peer.give(&bytes)?;
            return Ok(());
        }
        let unsupported = reply.head.status == SecurityStatus::SEC_E_UNSUPPORTED_FUNCTION.0;
        if unsupported && !stage.bench.lab.makes_alerts()? {
            return Ok(());
        }
        Err(stage.failed(request.ioctl, reply.head))
    }

    /// CLOSE_SESSION.
    pub async fn close(self, stage: &mut Stage<'_>) -> Step<()> {
        close(stage, self.session).await
    }
}

/// CLOSE_SESSION.
pub async fn close(stage: &mut Stage<'_>, session: SessionId) -> Step<()> {
    let request = raw::session(Ioctl::CloseSession, session);
    let reply: CloseReply = raw::structure(&stage.ask(&request).await?)?;
    if reply.head.status == SecurityStatus::SEC_E_OK.0 {
        return Ok(());
    }
    Err(stage.failed(request.ioctl, reply.head))
}

/// A server's credential.
pub async fn server(stage: &mut Stage<'_>, wish: Wish<'_>) -> Step<CredentialId> {
    let wish = Wish {
        certificates: wish.certificates.max(1),
        ..wish
    };
    acquire(stage, role::SERVER, wish).await
}

/// A client's.
pub async fn client(stage: &mut Stage<'_>, wish: Wish<'_>) -> Step<CredentialId> {
    acquire(stage, role::CLIENT, wish).await
}

async fn acquire(stage: &mut Stage<'_>, role: u32, wish: Wish<'_>) -> Step<CredentialId> {
    let request = raw::acquire_as(role, stage.bench.thumbprint, wish);
    let reply: AcquireReply = raw::structure(&stage.ask(&request).await?)?;
    CredentialId::from_wire(reply.credential).ok_or_else(|| stage.failed(request.ioctl, reply.head))
}

/// RELEASE_CREDENTIAL; whether sessions still use it.
pub async fn release(stage: &mut Stage<'_>, credential: CredentialId) -> Step<bool> {
    let request = raw::release(credential);
    let reply: ReleaseReply = raw::structure(&stage.ask(&request).await?)?;
    if reply.head.status == SecurityStatus::SEC_E_OK.0 {
        return Ok(reply.deferred != 0);
    }
    Err(stage.failed(request.ioctl, reply.head))
}

/// One leg; one that fails its session is told.
async fn leg(stage: &mut Stage<'_>, request: &Request) -> Step<(LegReply, Vec<u8>)> {
    let reply = stage.ask(request).await?;
    let leg = raw::leg(&reply)?;
    if leg.state == state::FAILED || leg.state == state::NONE {
        return Err(stage.failed(request.ioctl, leg.head));
    }
    Ok((leg, raw::token(&reply).to_vec()))
}

async fn record(stage: &mut Stage<'_>, request: &Request) -> Step<(RecordReply, Vec<u8>)> {
    let reply = stage.ask(request).await?;
    let head: RecordReply = raw::structure(&reply)?;
    let bytes = reply.get(size_of::<RecordReply>()..).unwrap_or_default();
    Ok((head, bytes.to_vec()))
}

/// A leg that must fail its session, because its bytes are no TLS.
pub async fn spoil(stage: &mut Stage<'_>, session: SessionId, bytes: &[u8]) -> Step<()> {
    let request = raw::accept_next(session, bytes);
    let leg = raw::leg(&stage.ask(&request).await?)?;
    if leg.state == state::FAILED {
        return Ok(());
    }
    Err(Ended::Wrong(anyhow!("nonsense was taken: {leg:?}")))
}

/// A request whose reply nobody reads.
pub async fn plain(stage: &mut Stage<'_>, request: &Request) -> Step<Vec<u8>> {
    let reply = stage.ask(request).await?;
    if reply.is_empty() {
        let status = SecurityStatus::SEC_E_INTERNAL_ERROR;
        return Err(stage.told(request.ioctl, What::Failed(status)));
    }
    Ok(reply)
}
