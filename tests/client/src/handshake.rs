//! The server's handshake over any byte stream: bytes to ACCEPT, tokens to the peer.

use crate::{Driver, Error, Leg, Start, TlsStream, session::Session};
use tlsgate_protocol::{CredentialId, SecurityStatus, limits};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Accepts a TLS connection on `stream`.
///
/// Dropping the future gives the handshake up: the pending request is cancelled and the session
/// closed.
///
/// # Errors
///
/// The stream, the driver or the handshake failed. When it was the handshake, the alert that tells
/// the peer has been sent, if there is one.
pub async fn accept<S>(
    driver: &Driver,
    credential: CredentialId,
    alpn: &[&[u8]],
    mut stream: S,
) -> Result<TlsStream<S>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut session: Option<Session> = None;
    // What the peer has sent and no leg has used up: always sent again in front of what comes next.
    let mut input = Vec::new();
    loop {
        read_more(&mut stream, &mut input).await?;
        loop {
            let start = match &session {
                Some(session) => Start::Continue(session.id()),
                None => Start::New { credential, alpn },
            };
            let offered = &input[..input.len().min(limits::MAX_INPUT)];
            let leg = driver.accept(start, offered).await?;
            if let (None, Some(id)) = (&session, leg.session) {
                session = Some(Session::new(driver.clone(), id));
            }
            input.drain(..leg.consumed);
            send(&mut stream, &leg).await?;
            match leg.status {
                SecurityStatus::SEC_E_OK => {
                    let session = session.ok_or(Error::Reply {
                        ioctl: tlsgate_protocol::Ioctl::Accept,
                        problem: "no session",
                    })?;
                    let connection = driver.query_session(session.id()).await?;
                    return Ok(TlsStream::new(stream, session, connection, input));
                }
                // More of the input can be used before the peer has to be heard.
                SecurityStatus::SEC_I_CONTINUE_NEEDED if leg.consumed > 0 && !input.is_empty() => {}
                SecurityStatus::SEC_I_CONTINUE_NEEDED
                | SecurityStatus::SEC_E_INCOMPLETE_MESSAGE => break,
                status => {
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
    }
}

/// Waits for at least one more byte.
async fn read_more(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut Vec<u8>,
) -> Result<(), Error> {
    input.reserve(4096);
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
