//! SEAL and UNSEAL, against rustls' own records.

use crate::{
    Bound, Effort, Engine, Gate, Results, Row, Site,
    drive::{Established, establish},
    peer::{Clients, Servers, hear, speak},
    rounds::{Versus, versus},
    service::{FULL, Line, Service},
    wire::{self, RECORDS_AT},
};
use anyhow::{Context as _, Result, ensure};
use rustls::{ClientConnection, ServerConnection};
use std::{
    io::{Read as _, Write as _},
    mem,
    time::{Duration, Instant},
};
use tlsgate_protocol::limits::{MAX_PLAINTEXT, MAX_RECORD, MAX_RECORDS};

/// Bytes of plaintext of one call, to seal and to unseal; rustls is given as many at once. What is to
/// be unsealed is a little longer, and an UNSEAL takes no more than 1 MiB of that.
const CALLS: [(&str, usize, usize); 2] = [
    ("16 KiB", MAX_PLAINTEXT, MAX_PLAINTEXT),
    (
        "1 MiB",
        MAX_RECORDS,
        MAX_RECORDS / MAX_RECORD * MAX_PLAINTEXT,
    ),
];

/// Bytes of a record's header in TLS 1.3: the plaintext begins where its first record has it.
const HEADER: usize = 5;

/// Parts of a turn, each of which is a round of the driver's own time.
const PART: u32 = 4;

/// Bytes of ciphertext that are made before the clock runs.
const BATCH: usize = 4 * 1024 * 1024;

/// Bytes a second of SEAL and UNSEAL.
///
/// # Errors
///
/// A record fails.
pub fn run(gate: &dyn Gate, site: &Site, effort: Effort) -> Result<Results> {
    gate.engine(Engine::Inline)?;
    let service = Service::new(gate, site, FULL)?;
    let mut through = Through::new(&service, site)?;
    let mut direct = Direct::new(site)?;
    let mut rows = Vec::new();
    for (name, sealed, unsealed) in CALLS {
        let sealing = versus(
            effort.rounds,
            || Ok(through.seal(sealed, effort.turn)?.rate()),
            || Ok(direct.seal(sealed, effort.turn)?.rate()),
        )?;
        report(&mut rows, &format!("SEAL of {name}"), &sealing);
        let spent = timed(gate, effort, || through.seal(sealed, effort.turn / PART))?;
        share(&mut rows, &format!("SEAL of {name}"), &spent);
        let unsealing = versus(
            effort.rounds,
            || Ok(through.unseal(unsealed, effort.turn)?.rate()),
            || Ok(direct.unseal(unsealed, effort.turn)?.rate()),
        )?;
        report(&mut rows, &format!("UNSEAL of {name}"), &unsealing);
        let spent = timed(gate, effort, || {
            through.unseal(unsealed, effort.turn / PART)
        })?;
        share(&mut rows, &format!("UNSEAL of {name}"), &spent);
    }
    Ok(Results {
        rows,
        plots: Vec::new(),
        notes: vec![format!(
            "Records: TLS 1.3, {:?}, one thread. The clock runs during the calls only: the plaintext, or \
             the records, lie in the system buffer, and rustls is given them in memory; rustls' output is \
             taken into memory that is used again. The I/O manager's copies are in neither.",
            through
                .peer
                .client
                .negotiated_cipher_suite()
                .map(|suite| suite.suite())
        )],
    })
}

fn report(rows: &mut Vec<Row>, what: &str, found: &Versus) {
    let mega = |side: &[f64]| side.iter().map(|rate| rate / 1e6).collect::<Vec<_>>();
    let name = format!("{what}, through the driver");
    rows.push(Row::of_rounds(&name, "MB/s", &mega(&found.ours), None));
    let name = format!("{what}, rustls called directly");
    rows.push(Row::of_rounds(&name, "MB/s", &mega(&found.theirs), None));
    let name = format!("{what}, driver to rustls");
    let bound = Some(Bound::AtLeast(0.95));
    rows.push(Row::of_rounds(&name, "", &found.ratios(), bound));
}

/// The driver's own time and that of its imports, in microseconds of a call.
fn timed(
    gate: &dyn Gate,
    effort: Effort,
    mut turn: impl FnMut() -> Result<Clock>,
) -> Result<Vec<(f64, f64)>> {
    gate.clock(true);
    let rounds = (0..effort.rounds * PART as usize).map(|_| {
        let before = gate.usage();
        let calls = turn()?.calls;
        let after = gate.usage();
        let imported = after.imported.saturating_sub(before.imported);
        let driver = after.driver.saturating_sub(before.driver);
        let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(calls.max(1));
        Ok((each(driver.saturating_sub(imported)), each(imported)))
    });
    let rounds = rounds.collect();
    gate.clock(false);
    rounds
}

fn share(rows: &mut Vec<Row>, what: &str, spent: &[(f64, f64)]) {
    let (own, imported): (Vec<f64>, Vec<f64>) = spent.iter().copied().unzip();
    for (name, rounds) in [
        (format!("{what}, the driver's own code a call"), own),
        (format!("{what}, what the driver imports a call"), imported),
    ] {
        rows.push(Row::of_rounds(&name, "µs", &rounds, None));
    }
}

/// A session of the driver's.
struct Through<'a> {
    service: &'a Service<'a>,
    line: Line,
    peer: Established,
    buffer: Vec<u8>,
}

impl<'a> Through<'a> {
    fn new(service: &'a Service<'a>, site: &Site) -> Result<Self> {
        let mut peer = establish(service, &Clients::new(site, FULL)?, |_| {})?;
        peer.client.set_buffer_limit(None);
        Ok(Self {
            service,
            line: Line::new(),
            peer,
            buffer: Vec::new(),
        })
    }

    fn seal(&mut self, size: usize, turn: Duration) -> Result<Clock> {
        let mut clock = Clock::default();
        while clock.time < turn {
            for _ in 0..BATCH / size {
                let frame = wire::seal(&mut self.buffer, self.peer.session, HEADER, size);
                let buffer = mem::take(&mut self.buffer);
                let call = || self.line.call(self.service, frame, buffer);
                let completion = clock.run(size, call)?;
                let (reply, records) = wire::produced(&completion).context("SEAL")?;
                ensure!(reply.consumed as usize == size, "SEAL has stopped early");
                // Sealed are they indeed, and in sequence.
                hear_data(&mut self.peer.client, records, size)?;
                self.buffer = completion.buffer;
            }
        }
        Ok(clock)
    }

    fn unseal(&mut self, size: usize, turn: Duration) -> Result<Clock> {
        let mut clock = Clock::default();
        while clock.time < turn {
            let records = batch(&mut self.peer.client, size)?;
            let mut buffers: Vec<Vec<u8>> = records
                .iter()
                .map(|records| [&[0; RECORDS_AT][..], records].concat())
                .collect();
            for buffer in &mut buffers {
                let length = buffer.len() - RECORDS_AT;
                let frame = wire::unseal(buffer, self.peer.session, length);
                let buffer = mem::take(buffer);
                let call = || self.line.call(self.service, frame, buffer);
                let completion = clock.run(size, call)?;
                let (reply, plaintext) = wire::produced(&completion).context("UNSEAL")?;
                ensure!(
                    reply.consumed as usize == length && plaintext.len() == size,
                    "UNSEAL has stopped early"
                );
            }
        }
        Ok(clock)
    }
}

/// A connection of rustls alone.
struct Direct {
    server: ServerConnection,
    client: ClientConnection,
    out: Vec<u8>,
}

impl Direct {
    fn new(site: &Site) -> Result<Self> {
        let mut client = Clients::new(site, FULL)?.client()?;
        let mut server = Servers::new(site, FULL)?.server()?;
        let mut wire = Vec::new();
        while client.is_handshaking() || server.is_handshaking() {
            speak(&mut client, &mut wire)?;
            hear(&mut server, &wire)?;
            wire.clear();
            speak(&mut server, &mut wire)?;
            hear(&mut client, &wire)?;
            wire.clear();
        }
        client.set_buffer_limit(None);
        Ok(Self {
            server,
            client,
            out: Vec::new(),
        })
    }

    fn seal(&mut self, size: usize, turn: Duration) -> Result<Clock> {
        let plaintext = vec![0; size];
        let (server, out) = (&mut self.server, &mut self.out);
        let mut clock = Clock::default();
        while clock.time < turn {
            for _ in 0..BATCH / size {
                out.clear();
                clock.run(size, || -> Result<()> {
                    let mut rest = plaintext.as_slice();
                    // As much at a time as rustls takes: that is faster than all of it.
                    while !rest.is_empty() {
                        let taken = server.writer().write(rest)?;
                        rest = &rest[taken..];
                        while server.wants_write() {
                            server.write_tls(out)?;
                        }
                    }
                    Ok(())
                })?;
                hear_data(&mut self.client, out, size)?;
            }
        }
        Ok(clock)
    }

    fn unseal(&mut self, size: usize, turn: Duration) -> Result<Clock> {
        let mut plaintext = vec![0; size];
        let server = &mut self.server;
        let mut clock = Clock::default();
        while clock.time < turn {
            for records in batch(&mut self.client, size)? {
                let read = || read_data(server, &records, &mut plaintext);
                let got = clock.run(size, read)?;
                ensure!(got == size, "rustls has read {got} bytes of {size}");
            }
        }
        Ok(clock)
    }
}

/// A batch of calls' records, each of so many bytes of plaintext.
fn batch(client: &mut ClientConnection, size: usize) -> Result<Vec<Vec<u8>>> {
    let plaintext = vec![0; size];
    let mut batch = Vec::new();
    for _ in 0..BATCH / size {
        let mut records = Vec::with_capacity(size + size / 64);
        client.writer().write_all(&plaintext)?;
        speak(client, &mut records)?;
        batch.push(records);
    }
    Ok(batch)
}

/// Lets a client read records, and checks how much they hold.
fn hear_data(client: &mut ClientConnection, records: &[u8], size: usize) -> Result<()> {
    let mut plaintext = vec![0; size];
    let got = read_data(client, records, &mut plaintext)?;
    ensure!(got == size, "the client has read {got} bytes of {size}");
    Ok(())
}

/// What lies in some records: at most as much as there is room for.
fn read_data<Data>(
    end: &mut rustls::ConnectionCommon<Data>,
    mut records: &[u8],
    plaintext: &mut [u8],
) -> Result<usize> {
    let mut got = 0;
    while !records.is_empty() {
        end.read_tls(&mut records)?;
        let mut ready = end.process_new_packets()?.plaintext_bytes_to_read();
        while ready > 0 {
            let read = end.reader().read(&mut plaintext[got..])?;
            ensure!(read > 0, "more than there is room for");
            got += read;
            ready -= read;
        }
    }
    Ok(got)
}

/// A clock that runs now and then.
#[derive(Default)]
struct Clock {
    time: Duration,
    bytes: usize,
    calls: u32,
}

impl Clock {
    fn run<T>(&mut self, bytes: usize, work: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let done = work();
        self.time += begin.elapsed();
        self.bytes += bytes;
        self.calls += 1;
        done
    }

    /// Bytes a second.
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    fn rate(&self) -> f64 {
        self.bytes as f64 / self.time.as_secs_f64()
    }
}
