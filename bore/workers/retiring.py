"""How a worker gives away what it has, and ends when nothing is left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from bore.server.core import ServerCore
from bore.wire.workermessages import BaseSession, WorkerMessage

#: How often it is looked whether anything is left, in seconds.
_LOOK: Final = 0.25


class Retiring:
    """
    Gives all sessions of a worker away.

    Clients of the extension are sent to come again: their tunnels go with their tokens to other workers, with the
    visitors that wait. The sessions of original clients go as they are. Streams go on where they are.

    :param send: sends the supervisor a message with its descriptors, which belong to the callee.
    :param seconds: how long they may.
    :param over: called when nothing is left, or the time is over.
    """

    def __init__(
        self,
        clock: IReactorTime,
        core: ServerCore,
        send: Callable[[WorkerMessage, Sequence[int]], None],
        seconds: float,
        over: Callable[[], object],
    ) -> None:
        self._clock = clock
        self._core = core
        self._send = send
        self._over = over
        self._end = clock.seconds() + seconds
        self._timer: IDelayedCall | None = None

    def start(self) -> None:
        """Begin."""
        self._core.server.sessions.giveAway()
        self._look()

    def stop(self) -> None:
        """The worker ends for another reason."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def _isEmpty(self) -> bool:
        server = self._core.server
        parts = server.sessions, server.tunnels, server.unaccepted, server.unclassified, server.relay
        # The process from which this one has taken over is reached through this one.
        return not any(len(each) for each in parts) and not server.follows

    def _look(self) -> None:
        self._timer = None
        for session in self._core.server.sessions.passable():
            sock, login, source, address, token = session.handOver()
            secret = None if login.secret is None else login.secret.key
            message = BaseSession(login.peer, source, login.user.name, secret, address, token)
            self._send(message, [sock.detach()])
        if self._isEmpty:
            self._over()
        elif self._clock.seconds() >= self._end:
            self._core.giveTime(0.0)
            self._over()
        else:
            self._timer = self._clock.callLater(_LOOK, self._look)
