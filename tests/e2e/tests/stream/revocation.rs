//! The driver as a client of servers whose certificates have been revoked, or may have been.

use crate::{
    as_client::{ends_clean, exchange, good},
    carried::Forward,
    client::VERSIONS,
    openssl_server::OpensslServer,
    pki::{Kind, NAME, Pki, Purpose, thumbprint},
    site::each_completion_alone,
};
use anyhow::{Context, Result, ensure};
use openssl::ssl::SslVersion;
use tlsgate_e2e::Lab;
use tlsgate_lab_control::ksecdd::{Revocation, RevocationInformation};

/// Every way to check.
const SCOPES: [&str; 3] = ["end", "chain", "chain-except-root"];

#[test]
fn a_revoked_certificate_is_refused_by_those_who_check() -> Result<()> {
    each_completion_alone("revoked certificates", |lab| {
        let pki = Pki::of(lab)?;
        let identity = pki.trusted.issue(NAME, Kind::Ecdsa, Purpose::Server)?;
        let own = identity.thumbprint()?;
        let root = pki.trusted.certificate();
        for version in VERSIONS {
            // With its root, so that whoever checks the chain sees that, too.
            let server = OpensslServer::new(version, &identity, |context| {
                Ok(context.add_extra_chain_cert(root.clone())?)
            })?;
            let client = Client { lab, server };
            know(lab, &[&own], RevocationInformation::Good)?;
            client.connects(&[])?;
            for scope in SCOPES {
                client.refuses(&["--revocation", scope], "CRYPT_E_REVOKED")?;
            }
            // What may be ignored is that nothing is known, not what is known.
            let lenient = [
                "--revocation",
                "chain",
                "--ignore-no-revocation",
                "--ignore-revocation-offline",
            ];
            client.refuses(&lenient, "CRYPT_E_REVOKED")?;
            know(lab, &[&thumbprint(root)?], RevocationInformation::Good)?;
            client.connects(&["--revocation", "end"])?;
            client.refuses(&["--revocation", "chain"], "CRYPT_E_REVOKED")?;
            client.connects(&["--revocation", "chain-except-root"])?;
            know(lab, &[], RevocationInformation::Good)?;
            client.connects(&["--revocation", "chain"])?;
        }
        Ok(())
    })
}

#[test]
fn revocation_that_cannot_be_told_is_refused_unless_ignored() -> Result<()> {
    const NONE: &str = "--ignore-no-revocation";
    const OFFLINE: &str = "--ignore-revocation-offline";
    each_completion_alone("no revocation information", |lab| {
        let pki = Pki::of(lab)?;
        let identity = pki.trusted.issue(NAME, Kind::Rsa, Purpose::Server)?;
        let server = OpensslServer::new(SslVersion::TLS1_3, &identity, |_| Ok(()))?;
        let client = Client { lab, server };
        for (information, ignore, other, status) in [
            (
                RevocationInformation::None,
                NONE,
                OFFLINE,
                "CRYPT_E_NO_REVOCATION_CHECK",
            ),
            (
                RevocationInformation::Offline,
                OFFLINE,
                NONE,
                "CRYPT_E_REVOCATION_OFFLINE",
            ),
        ] {
            know(lab, &[], information)?;
            client.connects(&[])?;
            client.refuses(&["--revocation", "end"], status)?;
            client.refuses(&["--revocation", "end", other], status)?;
            client.connects(&["--revocation", "end", ignore])?;
        }
        Ok(())
    })
}

/// What is known of revoked certificates from now on.
fn know(lab: &Lab, revoked: &[&str], information: RevocationInformation) -> Result<()> {
    let revoked = revoked.iter().map(|it| (*it).to_owned()).collect();
    lab.switch(|switches| {
        switches.revocation = Revocation {
            revoked,
            information,
        };
    })
}

/// The driver's, each time with other options, of one server.
struct Client<'a> {
    lab: &'a Lab,
    server: OpensslServer,
}

impl Client<'_> {
    fn with(&self, how: &[&str]) -> Result<Forward> {
        let options = [&["--server-name", NAME], how].concat();
        Forward::start(self.lab, self.server.address()?, &options)
    }

    fn connects(&self, how: &[&str]) -> Result<()> {
        let forward = self.with(how)?;
        let met = self.server.meet(&forward);
        let mut met = met.with_context(|| format!("with {how:?}"))?;
        met.facts.are(&[("their check", good()?)])?;
        exchange(&mut met, 100)?;
        ends_clean(met, &forward)?;
        forward.stop()
    }

    fn refuses(&self, how: &[&str], status: &str) -> Result<()> {
        let forward = self.with(how)?;
        let parted = self.server.part(&forward);
        let (told, alert) = parted.with_context(|| format!("with {how:?}"))?;
        ensure!(told.contains(status), "{how:?}, not {status}: {told}");
        ensure!(alert.contains("alert"), "{how:?}: {alert}");
        forward.stop()
    }
}
