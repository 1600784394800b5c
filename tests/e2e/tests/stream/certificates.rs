//! The driver as a server with several certificates, and with new ones; resumption, and none.

use crate::{
    carried::Terminate,
    client::VERSIONS,
    mutual::talk,
    pki::{Kind, NAME, Pki, Purpose, thumbprint},
    site::each_completion_alone,
};
use anyhow::{Context, Result, ensure};
use openssl::ssl::{Ssl, SslContext, SslMethod, SslSessionCacheMode, SslStream, SslVersion};
use std::{
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
};
use tlsgate_lab_machine::wait_until;

/// Connections that are open while the certificate is replaced.
const OPEN: usize = 20;

#[test]
fn each_client_gets_the_certificate_that_fits_it() -> Result<()> {
    each_completion_alone("several certificates", |lab| {
        let pki = Pki::of(lab)?;
        let rsa = pki.on_the_machine("one.test", Kind::Rsa, Purpose::Server)?;
        let ecdsa = pki.on_the_machine("one.test", Kind::Ecdsa, Purpose::Server)?;
        let other = pki.on_the_machine("two.test", Kind::Ecdsa, Purpose::Server)?;
        let all = [rsa.thumbprint()?, ecdsa.thumbprint()?, other.thumbprint()?];
        let [rsa, ecdsa, other] = &all;
        let server = Terminate::start(lab, &[rsa, ecdsa, other], &[])?;
        for version in VERSIONS {
            for (name, algorithms, expected) in [
                ("one.test", "RSA-PSS+SHA256:RSA+SHA256", rsa),
                ("one.test", "ECDSA+SHA256", ecdsa),
                ("two.test", "ECDSA+SHA256:RSA-PSS+SHA256:RSA+SHA256", other),
                ("two.test", "RSA-PSS+SHA256:RSA+SHA256", rsa),
                ("three.test", "RSA-PSS+SHA256:RSA+SHA256", rsa),
            ] {
                let context =
                    context(version, |context| Ok(context.set_sigalgs_list(algorithms)?))?;
                let mut tls = connect(&context, server.address(), name, None)
                    .with_context(|| format!("{version:?}, {name}, {algorithms}"))?;
                let shown = tls.ssl().peer_certificate().context("no certificate")?;
                let shown = thumbprint(&shown)?;
                ensure!(
                    shown == *expected,
                    "{version:?}, {name}, {algorithms}: {shown} of {all:?}"
                );
                let (_, mut plain) = server.next()?;
                talk(&mut tls, &mut plain)?;
            }
        }
        server.stop()
    })
}

#[test]
fn a_certificate_is_replaced_under_open_connections() -> Result<()> {
    each_completion_alone("renewal", |lab| {
        let pki = Pki::of(lab)?;
        let old = pki.on_the_machine(NAME, Kind::Rsa, Purpose::Server)?;
        let new = pki.on_the_machine(NAME, Kind::Ecdsa, Purpose::Server)?;
        let old = old.thumbprint()?;
        let new = new.thumbprint()?;
        let mut server = Terminate::start(lab, &[&old], &[])?;
        let context = context(SslVersion::TLS1_3, |_| Ok(()))?;
        let open = |server: &Terminate| -> Result<_> {
            let tls = connect(&context, server.address(), NAME, None)?;
            let (_, plain) = server.next()?;
            let shown = tls.ssl().peer_certificate().context("no certificate")?;
            Ok((thumbprint(&shown)?, tls, plain))
        };
        let mut before = Vec::new();
        for _ in 0..OPEN {
            let (shown, tls, plain) = open(&server)?;
            ensure!(shown == old, "{shown}, not {old}");
            before.push((tls, plain));
        }
        server.renew(&new)?;
        ensure!(
            lab.ksecdd()?.credentials == 2,
            "the old credential went under its sessions"
        );
        let (shown, mut tls, mut plain) = open(&server)?;
        ensure!(shown == new, "{shown}, not {new}");
        talk(&mut tls, &mut plain)?;
        for (mut tls, mut plain) in before {
            talk(&mut tls, &mut plain)?;
        }
        wait_until(
            "the old credential to go with its last session",
            crate::socket::PATIENCE,
            || Ok((lab.ksecdd()?.credentials == 1).then_some(())),
        )?;
        talk(&mut tls, &mut plain)?;
        // One that cannot be had changes nothing.
        server.refuse_to_renew(&"A5".repeat(20))?;
        let (shown, mut tls, mut plain) = open(&server)?;
        ensure!(shown == new, "{shown}, not {new}");
        talk(&mut tls, &mut plain)?;
        server.stop()
    })
}

#[test]
fn clients_resume_unless_the_server_does_not() -> Result<()> {
    each_completion_alone("resumed clients", |lab| {
        for version in VERSIONS {
            for (further, expected) in [(&[][..], true), (&["--no-resumption"][..], false)] {
                let server = Terminate::start(lab, &[lab.thumbprint()], further)?;
                let sessions = Arc::new(Mutex::new(Vec::new()));
                let keep = Arc::clone(&sessions);
                let context = context(version, |context| {
                    context.set_session_cache_mode(SslSessionCacheMode::CLIENT);
                    context.set_new_session_callback(move |_, session| {
                        keep.lock().expect("no panic").push(session);
                    });
                    Ok(())
                })?;
                let address = server.address();
                let mut tls = connect(&context, address, NAME, None)?;
                let (facts, mut plain) = server.next()?;
                facts.are(&[("resumed", "no")])?;
                talk(&mut tls, &mut plain)?;
                // OpenSSL resumes no session that was not ended.
                tls.shutdown()?;
                drop((tls, plain));
                let session = sessions.lock().expect("no panic").pop();
                let given = session.is_some();
                let mut tls = connect(&context, address, NAME, session.as_deref())?;
                let (facts, mut plain) = server.next()?;
                let reused = tls.ssl().session_reused();
                ensure!(
                    reused == expected,
                    "{version:?}, {further:?}: reused {reused}; a session was given: {given}"
                );
                facts.are(&[("resumed", if expected { "yes" } else { "no" })])?;
                talk(&mut tls, &mut plain)?;
                server.stop()?;
            }
        }
        Ok(())
    })
}

fn context(
    version: SslVersion,
    change: impl FnOnce(&mut openssl::ssl::SslContextBuilder) -> Result<()>,
) -> Result<SslContext> {
    let mut context = SslContext::builder(SslMethod::tls_client())?;
    context.set_min_proto_version(Some(version))?;
    context.set_max_proto_version(Some(version))?;
    change(&mut context)?;
    Ok(context.build())
}

fn connect(
    context: &SslContext,
    server: SocketAddr,
    name: &str,
    session: Option<&openssl::ssl::SslSessionRef>,
) -> Result<SslStream<TcpStream>> {
    let mut ssl = Ssl::new(context)?;
    ssl.set_hostname(name)?;
    if let Some(session) = session {
        // SAFETY: the session is of the same context.
        unsafe { ssl.set_session(session) }?;
    }
    let socket = crate::socket::connect(server)?;
    ssl.connect(socket)
        .map_err(|error| anyhow::anyhow!("no handshake: {error}"))
}
