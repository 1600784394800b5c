"""Certificates of clients, good and bad, for a server that demands one, and for one that does not."""

from tlslite.constants import ContentType, HandshakeType
from tlslite.api import X509CertChain

from client import TLS12, VERSIONS, Client

IDENTITIES = ["rsa", "ecdsa", "server", "expired", "stranger"]


def cases(_):
    for name, version in VERSIONS.items():
        for kind in ["mutual", "echo"]:
            def case(what, run, version=version, kind=kind):
                return (f"{name}: {what}, {kind} server",
                        lambda peers: run(peers, getattr(peers, kind), version))

            yield case("none", lambda peers, server, version: Client(server, version).converse())
            for identity in IDENTITIES:
                yield case(identity, lambda peers, server, version, it=identity: Client(
                    server, version, {}, *peers.identity(it)).converse())
            yield case("another's", anothers)
            for message in ["certificate", "certificate_verify"]:
                for what, change in CHANGES.items():
                    yield case(f"{message} {what}", lambda peers, server, version, it=(message, change):
                               changed(peers, server, version, *it))
            yield case("certificate that is garbage", garbage)
            yield case("certificate compressed without being asked", compressed)
            yield case("certificate that nobody asked for", unsolicited)


def anothers(peers, server, version):
    """A good certificate with a key that is not its own."""
    chain, _ = peers.identity("rsa")
    _, key = peers.identity("stranger")
    return Client(server, version, {}, chain, key).converse()


def changed(peers, server, version, message, change):
    """One message of the client's is not what it should be."""
    def begin(client):
        fragments = client._fragments

        def send(kind, content):
            client._fragments = fragments
            content = change(bytes(content))
            if content:
                fragments(kind, content)

        client._fragments = send

    return Client(server, version, {message: begin}, *peers.identity("rsa")).converse()


def garbage(peers, server, version):
    chain, key = peers.identity("rsa")
    certificate = chain.x509List[0]
    certificate.bytes = bytes(200)
    return Client(server, version, {}, X509CertChain([certificate]), key).converse()


def compressed(peers, server, version):
    return Client(server, version, {}, *peers.identity("rsa"),
                  certificate_compression_send=["zlib"]).converse()


def unsolicited(peers, server, version):
    body = bytes(3) if version == TLS12 else bytes(4)
    message = [HandshakeType.certificate, *len(body).to_bytes(3, "big"), *body]
    place = "client_key_exchange" if version == TLS12 else "finished"
    return Client(server, version, {
        place: lambda client: client.record(ContentType.handshake, message)}).converse()


CHANGES = {
    "left out": lambda content: b"",
    "sent twice": lambda content: content + content,
    "without content": lambda content: content[:1] + bytes(3),
    "with a byte too many": lambda content: (
        content[:1] + (len(content) - 3).to_bytes(3, "big") + content[4:] + b"x"),
    "with one bit wrong": lambda content: content[:-1] + bytes([content[-1] ^ 1]),
}
