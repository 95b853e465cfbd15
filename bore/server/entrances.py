"""The entrances of a server, of all kinds."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from bore.server.entrance import Entrance, EntranceUser
from bore.server.ports import Ports
from bore.server.settings import ServerSettings
from bore.server.socketentrance import SocketEntrance
from bore.streams.addresses import NO_ADDRESS
from bore.streams.listener import Accepted, Listener, ListenerGroup
from bore.streams.reactor import IReactor
from bore.system.descriptors import Descriptors
from bore.system.ephemeral import ephemeralPorts
from bore.users.ports import ports
from bore.wire.errors import KindNotKnown
from bore.wire.publicaddress import OtherKind, PublicAddress, UnixPath

if TYPE_CHECKING:
    from bore.server.unixsockets import UnixSockets
    from bore.users.rights import Rights


class Entrances:
    """
    Opens entrances.

    :param group: is told when there are no descriptors for visitors.
    :param descriptors: is told of the descriptors of listening sockets and visitors.
    :param relieve: frees descriptors when there are none, and says whether it could.
    """

    def __init__(
        self,
        reactor: IReactor,
        settings: ServerSettings,
        group: ListenerGroup,
        descriptors: Descriptors,
        relieve: Callable[[], bool],
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._group = group
        self._descriptors = descriptors
        self._relieve = relieve
        self._ports = Ports(reactor, settings, ephemeral=ports([ephemeralPorts()]))

    def apply(self, settings: ServerSettings) -> None:
        """Open ports of another range, and Unix sockets in other folders, from now on."""
        self._settings = settings
        self._ports.apply(settings)

    def candidates(self, asked: PublicAddress, rights: Rights | None = None) -> Iterator[PublicAddress]:
        """
        The addresses to try, one after the other: see :meth:`bore.server.ports.Ports.candidates`.

        :raises bore.wire.errors.Refusal: when this server does not give such an address to clients.
        """
        match asked:
            case UnixPath():
                self._unixSockets().check(asked)
                yield asked
            case OtherKind(kind):
                raise KindNotKnown(f"this server knows no public address of kind {kind!r}: it may need a later version")
            case _:
                yield from self._ports.candidates(asked, rights)

    def avoid(self, address: PublicAddress) -> None:
        """Do not try an address for a while that another program or another server has."""
        if isinstance(address, int):
            self._ports.avoid(address)

    def open(self, address: PublicAddress) -> Entrance:
        """
        Open an entrance.

        :raises bore.wire.errors.Refusal: when the system refuses.
        """
        match address:
            case UnixPath():
                opened = self._unixSockets().open(address)
                return SocketEntrance(address, opened.socket, self._listenWithoutAddresses, opened.removeFile)
            case int():
                sock = self._ports.bind(address)
                return SocketEntrance(address, sock, self._listen, partial(self._ports.free, address))
            case OtherKind():
                raise AssertionError(address)

    def _unixSockets(self) -> UnixSockets:
        from bore.server.unixsockets import UnixSockets  # few servers have any

        return UnixSockets(self._settings.unixFolders)

    def _listen(self, sock: socket.socket, tunnel: EntranceUser) -> Listener:
        return self._listener(sock, tunnel, tunnel.visitorCame)

    def _listenWithoutAddresses(self, sock: socket.socket, tunnel: EntranceUser) -> Listener:
        return self._listener(sock, tunnel, lambda visitor, address: tunnel.visitorCame(visitor, NO_ADDRESS))

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
