"""The messages between the supervisor and a worker, on a channel."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred

from bore.streams.channel import Channel, Remains
from bore.streams.descriptorframes import closeDescriptors
from bore.streams.reactor import IReactor
from bore.timing.turns import Turns
from bore.wire.errors import ProtocolViolation
from bore.wire.workermessages import MAX_WORKER_FRAME, ChannelMessage
from bore.wire.workersession import ChannelEnd, State

_In = TypeVar("_In", bound=ChannelMessage)
_Out = TypeVar("_Out", bound=ChannelMessage)


class Conversation(Generic[_In, _Out]):
    """
    One end of the channel, with its socket.

    :param sock: belongs to the conversation from now on.
    :param end: :class:`~bore.wire.workersession.SupervisorEnd` or :class:`~bore.wire.workersession.WorkerEnd`.
    :param received: called with each message, and its descriptors, which belong to the callee; LOST stands for one that
        this process had no room for.
    :param lost: called once, when the conversation is over without :meth:`close`, with the reason; None: the other end
        is closed.
    :param drained: called when it is no longer full.
    :param turns: the turns that are shared with other connections.
    :param remains: what a predecessor has left.
    """

    def __init__(
        self,
        reactor: IReactor,
        sock: socket.socket,
        end: ChannelEnd[_In, _Out],
        received: Callable[[_In, Sequence[int]], None],
        lost: Callable[[str | None], None],
        drained: Callable[[], None] = lambda: None,
        turns: Turns | None = None,
        remains: Remains | None = None,
    ) -> None:
        self._end = end
        self._received = received
        self._lost = lost
        self._channel = Channel(reactor, sock, self._take, lost, MAX_WORKER_FRAME, drained, turns, remains)

    @property
    def full(self) -> bool:
        """Whether the sender has to hold back, until ``drained`` is called."""
        return self._channel.full

    @property
    def end(self) -> ChannelEnd[_In, _Out]:
        """The state of this end."""
        return self._end

    def send(self, message: _Out, descriptors: Sequence[int] = ()) -> None:
        """
        Send a message, unless the conversation is over.

        :param descriptors: those of the message; they belong to the conversation from now on, which closes them.
        :raises bore.wire.errors.FrameTooLong: when it does not fit a frame; the descriptors are closed.
        """
        if self._end.state is State.OVER:
            closeDescriptors(descriptors)
            return
        try:
            frame = self._end.send(message)
        except BaseException:
            closeDescriptors(descriptors)
            raise
        self._channel.send(frame, descriptors)

    def flush(self, seconds: float) -> Deferred[None]:
        """See :meth:`bore.streams.channel.Channel.flush`."""
        return self._channel.flush(seconds)

    def quiesce(self, seconds: float) -> Deferred[None]:
        """See :meth:`bore.streams.channel.Channel.quiesce`."""
        return self._channel.quiesce(seconds)

    def leave(self) -> Remains:
        """See :meth:`bore.streams.channel.Channel.leave`."""
        return self._channel.leave()

    def close(self) -> None:
        """Close the channel. May be called twice."""
        self._channel.close()

    def _take(self, frame: bytes, descriptors: Sequence[int]) -> None:
        if self._end.state is State.OVER:
            closeDescriptors(descriptors)  # on its way when this end said its last word
            return
        try:
            message = self._end.receive(frame, len(descriptors))
        except ProtocolViolation as e:
            closeDescriptors(descriptors)
            self._channel.close()
            self._lost(str(e))
            return
        if message is None:
            closeDescriptors(descriptors)
        else:
            self._received(message, descriptors)
