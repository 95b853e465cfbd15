"""Which port a client gets."""

from __future__ import annotations

import errno
import random
import socket
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from twisted.internet.interfaces import IReactorTime

from bore.server.settings import ServerSettings
from bore.streams.listener import bindSocket
from bore.users.ports import NO_PORTS, ports
from bore.users.ports import Ports as PortSet
from bore.wire.errors import BindFailed, PortForbidden, PortInUse, PortNotAllowed, Refusal
from bore.wire.limits import PORT_TRIES

if TYPE_CHECKING:
    from bore.users.rights import Rights

#: How long a port that another program or another server has is not drawn, in seconds, unless there is no other one.
_AVOID: Final = 10.0


def _refusal(port: int, error: OSError) -> Refusal:
    """Why a port cannot be bound."""
    match error.errno:
        case errno.EADDRINUSE:
            return PortInUse.on(port)
        case errno.EACCES:
            return PortForbidden(
                f"the server may not listen on port {port}: request one above 1023, or give the server the right "
                "(CAP_NET_BIND_SERVICE)"
            )
    return BindFailed(f"the server failed to bind to port {port}: {(error.strerror or str(error)).lower()}")


class Ports:
    """
    Draws and binds the ports of the server's range.

    A random port is drawn from those that are not known to be taken, so that a draw costs the same when the range is
    almost full. Ports that others have are known from failures only, and forgotten after a while.

    The control ports are not drawn, and those from which the system takes the ports of outgoing connections only when
    there is no other one: a program of this machine may need one at any time. So it is with the exclusive ports of a
    user, who has them for a purpose.

    :param ephemeral: the ports of outgoing connections.
    :param draw: returns a random number from a range, both ends included.
    :param bind: makes a listening socket, or raises an OSError.
    """

    def __init__(
        self,
        clock: IReactorTime,
        settings: ServerSettings,
        draw: Callable[[int, int], int] = random.randint,
        bind: Callable[[str, int], socket.socket] = bindSocket,
        ephemeral: PortSet = NO_PORTS,
    ) -> None:
        self._clock = clock
        self._ephemeral = ephemeral
        self.apply(settings)
        self._draw = draw
        self._bind = bind
        self._taken: list[int] = []  # sorted: ours, and those in _others
        self._others: dict[int, float] = {}  # ports of others: avoided until then; the oldest first

    def apply(self, settings: ServerSettings) -> None:
        """Use another range from now on. Ports that are taken stay taken."""
        self._settings = settings
        tls = None if settings.tls is None else settings.tls.port
        control = ports((port, port) for port in (settings.controlPort, tls) if port)
        self._range = PortSet(((settings.minPort, settings.maxPort),)) - control
        self._choices = self._range - self._ephemeral, self._range

    def candidates(self, asked: int, rights: Rights | None = None) -> Iterator[int]:
        """
        The ports to try, one after the other: each is bound or avoided before the next one is drawn.

        :param asked: the port that the client asks for, or 0 for a random one from the server's range.
        :param rights: those of the user, which has them for the port that is asked for; None: all ports may be drawn.
        :raises bore.wire.errors.PortNotAllowed: when the port is outside the range.
        """
        if asked:
            lowest, highest = self._settings.minPort, self._settings.maxPort
            if not lowest <= asked <= highest:
                raise PortNotAllowed.outside(asked, lowest, highest)
            yield asked
            return
        self._forget(self._clock.seconds())
        choices = self._choices if rights is None else self._choicesOf(rights)
        for _ in range(PORT_TRIES):
            port = next((port for port in map(self._drawFree, choices) if port is not None), None)
            if port is None:
                # All are taken. The one that was avoided first may be free again: one try only, as it is a guess.
                yield from [each for each in self._others if each in choices[-1]][:1]
                return
            yield port

    def bind(self, port: int) -> socket.socket:
        """
        Listen on a port of the range.

        :raises bore.wire.errors.Refusal: when the system refuses.
        """
        try:
            sock = self._bind(self._settings.bindTunnels, port)
        except OSError as e:
            raise _refusal(port, e) from e
        self.take(port)
        return sock

    def take(self, port: int) -> None:
        """A port is ours, until :meth:`free`."""
        if self._others.pop(port, None) is None:
            insort(self._taken, port)

    def avoid(self, port: int) -> None:
        """Do not draw a port for a while that another program or another server has."""
        if self._others.pop(port, None) is None:
            if self._isTaken(port):
                return  # bound by us in the meantime
            insort(self._taken, port)
        self._others[port] = self._clock.seconds() + _AVOID

    def free(self, port: int) -> None:
        """A port that was bound is closed."""
        self._taken.pop(bisect_left(self._taken, port))

    def _isTaken(self, port: int) -> bool:
        at = bisect_left(self._taken, port)
        return at < len(self._taken) and self._taken[at] == port

    def _choicesOf(self, rights: Rights) -> tuple[PortSet, ...]:
        """The sets of ports to draw from for a user: the next one if all of the one before are taken."""
        mine = self._range & rights.ports
        usual = mine - rights.exclusive
        return usual - self._ephemeral, usual, mine - self._ephemeral, mine

    def _drawFree(self, choice: PortSet) -> int | None:
        """A random port of those that are not known to be taken."""
        free = [highest - lowest + 1 - self._countTaken(lowest, highest) for lowest, highest in choice.ranges]
        if not any(free):
            return None
        nth = self._draw(0, sum(free) - 1)
        at = 0
        while nth >= free[at]:
            nth -= free[at]
            at += 1
        lowest, highest = choice.ranges[at]
        first = bisect_left(self._taken, lowest)
        # The number of taken ports below the nth free one.
        taken = range(self._countTaken(lowest, highest))
        below = bisect_right(taken, nth, key=lambda i: self._taken[first + i] - lowest - i)
        return lowest + nth + below

    def _countTaken(self, lowest: int, highest: int) -> int:
        return bisect_right(self._taken, highest) - bisect_left(self._taken, lowest)

    def _forget(self, now: float) -> None:
        """Draw ports again that were avoided for long enough."""
        for port, until in list(self._others.items()):
            if until > now:
                break
            del self._others[port]
            self.free(port)
