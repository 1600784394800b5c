//! Every status that has a name here, and some that nobody documented: as the result of every kind of
//! call, and as its refusal. What must come of each is the table in `tlsgate_core::status`.

use crate::{
    bench::{Bench, refused, within},
    raw::{self, Request},
    tls,
};
use anyhow::{Context, Result, ensure};
use tlsgate::protocol::{
    CredentialId, Ioctl, NtStatus, SecurityStatus, SessionId,
    payload::{AcquireReply, RecordReply, SessionReply, outcome},
};
use tlsgate_core::{
    session::Phase,
    status::{Meaning, RecordMeaning, Row, row_of},
};
use tlsgate_lab_control::ksecdd::{Effect, Function};

/// Codes without a name, of success and of error.
const UNKNOWN: [i32; 5] = [1, 0x0009_0399, -1, i32::MIN, 0x8009_0399_u32.cast_signed()];

/// Calls of a leg whose output never is large enough: with 8, 16 and 32 KiB.
const GROWING: usize = 3;

/// The walk.
pub async fn all(bench: &mut Bench) -> Result<()> {
    let mut walk = Walk {
        server: bench.credential().await?,
        client: bench.client_credential().await?,
        established: None,
        bench,
    };
    let named = SecurityStatus::NAMED.iter().map(|(_, status)| *status);
    let all: Vec<_> = named.chain(UNKNOWN.map(SecurityStatus)).collect();
    for &status in &all {
        walk.one(&row_of(status))
            .await
            .with_context(|| format!("{status:x?}, {:?}", status.name()))?;
    }
    println!("{} statuses", all.len());
    let Walk { server, client, .. } = walk;
    for credential in [server, client] {
        let _deferred = within(bench.driver.release(credential)).await??;
    }
    *bench = Bench::open(bench.thumbprint)?;
    Ok(())
}

struct Walk<'a> {
    bench: &'a mut Bench,
    server: CredentialId,
    client: CredentialId,
    /// A session for records, with one from its peer, while it lasts.
    established: Option<(SessionId, Vec<u8>)>,
}

impl Walk<'_> {
    async fn one(&mut self, row: &Row) -> Result<()> {
        let completed = Effect::Completed(row.status.0);
        let becomes = match (row.leg, row.leg_becomes) {
            // However often it is asked, the room is too little.
            (Meaning::Grow, _) => Phase::Failed,
            (_, becomes) => becomes.unwrap_or(Phase::Handshaking),
        };
        self.accept(row, completed, becomes).await?;
        self.connect(row, completed, becomes).await?;
        self.unseal(row).await?;
        // The others mean nothing where a call is refused: SEC_E_OK is how one is accepted.
        if row.status != SecurityStatus::SEC_E_OK {
            self.acquire(row, completed).await?;
            self.seal(row).await?;
            let refused = Effect::Refused(row.status.0);
            self.accept(row, refused, Phase::Failed).await?;
            self.connect(row, refused, Phase::Failed).await?;
            self.acquire(row, refused).await?;
        }
        Ok(())
    }

    /// A later leg, of a session that has a context.
    async fn accept(&mut self, row: &Row, effect: Effect, becomes: Phase) -> Result<()> {
        let (session, mut peer) = tls::begin(&self.bench.driver, self.server).await?;
        let leg = raw::accept_next(session, &peer.take()?);
        self.leg(row, &leg, effect, becomes).await
    }

    /// A first leg.
    async fn connect(&mut self, row: &Row, effect: Effect, becomes: Phase) -> Result<()> {
        let leg = raw::connect_new(self.client);
        self.leg(row, &leg, effect, becomes).await
    }

    async fn leg(
        &mut self,
        row: &Row,
        leg: &Request,
        effect: Effect,
        becomes: Phase,
    ) -> Result<()> {
        let function = match leg.ioctl {
            Ioctl::Accept => Function::SspiAcceptSecurityContextAsync,
            _ => Function::SspiInitializeSecurityContextAsyncW,
        };
        let answer = self.reply(function, &[effect; GROWING], row, leg).await?;
        let reply = raw::leg(&answer)?;
        ensure!(
            reply.head.status == row.status.0 && reply.state == becomes.wire(),
            "{effect:?} of {:?}: {reply:?}",
            leg.ioctl
        );
        let session = tls::session(&answer)?;
        self.is(session, becomes).await?;
        if becomes == Phase::Failed {
            let next = match leg.ioctl {
                Ioctl::Accept => raw::accept_next(session, &tls::hello()?),
                _ => raw::connect_next(session, &tls::hello()?),
            };
            let status = NtStatus::STATUS_INVALID_DEVICE_STATE;
            refused(self.bench.issue(&next), status, "a leg of a failed session").await?;
        }
        within(self.bench.driver.close(session)).await??;
        Ok(())
    }

    async fn acquire(&mut self, row: &Row, effect: Effect) -> Result<()> {
        let function = Function::SspiAcquireCredentialsHandleAsyncW;
        let request = raw::acquire(self.bench.thumbprint, "");
        let reply = self.reply(function, &[effect], row, &request).await?;
        let reply: AcquireReply = raw::structure(&reply)?;
        ensure!(
            reply.head.status == row.status.0 && reply.credential == 0,
            "{effect:?}: {reply:?}"
        );
        Ok(())
    }

    async fn unseal(&mut self, row: &Row) -> Result<()> {
        let (session, record) = self.established().await?;
        let request = raw::record(Ioctl::Unseal, session, &record);
        let becomes = row.record_becomes.unwrap_or(Phase::Established);
        let due = match row.record {
            RecordMeaning::Data => outcome::DATA,
            RecordMeaning::Incomplete => outcome::NEED_MORE,
            RecordMeaning::Renegotiate => outcome::RENEGOTIATE,
            RecordMeaning::Closed => outcome::PEER_CLOSED,
            RecordMeaning::Fatal => outcome::FAILED,
        };
        self.record(row, &request, Function::UnsealMessage, due, becomes)
            .await
    }

    /// Whatever keeps a record from being made fails the session; but one that Schannel wants to
    /// renegotiate first goes on (`tlsgate_core::sealing`).
    async fn seal(&mut self, row: &Row) -> Result<()> {
        let (session, _) = self.established().await?;
        let request = raw::record(Ioctl::Seal, session, b"data");
        let (due, becomes) = match row.status {
            SecurityStatus::SEC_E_CONTEXT_EXPIRED => (outcome::RENEGOTIATE, Phase::Established),
            _ => (outcome::FAILED, Phase::Failed),
        };
        self.record(row, &request, Function::SealMessage, due, becomes)
            .await
    }

    async fn record(
        &mut self,
        row: &Row,
        request: &Request,
        function: Function,
        due: u32,
        becomes: Phase,
    ) -> Result<()> {
        let effect = [Effect::Refused(row.status.0)];
        let (session, _) = self.established().await?;
        let reply = self.reply(function, &effect, row, request).await?;
        let reply: RecordReply = raw::structure(&reply)?;
        ensure!(
            reply.head.status == row.status.0 && reply.outcome == due,
            "{function:?}: {reply:?}"
        );
        self.is(session, becomes).await?;
        if becomes == Phase::Failed {
            let status = NtStatus::STATUS_INVALID_DEVICE_STATE;
            refused(self.bench.issue(request), status, "a failed session").await?;
            within(self.bench.driver.close(session)).await??;
            self.established = None;
        }
        Ok(())
    }

    /// The answer to a request whose calls of a function go wrong: completed as the table says.
    async fn reply(
        &mut self,
        function: Function,
        effects: &[Effect],
        row: &Row,
        request: &Request,
    ) -> Result<Vec<u8>> {
        self.bench.lab.fault(function, effects)?;
        let answer = within(self.bench.issue(request)).await?;
        self.bench.lab.fault(function, &[])?;
        let status = answer.as_ref().err().copied();
        ensure!(
            status.unwrap_or(NtStatus::STATUS_SUCCESS) == row.reply,
            "{:?}: {status:x?}",
            request.ioctl
        );
        Ok(answer.unwrap_or_default())
    }

    /// What QUERY_SESSION says of the session.
    async fn is(&self, session: SessionId, phase: Phase) -> Result<()> {
        let query = raw::session(Ioctl::QuerySession, session);
        let reply: SessionReply = raw::structure(&self.bench.reply(&query).await?)?;
        ensure!(
            reply.state == u32::from(phase.wire()),
            "{phase:?} was due, the state is {}",
            reply.state
        );
        Ok(())
    }

    async fn established(&mut self) -> Result<(SessionId, Vec<u8>)> {
        if let Some(established) = &self.established {
            return Ok(established.clone());
        }
        let (session, mut peer) = tls::establish(&self.bench.driver, self.server).await?;
        let record = peer.say(b"data")?;
        self.established = Some((session, record.clone()));
        Ok((session, record))
    }
}
