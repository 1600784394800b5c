"""Records that are too long, empty, damaged, padded, or of no known type or version."""

from tlslite.constants import ContentType

from client import TLS12, TLS13, VERSIONS, Client, Stop

# Where there are no keys, where there are, and where there is a connection.
PLACES = {
    TLS12: ["start", "client_key_exchange", "finished", "established"],
    TLS13: ["start", "with client_hello", "finished", "established"],
}

MOST = 2 ** 14


def cases(_):
    for name, version in VERSIONS.items():
        acts = ACTS | (ACTS_OF_TLS13 if version == TLS13 else {})
        for place in PLACES[version]:
            for what, act in acts.items():
                yield (f"{name}: {what}, {place}",
                       lambda peers, it=(version, place, act): Client(
                           peers.echo, version, {it[1]: it[2]}).converse())
        for size in [MOST - 1, MOST, MOST + 1, 3 * MOST]:
            yield (f"{name}: data of {size} bytes",
                   lambda peers, it=(version, size): data(peers, *it))


def data(peers, version, size):
    """In one record if that is possible."""
    def send(client):
        client.exchange(bytes(size))

    return Client(peers.echo, version, {"established": send}).converse()


def plain(kind, content, version=TLS12):
    return lambda client: client.plain(kind, content, version)


def sealed(kind, content, count=1):
    def send(client):
        for _ in range(count):
            client.record(kind, content)
    return send


def header(kind, length):
    """A header alone, and then no more: what it says may be enough."""
    def send(client):
        client.raw([kind, *TLS12, *length.to_bytes(2, "big")])
        raise Stop
    return send


def damaged(at):
    """A record with one bit wrong."""
    def send(client):
        sent = client.wire.send
        def wrong(content):
            content = bytearray(content)
            content[at] ^= 1
            client.wire.send = client.wire.sendall = sent
            return sent(content)
        client.sock.flush()
        client.sock.buffer_writes = False
        client.wire.send = client.wire.sendall = wrong
        client.record(ContentType.application_data, b"data")
    return send


def padded(length):
    """Zeros behind the content (RFC 8446, section 5.4)."""
    def send(client):
        client._recordLayer.padding_cb = lambda *_: bytearray(length)
        client.record(ContentType.application_data, b"")
        client._recordLayer.padding_cb = None
    return send


ACTS = {
    "an empty handshake record": sealed(ContentType.handshake, b""),
    "an empty data record": sealed(ContentType.application_data, b""),
    "five hundred empty data records": sealed(ContentType.application_data, b"", 500),
    "an empty ChangeCipherSpec": plain(ContentType.change_cipher_spec, b""),
    "an empty record without protection": plain(ContentType.application_data, b""),
    "a data record without protection": plain(ContentType.application_data, b"data"),
    "a data record of 2^14 + 1 bytes": sealed(ContentType.application_data, bytes(MOST + 1)),
    "a handshake record of 2^14 + 1 bytes": sealed(ContentType.handshake, bytes(MOST + 1)),
    "a record of 2^14 + 256 bytes": plain(ContentType.application_data, bytes(MOST + 256)),
    "a record of 2^14 + 257 bytes": plain(ContentType.application_data, bytes(MOST + 257)),
    "a record of 2^14 + 2048 bytes": plain(ContentType.application_data, bytes(MOST + 2048)),
    "a header of 2^14 + 257 bytes": header(ContentType.handshake, MOST + 257),
    "a header of 2^14 + 2049 bytes": header(ContentType.application_data, MOST + 2049),
    "a header of the longest record": header(ContentType.handshake, 0xFFFF),
    "a record of version 3.0": plain(ContentType.handshake, [1], (3, 0)),
    "a record of version 3.4": plain(ContentType.handshake, [1], (3, 4)),
    "a record of version 2.3": plain(ContentType.handshake, [1], (2, 3)),
    "a record of version 4.3": plain(ContentType.handshake, [1], (4, 3)),
    "a record of type 0": plain(0, b"data"),
    "a record of type 19": plain(19, b"data"),
    "a heartbeat": plain(ContentType.heartbeat, [1, 0, 4, *b"data", *bytes(16)]),
    "a sealed heartbeat": sealed(ContentType.heartbeat, [1, 0, 4, *b"data", *bytes(16)]),
    "a sealed record of type 99": sealed(99, b"data"),
    "a record of type 255": plain(255, b"data"),
    "a wrong type": damaged(0),
    "a wrong version": damaged(2),
    "a wrong length": damaged(4),
    "wrong content": damaged(5),
    "a wrong tag": damaged(-1),
}

ACTS_OF_TLS13 = {
    "an empty data record, padded": padded(100),
    "a record of nothing but zeros": sealed(0, bytes(100)),
}
