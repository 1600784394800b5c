//! The byte stream of TLS as peers really send it: in any pieces, cut short, in crowds, or garbage.
//! The peers are TLS programs that no one here wrote; `tlsgate` over the packaged driver is the other
//! side. Every scenario runs with asynchronous calls completing inline, early and late.

mod carried;
mod client;
mod crowd;
mod flights;
mod key_update;
mod openssl_server;
mod page;
mod peers;
mod pki;
mod queues;
mod site;
mod socket;

mod as_client;
mod both_sides;
mod c_program;
mod certificates;
mod from_server;
mod garbage;
mod half_close;
mod handshake;
mod keep_alive;
mod many;
mod mutual;
mod other_servers;
mod pieces;
mod readme;
mod records;
mod revocation;
mod shutdown;
mod vanish;
