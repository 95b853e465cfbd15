"""Which port a client gets."""

from __future__ import annotations

import errno
import random
import socket
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime

from bore.server.settings import ServerSettings
from bore.streams.listener import bindSocket
from bore.wire.errors import BindFailed, NoFreePort, PortForbidden, PortInUse, PortNotAllowed, Refusal
from bore.wire.limits import PORT_TRIES

_REFUSALS: dict[int | None, type[Refusal]] = {errno.EADDRINUSE: PortInUse, errno.EACCES: PortForbidden}

#: For so long a random port that could not be had is not tried again, in seconds, unless there is no other.
_FOREIGN: Final = 10.0


class Ports:
    """
    Listens on the ports of the server's range.

    A random port is drawn among those that are not known to be taken, so that a draw costs the same in a range that is
    almost full. What other programs have taken is only known by trying, and forgotten after a while.

    :param draw: gives a random number out of a range, both ends included.
    :param bind: makes a listening socket, or raises an OSError.
    """

    def __init__(
        self,
        clock: IReactorTime,
        settings: ServerSettings,
        draw: Callable[[int, int], int] = random.randint,
        bind: Callable[[str, int], socket.socket] = bindSocket,
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._draw = draw
        self._bind = bind
        self._taken: list[int] = []  # sorted: ours, and those in _foreign
        self._foreign: dict[int, float] = {}  # until when; the oldest first

    def open(self, asked: int) -> socket.socket:
        """
        Listen on the port that a client has asked for.

        :param asked: the port, or 0 for a random one out of the server's range.
        :raises bore.wire.errors.Refusal: when the client cannot have it.
        """
        if asked == 0:
            return self._openRandom()
        if not self._settings.minPort <= asked <= self._settings.maxPort:
            raise PortNotAllowed
        return self._open(asked)

    def close(self, port: int) -> None:
        """One of our ports is free again."""
        self._taken.pop(bisect_left(self._taken, port))

    def _openRandom(self) -> socket.socket:
        self._forget(self._clock.seconds())
        for _ in range(PORT_TRIES):
            port = self._drawFree()
            if port is None:
                return self._openForeign()
            try:
                return self._open(port)
            except BindFailed:
                raise  # no descriptor, or no such address: the next port would not be had either
            except Refusal:
                insort(self._taken, port)
                self._foreign[port] = self._clock.seconds() + _FOREIGN
        raise NoFreePort

    def _drawFree(self) -> int | None:
        """One of the ports that are not known to be taken."""
        lowest, highest = self._settings.minPort, self._settings.maxPort
        free = highest - lowest + 1 - len(self._taken)
        if not free:
            return None
        nth = self._draw(0, free - 1)
        # So many taken ports lie below the nth free one.
        below = bisect_right(range(len(self._taken)), nth, key=lambda i: self._taken[i] - lowest - i)
        return lowest + nth + below

    def _openForeign(self) -> socket.socket:
        """Try the port that another program had at the time that is the longest ago: one only, as it is a guess."""
        for port in self._foreign:
            try:
                return self._open(port)
            except Refusal:
                del self._foreign[port]
                self._foreign[port] = self._clock.seconds() + _FOREIGN
                break
        raise NoFreePort

    def _open(self, port: int) -> socket.socket:
        try:
            sock = self._bind(self._settings.bindTunnels, port)
        except OSError as e:
            raise _REFUSALS.get(e.errno, BindFailed)() from e
        if self._foreign.pop(port, None) is None:
            insort(self._taken, port)
        return sock

    def _forget(self, now: float) -> None:
        """Forget what has been known of other programs for too long."""
        for port, until in list(self._foreign.items()):
            if until > now:
                break
            del self._foreign[port]
            self.close(port)
