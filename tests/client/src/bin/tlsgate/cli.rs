//! The command line.

mod certificate;
mod connection;
mod credential;
mod examples;
mod serve;

pub use certificate::{Cert, Import, NewCert};
pub use connection::{Client, Connect, Forward};
pub use credential::{Clients, Credential, Version};
pub use serve::Serve;

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// TLS in the Windows kernel: installs and looks after the `TlsGate` driver, and shows it at work.
#[derive(Debug, Parser)]
#[command(version, after_help = examples::FIRST_STEPS)]
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
    #[command(after_help = examples::INSTALL)]
    Install(Install),
    /// Stop the driver, delete its service and remove its file.
    Uninstall(Uninstall),
    /// Tell whether everything is there and works, and what to do next if it is not.
    ///
    /// Looks at the service, the driver's file and versions, test signing, the certificates, and
    /// what the driver has observed of this Windows. Works before and after installing.
    #[command(after_help = examples::DOCTOR)]
    Doctor(Doctor),
    /// Show the driver's counters, and how long handshakes took.
    #[command(after_help = examples::STATS)]
    Stats(Stats),
    /// Make, import, list and remove certificates of the machine's stores.
    #[command(subcommand, after_help = examples::CERT)]
    Cert(Cert),
    /// Serve a page that describes the TLS connection it came over, or files, or an echo.
    ///
    /// Prints "listening on ADDR" when it is ready, and one line for each handshake that failed.
    /// Stops at Ctrl-C.
    #[command(after_help = examples::SERVE)]
    Serve(Serve),
    /// Connect to a TLS server: the standard input goes to it, what it says to the standard output.
    ///
    /// What was negotiated, and with whom, goes to the standard error. The end of the standard input
    /// is told to the server; the program ends when the server has ended its side.
    #[command(after_help = examples::CONNECT)]
    Connect(Connect),
    /// Carry TCP connections over TLS to a server, one for one.
    ///
    /// Prints "listening on ADDR" when it is ready, and then one line for each TLS connection: what
    /// was negotiated, or why there is none. Stops at Ctrl-C.
    #[command(after_help = examples::FORWARD)]
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
    /// How long the driver may take to stop, and to start.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub timeout: u32,
}

#[derive(Debug, Args)]
pub struct Uninstall {
    /// How long the driver may take to stop: it waits for programs that have its device open.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub timeout: u32,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Stats {
    /// Show them again and again, with what has come in each second.
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "1",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub watch: Option<u32>,
    /// With --watch: end after showing them so often.
    #[arg(long, requires = "watch", value_parser = clap::value_parser!(u32).range(1..))]
    pub times: Option<u32>,
    /// Print JSON: one object, with --watch one a line.
    #[arg(long)]
    pub json: bool,
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
    fn a_client_needs_no_certificate() {
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

    #[test]
    fn a_server_serves_one_thing() {
        let several = ["tlsgate", "serve", "--echo", "--dir", "site"];
        assert!(Cli::try_parse_from(several).is_err());
        assert!(Cli::try_parse_from(&several[..3]).is_ok());
    }

    #[test]
    fn watching_is_once_a_second_unless_told_otherwise() {
        let watched = |arguments: &[&str]| {
            let arguments = [&["tlsgate", "stats"], arguments].concat();
            let Command::Stats(stats) = Cli::parse_from(arguments).command else {
                panic!()
            };
            stats.watch
        };
        assert_eq!(watched(&[]), None);
        assert_eq!(watched(&["--watch", "--json"]), Some(1));
        assert_eq!(watched(&["--watch", "5"]), Some(5));
        assert!(Cli::try_parse_from(["tlsgate", "stats", "--times", "2"]).is_err());
    }
}
