//! Sockets to the server: bytes that the server has taken, and ends.

use crate::queues::Queues;
use std::{
    io::{self, Read},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

/// How long the server may take over anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that sends at once and does not wait forever.
pub fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Waits until the server has read everything that was sent, so that what follows comes to it with
/// another read.
pub fn wait_until_taken(socket: &TcpStream) -> io::Result<()> {
    let (ours, theirs) = (socket.local_addr()?, socket.peer_addr()?);
    let queues = Queues::open()?;
    // What is unacknowledged may not have arrived; only then does the other queue tell anything.
    wait_until_empty(|| Ok(queues.of(ours, theirs)?.unacknowledged))?;
    wait_until_empty(|| Ok(queues.of(theirs, ours)?.unread))
}

fn wait_until_empty(queue: impl Fn() -> io::Result<u32>) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while queue()? > 0 {
        if Instant::now() >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        thread::sleep(Duration::from_micros(50));
    }
    Ok(())
}

/// Ends the connection with RST, as a client does whose process or host is gone.
pub fn reset(socket: TcpStream) -> io::Result<()> {
    socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
    drop(socket);
    Ok(())
}

/// Ends our half with FIN and gives everything that the server still sends before it ends its own.
pub fn finish(mut socket: TcpStream) -> io::Result<Vec<u8>> {
    socket.shutdown(Shutdown::Write)?;
    let mut said = Vec::new();
    socket.read_to_end(&mut said)?;
    Ok(said)
}
