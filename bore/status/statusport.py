"""
The status port: HTTP for monitoring, for programs that look whether this one is well, and for people.

What answers requests is imported at the first connection.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from twisted.application.service import Service

from bore.events import Sink, StatusPortOpen
from bore.status.door import Door, Host
from bore.streams.addresses import SocketAddress, hostPort, localAddress, plainHost
from bore.streams.reactor import IReactor

if TYPE_CHECKING:
    from bore.status.guard import Tokens
    from bore.status.questions import Route


class StatusPort(Service):
    """
    Serves HTTP on a listening socket.

    :param sock: the listening socket; it belongs to the port from now on.
    :param tokens: returns the tokens that are valid, see :class:`bore.status.guard.Guard`. None: no token is needed.
    :param routes: makes what answers requests, by method and path. It is called at the first connection, and imports
        what it needs.
    :ivar url: where a browser on this machine finds it.
    """

    def __init__(
        self,
        reactor: IReactor,
        sink: Sink,
        sock: socket.socket,
        tokens: Tokens | None,
        routes: Callable[[], Mapping[str, Route]],
    ) -> None:
        self._reactor = reactor
        self._sink = sink
        self._socket = sock
        self._tokens = tokens
        self._routes = routes
        self._door: Door | None = None
        self.url: Final = _urlOf(localAddress(sock))

    def startService(self) -> None:
        """Accept connections."""
        Service.startService(self)
        self._door = Door(self._reactor, self._socket, self._open)
        self._sink.emit(StatusPortOpen(self.url))

    def stopService(self) -> None:
        """Close the port and all of its connections."""
        Service.stopService(self)
        if self._door is not None:
            self._door.close()

    def _open(self) -> Host:
        from bore.status.guard import Guard
        from bore.status.questions import Routes
        from bore.status.site import Site

        return Site(self._reactor, Guard(self._tokens, Routes(self._routes())))


def _urlOf(address: SocketAddress) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(str(address[0]), plainHost(address))
    return f"http://{hostPort(host, int(address[1]))}/"
