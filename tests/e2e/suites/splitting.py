"""Handshake messages in many records, and many in one."""

from tlslite.constants import ContentType, HandshakeType

from client import TLS12, TLS13, VERSIONS, Client

# A second ClientHello: the server does not know the group of the first one's only share.
RETRY = {"keyShares": ["ffdhe2048"], "dhGroups": ["ffdhe2048"]}

# The messages of each handshake that are cut, and what the client offers.
HANDSHAKES = {
    "1.2": (TLS12, {}, ["client_hello", "client_key_exchange", "finished"]),
    "1.3": (TLS13, {}, ["client_hello", "finished"]),
    "1.3 retry": (TLS13, RETRY, ["client_hello", "second client_hello", "finished"]),
}

# Of the sizes at which a message can be cut, those of a short run: around each header, and at the end.
SHORT = [1, 2, 3, 4, 5, 6, 9, 16, 38, 39]


def cases(whole):
    for name, (version, changes, messages) in HANDSHAKES.items():
        for message in messages:
            yield (f"{name}: {message} in records of every size",
                   lambda peers, it=(version, changes, message): every_size(peers, whole, *it))
        yield (f"{name}: all in records of every size",
               lambda peers, it=(version, changes): every_size(peers, whole, *it, None))
    for name, version in VERSIONS.items():
        yield from interrupted(name, version)
        yield from excess(name, version)
        for size in [2 ** 14, 1, 5, 100]:
            yield (f"{name}: the certificate's flight in one piece, in records of {size}",
                   lambda peers, it=(version, size): together(peers, *it))


def every_size(peers, whole, version, changes, message):
    """The outcomes, with the sizes where it is not always the same."""
    probe = Client(peers.echo, version, **changes)
    probe.converse()
    length = probe.sizes[message or "client_hello"]
    sizes = range(1, length + 1) if whole else [*SHORT, length // 2, length - 1]
    outcomes = {}
    for size in sizes:
        actions = {}
        if message:
            actions[message] = lambda client: client.cut(size)
            actions[f"after {message}"] = lambda client: client.cut(2 ** 14)
        else:
            actions["start"] = lambda client: client.cut(size)
            actions["established"] = lambda client: client.cut(2 ** 14)
        outcome = Client(peers.echo, version, actions, **changes).converse()
        outcomes.setdefault(outcome, []).append(size)
    if len(outcomes) == 1:
        return outcome
    return "; ".join(f"{sizes}: {outcome}" for outcome, sizes in outcomes.items())


def interrupted(name, version):
    """Something else between the two halves of a ClientHello."""
    others = {
        "nothing": lambda client: None,
        "an empty record": lambda client: client.plain(ContentType.handshake, b""),
        "a warning": lambda client: client.plain(ContentType.alert, [1, 90]),
        "a ChangeCipherSpec": lambda client: client.plain(ContentType.change_cipher_spec, [1]),
        "data": lambda client: client.plain(ContentType.application_data, b"data"),
        "another ClientHello's front": lambda client: client.plain(
            ContentType.handshake, [HandshakeType.client_hello, 0, 0, 100, 3, 3]),
    }
    for what, act in others.items():
        actions = {
            "client_hello": lambda client: client.cut(100),
            "after a fragment": act,
        }
        yield (f"{name}: {what} between the halves of a ClientHello",
               lambda peers, it=actions: Client(peers.echo, version, it).converse())


def excess(name, version):
    """More handshake messages in a record than there may be."""
    hello = [HandshakeType.client_hello, 0, 0, 2, 3, 3]
    finished = [HandshakeType.finished, 0, 0, 12, *bytes(12)]
    for place in ["client_hello", "finished"]:
        for what, message in {
            "the front of a ClientHello": hello[:3],
            "a short ClientHello": hello,
            "a Finished": finished,
            "an unknown message": [99, 0, 0, 0],
            "a HelloRequest": [0, 0, 0, 0],
            "a KeyUpdate": [HandshakeType.key_update, 0, 0, 1, 0],
        }.items():
            yield (f"{name}: {what} behind {place} in its record",
                   lambda peers, it=(place, message): Client(
                       peers.echo, version,
                       {it[0]: lambda client: client.append(it[1])}).converse())


def together(peers, version, size):
    """Certificate, ClientKeyExchange and CertificateVerify as one run of bytes."""
    chain, key = peers.identity("rsa")

    def begin(client):
        client.together = True
        client.cut(size)

    def end(client):
        client.together = False
        client.cut(2 ** 14)

    actions = {"certificate": begin, "established": end}
    return Client(peers.mutual, version, actions, chain, key).converse()
