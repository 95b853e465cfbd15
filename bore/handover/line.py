"""The connection between the two processes."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import cast

from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.handover.messages import LONGEST, Message, decode, encode
from bore.streams.reactor import IReactor
from bore.streams.transport import IStreamTransport, SocketTransport
from bore.wire.errors import WireError
from bore.wire.framing import FrameDecoder


class Line(Protocol):
    """
    Sends messages to the other process, and receives its messages.

    :param sock: is connected with the other process, and belongs to the line from now on.
    :param received: called with each message.
    :param ended: called once, when the other process is gone, or has sent nonsense.
    :param early: what was received before.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactor,
        sock: socket.socket,
        received: Callable[[Message], object],
        ended: Callable[[], object],
        early: bytes = b"",
    ) -> None:
        self._received = received
        self._ended = ended
        self._frames = FrameDecoder(LONGEST)
        transport = SocketTransport(sock, self, reactor)
        self._socket = cast(IStreamTransport, transport)
        self.isOpen = True
        sock.setblocking(False)
        transport.start()
        if early:
            self.dataReceived(early)

    def send(self, message: Message) -> None:
        """Send a message, now if the system takes it. It is lost if the other process is gone."""
        if self.isOpen:
            self._socket.writeNow(encode(message))

    def close(self) -> None:
        """Close the connection, behind what was sent."""
        self._socket.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        self._frames.feed(data)
        try:
            while self.isOpen and (frame := self._frames.nextFrame()) is not None:
                message = decode(frame)
                if message is not None:
                    self._received(message)
        except WireError:
            self._log.failure("the other process of this client has sent nonsense")
            self._socket.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.isOpen = False
        self._ended()
