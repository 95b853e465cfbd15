"""The entrances of a server, of all kinds."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial

from bore.server.custody import OpenPlace
from bore.server.entrance import Entrance, EntranceUser
from bore.server.socketentrance import SocketEntrance
from bore.streams.addresses import NO_ADDRESS, SocketAddress
from bore.streams.listener import Accepted, Listener, ListenerGroup
from bore.streams.reactor import IReactor
from bore.system.descriptors import Descriptors


def _unixVisitorCame(tunnel: EntranceUser, sock: socket.socket, address: SocketAddress) -> None:
    """A visitor of a Unix socket has an address if a trusted proxy has announced one."""
    tunnel.visitorCame(sock, address if isinstance(address, tuple) else NO_ADDRESS)


class Entrances:
    """
    Makes the entrances of tunnels.

    :param group: is told when there are no descriptors for visitors.
    :param descriptors: is told of the descriptors of listening sockets and visitors.
    :param relieve: frees descriptors when there are none, and says whether it could.
    """

    def __init__(
        self, reactor: IReactor, group: ListenerGroup, descriptors: Descriptors, relieve: Callable[[], bool]
    ) -> None:
        self._reactor = reactor
        self._group = group
        self._descriptors = descriptors
        self._relieve = relieve

    def at(self, place: OpenPlace) -> Entrance:
        """Make the entrance at a public address at which the server listens."""
        listen = self._listen if isinstance(place.address, int) else self._listenWithoutAddresses
        return SocketEntrance(place, listen)

    def _listen(self, sock: socket.socket, tunnel: EntranceUser) -> Listener:
        return self._listener(sock, tunnel, tunnel.visitorCame)

    def _listenWithoutAddresses(self, sock: socket.socket, tunnel: EntranceUser) -> Listener:
        return self._listener(sock, tunnel, partial(_unixVisitorCame, tunnel))

    def _listener(self, sock: socket.socket, tunnel: EntranceUser, accepted: Accepted) -> Listener:
        return Listener(
            self._reactor,
            sock,
            accepted,
            self._group,
            self._relieve,
            tunnel.mayAccept,
            self._descriptors,
        )
