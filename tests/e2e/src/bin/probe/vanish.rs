//! A program that goes while its legs are inside ksecdd: killed, ended, or its handles closed.

use crate::{
    bench::{Bench, answered, send, within},
    raw, tls,
};
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use std::{io, process};
use tlsgate::{
    Device,
    device::Operation,
    protocol::{CredentialId, Ioctl, NtStatus, payload::AcquireReply},
};
use tlsgate_lab_control::ksecdd::Completion;

/// Handles that it opens.
const HANDLES: usize = 3;

/// How a program goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum End {
    /// Says `held` and waits to be killed, or for a line: then it closes its handles.
    Wait,
    /// Ends without closing anything.
    Exit,
    /// Closes its handles, and stays to hear what becomes of its requests.
    Close,
}

/// Leaves on each handle what can be inside ksecdd, and goes.
pub async fn vanish(mut bench: Bench, end: End) -> Result<()> {
    let mut devices = Vec::new();
    let mut operations = Vec::new();
    let mut prepared = Vec::new();
    for _ in 0..HANDLES {
        let device = Device::open()?;
        prepared.push(requests(&bench, &device).await?);
        devices.push(device);
    }
    bench.lab.complete(Completion::Held)?;
    for (device, requests) in devices.iter().zip(&prepared) {
        operations.extend(requests.iter().map(|request| send(device, request)));
    }
    bench.held(operations.len()).await?;
    println!("held");
    match end {
        End::Wait => {
            let mut line = String::new();
            io::stdin().read_line(&mut line)?;
            drop((operations, devices));
            Ok(())
        }
        End::Exit => process::exit(0),
        End::Close => close(bench, devices, operations).await,
    }
}

/// Requests that will be inside ksecdd, of every kind; and sessions and a credential besides.
async fn requests(bench: &Bench, device: &Device) -> Result<Vec<raw::Request>> {
    let driver = device.driver();
    let credential = bench.credential_on(&driver).await?;
    let client = answered(send(device, &raw::acquire_client()), "a client").await?;
    let client: AcquireReply = raw::structure(&client)?;
    let client = CredentialId::from_wire(client.credential).context("no credential")?;
    let unused = bench.credential_on(&driver).await?;
    let (_half, _) = tls::begin(&driver, credential).await?;
    let (_whole, _) = tls::establish(&driver, credential).await?;
    let (session, mut peer) = tls::begin(&driver, credential).await?;
    let (closing, _) = tls::establish(&driver, credential).await?;
    let flight = peer.take()?;
    let hello = tls::hello()?;
    Ok(vec![
        raw::acquire(bench.thumbprint, ""),
        raw::accept_new(credential, &hello),
        raw::accept_new(credential, &hello),
        raw::accept_next(session, &flight),
        raw::connect_new(client),
        raw::session(Ioctl::CloseSession, closing),
        raw::release(unused),
    ])
}

async fn close(mut bench: Bench, devices: Vec<Device>, operations: Vec<Operation>) -> Result<()> {
    let pending = operations.len();
    // An operation keeps its handle open; one that nobody waits for does not.
    let cancelled = bench.statistics().await?.cancelled;
    for operation in operations {
        operation.detach();
    }
    drop(devices);
    let due = cancelled + u64::try_from(pending)?;
    bench
        .settle("requests of closed handles", |now| now.cancelled == due)
        .await?;
    // And the deletions of what was idle.
    ensure!(bench.lab.state()?.held >= pending, "ksecdd has lost a call");
    // The other handle is not concerned.
    bench.lab.complete(Completion::Late)?;
    bench.whole_handshake().await?;
    bench.lab.release()?;
    bench.empty().await?;
    let gone = raw::query(Ioctl::QueryStatistics);
    ensure!(
        within(bench.issue(&gone)).await?.map(drop) == Ok::<_, NtStatus>(()),
        "the handle that stays"
    );
    Ok(())
}
