//! What every credential of the command line has in common.

use clap::{Args, ValueEnum};
use tlsgate::{ClientAuth, Revocation};

/// What servers' and clients' credentials have in common.
#[derive(Debug, Args)]
pub struct Credential {
    /// The machine's store that holds the certificates [default: MY].
    #[arg(long, value_name = "NAME")]
    pub store: Option<String>,
    /// This TLS version only.
    #[arg(long, value_enum, value_name = "VERSION")]
    pub tls: Option<Version>,
    /// Check the revocation of the peer's certificates.
    #[arg(long, value_enum, value_name = "HOW FAR")]
    pub revocation: Option<Revoked>,
    /// With --revocation: let a certificate pass that names no revocation information.
    #[arg(long, requires = "revocation")]
    pub ignore_no_revocation: bool,
    /// With --revocation: let a certificate pass whose revocation information cannot be reached.
    #[arg(long, requires = "revocation")]
    pub ignore_revocation_offline: bool,
}

impl Credential {
    /// The store that the certificates are in.
    pub fn store_name(&self) -> &str {
        self.store.as_deref().unwrap_or("MY")
    }
}

/// [`ClientAuth`] on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Clients {
    #[default]
    None,
    Request,
    Require,
}

impl From<Clients> for ClientAuth {
    fn from(clients: Clients) -> Self {
        match clients {
            Clients::None => Self::None,
            Clients::Request => Self::Request,
            Clients::Require => Self::Require,
        }
    }
}

/// A TLS version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Version {
    #[value(name = "1.2")]
    Tls12,
    #[value(name = "1.3")]
    Tls13,
}

/// [`Revocation`] on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Revoked {
    End,
    Chain,
    ChainExceptRoot,
}

impl From<Revoked> for Revocation {
    fn from(revoked: Revoked) -> Self {
        match revoked {
            Revoked::End => Self::End,
            Revoked::Chain => Self::Chain,
            Revoked::ChainExceptRoot => Self::ChainExceptRoot,
        }
    }
}
