//! How tests talk to the stand-ins of the lab: one JSON value a line over loopback TCP.
//!
//! A stand-in calls [`serve`] when it is loaded; it listens on a port of the system's choosing and
//! leaves the number in `<folder>/<module>.port`. A test calls [`Remote::connect`]. What can be
//! asked of which stand-in is in [`kmdf`] and [`ksecdd`].

mod account;
pub mod kmdf;
pub mod ksecdd;

use anyhow::{Context, Result, bail};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

/// Where, on the machine under test, stand-ins leave their port numbers and logs.
pub const FOLDER: &str = r"C:\lab";

/// How long a stand-in may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves `handler` on a loopback port and leaves its number in `folder/module.port`. Returns at
/// once; every connection has a thread of its own.
///
/// # Errors
///
/// The port could not be had, or the file not be written.
pub fn serve<Q, A>(
    folder: &Path,
    module: &str,
    handler: impl Fn(Q) -> Result<A> + Send + Sync + 'static,
) -> Result<()>
where
    Q: DeserializeOwned,
    A: Serialize,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no loopback port")?;
    let port = listener.local_addr()?.port();
    let handler = Arc::new(handler);
    thread::Builder::new()
        .name(format!("{module} control"))
        .spawn(move || {
            for stream in listener.incoming().flatten() {
                let handler = Arc::clone(&handler);
                // A connection that breaks is its test's concern; the stand-in goes on serving.
                thread::spawn(move || answer(&stream, &*handler));
            }
        })?;
    // Written to the side and renamed, so that a reader never sees half a number.
    let (partial, file) = (
        folder.join(format!("{module}.port.new")),
        folder.join(format!("{module}.port")),
    );
    std::fs::write(&partial, port.to_string())?;
    std::fs::rename(&partial, &file).with_context(|| format!("writing {}", file.display()))
}

fn answer<Q, A>(stream: &TcpStream, handler: &dyn Fn(Q) -> Result<A>) -> Result<()>
where
    Q: DeserializeOwned,
    A: Serialize,
{
    for line in BufReader::new(stream.try_clone()?).lines() {
        let answer: Result<A, String> = serde_json::from_str(&line?)
            .context("not a question this module knows")
            .and_then(handler)
            .map_err(|error| format!("{error:#}"));
        let mut bytes = serde_json::to_vec(&answer)?;
        bytes.push(b'\n');
        (&*stream).write_all(&bytes)?;
    }
    Ok(())
}

/// A test's connection to one stand-in.
#[derive(Debug)]
pub struct Remote {
    module: String,
    stream: BufReader<TcpStream>,
}

impl Remote {
    /// Connects to the stand-in `module` whose machine keeps [`FOLDER`] at `folder`.
    ///
    /// # Errors
    ///
    /// The module has left no port number there, or does not answer on it.
    pub fn connect(folder: &Path, module: &str) -> Result<Self> {
        let file = folder.join(format!("{module}.port"));
        let port: u16 = std::fs::read_to_string(&file)
            .with_context(|| format!("{module} is not loaded: no {}", file.display()))?
            .parse()?;
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("{module} has gone from port {port}"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            module: module.to_owned(),
            stream: BufReader::new(stream),
        })
    }

    /// Lets the stand-in take so long for its answers, in place of half a minute.
    ///
    /// # Errors
    ///
    /// The connection does not take the limit.
    pub fn wait_up_to(&mut self, limit: Duration) -> Result<()> {
        Ok(self.stream.get_ref().set_read_timeout(Some(limit))?)
    }

    /// Asks one question.
    ///
    /// # Errors
    ///
    /// The stand-in went away or says no.
    pub fn ask<Q: Serialize, A: DeserializeOwned>(&mut self, question: &Q) -> Result<A> {
        let mut bytes = serde_json::to_vec(question)?;
        bytes.push(b'\n');
        self.stream.get_mut().write_all(&bytes)?;
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            bail!("{} went away", self.module);
        }
        match serde_json::from_str::<Result<A, String>>(&line)? {
            Ok(answer) => Ok(answer),
            Err(error) => bail!("{}: {error}", self.module),
        }
    }
}
