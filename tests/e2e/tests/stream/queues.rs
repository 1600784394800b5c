//! The queues of this host's TCP connections, asked of the kernel by `sock_diag(7)`. The table in
//! `/proc/net/tcp` has them too, but takes milliseconds once thousands of connections have been.

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::{
    SockDiagMessage,
    constants::{AF_INET, IPPROTO_TCP},
    inet::{ExtensionFlags, InetRequest, SocketId, StateFlags},
};
use netlink_sys::{Socket, protocols::NETLINK_SOCK_DIAG};
use std::{io, net::SocketAddr};

/// One end's queues, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Queued {
    /// Received and not read.
    pub unread: u32,
    /// Sent and not acknowledged.
    pub unacknowledged: u32,
}

/// A way to ask.
pub struct Queues(Socket);

impl Queues {
    /// Opens it.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
        socket.bind_auto()?;
        socket.connect(&netlink_sys::SocketAddr::new(0, 0))?;
        Ok(Self(socket))
    }

    /// The queues of a connection's end; an error when there is none.
    pub fn of(&self, local: SocketAddr, remote: SocketAddr) -> io::Result<Queued> {
        let request = InetRequest {
            family: AF_INET,
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::empty(),
            states: StateFlags::all(),
            socket_id: SocketId {
                source_port: local.port(),
                destination_port: remote.port(),
                source_address: local.ip(),
                destination_address: remote.ip(),
                interface_id: 0,
                // INET_DIAG_NOCOOKIE: whichever socket has the addresses.
                cookie: [0xFF; 8],
            },
        };
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST;
        let mut question =
            NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
        question.finalize();
        let mut bytes = vec![0; question.buffer_len()];
        question.serialize(&mut bytes);
        self.0.send(&bytes, 0)?;
        let (bytes, _) = self.0.recv_from_full()?;
        let answer =
            NetlinkMessage::<SockDiagMessage>::deserialize(&bytes).map_err(io::Error::other)?;
        match answer.payload {
            NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => Ok(Queued {
                unread: response.header.recv_queue,
                unacknowledged: response.header.send_queue,
            }),
            NetlinkPayload::Error(error) => Err(error.to_io()),
            other => Err(io::Error::other(format!("sock_diag answers {other:?}"))),
        }
    }
}
