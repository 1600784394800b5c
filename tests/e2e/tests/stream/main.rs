//! The byte stream of TLS as peers really send it: in any pieces, cut short, in crowds, or garbage.
//! The peer is OpenSSL; the server is `tlsgate serve` over the packaged driver. Every scenario runs
//! with asynchronous calls completing inline, early and late.

mod client;
mod crowd;
mod flights;
mod page;
mod queues;
mod site;
mod socket;

mod garbage;
mod handshake;
mod keep_alive;
mod many;
mod pieces;
mod records;
mod shutdown;
mod vanish;
