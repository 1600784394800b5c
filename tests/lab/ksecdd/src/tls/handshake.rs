//! rustls fed record by record, so that what follows a handshake is never swallowed with it.

use rustls::{
    Error,
    client::{ClientConnectionData, UnbufferedClientConnection},
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{ConnectionState, UnbufferedConnectionCommon, UnbufferedStatus},
};

/// One end's handshake.
pub struct Handshake {
    connection: Connection,
    /// What rustls was given and wants to see again: the records of a message that is not whole.
    unread: Vec<u8>,
    begun: bool,
}

/// Either end's connection.
pub enum Connection {
    /// The end that accepts.
    Server(UnbufferedServerConnection),
    /// The end that initiates.
    Client(UnbufferedClientConnection),
}

/// How far a record brought the handshake.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// It wants another record.
    More,
    /// It stands in the middle of a message that goes on in the next record.
    Midway,
    /// It is finished.
    Done,
}

impl Handshake {
    /// A handshake that has not begun.
    pub fn new(connection: Connection) -> Self {
        Self {
            connection,
            unread: Vec::new(),
            begun: false,
        }
    }

    /// Gives rustls `bytes` and appends what it has to say to `token`, alerts included.
    pub fn feed(&mut self, bytes: &[u8], token: &mut Vec<u8>) -> Result<Progress, Error> {
        self.begun = true;
        self.unread.extend_from_slice(bytes);
        let handshaking = match &mut self.connection {
            Connection::Server(server) => {
                drive(
                    server,
                    UnbufferedConnectionCommon::<ServerConnectionData>::process_tls_records,
                    &mut self.unread,
                    token,
                )?;
                server.is_handshaking()
            }
            Connection::Client(client) => {
                drive(
                    client,
                    UnbufferedConnectionCommon::<ClientConnectionData>::process_tls_records,
                    &mut self.unread,
                    token,
                )?;
                client.is_handshaking()
            }
        };
        Ok(match (handshaking, self.unread.is_empty()) {
            (false, _) => Progress::Done,
            (true, true) => Progress::More,
            (true, false) => Progress::Midway,
        })
    }

    /// Whether this is a client that has not said hello.
    pub fn is_unbegun_client(&self) -> bool {
        !self.begun && matches!(self.connection, Connection::Client(_))
    }

    /// The connection of a handshake that is done.
    pub fn into_connection(self) -> Connection {
        self.connection
    }
}

/// Lets rustls go on until it wants more input. With an error, its alert is in `token`.
fn drive<Data>(
    connection: &mut UnbufferedConnectionCommon<Data>,
    process: impl for<'c, 'i> Fn(
        &'c mut UnbufferedConnectionCommon<Data>,
        &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Data>,
    unread: &mut Vec<u8>,
    token: &mut Vec<u8>,
) -> Result<(), Error> {
    let mut failure = None;
    loop {
        let UnbufferedStatus { discard, state, .. } = process(connection, unread);
        let more = match state {
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                let at = token.len();
                let size = match data.encode(&mut []) {
                    Err(rustls::unbuffered::EncodeError::InsufficientSize(size)) => {
                        size.required_size
                    }
                    _ => 0,
                };
                token.resize(at + size, 0);
                data.encode(&mut token[at..])
                    .map_err(|error| Error::General(error.to_string()))?;
                true
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                true
            }
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                return Err(Error::AlertReceived(rustls::AlertDescription::CloseNotify));
            }
            Ok(_) => false,
            Err(error) => {
                failure = Some(error);
                true
            }
        };
        unread.drain(..discard);
        match failure {
            // rustls still has its alert to say, but must not look at the input again.
            Some(_) if connection.wants_write() => {}
            Some(error) => return Err(error),
            None if more => {}
            None => return Ok(()),
        }
    }
}
