//! What is done to the driver while something goes wrong: together every IOCTL, and every way that ends well.

use super::{
    link::{self, Link, client, release, server},
    peer::{Clients, Peer, Version},
    stage::{Stage, Step},
};
use crate::raw::{self, Wish};
use anyhow::{Context, anyhow};
use std::pin::Pin;
use tlsgate::protocol::{
    Ioctl, SessionId, limits,
    payload::{SessionReply, credential as flag, session_flags},
};

/// A scenario on its way.
type Play<'s> = Pin<Box<dyn Future<Output = Step<()>> + 's>>;

/// A scenario.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// As reports name it.
    pub name: &'static str,
    /// The TLS version of its sessions.
    pub version: Version,
    body: for<'s> fn(&'s mut Stage<'_>, Version) -> Play<'s>,
}

impl Scenario {
    /// From the first request to the last; what it leaves open goes with the handle.
    pub fn play<'s>(&self, stage: &'s mut Stage<'_>) -> Play<'s> {
        (self.body)(stage, self.version)
    }
}

/// A row of [`ALL`].
macro_rules! scenario {
    ($name:literal, $version:ident, $body:ident) => {
        Scenario {
            name: $name,
            version: Version::$version,
            body: |stage, version| Box::pin($body(stage, version)),
        }
    };
}

/// Every one.
pub const ALL: &[Scenario] = &[
    scenario!("server-1.3", Tls13, as_server),
    scenario!("server-1.2", Tls12, as_server),
    scenario!("client-1.3", Tls13, as_client),
    scenario!("client-1.2", Tls12, as_client),
    scenario!("mutual-server-1.3", Tls13, mutual_server),
    scenario!("mutual-server-1.2", Tls12, mutual_server),
    scenario!("mutual-client-1.3", Tls13, mutual_client),
    scenario!("mutual-client-1.2", Tls12, mutual_client),
    scenario!("resumption-1.3", Tls13, resumption),
    scenario!("resumption-1.2", Tls12, resumption),
    scenario!("large-1.3", Tls13, large),
    scenario!("large-1.2", Tls12, large),
    scenario!("key-update-1.3", Tls13, key_update),
    scenario!("long-words-1.3", Tls13, long_words),
    scenario!("credentials-1.3", Tls13, credentials),
    scenario!("every-state-1.2", Tls12, every_state),
    scenario!("left-open-1.3", Tls13, left_open),
];

/// A server's session, from QUERY_VERSION to RELEASE_CREDENTIAL, ended by the server.
async fn as_server(stage: &mut Stage<'_>, version: Version) -> Step<()> {
    link::plain(stage, &raw::query(Ioctl::QueryVersion)).await?;
    let credential = server(stage, Wish::default()).await?;
    let mut link = Link::accept(stage, credential, Peer::client(version)?).await?;
    negotiated(&link.query(stage).await?)?;
    link.talk(stage).await?;
    link.shut_down(stage).await?;
    link.close(stage).await?;
    release(stage, credential).await.map(drop)
}

/// A client's, ended by the server. A TLS 1.3 server's tickets come first.
async fn as_client(stage: &mut Stage<'_>, version: Version) -> Step<()> {
    let credential = client(stage, manual()).await?;
    let mut link = Link::connect(stage, credential, Peer::server(version, false)?).await?;
    let facts = link.query(stage).await?;
    negotiated(&facts)?;
    if facts.certificate_count == 0 {
        return Err(anyhow!("no certificate of the server's").into());
    }
    link.talk(stage).await?;
    let goodbye = link.peer.say_goodbye()?;
    link.hear(stage, &goodbye, b"").await?;
    link.close(stage).await?;
    release(stage, credential).await.map(drop)
}

/// A server that asks for a certificate and gets one.
async fn mutual_server(stage: &mut Stage<'_>, version: Version) -> Step<()> {
    let wish = Wish {
        flags: flag::REQUEST_CLIENT_CERTIFICATE,
        ..Wish::default()
    };
    let credential = server(stage, wish).await?;
    let peer = Clients::new(version, true)?.one()?;
    let mut link = Link::accept(stage, credential, peer).await?;
    if link.query(stage).await?.certificate_count != 1 {
        return Err(anyhow!("no certificate of the client's").into());
    }
    link.talk(stage).await?;
    link.close(stage).await?;
    release(stage, credential).await.map(drop)
}

/// A client that is asked for a certificate and shows one.
async fn mutual_client(stage: &mut Stage<'_>, version: Version) -> Step<()> {
    let wish = Wish {
        certificates: 1,
        ..manual()
    };
    let credential = client(stage, wish).await?;
    let mut link = Link::connect(stage, credential, Peer::server(version, true)?).await?;
    link.talk(stage).await?;
    link.close(stage).await?;
    release(stage, credential).await.map(drop)
}

/// The same client twice: its second session is resumed, where ksecdd does that.
async fn resumption(stage: &mut Stage<'_>, version: Version) -> Step<()> {
    let credential = server(stage, Wish::default()).await?;
    let clients = Clients::new(version, false)?;
    for nth in 0..2 {
        let mut link = Link::accept(stage, credential, clients.one()?).await?;
        let is_resumed = link.query(stage).await?.flags & session_flags::RESUMED != 0;
        if is_resumed != (nth == 1) && stage.bench.lab.gives_tickets()? {
            return Err(anyhow!("resumed: {is_resumed}, session {nth}").into());
        }
        link.talk(stage).await?;
        link.close(stage).await?;
    }
    release(stage, credential).await.map(drop)
}

/// As much as goes into one SEAL, and into one UNSEAL; and a little.
async fn large(stage: &mut Stage<'_>, version: Version) -> Step<()> {
    let credential = server(stage, Wish::default()).await?;
    let mut link = Link::accept(stage, credential, Peer::client(version)?).await?;
    let data: Vec<u8> = (0..=250).cycle().take(limits::MAX_RECORDS).collect();
    link.say(stage, &data).await?;
    let half = &data[..limits::MAX_RECORDS / 2];
    let records = link.peer.say(half)?;
    link.hear(stage, &records, half).await?;
    link.say(stage, b"").await?;
    link.close(stage).await?;
    release(stage, credential).await.map(drop)
}

/// Post-handshake messages: a `KeyUpdate` among data.
async fn key_update(stage: &mut Stage<'_>, version: Version) -> Step<()> {
    let credential = server(stage, Wish::default()).await?;
    let mut link = Link::accept(stage, credential, Peer::client(version)?).await?;
    let mut records = link.peer.say(b"one")?;
    records.extend(link.peer.update_keys()?);
    records.extend(link.peer.say(b"two")?);
    link.hear(stage, &records, b"onetwo").await?;
    link.talk(stage).await?;
    link.close(stage).await?;
    release(stage, credential).await.map(drop)
}

/// A `ClientHello` in many pieces, legs that wait for more, and an input larger than a look-aside block.
async fn long_words(stage: &mut Stage<'_>, version: Version) -> Step<()> {
    let credential = server(stage, Wish::default()).await?;
    let mut peer = Peer::client(version)?;
    let hello = peer.take()?;
    let first = hello.get(..3).context("a short hello")?;
    let leg = raw::leg(&stage.ask(&raw::accept_new(credential, first)).await?)?;
    if leg.session != 0 || leg.consumed != 0 {
        return Err(anyhow!("three bytes made a session: {leg:?}").into());
    }
    let begin = raw::accept_new(credential, &hello);
    let link = Link::begin(stage, &begin, peer, hello).await?;
    let mut link = link.finish(stage).await?;
    // As a post-handshake message it goes to Schannel, however long it is; this one is none.
    let long = vec![0x17; 20 * 1024];
    link.talk(stage).await?;
    link::spoil(stage, link.session, &long).await?;
    link.close(stage).await?;
    release(stage, credential).await.map(drop)
}

/// Several certificates, one server name, one credential in another's place, releases before the sessions'
/// ends.
async fn credentials(stage: &mut Stage<'_>, version: Version) -> Step<()> {
    let wish = Wish {
        certificates: 2,
        principal: "localhost",
        ..Wish::default()
    };
    let credential = server(stage, wish).await?;
    let mut old = Link::accept(stage, credential, Peer::client(version)?).await?;
    let wish = Wish {
        replaces: Some(credential),
        ..Wish::default()
    };
    if server(stage, wish).await? != credential {
        return Err(anyhow!("the replaced credential has another id").into());
    }
    let mut new = Link::accept(stage, credential, Peer::client(version)?).await?;
    old.talk(stage).await?;
    new.talk(stage).await?;
    old.close(stage).await?;
    if !release(stage, credential).await? {
        return Err(anyhow!("the release was not deferred").into());
    }
    new.talk(stage).await?;
    new.close(stage).await
}

/// CLOSE_SESSION in every state: begun, established, failed.
async fn every_state(stage: &mut Stage<'_>, version: Version) -> Step<()> {
    let credential = server(stage, Wish::default()).await?;
    let begun = begun(stage, credential, version).await?;
    link::close(stage, begun).await?;
    Link::accept(stage, credential, Peer::client(version)?)
        .await?
        .close(stage)
        .await?;
    let failed = self::begun(stage, credential, version).await?;
    link::spoil(stage, failed, b"GET / HTTP/1.1\r\n\r\n").await?;
    link::close(stage, failed).await?;
    let unheard = raw::accept_new(credential, b"GET / HTTP/1.1\r\n\r\n");
    link::plain(stage, &unheard).await?;
    link::plain(stage, &raw::query(Ioctl::QueryStatistics)).await?;
    release(stage, credential).await.map(drop)
}

/// Everything is left to the handle's end: sessions of either side in every state, credentials with and
/// without sessions.
async fn left_open(stage: &mut Stage<'_>, version: Version) -> Step<()> {
    let credential = server(stage, Wish::default()).await?;
    let own = client(stage, manual()).await?;
    let released = server(stage, Wish::default()).await?;
    let failed = begun(stage, credential, version).await?;
    link::spoil(stage, failed, b"GET / HTTP/1.1\r\n\r\n").await?;
    begun(stage, credential, version).await?;
    Link::accept(stage, released, Peer::client(version)?).await?;
    Link::connect(stage, own, Peer::server(version, false)?).await?;
    begun_client(stage, own).await?;
    release(stage, released).await.map(drop)
}

/// A session after its first leg.
async fn begun(
    stage: &mut Stage<'_>,
    credential: tlsgate::protocol::CredentialId,
    version: Version,
) -> Step<SessionId> {
    let mut peer = Peer::client(version)?;
    let hello = peer.take()?;
    let first = raw::accept_new(credential, &hello);
    Ok(Link::begin(stage, &first, peer, hello).await?.session)
}

/// The same of a client; its peer hears nothing.
async fn begun_client(
    stage: &mut Stage<'_>,
    credential: tlsgate::protocol::CredentialId,
) -> Step<SessionId> {
    let peer = Peer::server(Version::Tls13, false)?;
    let first = raw::connect_new(credential);
    Ok(Link::begin(stage, &first, peer, Vec::new()).await?.session)
}

/// A client that checks no certificate.
fn manual() -> Wish<'static> {
    Wish {
        flags: flag::MANUAL_CHECK,
        ..Wish::default()
    }
}

fn negotiated(facts: &SessionReply) -> anyhow::Result<()> {
    let length = usize::try_from(facts.alpn_length)?;
    anyhow::ensure!(
        facts.alpn.get(..length) == Some(b"h2"),
        "no application protocol"
    );
    Ok(())
}
