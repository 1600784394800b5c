//! From the unpacked zip, the driver is installed as a user would: by `tlsgate install`, and by its INF
//! with Wine's own setupapi.
//!
//! Wine has no driver store: it takes directory 13 for a folder "unknown", for the file as for the
//! service. It looks at no catalogue and at no signature.

use crate::zip::{NAME, unpack};
use anyhow::{Context, Result, ensure};
use std::{fs, path::Path};
use tlsgate_e2e::{Lab, Server, curl, openssl_client};

/// Where the zip is unpacked on the machine, below `C:\lab`.
const FOLDER: &str = "from-zip";
/// The service's key.
const KEY: &str = r"HKLM\System\CurrentControlSet\Services\TlsGate";
/// What right-clicking an INF and "Install" runs.
const INSTALL: &str = "setupapi,InstallHinfSection";

#[test]
fn either_way_of_installing_brings_a_driver_that_makes_handshakes() -> Result<()> {
    let lab = Lab::start(&mut |_| {})?;
    let folder = lab.machine().lab().join(FOLDER);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let unpacked = unpack(&folder)?;
    let driver = fs::read(unpacked.join("tlsgate.sys"))?;

    // Over the unsigned driver that runs.
    tlsgate(&lab, "install")?;
    installed(&lab, &driver).context("by the service manager")?;
    tlsgate(&lab, "uninstall")?;
    lab.machine().check()?;
    ensure!(service(&lab).is_err(), "the service is still there");

    by_inf(&lab)?;
    let place = installed(&lab, &driver).context("by the INF")?;
    // Over the INF's service: from then on it is the program's own file.
    tlsgate(&lab, "install")?;
    ensure!(installed(&lab, &driver)? != place, "still from {place}");
    tlsgate(&lab, "uninstall")?;
    lab.machine().check()?;

    fs::remove_file(on_host(&lab, &place)?)?;
    fs::remove_dir_all(&folder)?;
    lab.finish()
}

/// The program of the zip.
fn tlsgate(lab: &Lab, verb: &str) -> Result<String> {
    let program = format!(r"C:\lab\{FOLDER}\{NAME}\tlsgate.exe");
    Ok(lab.machine().run(&program, &[verb])?.success()?.stdout)
}

/// `InstallHinfSection` says nothing of how it went: the service is looked for.
fn by_inf(lab: &Lab) -> Result<()> {
    let inf = format!(r"C:\lab\{FOLDER}\{NAME}\tlsgate.inf");
    // 128: the INF's folder is the source; 4: no restart without asking.
    lab.machine()
        .run(
            "rundll32",
            &[INSTALL, "DefaultInstall.NTamd64", "132", &inf],
        )?
        .success()?;
    let service = service(lab)?;
    for value in ["Type 0x1", "Start 0x3", "ErrorControl 0x1"] {
        ensure!(service.contains(value), "no {value}: {service}");
    }
    lab.machine()
        .run("sc", &["start", "TlsGate"])?
        .success()
        .map(drop)
}

/// The service is there, with this file; the driver runs. Gives where the file is.
fn installed(lab: &Lab, driver: &[u8]) -> Result<String> {
    let service = service(lab)?;
    let (_, path) = service
        .split_once("ImagePath ")
        .with_context(|| format!("no ImagePath: {service}"))?;
    let path = path.split_whitespace().next().unwrap_or_default();
    ensure!(
        fs::read(on_host(lab, path)?)? == driver,
        "{path} is not the driver of the zip"
    );
    let said = tlsgate(lab, "doctor")?;
    ensure!(said.contains("running"), "{said}");

    let server = Server::start(lab, "http/1.1")?;
    let page = curl(server.address(), &[])?;
    ensure!(page.contains("TLS connection"), "not the page: {page}");
    let said = openssl_client(server.address(), &["-tls1_3"])?;
    ensure!(said.contains("TLSv1.3"), "{said}");
    server.stop()?;
    Ok(path.to_owned())
}

/// What the registry says of the service, with single spaces and without the types.
fn service(lab: &Lab) -> Result<String> {
    let said = lab.machine().run("reg", &["query", KEY])?.success()?;
    let words = said.stdout.split_whitespace();
    Ok(words
        .filter(|word| !word.starts_with("REG_"))
        .collect::<Vec<_>>()
        .join(" "))
}

/// A file of the machine, as the host sees it. The service manager's paths may begin with `\??\`.
fn on_host(lab: &Lab, path: &str) -> Result<std::path::PathBuf> {
    let below = path
        .trim_start_matches(r"\??\")
        .strip_prefix(r"C:\")
        .with_context(|| format!("not on the machine's disk: {path}"))?;
    let disk = lab.machine().lab();
    let disk = disk.parent().context("no disk")?;
    Ok(disk.join(Path::new(&below.replace('\\', "/"))))
}
