"""KeyUpdates (RFC 8446, section 4.6.3): few, storms of them, and wrong ones."""

from tlslite.constants import ContentType, HandshakeType

from client import TLS12, TLS13, Client

NOT_REQUESTED, REQUESTED = 0, 1


def cases(whole):
    counts = [1, 2, 10, 32, 33, 100, *([1000] if whole else [])]
    for count in counts:
        for what, request in {"answered": REQUESTED, "not answered": NOT_REQUESTED}.items():
            yield (f"{count} to be {what}",
                   lambda peers, it=(count, request): converse(
                       peers, lambda client: [update(client, it[1]) for _ in range(it[0])]))
            yield (f"{count} to be {what}, data between",
                   lambda peers, it=(count, request): converse(
                       peers, lambda client: [
                           [update(client, it[1]), client.exchange()] for _ in range(it[0])]))
    yield ("both kinds in turn, data between",
           lambda peers: converse(peers, lambda client: [
               [update(client, turn % 2), client.exchange()] for turn in range(20)]))
    for what, contents in WRONG.items():
        yield (what, lambda peers, it=contents: converse(
            peers, lambda client: [client.record(ContentType.handshake, content) for content in it]))
        yield (f"{what}, before Finished", lambda peers, it=contents: Client(
            peers.echo, TLS13, {"finished": lambda client: [
                client.record(ContentType.handshake, content) for content in it]}).converse())
    yield ("one in TLS 1.2", lambda peers: Client(peers.echo, TLS12, {
        "established": lambda client: client.record(ContentType.handshake, message(0))}).converse())
    yield ("one without protection", lambda peers: converse(
        peers, lambda client: client.plain(ContentType.handshake, message(0))))
    yield ("one in records of one byte", lambda peers: converse(peers, in_pieces))


def converse(peers, act):
    return Client(peers.echo, TLS13, {"established": act}).converse()


def update(client, request):
    for _ in client.send_keyupdate_request(request):
        pass


def in_pieces(client):
    client.cut(1)
    update(client, REQUESTED)
    client.cut(2 ** 14)


def message(*body):
    return bytes([HandshakeType.key_update, *len(body).to_bytes(3, "big"), *body])


# The contents of records.
WRONG = {
    "a good one, but the keys stay": [message(0)],
    "one of an unknown kind": [message(2)],
    "one without content": [message()],
    "one of two bytes": [message(0, 0)],
    "two in a record": [message(0) + message(0)],
    "one with half of the next behind it": [message(0) + message(0)[:3]],
    "data between its halves": [message(0)[:2]],
}
