//! The programs on the machine: servers and clients of the driver, and one that tells its counters.

use crate::{
    hosts,
    pki::{Kind, NAME, Pki, Purpose},
    plan::Plan,
    tally::Tally,
    world::{Addresses, NAMES},
};
use anyhow::{Context, Result, anyhow, ensure};
use std::{net::SocketAddr, sync::Arc};
use tlsgate_e2e::{Lab, PROGRAM, Server};
use tlsgate_lab_machine::Running;

/// Seconds that a handshake may take where all clients are honest: longer than these have patience.
const PATIENT: &str = "240";

/// Seconds that it may take where they are not.
const STRICT: &str = "3";

/// Everything that runs from the beginning to the end.
pub struct Fleet {
    servers: Vec<(&'static str, Server)>,
    clients: Vec<(&'static str, Client)>,
    /// The two certificates that the server of the echo has by turns.
    by_turns: [String; 2],
}

/// `tlsgate forward`.
struct Client {
    running: Running,
    address: SocketAddr,
}

impl Client {
    fn start(lab: &Lab, server: SocketAddr, further: &[&str]) -> Result<Self> {
        let server = server.to_string();
        let mut arguments = vec![
            "forward",
            &server,
            "--until-stdin-closes",
            "--server-name",
            NAME,
        ];
        arguments.extend(further);
        let running = lab.machine().spawn(PROGRAM, &arguments)?;
        let address = running.line_after("listening on ")?.trim().parse()?;
        Ok(Self { running, address })
    }
}

impl Fleet {
    /// Starts all of them, and OpenSSL's servers on the host.
    pub fn start(
        lab: &Lab,
        pki: &Pki,
        tally: &Arc<Tally>,
        plan: &Plan,
    ) -> Result<(Self, Addresses, [String; 3])> {
        let certificate =
            |name, kind, purpose| pki.on_the_machine(name, kind, purpose)?.thumbprint();
        let ecdsa = certificate(NAME, Kind::Ecdsa, Purpose::Server)?;
        let rsa = certificate(NAME, Kind::Rsa, Purpose::Server)?;
        let client = certificate("client.test", Kind::Ecdsa, Purpose::Client)?;
        let by_name = [
            ecdsa.clone(),
            certificate(NAMES[1], Kind::Ecdsa, Purpose::Server)?,
            certificate(NAMES[2], Kind::Rsa, Purpose::Server)?,
        ];

        let own = [ecdsa.as_str()];
        let all: Vec<&str> = by_name.iter().map(String::as_str).collect();
        let serve =
            |certificates: &[&str], further: &[&str]| Server::start_of(lab, certificates, further);
        let page = serve(&[&rsa], &["--timeout", PATIENT, "--alpn", "http/1.1"])?;
        let echo = serve(&own, &["--timeout", PATIENT, "--echo"])?;
        let demanding = ["--timeout", PATIENT, "--echo", "--client-auth", "require"];
        let mutual = serve(&own, &demanding)?;
        let names = serve(&all, &["--timeout", PATIENT])?;
        let strict = serve(&own, &["--timeout", STRICT])?;

        let materials = hosts::Materials::new(pki)?;
        let kinds = ["OpenSSL server: TLS 1.3", "OpenSSL server: TLS 1.2"];
        let host = hosts::echo(tally, &materials, false, kinds, plan.seed)?;
        let kinds = ["demanding server: TLS 1.3", "demanding server: TLS 1.2"];
        let demanding = hosts::echo(tally, &materials, true, kinds, plan.seed ^ 1)?;
        let hostile = hosts::hostile(tally, &materials, plan.seed ^ 2)?;
        let patient = ["--timeout", PATIENT];
        let shows = [&patient[..], &["--cert", &client]].concat();
        let to_host = Client::start(lab, host, &patient)?;
        let to_demanding = Client::start(lab, demanding, &shows)?;
        let to_hostile = Client::start(lab, hostile, &["--timeout", "2"])?;
        let to_driver = Client::start(lab, echo.address(), &patient)?;

        let at = Addresses {
            page: page.address(),
            echo: echo.address(),
            mutual: mutual.address(),
            names: names.address(),
            strict: strict.address(),
            to_host: to_host.address,
            to_demanding: to_demanding.address,
            to_hostile: to_hostile.address,
            to_driver: to_driver.address,
        };
        let fleet = Self {
            servers: vec![
                ("echo", echo),
                ("page", page),
                ("mutual", mutual),
                ("names", names),
                ("strict", strict),
            ],
            clients: vec![
                ("to host", to_host),
                ("to demanding", to_demanding),
                ("to hostile", to_hostile),
                ("to driver", to_driver),
            ],
            by_turns: [rsa, ecdsa],
        };
        Ok((fleet, at, by_name))
    }

    /// The processes by name.
    pub fn processes(&self) -> Vec<(&'static str, u32)> {
        let servers = self.servers.iter();
        let servers = servers.map(|(name, server)| (*name, server.running().id()));
        let clients = self.clients.iter();
        let clients = clients.map(|(name, client)| (*name, client.running.id()));
        servers.chain(clients).collect()
    }

    /// The server of the echo uses its other certificate for new connections. Whether it can is counted.
    pub fn renew(&mut self, tally: &Tally) -> Result<()> {
        let (_, echo) = self.servers.first_mut().context("no server")?;
        echo.renew(&self.by_turns[0])?;
        let said = echo.running().line();
        let complaints = || echo.running().stderr().unwrap_or_default();
        let renewed = said.map(drop).map_err(|_| {
            let complaints = complaints();
            let why = complaints
                .lines()
                .rfind(|line| line.starts_with("not renewed"));
            anyhow!("{}", why.unwrap_or("no answer"))
        });
        if renewed.is_ok() {
            self.by_turns.reverse();
        }
        tally.honest("a certificate is replaced", &renewed);
        Ok(())
    }

    /// Forgets what the clients have said of their connections: nobody else reads it.
    pub fn forget_lines(&self) {
        for (_, client) in &self.clients {
            let _unread = client.running.last_line_so_far();
        }
    }

    /// The last that each program has complained of.
    pub fn complaints(&self) -> String {
        let servers = self.servers.iter().map(|(name, it)| (name, it.running()));
        let clients = self.clients.iter().map(|(name, it)| (name, &it.running));
        let mut all = String::new();
        for (name, running) in servers.chain(clients) {
            let said = running.stderr().unwrap_or_default();
            let lines: Vec<&str> = said.lines().collect();
            for line in &lines[lines.len().saturating_sub(5)..] {
                all.extend([name, ": ", line, "\n"]);
            }
        }
        all
    }

    /// Ends them as a user would.
    pub fn stop(self) -> Result<()> {
        for (name, client) in self.clients {
            let code = client.running.end()?;
            ensure!(code == Some(0), "{name} ended with {code:?}");
        }
        for (name, server) in self.servers {
            server.stop().context(name)?;
        }
        Ok(())
    }
}
