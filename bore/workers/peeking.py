"""A connection to a control port, from the moment it is accepted until it is clear which worker it belongs to."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable
from typing import Final, Protocol
from uuid import UUID

from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.events import Sink
from bore.events.server import ConnectionRefused, FirstMessageTimedOut, HandshakeTimedOut
from bore.streams.addresses import SocketAddress, socketAddress, sourceOf
from bore.streams.reactor import IReactor
from bore.wire.clienthello import MAX_START
from bore.wire.errors import NeedsTls, Refusal, TooManyPending
from bore.wire.hints import hintOfPlain, hintOfTls
from bore.wire.limits import FIRST_MESSAGE_TIMEOUT, MAX_FRAME
from bore.wire.messages import Error, encode
from bore.wire.more import More
from bore.wire.workernumbers import NO_WORKER

#: How long a connection rests that is reported as readable although what it waits for has not come, in seconds: the
#: kernel does that when it is short of memory.
_REST: Final = 0.1

#: How long a connection waits for a worker that can take it, in seconds; then it is closed.
PLACE_TIMEOUT: Final = 30.0

#: How many bytes of a client are read before its connection is closed: closing with unread bytes would destroy the
#: answer to them.
_MAX_UNREAD: Final = 4096


class Waiting(Protocol):
    """The connections that wait, as one of them sees it."""

    def decided(self, arrival: Arrival) -> None:
        """It is clear where a connection belongs."""

    def left(self, arrival: Arrival) -> None:
        """A connection is closed."""


@implementer(IReadDescriptor)
class Arrival:
    """
    A connection that was accepted, and has not been passed on.

    Its first bytes are looked at, and stay in the socket. While more are needed, the kernel wakes us for that many only
    (SO_RCVLOWAT): a poll would report the same half of a message again and again.

    It is one of the unclassified connections (:class:`bore.server.unclassified.Connection`).

    :param sock: belongs to it from now on.
    :param encrypted: whether it has come to a port with TLS.
    :ivar socket: the connection.
    :ivar address: that of its peer.
    :ivar source: the key of limits per source.
    :ivar early: what was read from it already.
    :ivar challenge: the challenge that its client has answered in that; None: it was sent none.
    :ivar hint: the worker that it belongs to; NO_WORKER: none, or that is not clear yet.
    """

    def __init__(
        self,
        reactor: IReactor,
        sink: Sink,
        waiting: Waiting,
        sock: socket.socket,
        address: SocketAddress,
        encrypted: bool,
        early: bytes = b"",
        challenge: UUID | None = None,
    ) -> None:
        self._reactor = reactor
        self._sink = sink
        self._waiting = waiting
        self.socket = sock
        self.address = address
        self.source = sourceOf(address)
        self.encrypted = encrypted
        self.hint = NO_WORKER
        self.early = early
        self.challenge = challenge
        self._hintOf: Callable[[bytes], int | More] = hintOfTls if encrypted else hintOfPlain
        self._most = MAX_START if encrypted else MAX_FRAME + 1
        self._wanted = 0  # what the kernel wakes us for
        self._seen = 0
        self._reading = False
        self._resting: IDelayedCall | None = None
        self._decidedAt: float | None = None

    @property
    def peer(self) -> str:
        """The address of its peer, as ``HOST:PORT``."""
        return socketAddress(self.address)

    @property
    def isDecided(self) -> bool:
        """Whether it is clear where it belongs."""
        return self._decidedAt is not None

    def peek(self) -> None:
        """Look at its first bytes, now and when more have come, until it is decided."""
        self.doRead()

    def fileno(self) -> int:
        return self.socket.fileno()

    def logPrefix(self) -> str:
        return "Arrival"

    def doRead(self) -> None:
        try:
            start = self.socket.recv(self._most, socket.MSG_PEEK)
        except BlockingIOError:
            self._read()
            return
        except OSError:
            start = b""
        self._seen = len(start)
        if not start:
            self.drop()
            self._waiting.left(self)
            return
        found = self._hintOf(start)
        if not isinstance(found, More):
            self.decide(found)
        elif self._seen >= self._wanted:
            self._wanted = self._seen + found.count
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, self._wanted)
            self._read()
        elif self._hasEnded():
            self.decide(NO_WORKER)
        else:
            self._rest()

    def connectionLost(self, reason: Failure) -> None:
        """The poll has reported an error of the socket, or the reactor stops."""
        self.drop()
        self._waiting.left(self)

    def refuse(self, refusal: Refusal) -> None:
        """See :class:`bore.server.unclassified.Connection`. Inside TLS, no message can be sent."""
        if not self.encrypted:
            self._sink.emit(ConnectionRefused(self.peer, self.source, refusal))
            self._sendLast(refusal.text)
        self.drop()
        self._waiting.left(self)

    def timedOut(self) -> bool:
        """See :class:`bore.server.unclassified.Connection`. The answers are those of a server without workers."""
        if self._decidedAt is not None and self._reactor.seconds() - self._decidedAt < PLACE_TIMEOUT:
            return True  # it is not the client's fault
        if self._decidedAt is not None:
            self._sink.emit(ConnectionRefused(self.peer, self.source, TooManyPending()))
        elif self.encrypted and not self._seen:
            self._sink.emit(ConnectionRefused(self.peer, self.source, NeedsTls()))
            self._sendLast(str(NeedsTls()))
        elif self.encrypted:
            self._sink.emit(HandshakeTimedOut(self.peer, self.source))
        else:
            self._sink.emit(FirstMessageTimedOut(self.peer, self.source, FIRST_MESSAGE_TIMEOUT))
        self.drop()
        self._waiting.left(self)
        return False

    def drop(self) -> None:
        """See :class:`bore.server.unclassified.Connection`."""
        self.stop()
        self.socket.close()

    def stop(self) -> None:
        """Look at it no more."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if self._reading:
            self._reading = False
            self._reactor.removeReader(self)

    def _read(self) -> None:
        if not self._reading:
            self._reading = True
            self._reactor.addReader(self)

    def _rest(self) -> None:
        """Look again in a moment."""
        self.stop()
        self._resting = self._reactor.callLater(_REST, self._rested)

    def _rested(self) -> None:
        self._resting = None
        self._read()

    def _hasEnded(self) -> bool:
        """Whether no more bytes will come."""
        poll = select.poll()
        poll.register(self.socket, select.POLLRDHUP)
        return bool(poll.poll(0))

    def decide(self, hint: int) -> None:
        """It is clear where it belongs: to the worker of a hint, or, with NO_WORKER, to any."""
        self.stop()
        self._decidedAt = self._reactor.seconds()
        if self._wanted:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        self.hint = hint
        self._waiting.decided(self)

    def _sendLast(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self.socket.send(encode(Error(text)))
            self.socket.shutdown(socket.SHUT_WR)
            self.socket.recv(_MAX_UNREAD)
