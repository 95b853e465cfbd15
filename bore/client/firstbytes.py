"""The first bytes that the local service of a tunnel sends to a visitor: they show which protocol it speaks."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred

from bore.streams.dial import Dialer

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: Bytes that are passed on.
FIRST: Final = 16


class FirstBytes:
    """
    Connects to a local service, and looks at what it sends first, on connections that are made until it has sent
    something. Nothing is sent to it, and nothing is read that is not read anyway.

    :param dialer: makes the connections.
    :param seen: called once with the first bytes.
    """

    def __init__(self, dialer: Dialer, seen: Callable[[bytes], None]) -> None:
        self._dialer = dialer
        self._seen: Callable[[bytes], None] | None = seen
        self.patience = dialer.patience

    def dial(self, sendsFirst: bool = False) -> socket.socket | Deferred[socket.socket]:
        """See Dialer."""
        dialled = self._dialer.dial(sendsFirst)
        if self._seen is None:
            return dialled
        if isinstance(dialled, socket.socket):
            return self._watch(dialled)
        return dialled.addCallback(self._watch)

    def received(self, data: bytes) -> None:
        """The service has sent this first on one of the connections."""
        seen, self._seen = self._seen, None
        if seen is not None:
            seen(data)

    def _watch(self, sock: socket.socket) -> socket.socket:
        family, kind, protocol = sock.family, sock.type, sock.proto
        watched = _WatchedSocket(family, kind, protocol, sock.detach())
        watched.setblocking(False)
        watched.received = self.received
        return watched


class _WatchedSocket(socket.socket):
    """A connection of which the first bytes that are read are passed on."""

    received: Callable[[bytes], None] | None = None

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        data = super().recv(bufsize, flags)
        if self.received is not None and data and not flags:
            self._passOn(data[:FIRST])
        return data

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        count = super().recv_into(buffer, nbytes, flags)
        if self.received is not None and count and not flags:
            self._passOn(bytes(memoryview(buffer)[: min(count, FIRST)]))
        return count

    def _passOn(self, data: bytes) -> None:
        received, self.received = self.received, None
        if received is not None:
            received(data)
