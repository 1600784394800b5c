//! What the README says under "On the machine", command by command, as it stands there.

use anyhow::{Context, Result, bail, ensure};
use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{self, Stdio},
};
use tlsgate_e2e::{Lab, PROGRAM, documents};
use tlsgate_lab_machine::Running;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");

const SECTION: &str = "On the machine";

/// Where the README's server listens.
const ADDRESS: &str = "127.0.0.1:8443";

#[test]
fn the_readmes_commands_work_on_the_machine() -> Result<()> {
    let lab = Lab::start(&mut |_| {})?;
    // As a newcomer's machine: the first command installs.
    lab.uninstall()?;
    let mut reader = Reader::new(&lab);
    let followed = reader.follow(Path::new(README));
    reader.tidy_up()?;
    if let Err(error) = followed {
        lab.machine().check()?;
        return Err(error);
    }
    lab.install()?;
    lab.finish()
}

/// Who does what the README says.
struct Reader<'a> {
    lab: &'a Lab,
    thumbprint: Option<String>,
    server: Option<Running>,
    address: Option<SocketAddr>,
}

impl<'a> Reader<'a> {
    const fn new(lab: &'a Lab) -> Self {
        Self {
            lab,
            thumbprint: None,
            server: None,
            address: None,
        }
    }

    fn follow(&mut self, readme: &Path) -> Result<()> {
        let text = fs::read_to_string(readme)?;
        let commands: Vec<_> = documents::of("README.md", &text)
            .into_iter()
            .filter(|command| command.section == SECTION && command.shell != "text")
            .collect();
        ensure!(commands.len() >= 7, "too few commands: {commands:?}");
        for command in commands {
            self.run(&command.text).context(command.text)?;
        }
        ensure!(self.address.is_some(), "nothing was served");
        Ok(())
    }

    fn run(&mut self, command: &str) -> Result<()> {
        let mut command = command.to_owned();
        if let Some(thumbprint) = &self.thumbprint {
            command = command.replace("THUMBPRINT", thumbprint);
        }
        // Another run on the same host may have the README's port.
        if let Some(address) = self.address {
            command = command.replace(ADDRESS, &address.to_string());
        }
        let words: Vec<&str> = command.split_whitespace().collect();
        match words[..] {
            ["tlsgate", "cert", "new", ..] => {
                // The stand-in reads the key out of the store; Windows uses a key in place.
                let made = self.tlsgate(&[&words[1..], &["--exportable"]].concat())?;
                ensure!(made.trim().len() == 40, "not a thumbprint: {made}");
                self.thumbprint = Some(made.trim().to_owned());
            }
            ["tlsgate", "serve", ..] => {
                let further = ["--listen", "127.0.0.1:0", "--until-stdin-closes"];
                let arguments = [&words[1..], &further].concat();
                let running = self.lab.machine().spawn(PROGRAM, &arguments)?;
                self.address = Some(running.line_after("listening on ")?.parse()?);
                self.server = Some(running);
            }
            ["tlsgate", ..] => {
                if words[1] == "uninstall" {
                    self.stop_server()?;
                }
                let said = self.tlsgate(&words[1..])?;
                if words[1] == "doctor" {
                    ensure!(said.contains("TlsGate"), "{said}");
                }
            }
            ["curl", ..] => {
                let page = curl(&words[1..])?;
                ensure!(page.contains("TLS connection"), "not the page: {page}");
            }
            _ => bail!("not a command of the program"),
        }
        Ok(())
    }

    fn tlsgate(&self, arguments: &[&str]) -> Result<String> {
        Ok(self
            .lab
            .machine()
            .run(PROGRAM, arguments)?
            .success()?
            .stdout)
    }

    /// As Ctrl-C would: a handle that is open keeps the driver loaded.
    fn stop_server(&mut self) -> Result<()> {
        if let Some(running) = self.server.take() {
            let code = running.end()?;
            ensure!(code == Some(0), "tlsgate serve ended with {code:?}");
        }
        Ok(())
    }

    /// The certificate must not be taken for the lab's own by the next test.
    fn tidy_up(&mut self) -> Result<()> {
        self.stop_server()?;
        if let Some(thumbprint) = self.thumbprint.take() {
            self.lab
                .machine()
                .run(PROGRAM, &["cert", "remove", &thumbprint])?;
        }
        Ok(())
    }
}

fn curl(arguments: &[&str]) -> Result<String> {
    let output = process::Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "30"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("curl is not installed")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "curl failed: {complaint}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
