//! TLS connections of the driver's that the tests have the plain end of: `tlsgate forward` as a
//! client, `tlsgate serve --to` as a server.

use crate::socket::{self, PATIENCE};
use anyhow::{Context, Result, bail, ensure};
use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};
use tlsgate_e2e::{Lab, PROGRAM, Server};
use tlsgate_lab_machine::{Running, wait_until};

/// What the program says of a connection, by name.
#[derive(Clone, Debug)]
pub struct Facts(BTreeMap<String, String>);

impl Facts {
    fn parse(line: &str) -> Self {
        let facts = line.split(" | ").filter_map(|fact| fact.split_once('='));
        Self(
            facts
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        )
    }

    /// One of them; empty when it is not told.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Makes sure of some of them.
    pub fn are(&self, expected: &[(&str, &str)]) -> Result<()> {
        for (name, value) in expected {
            ensure!(
                self.get(name) == *value,
                "{name} is {:?}, not {value:?}: {self:?}",
                self.get(name)
            );
        }
        Ok(())
    }
}

/// The driver as the client of one server.
pub struct Forward {
    running: Running,
    address: SocketAddr,
}

impl Forward {
    /// Starts it.
    pub fn start(lab: &Lab, server: SocketAddr, further: &[&str]) -> Result<Self> {
        let server = server.to_string();
        let mut arguments = vec!["forward", &server, "--until-stdin-closes"];
        arguments.extend(further);
        let running = lab.machine().spawn(PROGRAM, &arguments)?;
        let address = running.line_after("listening on ")?.parse()?;
        Ok(Self { running, address })
    }

    /// The plain end of a new connection; the TLS one begins now.
    pub fn dial(&self) -> Result<TcpStream> {
        socket::connect(self.address).context("connecting to tlsgate forward")
    }

    /// What was negotiated on the connection that was dialled last.
    pub fn facts(&self) -> Result<Facts> {
        facts(&self.running)
    }

    /// Why there is no connection.
    pub fn failure(&self) -> Result<String> {
        match self.running.line()?.strip_prefix("failed: ") {
            Some(reason) => Ok(reason.to_owned()),
            None => bail!("it has not failed"),
        }
    }

    /// How the connection that was opened last has ended.
    pub fn ending(&self) -> Result<String> {
        self.running.line()
    }

    /// Ends it as a user would.
    pub fn stop(mut self) -> Result<()> {
        self.running.close_input();
        let code = self.running.end()?;
        ensure!(code == Some(0), "tlsgate forward ended with {code:?}");
        Ok(())
    }
}

/// The driver as a server, with the plain ends coming to a listener of the tests.
pub struct Terminate {
    server: Server,
    plain: TcpListener,
}

impl Terminate {
    /// Starts it with these certificates.
    pub fn start(lab: &Lab, certificates: &[&str], further: &[&str]) -> Result<Self> {
        let plain = TcpListener::bind(("127.0.0.1", 0))?;
        let address = plain.local_addr()?.to_string();
        let mut arguments = vec!["--to", &address];
        arguments.extend(further);
        let server = Server::start_of(lab, certificates, &arguments)?;
        Ok(Self { server, plain })
    }

    /// Where clients come.
    pub const fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What was negotiated on the next connection, and its plain end.
    pub fn next(&self) -> Result<(Facts, TcpStream)> {
        let facts = facts(self.server.running())?;
        let socket = accept(&self.plain)?;
        Ok((facts, socket))
    }

    /// How the connection that was opened last has ended.
    pub fn ending(&self) -> Result<String> {
        self.server.running().line()
    }

    /// Waits until the program has given this reason for something that it did not do.
    pub fn refusal(&self, reason: &str) -> Result<String> {
        let what = format!("the server to say {reason:?}");
        wait_until(&what, PATIENCE, || {
            let said = self.server.running().stderr()?;
            let line = said.lines().find(|line| line.contains(reason));
            Ok(line.map(str::to_owned))
        })
    }

    /// Another certificate for new connections.
    pub fn renew(&mut self, thumbprint: &str) -> Result<()> {
        self.server.renew(thumbprint)?;
        let said = self.server.running().line()?;
        ensure!(said == "renewed", "{said}");
        Ok(())
    }

    /// One that cannot be had.
    pub fn refuse_to_renew(&mut self, thumbprint: &str) -> Result<()> {
        self.server.renew(thumbprint)?;
        self.refusal("not renewed").map(drop)
    }

    /// Ends it as a user would.
    pub fn stop(self) -> Result<()> {
        self.server.stop()
    }
}

fn facts(running: &Running) -> Result<Facts> {
    loop {
        let line = running.line()?;
        if let Some(facts) = line.strip_prefix("connected: ") {
            return Ok(Facts::parse(facts));
        }
        // How earlier connections have ended.
        ensure!(
            line == "ended" || line.starts_with("broken: "),
            "no connection: {line}"
        );
    }
}

/// The next connection that comes within the patience there is.
pub fn accept(listener: &TcpListener) -> Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match listener.accept() {
            Ok((socket, _)) => {
                socket.set_nonblocking(false)?;
                socket.set_nodelay(true)?;
                socket.set_read_timeout(Some(PATIENCE))?;
                socket.set_write_timeout(Some(PATIENCE))?;
                return Ok(socket);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                ensure!(Instant::now() < deadline, "nobody connects");
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error.into()),
        }
    }
}
