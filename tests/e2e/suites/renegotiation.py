"""Handshake messages where the handshake is over."""

from tlslite.constants import ContentType, HandshakeType

from client import VERSIONS, Client


def cases(_):
    for name, version in VERSIONS.items():
        for what, act in ACTS.items():
            for place in ["established", "echoed"]:
                yield (f"{name}: {what}, {place}",
                       lambda peers, it=(version, place, act): Client(
                           peers.echo, it[0], {"client_hello": remember, it[1]: it[2]}).converse())


def remember(client):
    """Keeps the ClientHello that is being sent, for a second time."""
    send = client._fragments

    def keep(kind, content):
        client.hello = bytes(content)
        client._fragments = send
        send(kind, content)

    client._fragments = keep


def hello(count=1, data=False):
    def send(client):
        for _ in range(count):
            client.record(ContentType.handshake, client.hello)
            if data:
                client.exchange()
    return send


def in_pieces(client):
    half = len(client.hello) // 2
    client.record(ContentType.handshake, client.hello[:half])
    client.record(ContentType.handshake, client.hello[half:])


def message(kind, body=b""):
    return lambda client: client.record(
        ContentType.handshake, [kind, *len(body).to_bytes(3, "big"), *body])


ACTS = {
    "a ClientHello": hello(),
    "ten ClientHellos": hello(10),
    "ten ClientHellos, data between": hello(10, data=True),
    "a ClientHello in two records": in_pieces,
    "half a ClientHello": lambda client: client.record(
        ContentType.handshake, client.hello[:len(client.hello) // 2]),
    "a ClientHello without protection": lambda client: client.plain(
        ContentType.handshake, client.hello),
    "a short ClientHello": message(HandshakeType.client_hello, [3, 3]),
    "a HelloRequest": message(HandshakeType.hello_request),
    "a ticket": message(HandshakeType.new_session_ticket, bytes(20)),
    "a Finished": message(HandshakeType.finished, bytes(12)),
    "a Certificate": message(HandshakeType.certificate, bytes(4)),
    "an unknown message": message(99),
    "a ChangeCipherSpec": lambda client: client.plain(ContentType.change_cipher_spec, [1]),
    "a sealed ChangeCipherSpec": lambda client: client.record(ContentType.change_cipher_spec, [1]),
}
