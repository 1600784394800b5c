"""A client that goes, at every place of a connection: in order, in the middle of a record, and by a reset."""

import socket
import struct

from alerts import PLACES
from client import CLOSE_NOTIFY, VERSIONS, Client, Stop
from tlslite.constants import ContentType


def cases(_):
    for name, version in VERSIONS.items():
        for place in PLACES[version]:
            for what, act in WAYS.items():
                yield (f"{name}: {what}, {place}",
                       lambda peers, it=(version, place, act): goes(peers, *it))


def goes(peers, version, place, act):
    def go(client):
        act(client)
        raise Stop

    return Client(peers.echo, version, {place: go}).converse()


def say_so(client):
    client.record(ContentType.alert, CLOSE_NOTIFY)


def say_so_and_go_on(client):
    client.record(ContentType.alert, CLOSE_NOTIFY)
    client.record(ContentType.application_data, b"more")


def reset(client):
    client.sock.flush()
    client.wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.wire.socket.close()
    client.wire.recv = lambda most: b""


WAYS = {
    "the client ends": lambda client: None,
    "the client says close_notify and ends": say_so,
    "the client says close_notify, more, and ends": say_so_and_go_on,
    "the client ends in a record's header": lambda client: client.raw([23, 3, 3]),
    "the client ends in a record": lambda client: client.raw([23, 3, 3, 0, 100, *range(50)]),
    "the client resets the connection": reset,
}
