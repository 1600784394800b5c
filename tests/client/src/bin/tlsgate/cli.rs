//! The command line.

use clap::{Args, Parser, Subcommand};
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};
use tlsgate_client::Thumbprint;

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
    /// Make, list and remove certificates of the machine's personal store (MY).
    #[command(subcommand)]
    Cert(Cert),
    /// Serve a page that describes the TLS connection it came over.
    ///
    /// Prints "listening on ADDR" when it is ready, and one line for each handshake that failed.
    /// Stops at Ctrl-C.
    Serve(Serve),
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
    /// List the certificates: thumbprint, whether there is a private key, subject.
    List,
    /// Remove a certificate and its private key.
    Remove {
        /// Which one: its SHA-1, 40 hexadecimal digits.
        thumbprint: Thumbprint,
    },
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
}

#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen; port 0 lets the system choose one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    pub listen: SocketAddr,
    /// The certificate's thumbprint, as `tlsgate cert new` or `tlsgate cert list` print it.
    #[arg(long, value_name = "THUMBPRINT")]
    pub cert: Thumbprint,
    /// The machine's store that holds it [default: MY].
    #[arg(long, value_name = "NAME")]
    pub store: Option<String>,
    /// The application protocols to offer, best first. The page itself is HTTP/1.1 whatever the
    /// client chooses.
    #[arg(long, value_name = "NAME", value_delimiter = ',', num_args = 1..)]
    pub alpn: Vec<String>,
    /// How long a client may take for its handshake.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub handshake_limit: u64,
    /// Stop when the standard input ends, for programs that start this one.
    #[arg(long)]
    pub until_stdin_closes: bool,
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
    fn a_bad_thumbprint_is_wrong_usage() {
        let error = Cli::try_parse_from(["tlsgate", "cert", "remove", "12"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }
}
