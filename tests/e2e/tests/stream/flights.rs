//! A client's stream, flight by flight: everything that it writes before it reads again.

use crate::socket;
use anyhow::Result;
use std::{
    io::{self, Read, Write},
    iter::StepBy,
    net::TcpStream,
    ops::Range,
    thread,
};

/// Scenarios at a time in [`each_cut`].
const AT_ONCE: usize = 4;

/// A stream whose flights are sent by a function: it gets the socket, the flight's number, counted
/// from 0, and its bytes.
pub struct Flights<F> {
    socket: TcpStream,
    send: F,
    number: usize,
    pending: Vec<u8>,
    received: Vec<u8>,
}

impl<F: FnMut(&TcpStream, usize, &[u8]) -> io::Result<()>> Flights<F> {
    /// Over this socket.
    pub fn new(socket: TcpStream, send: F) -> Self {
        Self {
            socket,
            send,
            number: 0,
            pending: Vec::new(),
            received: Vec::new(),
        }
    }

    /// Sends what has been written, as if a read were about to follow.
    pub fn depart(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let flight = std::mem::take(&mut self.pending);
        self.number += 1;
        (self.send)(&self.socket, self.number - 1, &flight)
    }

    /// Everything that the peer has sent so far.
    pub fn received(&self) -> &[u8] {
        &self.received
    }
}

impl<F: FnMut(&TcpStream, usize, &[u8]) -> io::Result<()>> Read for Flights<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.depart()?;
        loop {
            match self.socket.read(buffer) {
                // A read with a time-out is interrupted even by the end of a child that nobody waits for.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(read) => {
                    self.received.extend_from_slice(&buffer[..read]);
                    return Ok(read);
                }
            }
        }
    }
}

impl<F> Write for Flights<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Does nothing: OpenSSL flushes after every message of a flight.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends a flight in one write.
pub fn whole(mut socket: &TcpStream, _: usize, flight: &[u8]) -> io::Result<()> {
    socket.write_all(flight)
}

/// Sends a flight in these pieces, each only when the server has taken the one before.
pub fn pieces<'a>(
    mut socket: &TcpStream,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> io::Result<()> {
    for piece in pieces {
        socket.write_all(piece)?;
        socket::wait_until_taken(socket)?;
    }
    Ok(())
}

/// Sends a flight in two pieces: the second begins at byte `cut` of the last record, or with the
/// record's last byte.
pub fn cut_last(mut socket: &TcpStream, flight: &[u8], cut: usize) -> io::Result<()> {
    let last = last_record(flight);
    let (first, second) = flight.split_at(flight.len() - last + cut.min(last - 1));
    socket.write_all(first)?;
    socket::wait_until_taken(socket)?;
    socket.write_all(second)
}

/// Bytes of the last record of a flight.
pub fn last_record(flight: &[u8]) -> usize {
    records(flight).last().map_or(0, |record| record.len())
}

/// Runs `scenario` several times at once, each with its share of the cuts of a record of so many
/// bytes: every one waits for TCP to acknowledge its first piece.
pub fn each_cut(
    length: usize,
    scenario: impl Fn(StepBy<Range<usize>>) -> Result<()> + Sync,
) -> Result<()> {
    let scenario = &scenario;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE)
            .map(|first| scope.spawn(move || scenario((first..length).step_by(AT_ONCE))))
            .collect();
        threads
            .into_iter()
            .try_for_each(|it| it.join().expect("no panic"))
    })
}

/// The records of a flight, headers included; a cut one at the end is one too.
pub fn records(mut flight: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while !flight.is_empty() {
        let length = match flight {
            [_, _, _, high, low, ..] => 5 + usize::from(u16::from_be_bytes([*high, *low])),
            _ => flight.len(),
        };
        let (record, rest) = flight.split_at(length.min(flight.len()));
        records.push(record);
        flight = rest;
    }
    records
}

/// A handshake record cut into records that carry so many bytes each.
pub fn reframed(record: &[u8], size: usize) -> Vec<Vec<u8>> {
    let (header, message) = record.split_at(5);
    message
        .chunks(size)
        .map(|part| {
            let length = u16::try_from(part.len())
                .expect("a part of a record")
                .to_be_bytes();
            [&header[..3], &length, part].concat()
        })
        .collect()
}
