//! An open handle, and what its replies have said of it: its sessions, with who is at their other ends, and
//! its credentials.

use super::{CREDENTIALS, SESSIONS, meaning::Meaning};
use crate::{
    bench::{Bench, within},
    tls::{self, Peer},
};
use anyhow::{Result, ensure};
use fastrand::Rng;
use tlsgate::{
    CredentialOptions, Device,
    protocol::{Role, SessionId},
};

/// Who is at the other end of a session.
pub enum Link {
    /// A client of rustls.
    Peer(Box<Peer>),
    /// A session of a handle.
    Session(u64, u64),
    Nobody,
}

/// A session.
pub struct Session {
    pub id: u64,
    pub role: Role,
    pub link: Link,
    /// What the other end has said and no reply has called consumed.
    pub inbox: Vec<u8>,
    /// It is being closed: it may be gone at any time.
    pub closing: bool,
}

/// A credential.
pub struct Credential {
    pub id: u64,
    pub role: Role,
    pub closing: bool,
}

/// An open handle, and what its replies have said of it.
pub struct Handle {
    /// Never used again.
    pub number: u64,
    pub device: Device,
    pub sessions: Vec<Session>,
    pub credentials: Vec<Credential>,
    /// Ids that were its own.
    pub gone: Vec<u64>,
    /// Sessions and credentials whose end was asked for before any reply had told of them: a guess may be right.
    ending: (Vec<u64>, Vec<u64>),
    /// There may be something on it that nobody was told of: its request was given up.
    pub is_loose: bool,
}

impl Handle {
    /// A new one, of this number.
    pub fn open(number: u64) -> Result<Self> {
        Ok(Self {
            number,
            device: Device::open()?,
            sessions: Vec::new(),
            credentials: Vec::new(),
            gone: Vec::new(),
            ending: Default::default(),
            is_loose: false,
        })
    }

    /// Gives it a credential of each side, and a session with its handshake behind it.
    pub async fn warm(&mut self, bench: &Bench) -> Result<()> {
        let driver = self.device.driver();
        let server = bench.credential_on(&driver).await?;
        let client = within(driver.acquire(&CredentialOptions::client().manual_check())).await??;
        self.has_credential(server.get(), Role::Server)?;
        self.has_credential(client.get(), Role::Client)?;
        let (session, peer) = tls::establish(&driver, server).await?;
        self.has_session(session.get(), Role::Server, Link::Peer(Box::new(peer)))
    }

    /// Its sessions.
    pub fn session_ids(&self) -> Vec<u64> {
        self.sessions.iter().map(|session| session.id).collect()
    }

    /// Its sessions for which something has come.
    pub fn waiting_ids(&self) -> Vec<u64> {
        let waiting = self.sessions.iter().filter(|it| !it.inbox.is_empty());
        waiting.map(|session| session.id).collect()
    }

    /// Its credentials, of one side or both.
    pub fn credential_ids(&self, role: Option<Role>) -> Vec<u64> {
        let of_role = |it: &&Credential| role.is_none_or(|role| it.role == role);
        let own = self.credentials.iter().filter(of_role);
        own.map(|credential| credential.id).collect()
    }

    /// Whether a session is a client's.
    pub fn is_client(&self, id: SessionId) -> bool {
        let own = self.sessions.iter().find(|session| session.id == id.get());
        own.is_some_and(|session| session.role == Role::Client)
    }

    /// What a session has received, true to the byte or not.
    pub fn received(&self, id: SessionId, random: &mut Rng, most: usize) -> (Vec<u8>, bool) {
        let own = self.sessions.iter().find(|session| session.id == id.get());
        let mut bytes = own.map_or(Vec::new(), |session| session.inbox.clone());
        bytes.truncate(most);
        match random.u8(..12) {
            0 => {
                let length = random.usize(..300);
                let [high, low] = u16::try_from(length).unwrap_or(0).to_be_bytes();
                bytes = vec![random.u8(20..25), 3, 3, high, low];
                bytes.extend((0..length).map(|_| random.u8(..)));
            }
            1 if !bytes.is_empty() => {
                let place = random.usize(..bytes.len());
                bytes[place] ^= 1 << random.u8(..8);
            }
            2 => {
                // So far it has come.
                bytes.truncate(random.usize(..=bytes.len()));
                return (bytes, true);
            }
            _ => return (bytes, true),
        }
        (bytes, false)
    }

    /// The other end says something, if it can.
    pub fn peer_says(&mut self, id: SessionId, random: &mut Rng) {
        let own = self
            .sessions
            .iter_mut()
            .find(|session| session.id == id.get());
        if let Some(session) = own
            && let Link::Peer(peer) = &mut session.link
        {
            let choice = random.u8(..16);
            let said = match choice {
                0 => peer.update_keys(),
                1 => peer.say_goodbye(),
                _ => peer.say(&vec![b'P'; random.usize(..20_000)]),
            };
            // Before the end of the handshake it cannot.
            session.inbox.extend(said.unwrap_or_default());
            if choice == 1 {
                session.link = Link::Nobody;
            }
        }
    }

    /// A request is sent that ends something.
    pub fn is_asked(&mut self, meaning: &Meaning) {
        match meaning {
            Meaning::Close(id) => {
                self.ending.0.push(id.get());
                for session in self.sessions.iter_mut().filter(|it| it.id == id.get()) {
                    session.closing = true;
                }
            }
            Meaning::Release(id) => {
                self.ending.1.push(id.get());
                for credential in self.credentials.iter_mut().filter(|it| it.id == id.get()) {
                    credential.closing = true;
                }
            }
            _ => {}
        }
    }

    /// A reply has told of a session.
    pub fn has_session(&mut self, id: u64, role: Role, link: Link) -> Result<()> {
        let is_fresh = self.sessions.iter().all(|session| session.id != id);
        ensure!(is_fresh, "session {id:#x} is given twice");
        self.sessions.push(Session {
            id,
            role,
            link,
            inbox: Vec::new(),
            closing: self.ending.0.contains(&id),
        });
        let open = self.sessions.iter().filter(|it| !it.closing).count();
        ensure!(open <= SESSIONS, "{open} sessions of a handle");
        Ok(())
    }

    /// A reply has told of a credential.
    pub fn has_credential(&mut self, id: u64, role: Role) -> Result<()> {
        let is_fresh = self.credentials.iter().all(|it| it.id != id);
        ensure!(is_fresh, "credential {id:#x} is given twice");
        self.credentials.push(Credential {
            id,
            role,
            closing: self.ending.1.contains(&id),
        });
        let open = self.credentials.iter().filter(|it| !it.closing).count();
        ensure!(open <= CREDENTIALS, "{open} credentials of a handle");
        Ok(())
    }

    /// A reply has told that a session is gone.
    pub fn has_lost_session(&mut self, id: u64) {
        self.sessions.retain(|session| session.id != id);
        self.gone.push(id);
    }

    /// The same of a credential.
    pub fn has_lost_credential(&mut self, id: u64) {
        self.credentials.retain(|credential| credential.id != id);
        self.gone.push(id);
    }
}
