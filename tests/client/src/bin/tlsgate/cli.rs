//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};
use tlsgate::{ClientAuth, Revocation, Thumbprint};

/// What to type first.
const FIRST_STEPS: &str = "\
First steps, as an administrator:
  tlsgate install
  tlsgate cert new
  tlsgate serve --cert THUMBPRINT
and then, in another window:
  curl --insecure https://127.0.0.1:8443/";

/// TLS in the Windows kernel: installs and looks after the `TlsGate` driver, and shows it at work.
#[derive(Debug, Parser)]
#[command(version, after_help = FIRST_STEPS)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Copy tlsgate.sys to where drivers live, create its service and start it.
    ///
    /// When the service is there already, it is stopped and gets the new file. Needs an
    /// administrator. Windows loads only drivers whose signature it accepts: on a test machine,
    /// `bcdedit /set testsigning on` and a restart admit a test signature.
    Install(Install),
    /// Stop the driver, delete its service and remove its file.
    Uninstall,
    /// Open the device and tell what is found: version, limits, counters, and what to do if it
    /// does not open.
    Doctor,
    /// Make, import, list and remove certificates of the machine's stores.
    #[command(subcommand)]
    Cert(Cert),
    /// Serve a page that describes the TLS connection it came over.
    ///
    /// Prints "listening on ADDR" when it is ready, and one line for each handshake that failed.
    /// Stops at Ctrl-C.
    Serve(Serve),
    /// Connect to a TLS server: the standard input goes to it, what it says to the standard output.
    ///
    /// What was negotiated, and with whom, goes to the standard error. The end of the standard input
    /// is told to the server; the program ends when the server has ended its side.
    Connect(Connect),
    /// Carry TCP connections over TLS to a server, one for one.
    ///
    /// Prints "listening on ADDR" when it is ready, and then one line for each TLS connection: what
    /// was negotiated, or why there is none. Stops at Ctrl-C.
    Forward(Forward),
    /// Test the driver of this machine: every case against rustls, in this process.
    ///
    /// For a test machine that nothing else uses meanwhile. It makes certificates of its own in the
    /// machine's stores MY and ROOT, and removes them at the end. Needs an administrator.
    Selftest(crate::selftest::Selftest),
    /// Measure handshakes and bytes a second.
    ///
    /// It makes certificates of its own in the machine's stores MY and ROOT, and removes them at the
    /// end. Needs an administrator.
    Bench(crate::bench::Bench),
    /// Print the driver's ETW events as they come, until Ctrl-C.
    ///
    /// Needs an administrator, or a member of the group Performance Log Users. Not proven in the
    /// project's lab, which has no event tracing.
    Trace(crate::trace::Trace),
}

#[derive(Debug, Args)]
pub struct Install {
    /// The driver [default: tlsgate.sys beside this program].
    #[arg(long, value_name = "PATH")]
    pub driver: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Cert {
    /// Make a self-signed test certificate in the machine's store and print its thumbprint.
    ///
    /// Nothing but the thumbprint goes to the standard output, so that a script can take it. The
    /// key is RSA with 2,048 bits. Clients trust the certificate only if told to.
    New(NewCert),
    /// Put the certificate of a file into a store of the machine and print its thumbprint: PKCS#12
    /// (.pfx, .p12) with its key, PEM or DER without.
    ///
    /// In the store ROOT it becomes a trusted root: whoever has its key can be anyone to this machine.
    Import(Import),
    /// List the certificates: thumbprint, whether there is a private key, subject.
    List {
        /// The store.
        #[arg(long, value_name = "NAME", default_value = "MY")]
        store: String,
    },
    /// Remove a certificate and its private key.
    Remove {
        /// Which one: its SHA-1, 40 hexadecimal digits.
        thumbprint: Thumbprint,
        /// The store.
        #[arg(long, value_name = "NAME", default_value = "MY")]
        store: String,
    },
}

#[derive(Debug, Args)]
pub struct Import {
    /// The file.
    pub file: PathBuf,
    /// The password of a PKCS#12 file.
    #[arg(long, default_value = "")]
    pub password: String,
    /// The store.
    #[arg(long, value_name = "NAME", default_value = "MY")]
    pub store: String,
    /// Let the private key be exported. Not needed for the driver: Windows uses a key in place.
    #[arg(long)]
    pub exportable: bool,
}

#[derive(Debug, Args)]
pub struct NewCert {
    /// The subject's common name; it is the first DNS name too.
    #[arg(long, default_value = "localhost")]
    pub name: String,
    /// A further DNS name; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub dns: Vec<String>,
    /// An IP address that the certificate is good for; may be given several times.
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Vec<IpAddr>,
    /// How long it is good.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..))]
    pub days: u16,
    /// Let the private key be exported. Not needed for the driver: Windows uses a key in place.
    #[arg(long)]
    pub exportable: bool,
    /// For a client, not for a server.
    #[arg(long)]
    pub client: bool,
}

#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen; port 0 lets the system choose one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    pub listen: SocketAddr,
    /// The certificate's thumbprint, as `tlsgate cert new` or `tlsgate cert list` print it. With
    /// several, each client gets the one that fits it.
    #[arg(long, value_name = "THUMBPRINT", required = true)]
    pub cert: Vec<Thumbprint>,
    /// What to make of clients' certificates: `request` asks for one, `require` lets no client in
    /// without one that is good.
    #[arg(long, value_enum, default_value_t)]
    pub client_auth: Clients,
    /// Carry each connection to this TCP server instead of serving the page; one line is printed for
    /// each: what was negotiated.
    #[arg(long, value_name = "HOST:PORT")]
    pub to: Option<String>,
    /// The application protocols to offer, best first. The page itself is HTTP/1.1 whatever the
    /// client chooses.
    #[arg(long, value_name = "NAME", value_delimiter = ',', num_args = 1..)]
    pub alpn: Vec<String>,
    /// The one server name that the certificates are for.
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
    #[command(flatten)]
    pub credential: Credential,
}

/// What servers' and clients' credentials have in common.
#[derive(Debug, Args)]
pub struct Credential {
    /// The machine's store that holds the certificates [default: MY].
    #[arg(long, value_name = "NAME")]
    pub store: Option<String>,
    /// This TLS version only.
    #[arg(long, value_enum, value_name = "VERSION")]
    pub tls: Option<Version>,
    /// Let any certificate pass; what it is, and what is wrong with it, is told.
    #[arg(long)]
    pub manual_check: bool,
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn alpn_names_may_be_separated_by_commas() {
        let thumbprint = "00".repeat(20);
        let arguments = [
            "tlsgate",
            "serve",
            "--cert",
            &thumbprint,
            "--alpn",
            "h2,http/1.1",
        ];
        let Command::Serve(serve) = Cli::parse_from(arguments).command else {
            panic!()
        };
        assert_eq!(serve.alpn, ["h2", "http/1.1"]);
    }

    #[test]
    fn a_server_has_a_certificate_and_a_client_need_not() {
        assert!(Cli::try_parse_from(["tlsgate", "serve"]).is_err());
        let arguments = ["tlsgate", "connect", "host:443", "--tls", "1.3"];
        let Command::Connect(connect) = Cli::parse_from(arguments).command else {
            panic!()
        };
        assert_eq!(connect.client.cert.len(), 0);
        assert_eq!(connect.client.credential.tls, Some(Version::Tls13));
    }

    #[test]
    fn nothing_of_revocation_is_ignored_that_is_not_checked() {
        let ignoring = ["tlsgate", "connect", "host:443", "--ignore-no-revocation"];
        assert!(Cli::try_parse_from(ignoring).is_err());
        let checking = ["--revocation", "end", "--ignore-revocation-offline"];
        let Command::Connect(connect) =
            Cli::parse_from([&ignoring[..], &checking].concat()).command
        else {
            panic!()
        };
        let credential = connect.client.credential;
        assert!(credential.ignore_no_revocation && credential.ignore_revocation_offline);
    }

    #[test]
    fn a_bad_thumbprint_is_wrong_usage() {
        let error = Cli::try_parse_from(["tlsgate", "cert", "remove", "12"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }
}
