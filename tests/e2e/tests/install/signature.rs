//! The test signature in the zip's driver, looked at by osslsigncode and OpenSSL.

use crate::zip::{run, unpack};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tlsgate_lab_machine::Layout;

/// Where a PE file says where its headers are (PE format, "MS-DOS stub"), and where in those its
/// checksum is: behind the signature, the COFF header and 64 bytes of the optional header.
const HEADERS: usize = 0x3C;
const CHECKSUM: usize = 4 + 20 + 64;

/// What osslsigncode says of a file whose checksum is not that of its bytes: 2.9, and 2.5.
const WRONG_CHECKSUM: [&str; 2] = ["invalid PE checksum", "MISMATCH"];

/// The driver and the certificate, as PEM.
struct Signed {
    _folder: tempfile::TempDir,
    driver: PathBuf,
    certificate: PathBuf,
}

impl Signed {
    fn unpack() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let unpacked = unpack(folder.path())?;
        let certificate = unpacked.join("certificate.pem");
        run(Command::new("openssl")
            .args(["x509", "-inform", "DER", "-in"])
            .arg(unpacked.join("tlsgate-test.cer"))
            .arg("-out")
            .arg(&certificate))?;
        Ok(Self {
            driver: unpacked.join("tlsgate.sys"),
            certificate,
            _folder: folder,
        })
    }

    /// The driver with one byte changed.
    fn damaged(&self, name: &str, place: usize) -> Result<PathBuf> {
        let mut bytes = fs::read(&self.driver)?;
        *bytes.get_mut(place).context("the file is shorter")? ^= 1;
        let path = self.driver.with_file_name(name);
        fs::write(&path, bytes)?;
        Ok(path)
    }
}

fn verify(driver: &Path, certificate: &Path) -> Result<String> {
    run(Command::new("osslsigncode")
        .args(["verify", "-CAfile"])
        .arg(certificate)
        .arg("-in")
        .arg(driver))
}

fn is_wrong_checksum(said: &str) -> bool {
    WRONG_CHECKSUM.iter().any(|words| said.contains(words))
}

/// Where the checksum is.
fn checksum(image: &[u8]) -> Result<usize> {
    let headers = image.get(HEADERS..HEADERS + 4).context("no PE file")?;
    let headers = u32::from_le_bytes(headers.try_into()?);
    Ok(usize::try_from(headers)? + CHECKSUM)
}

#[test]
fn the_signature_is_good_for_this_driver_and_this_certificate_only() -> Result<()> {
    let signed = Signed::unpack()?;
    let said = verify(&signed.driver, &signed.certificate)?;
    assert!(!is_wrong_checksum(&said), "{said}");

    let code = signed.damaged("damaged.sys", 0x1000)?;
    assert!(verify(&code, &signed.certificate).is_err());
    let place = checksum(&fs::read(&signed.driver)?)?;
    let sum = signed.damaged("sum.sys", place)?;
    let said = verify(&sum, &signed.certificate).unwrap_or_else(|error| error.to_string());
    assert!(is_wrong_checksum(&said), "{said}");

    // Another certificate of the same name.
    let other = signed.certificate.with_file_name("other.pem");
    run(Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-noenc"])
        .args([
            "-subj",
            "/CN=TlsGate test signature",
            "-keyout",
            "/dev/null",
        ])
        .arg("-out")
        .arg(&other))?;
    assert!(verify(&signed.driver, &other).is_err());
    Ok(())
}

#[test]
fn the_certificate_is_for_code_alone() -> Result<()> {
    let signed = Signed::unpack()?;
    let said = run(Command::new("openssl")
        .args(["x509", "-noout", "-purpose", "-ext"])
        .arg("basicConstraints,keyUsage,extendedKeyUsage")
        .arg("-in")
        .arg(&signed.certificate))?;
    for line in [
        "CA:FALSE",
        "Digital Signature",
        "Code Signing",
        "SSL server : No",
        "SSL client : No",
    ] {
        assert!(said.contains(line), "{line} is not in {said}");
    }
    Ok(())
}

#[test]
fn the_driver_is_the_package_s_but_for_signature_and_checksum() -> Result<()> {
    let signed = Signed::unpack()?;
    let bare = signed.driver.with_file_name("bare.sys");
    run(Command::new("osslsigncode")
        .args(["remove-signature", "-in"])
        .arg(&signed.driver)
        .arg("-out")
        .arg(&bare))?;
    let mut built = fs::read(Layout::of_workspace().package.join("tlsgate.sys"))?;
    let mut bare = fs::read(bare)?;
    for image in [&mut built, &mut bare] {
        let place = checksum(image)?;
        image[place..place + 4].fill(0);
    }
    assert!(
        built == bare,
        "another driver is in the zip: `cargo xtask package` makes it anew"
    );
    Ok(())
}
