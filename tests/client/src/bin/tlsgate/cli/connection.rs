//! `tlsgate connect` and `tlsgate forward`: what they are told.

use super::Credential;
use clap::Args;
use std::net::SocketAddr;
use tlsgate::Thumbprint;

#[derive(Debug, Args)]
pub struct Connect {
    /// Where to connect to: a name or an address, and the port.
    #[arg(value_name = "HOST:PORT")]
    pub server: String,
    #[command(flatten)]
    pub client: Client,
    /// Connect so many times before, one after another, and end each connection at once: those that
    /// follow may be resumed.
    #[arg(long, value_name = "TIMES", default_value_t = 0)]
    pub resume: u32,
    /// Tell of each connection in a line of JSON on the standard error.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Forward {
    /// Where to connect to: a name or an address, and the port.
    #[arg(value_name = "HOST:PORT")]
    pub server: String,
    /// Where to listen; port 0 lets the system choose one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub client: Client,
    /// Stop when the standard input ends, for programs that start this one.
    #[arg(long)]
    pub until_stdin_closes: bool,
}

/// What a client is.
#[derive(Debug, Args)]
pub struct Client {
    /// The name that the server's certificate must be for [default: HOST].
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,
    /// The certificate to show when the server asks for one: its thumbprint. With several, one that
    /// fits is shown.
    #[arg(long, value_name = "THUMBPRINT")]
    pub cert: Vec<Thumbprint>,
    /// The application protocols to offer, best first.
    #[arg(long, value_name = "NAME", value_delimiter = ',', num_args = 1..)]
    pub alpn: Vec<String>,
    /// How long a handshake may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub timeout: u32,
    /// Let any certificate of the server's pass; what it is, and what is wrong with it, is told.
    #[arg(long)]
    pub manual_check: bool,
    #[command(flatten)]
    pub credential: Credential,
}
