//! `tlsgate serve`: what it is told.

use super::{Clients, Credential};
use clap::Args;
use std::{net::SocketAddr, path::PathBuf};
use tlsgate::Thumbprint;

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub struct Serve {
    /// Where to listen; port 0 lets the system choose one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    pub listen: SocketAddr,
    /// The certificate's thumbprint, as `tlsgate cert new` or `tlsgate cert list` print it. Of
    /// several, each client gets the one for the name that it wants; the first one if it wants none.
    #[arg(long, value_name = "THUMBPRINT")]
    pub cert: Vec<Thumbprint>,
    /// Leave the choice among several certificates to the security subsystem: one credential with all
    /// of them.
    #[arg(long)]
    pub one_credential: bool,
    /// What to make of clients' certificates: `request` asks for one, `require` lets no client in
    /// without one that is good.
    #[arg(long, value_enum, default_value_t)]
    pub client_auth: Clients,
    /// Serve the files of this folder instead of the page.
    #[arg(long, value_name = "FOLDER", group = "what")]
    pub dir: Option<PathBuf>,
    /// Send back what comes instead of serving the page.
    #[arg(long, group = "what")]
    pub echo: bool,
    /// Carry each connection to this TCP server instead of serving the page; one line is printed for
    /// each: what was negotiated.
    #[arg(long, value_name = "HOST:PORT", group = "what")]
    pub to: Option<String>,
    /// The application protocols to offer, best first. Pages and files come over HTTP/2 to a client
    /// that speaks it.
    #[arg(long, value_name = "NAME", value_delimiter = ',', num_args = 1..)]
    pub alpn: Vec<String>,
    /// The one server name that the certificates are for. They are one credential then.
    #[arg(long, value_name = "NAME")]
    pub principal: Option<String>,
    /// Resume no session, and give out no tickets.
    #[arg(long)]
    pub no_resumption: bool,
    /// How long a client may take for its handshake.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub timeout: u32,
    #[command(flatten)]
    pub credential: Credential,
    /// Stop when the standard input ends, for programs that start this one. Each line before it has
    /// the thumbprints of certificates that take the place of those so far, for new connections;
    /// "renewed" is printed when they have.
    #[arg(long)]
    pub until_stdin_closes: bool,
}
