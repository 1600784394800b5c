//! `tlsgate cert`: certificates that OpenSSL has packed come in, serve, and go.

use crate::tool::{done, fails, host, is, json, thumbprint};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tlsgate_e2e::{Lab, Server, openssl_client};
use tlsgate_lab_machine::Machine;

/// How a PKCS#12 may be encrypted: as OpenSSL 3 does it, and as older programs do.
const PACKINGS: [(&str, &[&str]); 2] = [
    ("new", &[]),
    (
        "old",
        &[
            "-certpbe",
            "PBE-SHA1-3DES",
            "-keypbe",
            "PBE-SHA1-3DES",
            "-macalg",
            "sha1",
        ],
    ),
];

#[test]
fn a_pkcs_12_file_of_openssl_s_is_imported_and_served() -> Result<()> {
    let lab = Lab::start(&mut |_| {})?;
    let machine = lab.machine();
    for (name, packing) in PACKINGS {
        let folder = tempfile::tempdir()?;
        let openssl = |arguments: &[&str]| host(folder.path(), "openssl", arguments);
        let subject = format!("/O=Packed/CN={name}.test");
        let names = format!("subjectAltName=DNS:{name}.test,IP:127.0.0.1");
        let request = [
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "key.pem",
            "-out",
            "certificate.pem",
            "-days",
            "5",
            "-subj",
            &subject,
            "-addext",
            &names,
        ];
        openssl(&request)?;
        let file = format!("{name}.pfx");
        let export = [
            "pkcs12",
            "-export",
            "-in",
            "certificate.pem",
            "-inkey",
            "key.pem",
            "-out",
            &file,
            "-passout",
            "pass:secret",
        ];
        openssl(&[&export[..], packing].concat())?;
        machine.place(&folder.path().join(&file))?;

        let path = format!(r"C:\lab\{file}");
        let import = ["cert", "import", &path, "--exportable", "--password"];
        let wrong = [&import[..], &["wrong"]].concat();
        fails(machine, 1, &wrong, &["another password", "--password"])?;
        let said = done(machine, &[&import[..], &["secret"]].concat())?;
        let expected = thumbprint(folder.path(), "certificate.pem")?;
        ensure!(said == format!("{expected}\n"), "{said:?}, not {expected}");
        let listed = listed(machine, &expected)?.context("it is not listed")?;
        is(&listed, "/key", true)?;
        is(&listed, "/subject", format!("O=Packed, CN={name}.test"))?;
        is(&listed, "/issuer", format!("O=Packed, CN={name}.test"))?;
        is(&listed, "/names/0", format!("{name}.test"))?;
        is(&listed, "/names/1", "127.0.0.1")?;
        is(&listed, "/not_after", end(&openssl)?)?;

        // OpenSSL knows the certificate, and nothing but it.
        let server = Server::start_of(&lab, &[&expected], &[])?;
        let trusted = folder.path().join("certificate.pem");
        let trusted = trusted.to_str().context("a path that is no text")?;
        let host = format!("{name}.test");
        let check = [
            "-CAfile",
            trusted,
            "-verify_hostname",
            &host,
            "-verify_return_error",
        ];
        let said = openssl_client(server.address(), &check)?;
        ensure!(said.contains("Verify return code: 0 (ok)"), "{said}");
        server.stop()?;

        done(machine, &["cert", "remove", &expected])?;
        ensure!(self::listed(machine, &expected)?.is_none(), "still there");
        fails(machine, 1, &["cert", "remove", &expected], &[&expected])?;
    }
    lab.finish()
}

/// What `cert list` says of a certificate.
fn listed(machine: &Machine, thumbprint: &str) -> Result<Option<Value>> {
    let list = json(machine, 0, &["cert", "list"])?;
    let all = list.as_array().context("no list")?;
    let one = all.iter().find(|one| one["thumbprint"] == thumbprint);
    // People are told of the same.
    let text = done(machine, &["cert", "list"])?;
    ensure!(text.contains(thumbprint) == one.is_some(), "{text}");
    Ok(one.cloned())
}

/// The last second, as OpenSSL tells it.
fn end(openssl: &dyn Fn(&[&str]) -> Result<String>) -> Result<String> {
    let arguments = [
        "x509",
        "-in",
        "certificate.pem",
        "-noout",
        "-enddate",
        "-dateopt",
        "iso_8601",
    ];
    let said = openssl(&arguments)?;
    let (_, date) = said.trim().split_once('=').context("no date")?;
    Ok(date.replace(' ', "T"))
}
