"""What the tests of Unix sockets at the server share."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from bore.wire.publicaddress import UnixPath
from tests.processes.case import ProcessCase
from tests.support import (
    Program,
    bore,
    temporaryFolder,
)


def answerHttp(sock: socket.socket) -> None:
    """Answer one request with its path."""
    request = b""
    while b"\r\n\r\n" not in request:
        received = sock.recv(1 << 16)
        if not received:
            return
        request += received
    path = request.split()[1]
    sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(path), path))


class UnixCase(ProcessCase):
    """A server with a directory for sockets."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = temporaryFolder(self)
        self.web = UnixPath(str(self.folder / "web.sock"))
        self.up, self.control = self.server("--unix-folder", str(self.folder))

    def tunnel(self, *words: str, port: int = 0, home: Path | None = None, relay: str = "") -> Program:
        """A client whose tunnel is up."""
        environment = {"BORE_RELAY": relay} if relay else {}
        environment |= {} if home is None else {"XDG_STATE_HOME": str(home)}
        local = f"{port or self.service.port}:{self.web}"
        to = f"{self.host}:{self.control}"
        client = self.start(bore("local", local, "-l", "127.0.0.1", "-t", to, *words, environment=environment))
        client.waitFor(f"listening at {self.web} on {self.host} -> 127.0.0.1:")
        return client

    def files(self) -> list[str]:
        return sorted(os.listdir(self.folder))
