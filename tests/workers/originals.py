"""An original client, as tests of workers need it."""

from __future__ import annotations

import socket

from bore.wire import messages
from bore.wire.messages import Challenge
from bore.wire.proof import proveBase
from bore.wire.secret import Secret
from tests.support import receiveExactly


class Original:
    """An original client's end of a connection, whose calls block."""

    def __init__(self, host: str, port: int) -> None:
        self.sock = socket.create_connection((host, port), 10)

    def send(self, message: messages.ClientMessage) -> None:
        self.sock.sendall(messages.encode(message))

    def frame(self) -> messages.ServerMessage:
        data = b""
        while not data.endswith(b"\0"):
            data += receiveExactly(self.sock, 1)
        return messages.decodeServerMessage(data[:-1])

    def request(self, message: messages.ClientMessage, secret: Secret | None = None) -> None:
        if secret is not None:
            challenge = self.frame()
            assert isinstance(challenge, Challenge)
            self.send(messages.Authenticate(proveBase(secret, challenge.id)))
        self.send(message)
