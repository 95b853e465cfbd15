"""A TCP forwarder between client and server, which records what passes and can damage it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Final

from bore.wire.limits import HEARTBEAT_INTERVAL
from tests.support import eventually

#: A TLS record that was encrypted without the keys.
GARBAGE: Final = b"\x17\x03\x03\0\x20" + b"garbage!" * 4

#: The alert that ends a direction in order (RFC 8446, section 6.1), without encryption: anybody can send it.
CLOSE_NOTIFY: Final = b"\x15\x03\x03\0\2\1\0"


class Passage:
    """
    One connection through a forwarder.

    :ivar fromClient: the bytes that the client has sent.
    :ivar fromServer: the bytes that the server has sent.
    """

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._client = client
        self._server = server
        self._lock = threading.Lock()
        self._ended = False
        self.fromClient = bytearray()
        self.fromServer = bytearray()
        self._threads = [
            threading.Thread(target=self._pump, args=arguments, daemon=True)
            for arguments in ((client, server, self.fromClient), (server, client, self.fromServer))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def moved(self) -> int:
        """How many bytes were sent, in both directions."""
        return len(self.fromClient) + len(self.fromServer)

    @property
    def isOver(self) -> bool:
        """Whether both ends have closed the connection."""
        return not any(thread.is_alive() for thread in self._threads)

    def insert(self, data: bytes, toServer: bool) -> None:
        """Send bytes to one end that the other has not sent."""
        with self._lock, contextlib.suppress(OSError):
            (self._server if toServer else self._client).sendall(data)

    def end(self) -> None:
        """Forward nothing more, and send both ends a FIN."""
        with self._lock:
            self._ended = True
            for sock in (self._client, self._server):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """Close the connection to both ends."""
        for sock in (self._client, self._server):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for sock in (self._client, self._server):
            sock.close()

    def _pump(self, source: socket.socket, sink: socket.socket, received: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                received += data
                if not self._ended:
                    sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


class Forwarder:
    """
    Forwards connections to a server.

    :param host: the address that it listens on.
    :param port: the port, 0 for any.
    :param to: the server.
    :param source: the address that it connects from; empty: any.
    :ivar passages: the connections, the oldest first.
    """

    def __init__(self, host: str, port: int, to: tuple[str, int], source: str = "") -> None:
        self._to = to
        self._source = (source, 0) if source else None
        self._listener = socket.create_server((host, port))
        self.port: int = self._listener.getsockname()[1]
        self.passages: list[Passage] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and cut all connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for passage in self.passages:
            passage.cut()

    @property
    def session(self) -> Passage:
        """The newest control connection, if it is not encrypted."""
        return next(passage for passage in reversed(self.passages) if b'{"Hello":' in passage.fromClient)

    def counts(self) -> list[int]:
        """The bytes of each connection so far."""
        return [passage.moved for passage in self.passages]

    def settle(self, number: int) -> None:
        """Wait until there are that many connections, and all but the first are quiet."""
        last = -1

        def isQuiet() -> bool:
            nonlocal last
            before, last = last, sum(passage.moved for passage in self.passages[1:])
            return len(self.passages) >= number and before == last

        eventually(isQuiet, f"{number} connections")

    def busiest(self, before: list[int]) -> Passage:
        """The connection that has moved most since then; see :meth:`counts`."""
        counts = self.counts()
        grown = [now - had for now, had in zip(counts, before + [0] * len(counts), strict=False)]
        return self.passages[grown.index(max(grown))]

    def heartbeats(self) -> Passage:
        """The control connection, encrypted or not: the only one that moves something while all else is quiet."""
        grown: list[Passage] = []

        def isAlone() -> bool:
            before = self.counts()
            time.sleep(1.5 * HEARTBEAT_INTERVAL)
            grown[:] = [each for each, had in zip(self.passages, before, strict=False) if each.moved > had]
            return len(grown) == 1 and len(self.passages) == len(before)

        eventually(isAlone, "all else is quiet")
        return grown[0]

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._to, source_address=self._source)
            except OSError:
                client.close()
                continue
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.passages.append(Passage(client, server))
