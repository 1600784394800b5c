//! The library as programs use it: its examples on the machine, with the packaged driver, against TLS
//! programs that no one here wrote.

mod crowd;
mod example;
mod examples;

#[allow(dead_code, reason = "what the other tests need is there as well")]
#[path = "../stream/peers.rs"]
mod peers;
#[allow(dead_code, reason = "what the other tests need is there as well")]
#[path = "../stream/pki.rs"]
mod pki;
