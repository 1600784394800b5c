//! What every scenario works with: an open handle, the stand-ins, and patience.

use crate::{raw::Request, switches::StandIns, tls};
use anyhow::{Context, Result, anyhow, ensure};
use std::{
    fmt::Debug,
    future::poll_fn,
    pin::Pin,
    task::Poll,
    time::{Duration, Instant},
};
use tlsgate::{
    Certificate, CredentialOptions, Device, Driver, Thumbprint,
    device::Operation,
    protocol::{CredentialId, NtStatus, payload::StatisticsReply},
};
use tlsgate_lab_control::ksecdd::State;

/// How long anything may take that must happen.
const PATIENCE: Duration = Duration::from_secs(45);

/// How often a condition is looked at.
pub const INTERVAL: Duration = Duration::from_millis(5);

/// An open handle and what belongs to it.
pub struct Bench {
    /// The stand-ins.
    pub lab: StandIns,
    /// The handle.
    pub device: Device,
    /// Its typed functions.
    pub driver: Driver,
    /// The test certificate's.
    pub thumbprint: Thumbprint,
}

impl Bench {
    /// Opens a handle.
    pub fn open(thumbprint: Thumbprint) -> Result<Self> {
        let device = Device::open()?;
        Ok(Self {
            lab: StandIns::connect()?,
            driver: device.driver(),
            device,
            thumbprint,
        })
    }

    /// Sends a request as it is.
    pub fn issue(&self, request: &Request) -> Operation {
        send(&self.device, request)
    }

    /// A credential with the test certificate, on this handle.
    pub async fn credential(&self) -> Result<CredentialId> {
        self.credential_on(&self.driver).await
    }

    /// The same on another handle.
    pub async fn credential_on(&self, driver: &Driver) -> Result<CredentialId> {
        let options = CredentialOptions::server(Certificate::machine(self.thumbprint));
        within(driver.acquire(&options))
            .await?
            .context("acquiring a credential")
    }

    /// A client's credential, which checks no certificate, on this handle.
    pub async fn client_credential(&self) -> Result<CredentialId> {
        let options = CredentialOptions::client().manual_check();
        within(self.driver.acquire(&options))
            .await?
            .context("acquiring a client's credential")
    }

    /// The reply to a request, which must succeed.
    pub async fn reply(&self, request: &Request) -> Result<Vec<u8>> {
        answered(self.issue(request), request.ioctl).await
    }

    /// The driver's counters.
    pub async fn statistics(&self) -> Result<StatisticsReply> {
        Ok(within(self.driver.statistics()).await??)
    }

    /// Waits until the counters are as they should be.
    pub async fn settle(&self, what: &str, good: impl Fn(&StatisticsReply) -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let statistics = self.statistics().await?;
            if good(&statistics) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{what}: {statistics:#?}");
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// The counters once no more than so many operations are inside ksecdd: an operation ends a
    /// moment after its reply.
    pub async fn quiet(&self, inside: u64) -> Result<StatisticsReply> {
        self.settle("operations", |now| {
            now.waiting_live == 0 && now.in_flight_live == inside
        })
        .await?;
        self.statistics().await
    }

    /// Waits until ksecdd is as it should be.
    pub async fn settle_ksecdd(&mut self, what: &str, good: impl Fn(&State) -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let state = self.lab.state()?;
            if good(&state) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{what}: {state:#?}");
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Waits until ksecdd holds so many calls.
    pub async fn held(&mut self, count: usize) -> Result<()> {
        self.settle_ksecdd(&format!("{count} calls held"), |state| state.held == count)
            .await
    }

    /// Nothing is left: no session, no credential, nothing inside ksecdd, nothing in it but what is
    /// in quarantine.
    pub async fn empty(&mut self) -> Result<()> {
        self.settle("something is left in the driver", |left| {
            left.sessions_live == 0
                && left.credentials_live == 0
                && left.orphans_live == 0
                && left.waiting_live == 0
                && left.in_flight_live == 0
                && left.async_contexts_live == left.quarantined_live
        })
        .await?;
        let quarantined = usize::try_from(self.statistics().await?.quarantined_live)?;
        self.settle_ksecdd("something is left in ksecdd", |left| {
            left.credentials == 0
                && left.contexts == 0
                && left.context_buffers == 0
                && left.in_flight == 0
                && left.async_contexts == quarantined
        })
        .await
    }

    /// Everything once: a credential, a handshake, data both ways, and the end of all of it.
    pub async fn whole_handshake(&self) -> Result<()> {
        let credential = self.credential().await?;
        let (session, mut peer) = tls::establish(&self.driver, credential).await?;
        tls::talk(&self.driver, session, &mut peer).await?;
        within(self.driver.close(session)).await??;
        ensure!(
            !within(self.driver.release(credential)).await??,
            "the release was deferred"
        );
        Ok(())
    }
}

/// The result of what must not take long.
pub async fn within<T>(future: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(PATIENCE, future)
        .await
        .context("no answer")
}

/// Sends a request as it is, on any handle.
pub fn send(device: &Device, request: &Request) -> Operation {
    device.issue(request.ioctl.code(), request.input.clone(), request.room)
}

/// The reply to an IOCTL, which must succeed.
pub async fn answered(operation: Operation, what: impl Debug) -> Result<Vec<u8>> {
    within(operation)
        .await?
        .map_err(|status| anyhow!("{what:?}: refused: {}", name(status)))
}

/// A request's answer, if there is one already.
pub async fn answer_so_far(operation: &mut Operation) -> Option<Result<Vec<u8>, NtStatus>> {
    poll_fn(|context| {
        Poll::Ready(match Pin::new(&mut *operation).poll(context) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        })
    })
    .await
}

/// Whether a request has not been answered yet.
pub async fn pends(operation: &mut Operation) -> bool {
    answer_so_far(operation).await.is_none()
}

/// The answer to an IOCTL, which must be this error.
pub async fn refused(operation: Operation, expected: NtStatus, what: impl Debug) -> Result<()> {
    let answer = within(operation).await?;
    let status = answer.as_ref().err().copied();
    ensure!(
        status == Some(expected),
        "{what:?}: {} was due, the answer is {}",
        name(expected),
        status.map_or_else(
            || format!("{} bytes", answer.unwrap_or_default().len()),
            name
        ),
    );
    Ok(())
}

/// A status in words.
pub fn name(status: NtStatus) -> String {
    tlsgate::describe_nt_status(status)
}
