"""Entrances that are listening sockets of their own."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TypeAlias

from bore.server.custody import OpenPlace
from bore.server.entrance import EntranceUser
from bore.streams.listener import Listener

#: Accepts the visitors of a tunnel on a listening socket.
Listen: TypeAlias = Callable[[socket.socket, EntranceUser], Listener]


class SocketEntrance:
    """
    A listening socket.

    Until the entrance is opened, and while it is paused, the kernel holds those that connect.

    :param listen: accepts visitors on the socket of the place.
    """

    def __init__(self, place: OpenPlace, listen: Listen) -> None:
        self._place = place
        self._listen = listen
        self._listener: Listener | None = None
        self.address = place.address

    def open(self, tunnel: EntranceUser) -> None:
        """See Entrance."""
        self._listener = self._listen(self._place.socket, tunnel)

    def pause(self) -> None:
        """See Entrance."""
        if self._listener is not None:
            self._listener.pause()

    def resume(self) -> None:
        """See Entrance."""
        if self._listener is not None:
            self._listener.resume()

    def release(self) -> None:
        """See Entrance."""
        if self._listener is not None:
            self._listener.release()
            self._listener = None

    def finish(self) -> None:
        """See Entrance."""
        if self._listener is not None:
            self._listener.doRead()
        self.close()

    def close(self) -> None:
        """See Entrance. Visitors that were not accepted are reset by the kernel."""
        self._place.leave()
        if self._listener is None:
            self._place.socket.close()
        else:
            self._listener.stop()
