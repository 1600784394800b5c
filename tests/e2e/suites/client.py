"""A client of tlslite-ng's that does what a case wants at any place of a connection, and notes what it hears."""

import socket

from tlslite.api import HandshakeSettings, TLSConnection
from tlslite.constants import AlertDescription, AlertLevel, ContentType, HandshakeType
from tlslite.errors import TLSAbruptCloseError, TLSError, TLSLocalAlert, TLSRemoteAlert
from tlslite.messages import Message

PATIENCE = 30  # seconds
TLS12, TLS13 = (3, 3), (3, 4)
VERSIONS = {"1.2": TLS12, "1.3": TLS13}
CLOSE_NOTIFY = bytes([AlertLevel.warning, AlertDescription.close_notify])
NO_RENEGOTIATION = bytes([AlertLevel.warning, AlertDescription.no_renegotiation])


class Stop(Exception):
    """The client says no more."""


class Wire:
    """The socket. A server that has gone is heard out: to write to it is no error, and a reset is an end."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data):
        try:
            self.socket.sendall(data)
        except ConnectionError:
            pass
        return len(data)

    sendall = send

    def recv(self, most):
        try:
            return self.socket.recv(most)
        except ConnectionError:
            return b""

    def end(self):
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # It has gone.

    def close(self):
        self.socket.close()


def settings(version, **changes):
    """What a client offers: one version, and ChaCha20, which pure Python is fastest with."""
    wanted = HandshakeSettings()
    wanted.minVersion = wanted.maxVersion = version
    wanted.cipherNames = ["chacha20-poly1305"]
    wanted.eccCurves = ["x25519", "secp256r1"]
    wanted.keyShares = ["x25519"]
    # Else it compresses its certificate whether or not the server can read that.
    wanted.certificate_compression_send = []
    for name, value in changes.items():
        setattr(wanted, name, value)
    return wanted


def place_of(message):
    """The name of the place before this message."""
    if message.contentType == ContentType.handshake:
        return HandshakeType.toStr(message.handshakeType)
    return ContentType.toStr(message.contentType)


class Client(TLSConnection):
    """One connection. `actions` are called with the client before the message that they are filed under, or
    after it ("after finished"), in one piece with it ("with client_hello"), or at "start", "established", "echoed" and
    "closed"."""

    def __init__(self, address, version, actions=None, chain=None, key=None, **changes):
        self.wire = Wire(address)
        super().__init__(self.wire)
        self.closeSocket = False
        self.settings = settings(version, **changes)
        self.actions = dict(actions or {})
        self.chain, self.key = chain, key
        self.heard = []
        self.sizes = {}
        self.together = False
        self.held = bytearray()
        self.behind = b""

    # What a case can do.

    def raw(self, data):
        """Sends bytes as they are."""
        self.sock.send(bytearray(data))

    def record(self, kind, content):
        """Sends a record, protected if records are protected by now."""
        for _ in self._recordLayer.sendRecord(Message(kind, bytearray(content))):
            pass

    def plain(self, kind, content, version=TLS12):
        """Sends a record without protection."""
        self.raw([kind, *version, *len(content).to_bytes(2, "big"), *content])

    def cut(self, size):
        """Has messages go in records of this many bytes at most, from now on."""
        self.recordSize = size

    def append(self, message):
        """Has this go behind the next handshake message, in the same record."""
        self.behind = bytes(message)

    def exchange(self, data=b"ping"):
        """Sends data and hears it come back, with what else may come in front of it."""
        self.write(data)
        heard = b""
        while not heard.endswith(data):
            piece = self.read()
            if not piece:
                return
            heard += piece
        self.note("echo" if heard == data else "other data, echo")

    # What a connection is made of.

    def converse(self):
        """The whole of it. Gives what was heard, in order."""
        try:
            self.act("start")
            self.handshakeClientCert(
                self.chain, self.key, settings=self.settings, serverName="localhost")
            self.note("hands shaken")
            self.act("established")
            self.exchange()
            self.act("echoed")
            self.record(ContentType.alert, CLOSE_NOTIFY)
            self.act("closed")
        except (Stop, TLSRemoteAlert, TLSAbruptCloseError):
            pass  # The alert has been noted, and the end will be.
        except (TLSError, SyntaxError) as error:
            self.note(f"not understood: {error}")
        except TimeoutError:
            self.note("silence")
        self.listen()
        self.wire.close()
        return ", ".join(self.heard)

    def listen(self):
        """Ends its own side, and hears the server out."""
        self.sock.flush()
        self.sock.buffer_writes = False
        self.wire.end()
        try:
            while True:
                for result in self._getNextRecord():
                    if result not in (0, 1):
                        break
                kind = result[0].type
                if kind == ContentType.application_data:
                    self.note("data")
                elif kind == ContentType.change_cipher_spec and self.version == TLS12:
                    self._changeReadState()
        except TLSAbruptCloseError:
            self.note("end")
        except TimeoutError:
            self.note("silence")
        except TLSLocalAlert as error:
            self.note(f"not understood: {error}")

    def note(self, heard):
        if self.heard[-1:] != [heard]:
            self.heard.append(heard)

    def act(self, place):
        action = self.actions.pop(place, None)
        if action:
            action(self)

    # What tlslite-ng calls.

    def _sendMsg(self, msg, randomizeFirstBlock=True, update_hashes=True):
        place, content = place_of(msg), msg.write()
        if place in self.sizes:
            place = f"second {place}"
        self.act(place)
        # What is sent with a message is read with it, not by chance before or after.
        beside = self.actions.pop(f"with {place}", None)
        self.sock.buffer_writes |= beside is not None
        if msg.contentType == ContentType.handshake:
            self._handshake_hash.update(content)
            self.sizes[place] = len(content)
            self.held += content
            if not self.together or place == "finished":
                self._release()
        else:
            self._release()
            self._fragments(msg.contentType, content)
        if beside:
            beside(self)
            self.sock.flush()
            self.sock.buffer_writes = False
        self.act(f"after {place}")
        yield from ()

    def _release(self):
        """Sends the handshake messages that wait."""
        held, self.held = self.held + self.behind, bytearray()
        self.behind = b""
        if held:
            self._fragments(ContentType.handshake, held)

    def _fragments(self, kind, content):
        for start in range(0, len(content), self.recordSize):
            self.record(kind, content[start:start + self.recordSize])
            self.act("after a fragment")

    def _getNextRecord(self):
        for result in super()._getNextRecord():
            if result not in (0, 1) and result[0].type == ContentType.alert:
                content = bytes(result[1].bytes)
                level, description = content
                level = AlertLevel.toStr(level)
                self.note(f"{level} {AlertDescription.toStr(description)}")
                if content == NO_RENEGOTIATION:
                    continue
            yield result

    def _shutdown(self, resumable):
        # The keys stay, for what else the server may say.
        self.closed = True
