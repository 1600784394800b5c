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
use tlsgate_lab_control::ksecdd::SniCredential;
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
        let server = Terminate::start(lab, &[rsa, ecdsa, other], &["--one-credential"])?;
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

/// `SCH_CRED_SNI_CREDENTIAL`, from microsoft/msquic (issue 1329): the flag is set with a principal.
const SNI_CREDENTIAL: u32 = 0x0008_0000;

/// What such a credential makes of other names is open: it serves them, or it refuses.
#[test]
fn a_credential_for_one_name_serves_its_clients() -> Result<()> {
    each_completion_alone("principal", |lab| {
        let pki = Pki::of(lab)?;
        let other = pki.on_the_machine("one.test", Kind::Ecdsa, Purpose::Server)?;
        let own = pki.on_the_machine("two.test", Kind::Ecdsa, Purpose::Server)?;
        let (other, own) = (other.thumbprint()?, own.thumbprint()?);
        for version in VERSIONS {
            let context = context(version, |_| Ok(()))?;
            for only in [SniCredential::AnyName, SniCredential::ItsNameOnly] {
                lab.switch(|switches| switches.sni_credential = only)?;
                let name = ["--principal", "two.test"];
                let server = Terminate::start(lab, &[&other, &own], &name)?;
                let acquired = lab.ksecdd()?.acquired.pop().context("nothing acquired")?;
                ensure!(
                    acquired.server
                        && acquired.principal == "two.test"
                        && acquired.flags & SNI_CREDENTIAL != 0,
                    "{acquired:?}"
                );
                let mut tls = connect(&context, server.address(), "two.test", None)?;
                let shown = tls.ssl().peer_certificate().context("no certificate")?;
                let shown = thumbprint(&shown)?;
                ensure!(shown == own, "{version:?}: {shown}, not {own}");
                let (_, mut plain) = server.next()?;
                talk(&mut tls, &mut plain)?;
                let came = connect(&context, server.address(), "three.test", None);
                if only == SniCredential::ItsNameOnly {
                    ensure!(came.is_err(), "{version:?}: another name is served");
                    server.refusal("SEC_E_WRONG_PRINCIPAL")?;
                } else {
                    let (_, mut plain) = server.next()?;
                    talk(&mut came?, &mut plain)?;
                }
                server.stop()?;
            }
            let server = Terminate::start(lab, &[&own], &[])?;
            let acquired = lab.ksecdd()?.acquired.pop().context("nothing acquired")?;
            ensure!(
                acquired.principal.is_empty() && acquired.flags & SNI_CREDENTIAL == 0,
                "without a name: {acquired:?}"
            );
            server.stop()?;
        }
        Ok(())
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
