"""ChangeCipherSpec: where it must be, where it may be (RFC 8446, appendix D.4), and where it must not."""

from tlslite.constants import ContentType

from client import TLS12, TLS13, VERSIONS, Client
from splitting import RETRY

PLACES = {
    TLS12: ["start", "with client_hello", "client_key_exchange", "after client_key_exchange",
            "after change_cipher_spec", "after finished"],
    TLS13: ["start", "with client_hello", "change_cipher_spec", "finished"],
}

CONTENTS = {"good one": [1], "wrong one": [2], "empty one": [], "long one": [1, 1]}


def cases(_):
    for name, version in VERSIONS.items():
        for place in PLACES[version]:
            for what, content in CONTENTS.items():
                yield (f"{name}: {what}, {place}", lambda peers, it=(version, place, content): converse(
                    peers, it[0], it[1], lambda client: send(client, it[2])))
            yield (f"{name}: ten of them, {place}", lambda peers, it=(version, place): converse(
                peers, *it, lambda client: [send(client, [1]) for _ in range(10)]))
        yield (f"{name}: none", lambda peers, it=version: converse(peers, it, "start", drop))
    yield ("1.3: one between the ClientHellos", lambda peers: Client(
        peers.echo, TLS13, {"with client_hello": lambda client: send(client, [1])}, **RETRY).converse())


def converse(peers, version, place, act):
    return Client(peers.echo, version, {place: act}).converse()


def send(client, content):
    client.plain(ContentType.change_cipher_spec, content)


def drop(client):
    """Leaves out the one of the handshake."""
    fragments = client._fragments
    client._fragments = lambda kind, content: (
        None if kind == ContentType.change_cipher_spec else fragments(kind, content))
