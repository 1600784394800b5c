//! `ksecdd.sys` for the lab: the asynchronous SSPI of the Windows kernel, with TLS by rustls.
//!
//! An ordinary DLL that stands in for the kernel's module of that name. It speaks the SSPI
//! contract exactly, stops the machine when a driver breaks it (`rules`), and offers every
//! behaviour that the public documents leave open as a switch
//! (`tlsgate_lab_control::ksecdd::Switches`). Top down:
//!
//! * `exports`: the C functions of `ksecdd.sys`, and `windows`: the machine under test
//! * `calls`: what each function does
//! * `ksecdd`: what is alive, how it behaves; `issue`: how an asynchronous call runs
//! * `async_context`, `credential`, `context`: what handles stand for; `asked`, `credential_flags`:
//!   what a driver asks for when it acquires a credential
//! * `buffers`, `protocols`, `memory`: the caller's buffers, what is in them, and the
//!   caller's memory
//! * `handles`, `workers`, `latency`, `machine`, `files`, `control`, `key_blob`, `rules`, `checks`: what
//!   these need
//! * `tls`: TLS itself, without pointers, handles and threads
//!
//! On other systems than Windows only its tests are built.
#![cfg(any(windows, test))]

mod asked;
mod async_context;
mod buffers;
mod calls;
mod checks;
mod context;
mod control;
mod credential;
mod credential_flags;
#[cfg(windows)]
mod exports;
mod files;
mod handles;
#[cfg(all(test, not(windows)))]
mod identities;
mod issue;
mod key_blob;
mod ksecdd;
mod latency;
mod machine;
mod memory;
#[cfg(all(test, not(windows)))]
mod peer;
mod protocols;
mod rules;
mod tls;
#[cfg(windows)]
mod windows;
mod workers;
