"""Alerts of every kind, at every place of a connection."""

from tlslite.constants import ContentType

from client import TLS12, TLS13, VERSIONS, Client

# The places, in order.
PLACES = {
    TLS12: ["start", "with client_hello", "client_key_exchange", "change_cipher_spec", "finished",
            "after finished", "established", "echoed", "closed"],
    TLS13: ["start", "with client_hello", "finished", "established", "echoed", "closed"],
}

# The content of a record.
ALERTS = {
    "warning close_notify": [1, 0],
    "fatal close_notify": [2, 0],
    "warning user_canceled": [1, 90],
    "fatal handshake_failure": [2, 40],
    "fatal bad_record_mac": [2, 20],
    "warning no_renegotiation": [1, 100],
    "unknown warning": [1, 255],
    "unknown fatal alert": [2, 255],
    "alert of unknown level": [3, 40],
    "half an alert": [1],
    "empty alert": [],
    "two warnings in a record": [1, 90, 1, 90],
}


def cases(_):
    for name, version in VERSIONS.items():
        for place in PLACES[version]:
            for what, content in ALERTS.items():
                yield case(name, version, place, what, lambda client, it=content: alert(client, it))
            yield case(name, version, place, "alert in two records",
                       lambda client: [alert(client, [part]) for part in [1, 90]])
            yield case(name, version, place, "twenty warnings",
                       lambda client: [alert(client, [1, 90]) for _ in range(20)])
            if place in ["established", "echoed"]:
                yield case(name, version, place, "plain fatal alert",
                           lambda client: client.plain(ContentType.alert, [2, 40]))


def case(name, version, place, what, act):
    return (f"{name}: {what}, {place}",
            lambda peers: Client(peers.echo, version, {place: act}).converse())


def alert(client, content):
    client.record(ContentType.alert, content)
