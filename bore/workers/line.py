"""The supervisor's end of the channel to a worker."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Sequence
from typing import Final

from twisted.logger import Logger

from bore.streams.channel import Remains
from bore.streams.descriptorframes import closeDescriptors
from bore.streams.reactor import IReactor
from bore.timing.turns import Turns
from bore.wire.workermessages import SupervisorMessage, WorkerMessage
from bore.wire.workersession import Position, SupervisorEnd
from bore.workers.conversation import Conversation


class WorkerLine(Conversation[WorkerMessage, SupervisorMessage]):
    """
    Sends messages to a worker, and takes those that it sends.

    :param sock: the supervisor's end of the channel; it belongs to the line from now on.
    :param received: called with each message and its descriptors, which belong to the callee;
        :data:`~bore.streams.channel.LOST` stands for one that this process had no room for.
    :param lost: called once, when the channel is over without :meth:`close`.
    :param drained: called when it is no longer full.
    :param position: where the line of an earlier supervisor stood.
    :param remains: what was on its way there.
    :ivar socket: the supervisor's end.
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
        self.socket = sock
        self._cut = lost
        end = SupervisorEnd() if position is None else SupervisorEnd(position)
        super().__init__(reactor, sock, end, received, self._over, drained, turns, remains)

    @property
    def position(self) -> Position:
        """Where it stands."""
        return self.end.position

    def maySend(self, kind: type[SupervisorMessage]) -> bool:
        """Whether a message of this kind may be sent now."""
        return self.end.maySend(kind)

    def send(self, message: SupervisorMessage, descriptors: Sequence[int] = ()) -> None:
        """See :class:`bore.workers.crew.Line`."""
        if self.end.maySend(type(message)):
            super().send(message, descriptors)
        else:
            closeDescriptors(descriptors)

    def _over(self, reason: str | None) -> None:
        # A process that has ended with bytes unread resets the connection; that it has ended is logged by the crew.
        if reason is not None and reason != os.strerror(errno.ECONNRESET):
            self._log.warn("the connection to a worker process was lost: {reason}", reason=reason)
        self._cut()
