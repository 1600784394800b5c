//! TLS programs on the host: GnuTLS's server, and Python's `ssl`.

use anyhow::{Context, Result, ensure};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};
use tempfile::NamedTempFile;

/// How long a program may take to say what is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A file with these bytes, as long as it is kept.
pub fn file(bytes: &[u8]) -> Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    file.write_all(bytes)?;
    file.flush()?;
    Ok(file)
}

/// A program that runs; dropping it kills it.
pub struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Program {
    /// Starts it; what it says on both outputs is read line by line.
    pub fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} is not installed", command.get_program().display()))?;
        let (sender, lines) = mpsc::channel();
        let outputs: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|it| Box::new(it) as _),
            child.stderr.take().map(|it| Box::new(it) as _),
        ];
        for output in outputs.into_iter().flatten() {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Self { child, lines })
    }

    /// The first line that has this in it.
    pub fn line_with(&self, part: &str) -> Result<String> {
        let mut said = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(part) => return Ok(line),
                Ok(line) => said.push(line),
                Err(_) => anyhow::bail!("no line with {part:?} among:\n{}", said.join("\n")),
            }
        }
    }

    /// Everything that it says until it ends, which must be with success.
    pub fn end(mut self) -> Result<String> {
        let mut said = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            said.push(line);
        }
        let code = self.child.wait()?;
        let said = said.join("\n");
        ensure!(code.success(), "ended with {code}:\n{said}");
        Ok(said)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Python's `ssl`.
pub struct Python;

impl Python {
    /// The page of a server, by a client that shows this certificate.
    pub fn page(server: SocketAddr, certificate: &str, version: &str) -> Result<String> {
        let port = server.port().to_string();
        let arguments = ["-c", PAGE, &port, certificate, version];
        Program::start(Command::new("python3").args(arguments))?.end()
    }

    /// A server of one connection, which sends back what it gets in blocks of 64 KiB, and says what it
    /// saw. Its port is in the line that begins with "port".
    pub fn server(identity: &str) -> Result<Program> {
        Program::start(Command::new("python3").args(["-u", "-c", SERVER, identity]))
    }
}

const PAGE: &str = r#"
import socket, ssl, sys
port, certificate, version = int(sys.argv[1]), sys.argv[2], sys.argv[3]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
context.load_cert_chain(certificate)
context.maximum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
    with context.wrap_socket(plain, server_hostname="localhost") as tls:
        tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        page = b""
        while piece := tls.recv(65536):
            page += piece
        print(page.decode())
        # close_notify both ways, or an exception.
        tls.unwrap()
"#;

const SERVER: &str = r#"
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
context.set_alpn_protocols(["h2", "http/1.1"])
listener = socket.create_server(("127.0.0.1", 0))
print("port", listener.getsockname()[1])
plain, _ = listener.accept()
plain.settimeout(20)
tls = context.wrap_socket(plain, server_side=True)
print("version", tls.version(), "alpn", tls.selected_alpn_protocol())
count = 0
while piece := tls.recv(65536):
    count += len(piece)
    tls.sendall(piece)
print("echoed", count)
# The client has said close_notify: this answers, and must find nothing amiss.
tls.unwrap().close()
print("clean")
"#;
