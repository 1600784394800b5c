//! Signs the driver for test machines: a certificate made for this one signature, whose key is thrown
//! away afterwards.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{process, step::Step};

/// Who the certificate says signed.
const SUBJECT: &str = "/CN=TlsGate test signature";
/// How long test machines accept it. There is no time stamp that would outlive it.
const DAYS: &str = "730";

/// What is in the package of a signed driver.
pub struct Signed {
    /// The driver with the signature in it.
    pub driver: PathBuf,
    /// The certificate, DER.
    pub certificate: PathBuf,
}

/// Signs a driver. All is made in `folder`, which has the key in it until this returns.
///
/// The digest is that of windows-driver-docs, install/test-signing-a-driver-through-an-embedded-signature;
/// the extended key usage, "code signing", that of install/makecert-test-certificate.
pub fn sign(driver: &Path, folder: &Path, step: &Step) -> Result<Signed> {
    let [key, pem] = ["key.pem", "certificate.pem"].map(|name| folder.join(name));
    let signed = Signed {
        driver: folder.join("tlsgate.sys"),
        certificate: folder.join("tlsgate-test.cer"),
    };
    let made = make_certificate(&key, &pem, step).and_then(|()| {
        process::run(
            Command::new("osslsigncode")
                .args(["sign", "-h", "sha256", "-n", "TlsGate", "-certs"])
                .arg(&pem)
                .arg("-key")
                .arg(&key)
                .arg("-in")
                .arg(driver)
                .arg("-out")
                .arg(&signed.driver),
            step,
        )
    });
    std::fs::remove_file(&key)?;
    made?;
    process::run(
        Command::new("openssl")
            .args(["x509", "-outform", "DER", "-in"])
            .arg(&pem)
            .arg("-out")
            .arg(&signed.certificate),
        step,
    )?;
    verify(&signed.driver, &pem, step)?;
    Ok(signed)
}

/// RSA, which every Windows accepts of drivers.
fn make_certificate(key: &Path, certificate: &Path, step: &Step) -> Result<()> {
    process::run(
        Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:3072", "-sha256", "-noenc"])
            .args(["-subj", SUBJECT, "-days", DAYS])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-addext", "keyUsage=critical,digitalSignature"])
            .args(["-addext", "extendedKeyUsage=codeSigning"])
            .arg("-keyout")
            .arg(key)
            .arg("-out")
            .arg(certificate),
        step,
    )
}

/// What is signed must be good before it goes anywhere.
fn verify(driver: &Path, certificate: &Path, step: &Step) -> Result<()> {
    process::run(
        Command::new("osslsigncode")
            .args(["verify", "-CAfile"])
            .arg(certificate)
            .arg("-in")
            .arg(driver),
        step,
    )
}
