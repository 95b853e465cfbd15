"""Entrances that are listening sockets of their own."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TypeAlias

from bore.server.entrance import EntranceUser
from bore.streams.listener import Listener
from bore.wire.publicaddress import PublicAddress

#: Accepts the visitors of a tunnel on a listening socket.
Listen: TypeAlias = Callable[[socket.socket, EntranceUser], Listener]


class SocketEntrance:
    """
    A listening socket.

    Until the entrance is opened, and while it is paused, the kernel holds those that connect.

    :param sock: the socket.
    :param listen: accepts visitors on it.
    :param leave: gives the address back, just before the socket is closed.
    """

    def __init__(self, address: PublicAddress, sock: socket.socket, listen: Listen, leave: Callable[[], None]) -> None:
        self._socket = sock
        self._listen = listen
        self._leave = leave
        self._listener: Listener | None = None
        self.address = address

    def open(self, tunnel: EntranceUser) -> None:
        """See Entrance."""
        self._listener = self._listen(self._socket, tunnel)

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
        self._leave()
        if self._listener is None:
            self._socket.close()
        else:
            self._listener.stop()
