//! `cargo xtask demo`: the whole way, from nothing to real TLS clients that got their page.

use std::{io, net::SocketAddr};

use anyhow::{Context, Result, ensure};
use tlsgate_e2e::{Lab, Server, curl, openssl_client};

use crate::{build, build::Tools, layout::Layout, step::Steps};

/// What the server offers, and the clients ask for.
const ALPN: &str = "http/1.1";

/// Sets up, builds and shows what was built.
pub fn run(layout: &Layout, steps: &Steps, hold: bool) -> Result<()> {
    let tools = Tools::ready(layout, steps)?;
    build::all(layout, &tools, steps)?;
    show(steps, hold)
}

/// Boots, installs, serves, lets clients in; with `hold`, keeps the server up.
pub fn show(steps: &Steps, hold: bool) -> Result<()> {
    let lab = steps.step("boot the machine, install tlsgate.sys", |step| {
        Lab::start(&mut |what| step.progress(what))
    })?;
    let server = steps.step("tlsgate.exe serve", |step| {
        let server = Server::start(&lab, ALPN)?;
        step.note(&format!(
            "certificate {}, {}",
            lab.thumbprint(),
            server.address()
        ));
        Ok(server)
    })?;
    for (option, version) in [("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")] {
        steps.step(&format!("OpenSSL s_client {option}"), |step| {
            let said = openssl(server.address(), option)?;
            ensure!(
                said.iter().any(|line| line.contains(version)),
                "not {version}: {said:?}"
            );
            for line in &said {
                step.note(line);
            }
            Ok(())
        })?;
    }
    steps.step("curl", |step| {
        let page = curl(server.address(), &[])?;
        ensure!(page.contains("TLS connection"), "not the page: {page}");
        page.lines().for_each(|line| step.note(line));
        Ok(())
    })?;
    if hold {
        wait_for_return(server.address())?;
    }
    steps.step(
        "stop, uninstall, power off; look for leaks and broken rules",
        |_| {
            server.stop()?;
            lab.finish()
        },
    )
}

/// The lines of `s_client` that say what was negotiated.
fn openssl(address: SocketAddr, version: &str) -> Result<Vec<String>> {
    let said = openssl_client(address, &[version, "-alpn", ALPN])?;
    let interesting = ["    Protocol", "New, ", "ALPN protocol", "    Cipher  "];
    let mut lines: Vec<String> = said
        .lines()
        .filter(|line| interesting.iter().any(|start| line.starts_with(start)))
        .map(|line| line.trim().to_owned())
        .collect();
    lines.dedup();
    ensure!(
        lines.iter().any(|line| line.contains(ALPN)),
        "no application protocol was negotiated:\n{said}"
    );
    Ok(lines)
}

fn wait_for_return(address: SocketAddr) -> Result<()> {
    println!("\n  The server is up. Try, in another window:");
    println!("    curl --insecure https://{address}/");
    println!("    openssl s_client -connect {address} -alpn {ALPN}");
    println!("  Return ends it.\n");
    io::stdin()
        .read_line(&mut String::new())
        .context("no standard input to wait for")?;
    Ok(())
}
