//! Thousands of streams of one process, all open at the same time.

use crate::{
    example::Example,
    pki::{Kind, NAME, Pki, Purpose},
};
use anyhow::{Result, ensure};
use openssl::ssl::{SslConnector, SslMethod, SslStream};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};
use tlsgate_e2e::Lab;
use tlsgate_lab_control::kmdf;

/// Streams that are open at the same time.
const STREAMS: usize = 2_000;

/// Threads of the test that open them: the server's side is what is looked at.
const OPENERS: usize = 4;

/// Streams whose data is on its way at the same time. As long as a socket has data that was not read,
/// Wine's server goes through all sockets again and again.
const AT_ONCE: usize = 5;

/// Bytes that each stream carries there and back.
const BYTES: usize = 3_000;

/// How long the server may take over anything.
const PATIENCE: Duration = Duration::from_mins(1);

/// Open files that a process needs: the test has one a stream, Wine's server three.
const FILES: u64 = 4 * STREAMS as u64;

#[test]
fn two_thousand_streams_are_open_at_once_on_few_threads() -> Result<()> {
    // Before the machine is powered on: its processes inherit the limit.
    let files = rlimit::increase_nofile_limit(FILES)?;
    ensure!(
        files >= FILES,
        "this host allows {files} open files a process, not {FILES}"
    );
    let lab = Lab::start_alone(&mut |_| {})?;
    let pki = Pki::of(&lab)?;
    let identity = pki.on_the_machine(NAME, Kind::Ecdsa, Purpose::Server)?;
    let mut trusting = SslConnector::builder(SslMethod::tls_client())?;
    trusting
        .cert_store_mut()
        .add_cert(pki.trusted.certificate().clone())?;
    let connector = trusting.build();
    let server = Example::start(&lab, "echo", &["--cert", &identity.thumbprint()?])?;

    // One that comes and goes has every thread started that will be.
    let mut first = connect(&connector, server.address())?;
    say(&mut first, 0)?;
    hear(&mut first, 0)?;
    let before = Threads::of(&lab, &server)?;

    let started = Instant::now();
    let mut streams = open(&connector, server.address())?;
    let opened = started.elapsed();
    let echoing = Instant::now();
    for some in streams.chunks_mut(AT_ONCE) {
        for (number, stream) in some.iter_mut().enumerate() {
            say(stream, number)?;
        }
        for (number, stream) in some.iter_mut().enumerate() {
            hear(stream, number)?;
        }
    }
    let sessions = sessions(&lab)?;
    let during = Threads::of(&lab, &server)?;
    println!(
        "{} streams in {:.1} s, {BYTES} bytes there and back on each in {:.1} s; {sessions} sessions; \
         threads before: {before:?}, with all of them: {during:?}",
        streams.len(),
        opened.as_secs_f32(),
        echoing.elapsed().as_secs_f32(),
    );
    // The first one is still there.
    ensure!(sessions == STREAMS + 1, "{sessions} sessions");
    ensure!(during == before, "{during:?}, and before {before:?}");
    ensure!(during.program < 40 && during.driver < 20, "{during:?}");

    for stream in &mut streams {
        stream.shutdown()?;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest)?;
        ensure!(rest.is_empty(), "more than was sent");
    }
    drop((first, streams));
    server.stop()?;
    lab.finish()
}

/// Threads of both processes.
#[derive(Debug, PartialEq, Eq)]
struct Threads {
    /// Of the program with the streams.
    program: usize,
    /// That the driver has made.
    driver: usize,
}

impl Threads {
    fn of(lab: &Lab, server: &Example) -> Result<Self> {
        let report = kmdf::report(&mut lab.machine().remote(kmdf::MODULE)?)?;
        Ok(Self {
            program: server.threads()?,
            driver: report.threads,
        })
    }
}

/// Sessions that the driver has.
fn sessions(lab: &Lab) -> Result<usize> {
    Ok(lab.ksecdd()?.contexts)
}

/// All of them, several at a time.
fn open(connector: &SslConnector, server: SocketAddr) -> Result<Vec<SslStream<TcpStream>>> {
    thread::scope(|scope| {
        let openers = (0..OPENERS).map(|_| {
            scope.spawn(|| {
                let streams = (0..STREAMS / OPENERS).map(|_| connect(connector, server));
                streams.collect::<Result<Vec<_>>>()
            })
        });
        let openers: Vec<_> = openers.collect();
        let mut streams = Vec::new();
        for opener in openers {
            streams.extend(opener.join().expect("an opener panicked")?);
        }
        Ok(streams)
    })
}

fn connect(connector: &SslConnector, server: SocketAddr) -> Result<SslStream<TcpStream>> {
    let socket = TcpStream::connect(server)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(connector.connect(NAME, socket)?)
}

/// What goes over this stream: every one has its own.
fn data(number: usize) -> Vec<u8> {
    let line = format!("stream {number}\n");
    line.bytes().cycle().take(BYTES).collect()
}

fn say(stream: &mut SslStream<TcpStream>, number: usize) -> Result<()> {
    Ok(stream.write_all(&data(number))?)
}

fn hear(stream: &mut SslStream<TcpStream>, number: usize) -> Result<()> {
    let mut heard = vec![0; BYTES];
    stream.read_exact(&mut heard)?;
    ensure!(heard == data(number), "something else came back");
    Ok(())
}
