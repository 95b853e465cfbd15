"""A way between client and server that does harm to what goes through it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Final

from bore.wire.limits import HEARTBEAT_INTERVAL
from tests.support import eventually

#: A record of TLS that nobody can have made who does not know the keys.
GARBAGE: Final = b"\x17\x03\x03\0\x20" + b"garbage!" * 4

#: The alert that ends a direction in order (RFC 8446, section 6.1), as anybody can say it, who knows no keys.
CLOSE_NOTIFY: Final = b"\x15\x03\x03\0\2\1\0"


class Wire:
    """
    One connection through it.

    :ivar toServer: how many bytes the client has sent.
    :ivar toClient: how many bytes the server has.
    """

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._client = client
        self._server = server
        self._lock = threading.Lock()
        self._ended = False
        self.toServer = self.toClient = 0
        self._threads = [
            threading.Thread(target=self._pump, args=ends, daemon=True) for ends in ((client, server), (server, client))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def moved(self) -> int:
        """How many bytes have gone through."""
        return self.toServer + self.toClient

    @property
    def over(self) -> bool:
        """Whether both ends have closed it."""
        return not any(thread.is_alive() for thread in self._threads)

    def spoil(self, toServer: bool, words: bytes = GARBAGE) -> None:
        """Put in what neither side has said."""
        with self._lock, contextlib.suppress(OSError):
            (self._server if toServer else self._client).sendall(words)

    def end(self) -> None:
        """Pass nothing on any more, and tell both sides, by FIN, that the stream has ended."""
        with self._lock:
            self._ended = True
            for sock in (self._client, self._server):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End it at once."""
        for sock in (self._client, self._server):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for sock in (self._client, self._server):
            sock.close()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if source is self._client:
                    self.toServer += len(data)
                else:
                    self.toClient += len(data)
                if not self._ended:
                    sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


class Wires:
    """
    Forwards connections to a server.

    :ivar all: the connections, the oldest first.
    """

    def __init__(self, host: str, to: tuple[str, int]) -> None:
        self._to = to
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        self.all: list[Wire] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more, and cut everything."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for wire in self.all:
            wire.close()

    def settled(self, number: int) -> None:
        """Wait until so many connections have come, and no more is said on them."""
        last = -1

        def quiet() -> bool:
            nonlocal last
            before, last = last, sum(wire.moved for wire in self.all[1:])
            return len(self.all) >= number and before == last

        eventually(quiet, f"{number} connections")

    def used(self, before: list[int]) -> Wire:
        """The connection on which most was said since then; see :meth:`counts`."""
        return max(self.all, key=lambda wire: wire.moved - dict(enumerate(before)).get(self.all.index(wire), 0))

    def beating(self) -> Wire:
        """The newest control connection: the one on which something is said when there is nothing to say."""
        grown: list[Wire] = []

        def alone() -> bool:
            before = self.counts()
            time.sleep(1.5 * HEARTBEAT_INTERVAL)
            grown[:] = [wire for wire, had in zip(self.all, before, strict=False) if wire.moved > had]
            return len(grown) == 1 and len(self.all) == len(before)

        eventually(alone, "all else is quiet")
        return grown[0]

    def counts(self) -> list[int]:
        """How much was said on each connection so far."""
        return [wire.moved for wire in self.all]

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._to)
            except OSError:
                client.close()
                continue
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.all.append(Wire(client, server))
