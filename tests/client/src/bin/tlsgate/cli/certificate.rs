//! `tlsgate cert`: what it is told.

use clap::{Args, Subcommand};
use std::{net::IpAddr, path::PathBuf};
use tlsgate::Thumbprint;

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
    /// List the certificates: thumbprint, whether there is a private key, subject, last day.
    List {
        /// The store.
        #[arg(long, value_name = "NAME", default_value = "MY")]
        store: String,
        /// Print a JSON array.
        #[arg(long)]
        json: bool,
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
