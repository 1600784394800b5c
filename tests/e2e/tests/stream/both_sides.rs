//! The driver on both sides: its client talks to its server.

use crate::{
    as_client::noise,
    carried::{Forward, Terminate},
    pki::{Kind, NAME, Pki, Purpose},
    site::each_completion_alone,
};
use anyhow::{Context, Result, ensure};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    thread,
};

/// Bytes each way.
const MUCH: usize = 1024 * 1024;

#[test]
fn the_driver_s_client_and_server_talk_to_each_other() -> Result<()> {
    each_completion_alone("both sides", |lab| {
        let pki = Pki::of(lab)?;
        let server = pki.on_the_machine(NAME, Kind::Ecdsa, Purpose::Server)?;
        let client = pki.on_the_machine("client.test", Kind::Rsa, Purpose::Client)?;
        let issuer = crate::pki::thumbprint(pki.trusted.certificate())?;
        let (server, client) = (server.thumbprint()?, client.thumbprint()?);
        for version in ["1.2", "1.3"] {
            let offer = ["--alpn", "h2,http/1.1", "--client-auth", "require"];
            let terminate = Terminate::start(lab, &[&server], &offer)?;
            let wish = [
                "--server-name",
                NAME,
                "--alpn",
                "http/1.1",
                "--cert",
                &client,
                "--tls",
                version,
            ];
            let forward = Forward::start(lab, terminate.address(), &wish)?;
            for resumed in ["no", "yes"] {
                let near = forward.dial()?;
                let at_client = forward.facts()?;
                let (at_server, far) = terminate.next()?;
                let both = [
                    ("protocol", &*format!("TLSv{version}")),
                    ("application protocol", "http/1.1"),
                    ("resumed", resumed),
                    ("their check", "good"),
                    ("session", "established"),
                ];
                at_client
                    .are(&both)
                    .with_context(|| format!("client, {version}"))?;
                at_server
                    .are(&both)
                    .with_context(|| format!("server, {version}"))?;
                at_client.are(&[
                    ("peer's certificates", &format!("{server} {issuer}")),
                    ("cipher suite", at_server.get("cipher suite")),
                ])?;
                at_server.are(&[("peer's certificates", &format!("{client} {issuer}"))])?;
                exchange(&near, &far)?;
                let ending = forward.ending()?;
                ensure!(ending == "ended", "client, {version}: {ending}");
            }
            forward.stop()?;
            terminate.stop()?;
        }
        Ok(())
    })
}

/// Both ways at the same time, each to its end.
fn exchange(near: &TcpStream, far: &TcpStream) -> Result<()> {
    thread::scope(|scope| {
        let up = scope.spawn(|| one_way(near, far, 1));
        let down = scope.spawn(|| one_way(far, near, 2));
        up.join().expect("no panic").context("to the server")?;
        down.join().expect("no panic").context("to the client")
    })
}

fn one_way(mut from: &TcpStream, mut to: &TcpStream, seed: u64) -> Result<()> {
    let data = noise(MUCH, seed);
    thread::scope(|scope| {
        let sending = scope.spawn(|| -> Result<()> {
            from.write_all(&data)?;
            Ok(from.shutdown(Shutdown::Write)?)
        });
        let mut heard = Vec::new();
        to.read_to_end(&mut heard)?;
        sending.join().expect("no panic")?;
        ensure!(heard == data, "{} bytes came, not the same", heard.len());
        Ok(())
    })
}
