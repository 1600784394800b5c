//! Loads `ksecdd.sys` as a DLL and drives it as a driver would.
//!
//! Usage, under Wine: `drive.exe PATH-OF-KSECDD.SYS PKCS12-FILE`. It imports the certificate
//! (the file's password is empty), acquires a credential by its thumbprint, shakes hands with rustls
//! over TLS 1.2 and 1.3, exchanges records, checks that nothing is left, and prints PASS. With
//! `stop` instead of the file it breaks a rule, and must not come back from that.

#[cfg(windows)]
#[path = "drive/certificate.rs"]
mod certificate;
#[cfg(windows)]
#[path = "drive/module.rs"]
mod module;
#[cfg(windows)]
#[path = "drive/run.rs"]
mod run;

#[cfg(windows)]
fn main() {
    run::main();
}

#[cfg(not(windows))]
fn main() {
    eprintln!("this drives a Windows module: build it for x86_64-pc-windows-gnu");
    std::process::exit(2);
}
