//! The handshake over any byte stream: bytes to the driver, tokens to the peer.

use crate::{
    Driver, Error, Leg, NewSession, Start, TlsStream,
    session::{Session, Side},
};
use tlsgate_protocol::{SecurityStatus, limits, payload::state};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes that are read from the peer at once.
const CHUNK: usize = 16 * 1024;

/// Shakes hands on `stream`, as this side of it.
pub async fn shake_hands<S>(
    driver: &Driver,
    side: Side,
    new: NewSession<'_>,
    mut stream: S,
) -> Result<TlsStream<S>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut session: Option<Session> = None;
    // What the peer has sent and no leg has used up: always sent again in front of what comes next.
    let mut input = Vec::new();
    // The client speaks first.
    if side == Side::Server {
        read_more(&mut stream, &mut input).await?;
    }
    loop {
        loop {
            let start = session
                .as_ref()
                .map_or(Start::New(new), |session| Start::Continue(session.id()));
            let offered = &input[..input.len().min(limits::MAX_INPUT)];
            let leg = side.leg(driver, start, offered).await?;
            if let (None, Some(id)) = (&session, leg.session) {
                session = Some(Session::new(driver.clone(), id, side));
            }
            input.drain(..leg.consumed);
            send(&mut stream, &leg).await?;
            match (leg.state, leg.status) {
                (state::ESTABLISHED, _) => {
                    let session = session.ok_or(Error::Reply {
                        ioctl: side.ioctl(),
                        problem: "no session",
                    })?;
                    let connection = driver.query_session(session.id()).await?;
                    return Ok(TlsStream::new(stream, session, connection, input));
                }
                (_, SecurityStatus::SEC_E_INCOMPLETE_MESSAGE) => break,
                (state::HANDSHAKING, _) if leg.consumed == 0 || input.is_empty() => break,
                // More of the input can be used before the peer has to be heard.
                (state::HANDSHAKING, _) => {}
                (_, status) => {
                    return Err(Error::Handshake {
                        status,
                        alert: leg.alert,
                    });
                }
            }
        }
        if input.len() >= limits::MAX_INPUT {
            return Err(Error::TooMuchInput);
        }
        read_more(&mut stream, &mut input).await?;
    }
}

/// Waits for at least one more byte.
async fn read_more(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut Vec<u8>,
) -> Result<(), Error> {
    input.reserve(CHUNK);
    match stream.read_buf(input).await.map_err(Error::Stream)? {
        0 => Err(Error::Vanished),
        _ => Ok(()),
    }
}

/// Sends a leg's token, whatever its status is: with an error, it is the alert.
async fn send(stream: &mut (impl AsyncWrite + Unpin), leg: &Leg) -> Result<(), Error> {
    if leg.token.is_empty() {
        return Ok(());
    }
    let sent = async {
        stream.write_all(&leg.token).await?;
        stream.flush().await
    };
    match sent.await {
        // A peer that does not wait for its alert must not hide why the handshake failed.
        Err(error) if !leg.status.is_error() => Err(Error::Stream(error)),
        _ => Ok(()),
    }
}
