//! Opening with a name, acquiring with weak tokens, and credentials that cannot be had.

use crate::{
    bench::{Bench, refused, send, within},
    raw,
};
use anyhow::{Result, ensure};
use std::io;
use tlsgate::{
    Device, Thumbprint,
    protocol::{DEVICE_PATH, Ioctl, NtStatus, SecurityStatus, payload::AcquireReply},
};
use tlsgate_lab_control::kmdf::{Account, Caller};

/// Names and tokens.
pub async fn all(bench: &mut Bench) -> Result<()> {
    names(bench).await?;
    accounts(bench).await?;
    tokens(bench).await
}

/// The device's security descriptor: SYSTEM and Administrators only.
async fn accounts(bench: &mut Bench) -> Result<()> {
    let denials = bench.lab.report()?.denials;
    for (count, account) in [Account::User("eve".into()), Account::Service("web".into())]
        .into_iter()
        .enumerate()
    {
        let who = format!("{account:?}");
        bench
            .lab
            .kmdf(|switches| switches.account.clone_from(&account))?;
        match Device::open_path(DEVICE_PATH, true) {
            Err(error) => ensure!(
                error.kind() == io::ErrorKind::PermissionDenied,
                "{who}: {error}"
            ),
            // As above, the program is not told.
            Ok(device) => {
                let query = send(&device, &raw::query(Ioctl::QueryVersion));
                refused(query, NtStatus::STATUS_ACCESS_DENIED, &who).await?;
            }
        }
        let report = bench.lab.report()?;
        ensure!(report.denials == denials + count as u64 + 1, "{report:?}");
        ensure!(report.files == 1, "the driver has seen {who}: {report:?}");
    }
    for account in [Account::System, Account::Administrator] {
        let who = format!("{account:?}");
        bench.lab.kmdf(|switches| switches.account = account)?;
        let device = Device::open()?;
        let query = within(send(&device, &raw::query(Ioctl::QueryVersion))).await?;
        ensure!(query.is_ok(), "{who}: {query:?}");
    }
    Ok(())
}

async fn names(bench: &mut Bench) -> Result<()> {
    // Wine does not wait for an IRP_MJ_CREATE: this handle's must be over before the next one's is to
    // have a name.
    bench.statistics().await?;
    // Wine looks the whole path up and cannot pass a name; the framework is told to.
    let below = Device::open_path(&format!(r"{DEVICE_PATH}\x"), true);
    ensure!(below.is_err(), "a name below the device could be opened");
    bench
        .lab
        .kmdf(|switches| switches.file_name = r"\x".into())?;
    match Device::open_path(DEVICE_PATH, true) {
        Err(error) => ensure!(
            error.kind() == io::ErrorKind::NotFound,
            "opened with a name: {error}"
        ),
        // Wine does not tell the program how its IRP_MJ_CREATE ended, nor waits for it: the handle
        // that it got has no file behind it.
        Ok(device) => {
            let query = send(&device, &raw::query(Ioctl::QueryVersion));
            let status = NtStatus::STATUS_INVALID_DEVICE_REQUEST;
            refused(query, status, "a handle with a name").await?;
            let files = bench.lab.report()?.files;
            ensure!(files == 1, "the file with a name is one of {files}");
        }
    }
    bench
        .lab
        .kmdf(|switches| switches.file_name = String::new())?;
    let unnamed = Device::open()?;
    let query = within(send(&unnamed, &raw::query(Ioctl::QueryVersion))).await?;
    ensure!(query.is_ok(), "without a name: {query:?}");
    Ok(())
}

/// Below `SecurityImpersonation` nobody may act for the caller.
async fn tokens(bench: &mut Bench) -> Result<()> {
    let acquire = raw::acquire(bench.thumbprint, "");
    for level in 0..=1 {
        bench
            .lab
            .kmdf(|switches| switches.caller = Caller::Impersonating(level))?;
        let before = bench.quiet(0).await?;
        let status = NtStatus::STATUS_BAD_IMPERSONATION_LEVEL;
        refused(
            bench.issue(&acquire),
            status,
            ("impersonation level", level),
        )
        .await?;
        ensure!(
            bench.statistics().await? == before,
            "a refusal left something"
        );
    }
    for level in 2..=3 {
        bench
            .lab
            .kmdf(|switches| switches.caller = Caller::Impersonating(level))?;
        // The legs go under the same token: ksecdd checks.
        bench.whole_handshake().await?;
        // They do so as well when someone else brings the bytes.
        let credential = bench.credential().await?;
        bench
            .lab
            .kmdf(|switches| switches.caller = Caller::Primary)?;
        let (session, _peer) = crate::tls::establish(&bench.driver, credential).await?;
        within(bench.driver.close(session)).await??;
        within(bench.driver.release(credential)).await??;
    }
    Ok(())
}

/// The reply says why, and nothing is left.
pub async fn wrong_certificate(bench: &Bench) -> Result<()> {
    let absent = Thumbprint([0xA5; 20]);
    for (thumbprint, store) in [(absent, ""), (bench.thumbprint, "NoSuchStore")] {
        let before = bench.quiet(0).await?;
        let reply = within(bench.issue(&raw::acquire(thumbprint, store))).await?;
        let reply = reply.map_err(|status| anyhow::anyhow!(crate::bench::name(status)))?;
        let reply: AcquireReply = raw::structure(&reply)?;
        ensure!(
            reply.head.status == SecurityStatus::SEC_E_NO_CREDENTIALS.0 && reply.credential == 0,
            "store {store:?}: {reply:?}"
        );
        bench
            .settle("a credential that could not be had", |now| {
                now.credentials_live == before.credentials_live
                    && now.async_contexts_live == before.async_contexts_live
            })
            .await?;
    }
    Ok(())
}
