"""Entrances that are TCP ports of their own."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bore.server.entrance import EntranceUser
from bore.server.ports import Ports
from bore.server.settings import ServerSettings
from bore.streams.listener import Listener, ListenerGroup
from bore.streams.reactor import IReactor
from bore.system.descriptors import Descriptors
from bore.system.ephemeral import ephemeralPorts
from bore.users.ports import ports
from bore.wire.publicaddress import PublicAddress

if TYPE_CHECKING:
    from bore.users.rights import Rights


class TcpEntrances:
    """
    Opens TCP ports as entrances.

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
        self._group = group
        self._descriptors = descriptors
        self._relieve = relieve
        self._ports = Ports(reactor, settings, ephemeral=ports([ephemeralPorts()]))

    def apply(self, settings: ServerSettings) -> None:
        """Open ports of another range from now on."""
        self._ports.apply(settings)

    def candidates(self, asked: PublicAddress, rights: Rights | None = None) -> Iterator[int]:
        """See :meth:`~bore.server.ports.Ports.candidates`."""
        assert isinstance(asked, int)
        return self._ports.candidates(asked, rights)

    def avoid(self, port: int) -> None:
        """See :meth:`~bore.server.ports.Ports.avoid`."""
        self._ports.avoid(port)

    def open(self, address: PublicAddress) -> TcpEntrance:
        """
        Bind a TCP port.

        :raises bore.wire.errors.Refusal: when the system refuses.
        """
        assert isinstance(address, int)
        return TcpEntrance(self, self._ports.bind(address))

    def listen(self, sock: socket.socket, tunnel: EntranceUser) -> Listener:
        """Accept the visitors of a tunnel."""
        return Listener(
            self._reactor,
            sock,
            tunnel.visitorCame,
            self._group,
            self._relieve,
            tunnel.mayAccept,
            self._descriptors,
        )

    def closed(self, port: int) -> None:
        """A port is free again."""
        self._ports.free(port)


class TcpEntrance:
    """
    A TCP port.

    :param sock: a socket that listens on it. Until the entrance is opened, and while it is paused, the kernel holds
        those that connect.
    """

    def __init__(self, entrances: TcpEntrances, sock: socket.socket) -> None:
        self._entrances = entrances
        self._socket = sock
        self._listener: Listener | None = None
        self.address: int = sock.getsockname()[1]

    def open(self, tunnel: EntranceUser) -> None:
        """See Entrance."""
        self._listener = self._entrances.listen(self._socket, tunnel)

    def pause(self) -> None:
        """See Entrance."""
        if self._listener is not None:
            self._listener.pause()

    def resume(self) -> None:
        """See Entrance."""
        if self._listener is not None:
            self._listener.resume()

    def close(self) -> None:
        """See Entrance. Visitors that were not accepted are reset by the kernel."""
        if self._listener is None:
            self._socket.close()
        else:
            self._listener.stop()
        self._entrances.closed(self.address)
