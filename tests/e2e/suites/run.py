"""Runs every case against one server, and prints what became of each as an object of JSON.

    run.py ECHO MUTUAL IDENTITIES [--whole]

ECHO and MUTUAL are ports: a server that sends back what it gets, and one that also demands a certificate. In
IDENTITIES are certificates with their keys.
"""

import json
import pathlib
import sys

from tlslite.api import X509, X509CertChain, parsePEMKey

import alerts
import certificates
import change_cipher_spec
import closing
import key_updates
import negotiation
import records
import renegotiation
import splitting

SUITES = [
    splitting, negotiation, records, alerts, change_cipher_spec, certificates, renegotiation, key_updates, closing]


class Peers:
    """The servers, and who the client can be."""

    def __init__(self, echo, mutual, identities):
        self.echo = ("127.0.0.1", int(echo))
        self.mutual = ("127.0.0.1", int(mutual))
        self.identities = pathlib.Path(identities)

    def identity(self, name):
        """The certificate chain and the key of that name."""
        pem = (self.identities / f"{name}.pem").read_text()
        certificate, key = pem.split("-----BEGIN PRIVATE KEY-----")
        chain = X509CertChain([X509().parse(certificate)])
        return chain, parsePEMKey("-----BEGIN PRIVATE KEY-----" + key, private=True)


def main(echo, mutual, identities, *options):
    peers = Peers(echo, mutual, identities)
    outcomes = {}
    for suite in SUITES:
        for name, run in suite.cases("--whole" in options):
            name = f"{suite.__name__}: {name}"
            if name in outcomes:
                raise KeyError(f"two cases are named {name}")
            outcomes[name] = run(peers)
    json.dump(outcomes, sys.stdout, indent=1)


main(*sys.argv[1:])
