//! The driver as the commands find it: its device, and whether it speaks this program's version.

use crate::exit::{Exit, Failure};
use anyhow::{Context, Result};
use tlsgate::{
    Device, Driver, Error,
    protocol::{
        ABI_VERSION, Ioctl,
        payload::{ReplyHead, RequestHead, VersionReply},
    },
};
use zerocopy::{FromBytes, IntoBytes};

/// Room for replies that are longer in another version.
const ROOM: usize = 4096;

/// What the driver says of itself. Every version answers QUERY_VERSION, whatever the request's version.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    /// The ABI version it speaks.
    pub abi: u32,
    /// All of it, where it has this program's layout.
    pub version: Option<VersionReply>,
}

/// Opens the device of a driver that speaks this program's version.
pub async fn open() -> Result<Driver> {
    let device = Device::open()?;
    match ask(&device).await?.abi {
        ABI_VERSION => Ok(device.driver()),
        abi => Err(Failure::new(Exit::OtherVersion, other_version(abi)).into()),
    }
}

/// Asks for its version.
pub async fn ask(device: &Device) -> Result<Said> {
    let ioctl = Ioctl::QueryVersion;
    let request = RequestHead::default().as_bytes().to_vec();
    let reply = device
        .issue(ioctl.code(), request, ROOM)
        .await
        .map_err(|status| Error::Refused { ioctl, status })?;
    let (head, _) = ReplyHead::read_from_prefix(&reply)
        .ok()
        .context("the driver's reply to QUERY_VERSION is too short to be one")?;
    let whole = VersionReply::read_from_prefix(&reply).ok();
    Ok(Said {
        abi: head.version,
        version: whole
            .map(|(version, _)| version)
            .filter(|_| head.version == ABI_VERSION),
    })
}

/// That the driver speaks this ABI version, and what to do about it.
pub fn other_version(abi: u32) -> String {
    let what_to_do = if abi < ABI_VERSION {
        "it is older: `tlsgate install` puts the driver beside this program in its place"
    } else {
        "it is newer: use the tlsgate.exe that came with it"
    };
    format!(
        "the driver that runs speaks ABI version {abi}, this program ABI version {ABI_VERSION}; {what_to_do}"
    )
}
