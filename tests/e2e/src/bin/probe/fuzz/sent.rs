//! Requests that other tests have sent, recorded by `cargo xtask fuzz --record`: sent again, with ids of now.

use super::{
    handle::{Handle, Link},
    requests::Drawn,
};
use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use std::{fs, mem::offset_of, path::Path};
use tlsgate::protocol::payload::{AcceptRequest, ConnectRequest, RequestHead};

/// A request as it came to the driver.
pub struct Sent {
    code: u32,
    room: usize,
    input: Vec<u8>,
}

/// An id stands behind the head of every request that has one: a session, or a credential.
const ID: usize = size_of::<RequestHead>();
/// A first leg's credential.
const CREDENTIAL: usize = offset_of!(AcceptRequest, credential);

const _: () = assert!(offset_of!(AcceptRequest, session) == ID);
const _: () = assert!(offset_of!(ConnectRequest, credential) == CREDENTIAL);

impl Sent {
    /// Those of a folder, in the form of `tests/fuzz/corpus/decode`: 0, code, room, input. Others are passed over.
    pub fn read(folder: &Path) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        let mut entries = fs::read_dir(folder)
            .with_context(|| format!("{}", folder.display()))?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<_>>>()?;
        // The same order everywhere: the seed chooses among them.
        entries.sort();
        for file in entries {
            let bytes = fs::read(&file)?;
            all.extend(Self::parse(&bytes));
        }
        ensure!(!all.is_empty(), "no request in {}", folder.display());
        Ok(all)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&[0])?;
        let (code, rest) = rest.split_first_chunk()?;
        let (room, input) = rest.split_first_chunk()?;
        Some(Self {
            code: u32::from_le_bytes(*code),
            // What is drawn may be any number.
            room: (u32::from_le_bytes(*room) as usize).min(2 << 20),
            input: input.to_vec(),
        })
    }

    /// It again, for what a handle has now: the id that was, in its place one of the handle's.
    pub fn again(&self, handle: &Handle, random: &mut Rng) -> Drawn {
        let mut input = self.input.clone();
        let sessions = handle.session_ids();
        let credentials = handle.credential_ids(None);
        let own = [&sessions, &credentials][usize::from(random.u8(..4) == 0)];
        for (place, own) in [(ID, own), (CREDENTIAL, &credentials)] {
            let Some(id) = input.get_mut(place..place + 8) else {
                continue;
            };
            // 0 is none, and stays that.
            if id.iter().any(|byte| *byte != 0) && !own.is_empty() {
                id.copy_from_slice(&own[random.usize(..own.len())].to_le_bytes());
            }
        }
        Drawn {
            code: self.code,
            input,
            room: self.room,
            link: Link::Nobody,
            is_true: false,
        }
    }
}
