"""What client and server can agree on, one of each kind alone."""

from client import TLS12, TLS13, VERSIONS, Client

CHANGES = {
    "suite": ("cipherNames", ["chacha20-poly1305", "aes128gcm", "aes256gcm", "aes128ccm", "aes256", "3des", "rc4"]),
    "group": ("eccCurves", ["x25519", "secp256r1", "secp384r1", "secp521r1", "x448"]),
}


def cases(_):
    for name, version in VERSIONS.items():
        for what, (setting, values) in CHANGES.items():
            for value in values:
                yield (f"{name}: {what} {value}", lambda peers, it=(version, setting, value): alone(peers, *it))
        yield (f"{name}: no group in common", lambda peers, it=version: Client(
            peers.echo, it, keyShares=["x448"], eccCurves=["x448"]).converse())
    for name, version in {"1.0": (3, 1), "1.1": (3, 2), "3.0": (3, 0)}.items():
        yield (f"{name}: alone", lambda peers, it=version: Client(
            peers.echo, it, cipherNames=["aes128"], macNames=["sha"]).converse())
    yield ("1.2 without extended master secret", lambda peers: Client(
        peers.echo, TLS12, useExtendedMasterSecret=False).converse())
    yield ("1.2 fallback", lambda peers: Client(
        peers.echo, TLS12, sendFallbackSCSV=True).converse())
    yield ("1.3 by a second ClientHello", lambda peers: Client(
        peers.echo, TLS13, keyShares=[]).converse())


def alone(peers, version, setting, value):
    changes = {setting: [value]}
    if setting == "eccCurves":
        changes["keyShares"] = [value]
    return Client(peers.echo, version, **changes).converse()
