"""The public addresses that a server can listen at, of all kinds."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime

from bore.server.custody import OpenPlace
from bore.server.ports import Ports
from bore.server.settings import ServerSettings
from bore.streams.listener import bindSocket
from bore.system.ephemeral import ephemeralPorts
from bore.users.ports import ports
from bore.wire.errors import KindNotKnown
from bore.wire.publicaddress import OtherKind, PublicAddress, UnixPath

if TYPE_CHECKING:
    from bore.server.unixsockets import UnixSockets
    from bore.users.rights import Rights


class Places:
    """
    Chooses addresses, and listens at them.

    :param bind: makes the listening socket of a port, or raises an OSError.
    """

    def __init__(
        self, clock: IReactorTime, settings: ServerSettings, bind: Callable[[str, int], socket.socket] = bindSocket
    ) -> None:
        self._settings = settings
        self._ports = Ports(clock, settings, bind=bind, ephemeral=ports([ephemeralPorts()]))

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

    def open(self, address: PublicAddress) -> OpenPlace:
        """
        Listen at an address.

        :raises bore.wire.errors.Refusal: when the system refuses.
        """
        match address:
            case UnixPath():
                opened = self._unixSockets().open(address)
                return OpenPlace(address, opened.socket, opened.removeFile)
            case int():
                return OpenPlace(address, self._ports.bind(address), partial(self._ports.free, address))
            case OtherKind():
                raise AssertionError(address)

    def restore(self, address: PublicAddress, sock: socket.socket) -> OpenPlace:
        """Take over a socket with which an earlier process has listened at an address."""
        match address:
            case UnixPath(path):
                from bore.streams.unixlistener import removerOf

                return OpenPlace(address, sock, removerOf(path))
            case int():
                self._ports.take(address)
                return OpenPlace(address, sock, partial(self._ports.free, address))
            case OtherKind():
                raise AssertionError(address)

    def _unixSockets(self) -> UnixSockets:
        from bore.server.unixsockets import UnixSockets  # few servers have any

        return UnixSockets(self._settings.unixFolders)
