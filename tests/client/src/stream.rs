//! Application data over an established session: reads by UNSEAL, writes by SEAL.

mod pieces;

use self::pieces::{front, whole_records};
use crate::{
    Connection, Error, Leg, Pending, Record, RecordOutcome,
    buffer::Buffer,
    session::Session,
    wakers::{Half, Wakers},
};
use std::{
    fmt,
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};
use tlsgate_protocol::{Ioctl, SecurityStatus, SessionId, limits, payload::state};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// Most bytes that one SEAL gets, and that are read from the peer at once: an IOCTL costs more than a
/// record, but all of it is copied twice.
const AT_ONCE: usize = 64 * 1024;

/// Bytes of the shortest header of a record (RFC 8446, section 5.1).
const SHORTEST_HEADER: usize = 5;

/// So many bytes may wait for a stream that takes none, and still a post-handshake message of the peer
/// is answered: who waits for the peer to read must not stop reading what it says. Beyond that a peer
/// asks for answers without end and does not take them.
const MOST_WAITING: usize = 128 * 1024;

/// A TLS connection, whose records the kernel's `SealMessage` and `UnsealMessage` make and open
/// (Microsoft's documentation of `EncryptMessage (Schannel)` and `DecryptMessage (Schannel)`).
///
/// A write is taken into as many records as it needs, up to 64 KiB a time, and counts as written when
/// the records are being made; flush to know that they are on their way, as with any buffered
/// writer. Records that cannot be made are an error of the next write, flush or shutdown, and nothing is
/// written any more, close_notify included. A vectored write is one of all its parts. After a shutdown, which says close_notify and
/// ends this half, a write is refused with [`io::ErrorKind::BrokenPipe`], and reads go on. A read ends
/// with 0 bytes when the peer has said close_notify; where the stream below ends without, that is
/// [`Error::Cut`]. Dropping the stream closes the session.
///
/// A stream that is idle holds no buffers. One whose peer, or whose owner, takes nothing holds at most
/// half a MiB, what is on its way through the driver included: 64 KiB and a record that have come in,
/// as much that is being opened or waits to be read, and 160 KiB that wait to go out; it reads and
/// makes no more before that is taken.
///
/// It needs no thread: what the driver and the stream below say wakes the tasks that read and write.
/// Where those are the two halves of a [`tokio::io::split`], each moves what the other has begun.
///
/// Of SEAL and UNSEAL only one is on its way at a time: an UNSEAL may meet a post-handshake message,
/// and then nothing can be sealed before a leg has seen it (documentation of `DecryptMessage
/// (Schannel)`).
pub struct TlsStream<S> {
    stream: S,
    session: Session,
    connection: Connection,
    reading: Reading,
    /// Bytes from the peer that nothing has used up yet.
    ciphertext: Vec<u8>,
    /// Data that has been unsealed and not been read yet.
    plaintext: Buffer,
    /// Bytes in front of data that is to be sealed: not more than a record's header has.
    gap: usize,
    /// SEAL, or SHUTDOWN while [`Writing::Closing`].
    sealing: Option<Pending<Record>>,
    writing: Writing,
    /// Records and tokens that the stream has not taken yet.
    outgoing: Buffer,
    wakers: Arc<Wakers>,
}

/// What the writing half is about.
enum Writing {
    Open,
    /// close_notify is being made.
    Closing,
    /// close_notify has been said, or cannot be.
    Closed,
    /// Data that counts as written could not be sealed: the peer must not take what came before for all.
    /// The writer is told why, once.
    Failed(Option<Error>),
}

/// What the reading half is about.
enum Reading {
    /// Ready to unseal the next records, as soon as one is whole.
    Idle,
    /// Waits for UNSEAL.
    Unsealing(Pending<Record>),
    /// Must give `usize` bytes of ciphertext to a leg as soon as no SEAL is on its way: a leg has the
    /// context for itself.
    BeforeLeg(usize),
    /// Waits for ACCEPT or CONNECT.
    InLeg(Pending<Leg>),
    /// The leg wants more bytes than there are.
    LegNeedsMore,
    /// The peer said close_notify.
    Closed,
    /// The session has failed.
    Failed(SecurityStatus),
}

impl<S> TlsStream<S> {
    pub(crate) fn new(
        stream: S,
        session: Session,
        connection: Connection,
        ciphertext: Vec<u8>,
    ) -> Self {
        Self {
            gap: connection.header,
            stream,
            session,
            connection,
            reading: Reading::Idle,
            ciphertext,
            plaintext: Buffer::default(),
            sealing: None,
            writing: Writing::Open,
            outgoing: Buffer::default(),
            wakers: Arc::default(),
        }
    }

    /// What the handshake negotiated.
    #[must_use]
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The session's id on the driver's handle.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.session.id()
    }

    /// The stream below, and what the handshake negotiated.
    #[must_use]
    pub const fn get_ref(&self) -> (&S, &Connection) {
        (&self.stream, &self.connection)
    }

    /// The same. Who reads or writes the stream below breaks the TLS connection.
    #[must_use]
    pub const fn get_mut(&mut self) -> (&mut S, &Connection) {
        (&mut self.stream, &self.connection)
    }

    /// Takes it apart; the session is closed, without anybody waiting for that. Data that has not been
    /// read, and records that have not been flushed, are lost.
    #[must_use]
    pub fn into_inner(self) -> (S, Connection) {
        (self.stream, self.connection)
    }

    /// Closes the session, waits until it is gone, and gives back the stream below.
    ///
    /// # Errors
    ///
    /// The driver could not delete the session.
    pub async fn close(self) -> Result<S, Error> {
        let Self {
            stream, session, ..
        } = self;
        session.close().await?;
        Ok(stream)
    }
}

impl<S: fmt::Debug> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("stream", &self.stream)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// Moves the reading half until there is plaintext or nothing more will come.
    fn poll_plaintext(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.plaintext.is_empty() {
            match &self.reading {
                Reading::Idle => match whole_records(&self.ciphertext) {
                    0 => ready!(self.poll_ciphertext(cx))?,
                    length => {
                        ready!(self.poll_seal(cx));
                        let records = &self.ciphertext[..length];
                        let unsealing = self.session.unseal(records);
                        self.reading = Reading::Unsealing(unsealing);
                    }
                },
                Reading::Unsealing(_) => ready!(self.poll_unseal(cx))?,
                Reading::BeforeLeg(_) | Reading::InLeg(_) => ready!(self.poll_leg(cx))?,
                // No post-handshake message is as long as that (RFC 8446, section 4.6).
                Reading::LegNeedsMore if self.ciphertext.len() >= limits::MAX_INPUT => {
                    return Poll::Ready(Err(Error::TooMuchInput.into()));
                }
                Reading::LegNeedsMore => {
                    ready!(self.poll_ciphertext(cx))?;
                    self.reading = Reading::BeforeLeg(self.ciphertext.len());
                }
                Reading::Closed => return Poll::Ready(Ok(())),
                Reading::Failed(status) => {
                    let status = *status;
                    // The alert goes out first; that the peer does not take it changes nothing.
                    let _ = ready!(self.poll_outgoing(cx));
                    return Poll::Ready(Err(Error::Record {
                        ioctl: Ioctl::Unseal,
                        status,
                    }
                    .into()));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads more bytes from the peer.
    fn poll_ciphertext(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Goes when nothing has come: an idle stream holds no buffers. Nobody writes zeros into it first.
        let mut chunk = Vec::with_capacity(AT_ONCE);
        ready!(pin!(self.stream.read_buf(&mut chunk)).poll(cx))?;
        if chunk.is_empty() {
            // Without close_notify the end may be an attacker's: it must not look like one.
            return Poll::Ready(Err(Error::Cut.into()));
        }
        self.ciphertext.extend_from_slice(&chunk);
        Poll::Ready(Ok(()))
    }

    /// Waits for the records that are being opened; ready when there are none.
    fn poll_unseal(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Reading::Unsealing(reply) = &mut self.reading else {
            return Poll::Ready(Ok(()));
        };
        let record = ready!(reply.as_mut().poll(cx));
        self.reading = Reading::Idle;
        let record = record?;
        self.use_up(record.consumed);
        // What came before the last record is data whatever the last one is.
        self.plaintext = Buffer::from(record.bytes);
        self.reading = match record.outcome {
            // Whole by its own length, and still the driver wants what cannot come.
            RecordOutcome::NeedMore if record.consumed == 0 => Reading::Failed(record.status),
            RecordOutcome::Data | RecordOutcome::NeedMore => Reading::Idle,
            RecordOutcome::Renegotiate => {
                let length = record.token.len();
                self.ciphertext.splice(..0, record.token);
                Reading::BeforeLeg(length)
            }
            RecordOutcome::PeerClosed => Reading::Closed,
            RecordOutcome::Failed => Reading::Failed(record.status),
        };
        Poll::Ready(Ok(()))
    }

    /// Uses up so many bytes from the peer. An idle stream holds no memory for them.
    fn use_up(&mut self, count: usize) {
        if count == self.ciphertext.len() {
            self.ciphertext = Vec::new();
        } else {
            self.ciphertext.drain(..count);
        }
    }

    /// Moves a post-handshake leg; ready when there is none.
    fn poll_leg(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Reading::BeforeLeg(length) = self.reading {
            ready!(self.poll_seal(cx));
            if self.outgoing.rest().len() > MOST_WAITING {
                ready!(self.poll_outgoing(cx))?;
            }
            let leg = self
                .session
                .leg(&self.ciphertext[..length.min(limits::MAX_INPUT)]);
            self.reading = Reading::InLeg(leg);
        }
        let Reading::InLeg(reply) = &mut self.reading else {
            return Poll::Ready(Ok(()));
        };
        let leg = ready!(reply.as_mut().poll(cx));
        self.reading = Reading::Idle;
        // What it has settled may have shorter headers.
        self.gap = self.gap.min(SHORTEST_HEADER);
        let leg = leg?;
        self.use_up(leg.consumed);
        let is_closed = matches!(self.writing, Writing::Closed);
        if !is_closed {
            self.outgoing.append(&leg.token);
        }
        self.reading = match (leg.state, leg.status) {
            (state::FAILED, status) => Reading::Failed(status),
            (_, SecurityStatus::SEC_E_OK) => Reading::Idle,
            (_, SecurityStatus::SEC_E_INCOMPLETE_MESSAGE) => Reading::LegNeedsMore,
            _ if leg.consumed > 0 && !self.ciphertext.is_empty() => {
                Reading::BeforeLeg(self.ciphertext.len())
            }
            _ => Reading::LegNeedsMore,
        };
        if is_closed {
            // Nothing is said behind close_notify (RFC 8446, section 6.1).
            return Poll::Ready(Ok(()));
        }
        // The answer need not wait for the next write.
        match self.poll_outgoing(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Waits for the records that are being made; ready when there are none. Whichever half asks: what
    /// has gone wrong is left for the writer.
    fn poll_seal(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(reply) = &mut self.sealing else {
            return Poll::Ready(());
        };
        let record = ready!(reply.as_mut().poll(cx));
        self.sealing = None;
        let made = record.and_then(|record| match record.outcome {
            RecordOutcome::Data => Ok(record.bytes),
            _ => Err(Error::Record {
                ioctl: Ioctl::Seal,
                status: record.status,
            }),
        });
        let is_closing = matches!(self.writing, Writing::Closing);
        if is_closing {
            self.writing = Writing::Closed;
        }
        match made {
            Ok(bytes) => self.outgoing.append(&bytes),
            // A session that has failed, or a Windows that makes no close_notify, closes without.
            Err(_) if is_closing => {}
            Err(error) => self.writing = Writing::Failed(Some(error)),
        }
        Poll::Ready(())
    }

    /// Whether everything that counts as written can be sent.
    fn check_written(&mut self) -> io::Result<()> {
        match &mut self.writing {
            Writing::Failed(error) => {
                let error = error.take();
                Err(error.map_or_else(|| io::ErrorKind::BrokenPipe.into(), Into::into))
            }
            _ => Ok(()),
        }
    }

    /// Says close_notify, once, when everything else has been said.
    fn poll_close_notify(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.writing, Writing::Open | Writing::Failed(_)) {
            ready!(self.poll_writable(cx))?;
            self.sealing = Some(self.session.shutdown());
            self.writing = Writing::Closing;
        }
        ready!(self.poll_seal(cx));
        self.poll_outgoing(cx)
    }

    /// Hands everything that waits to the stream below.
    fn poll_outgoing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.poll_write_to(&mut self.stream, cx)
    }

    /// Everything that must be over before new records may be begun.
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_seal(cx));
        self.check_written()?;
        ready!(self.poll_unseal(cx))?;
        while matches!(self.reading, Reading::BeforeLeg(_) | Reading::InLeg(_)) {
            ready!(self.poll_leg(cx))?;
        }
        self.poll_outgoing(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let waker = self.wakers.register(Half::Read, cx.waker());
        ready!(self.poll_plaintext(&mut Context::from_waker(&waker)))?;
        let length = buffer.remaining().min(self.plaintext.rest().len());
        buffer.put_slice(&self.plaintext.rest()[..length]);
        self.plaintext.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    /// Takes all of it that fits into one SEAL.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let parts = front(data, AT_ONCE);
        let length = parts.iter().map(|part| part.len()).sum();
        if length == 0 {
            return Poll::Ready(Ok(0));
        }
        if matches!(self.writing, Writing::Closing | Writing::Closed) {
            // The peer would ignore it (RFC 8446, section 6.1).
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let waker = self.wakers.register(Half::Write, cx.waker());
        ready!(self.poll_writable(&mut Context::from_waker(&waker)))?;
        self.sealing = Some(self.session.seal(self.gap, &parts));
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waker = self.wakers.register(Half::Write, cx.waker());
        let mut cx = Context::from_waker(&waker);
        ready!(self.poll_seal(&mut cx));
        ready!(self.poll_outgoing(&mut cx))?;
        self.check_written()?;
        Pin::new(&mut self.stream).poll_flush(&mut cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waker = self.wakers.register(Half::Write, cx.waker());
        let mut cx = Context::from_waker(&waker);
        ready!(self.poll_close_notify(&mut cx))?;
        ready!(Pin::new(&mut self.stream).poll_flush(&mut cx))?;
        Pin::new(&mut self.stream).poll_shutdown(&mut cx)
    }
}
