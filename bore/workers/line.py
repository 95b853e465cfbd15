"""The supervisor's end of the channel to a worker."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from bore.streams.channel import LOST, Channel, Remains
from bore.streams.reactor import IReactor
from bore.timing.turns import Turns
from bore.wire.errors import WireError
from bore.wire.workermessages import MAX_WORKER_FRAME, SupervisorMessage, WorkerMessage
from bore.wire.workersession import Position, SupervisorEnd


class WorkerLine:
    """
    Sends messages to a worker, and takes those that it sends.

    :param sock: the supervisor's end of the channel; it belongs to the line from now on.
    :param received: called with each message and its descriptors, which belong to the callee;
        :data:`~bore.streams.channel.LOST` stands for one that this process had no room for.
    :param lost: called once, when the channel is over without :meth:`close`.
    :param drained: called when it is no longer full.
    :param position: where the line of an earlier supervisor stood.
    :param remains: what was on its way there.
    """

    _log: Final = Logger()

    def __init__(
        self,
        reactor: IReactor,
        sock: socket.socket,
        received: Callable[[WorkerMessage, Sequence[int]], None],
        lost: Callable[[], None],
        drained: Callable[[], None] = lambda: None,
        turns: Turns | None = None,
        position: Position | None = None,
        remains: Remains | None = None,
    ) -> None:
        self._received = received
        self._lost = lost
        self._end = SupervisorEnd() if position is None else SupervisorEnd(position)
        self.socket = sock
        self.channel = Channel(
            reactor, sock, self._arrived, self._over, MAX_WORKER_FRAME, drained, turns=turns, remains=remains
        )

    @property
    def position(self) -> Position:
        """Where it stands."""
        return self._end.position

    @property
    def full(self) -> bool:
        """Whether so much waits to be sent that nothing should be added that can wait."""
        return self.channel.full

    def maySend(self, kind: type[SupervisorMessage]) -> bool:
        """Whether a message of this kind may be sent now."""
        return self._end.maySend(kind)

    def send(self, message: SupervisorMessage, descriptors: Sequence[int] = ()) -> None:
        """See :class:`bore.workers.crew.Line`."""
        if not self._end.maySend(type(message)):
            closeAll(descriptors)
            return
        try:
            frame = self._end.send(message)
        except WireError:
            closeAll(descriptors)
            raise
        self.channel.send(frame, descriptors)

    def close(self) -> None:
        """Close the channel. May be called twice."""
        self.channel.close()

    def quiesce(self, seconds: float) -> Deferred[Remains]:
        """
        Take no more messages, send what waits, for so many seconds at most, and leave the socket open.

        :returns: fires with what is left for the line of a successor.
        """
        return self.channel.quiesce(seconds)

    def _arrived(self, frame: bytes, descriptors: Sequence[int]) -> None:
        try:
            message = self._end.receive(frame, len(descriptors))
        except WireError as e:
            closeAll(descriptors)
            self._log.error("a worker has broken the rules: {error}", error=str(e))
            self.channel.close()
            self._lost()
            return
        if message is None:
            closeAll(descriptors)
        else:
            self._received(message, descriptors)

    def _over(self, reason: str | None) -> None:
        if reason is not None:
            self._log.warn("the channel to a worker is over: {reason}", reason=reason)
        self._lost()


def closeAll(descriptors: Sequence[int]) -> None:
    """Close descriptors that nobody wants."""
    for each in descriptors:
        if each != LOST:
            with suppress(OSError):
                os.close(each)
