"""A connection to a control port, from the moment it is accepted until it is clear which worker it belongs to."""

from __future__ import annotations

import contextlib
import socket
from typing import Final, Protocol
from uuid import UUID

from bore.events import Sink
from bore.events.server import ConnectionRefused, FirstMessageTimedOut, HandshakeTimedOut
from bore.server.firstbytes import FirstBytes
from bore.streams.addresses import SocketAddress, socketAddress, sourceOf
from bore.streams.reactor import IReactor
from bore.wire.clienthello import MAX_START
from bore.wire.errors import NeedsTls, Refusal, TooManyPending
from bore.wire.hints import hintOfPlain, hintOfTls
from bore.wire.limits import FIRST_MESSAGE_TIMEOUT, MAX_FRAME
from bore.wire.messages import Error, encode
from bore.wire.workernumbers import NO_WORKER

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


class Arrival:
    """
    A connection that was accepted, and has not been passed on.

    Its first bytes are looked at, and stay in the socket.

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
        most, hintOf = (MAX_START, hintOfTls) if encrypted else (MAX_FRAME + 1, hintOfPlain)
        self._first: FirstBytes[int] = FirstBytes(reactor, sock, most, hintOf, self.decide, self._ended)
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
        self._first.look()

    def stop(self) -> None:
        """Look at it no more."""
        self._first.stop()

    def refuse(self, refusal: Refusal) -> None:
        """See :class:`bore.server.unclassified.Connection`. Inside TLS, no message can be sent."""
        if not self.encrypted:
            self._sink.emit(ConnectionRefused(self.peer, self.source, refusal))
            self._sendLast(refusal.text)
        self.drop()

    def timedOut(self) -> bool:
        """See :class:`bore.server.unclassified.Connection`. The answers are those of a server without workers."""
        if self._decidedAt is not None and self._reactor.seconds() - self._decidedAt < PLACE_TIMEOUT:
            return True  # it is not the client's fault
        if self._decidedAt is not None:
            self._sink.emit(ConnectionRefused(self.peer, self.source, TooManyPending()))
        elif self.encrypted and not self._first.seen:
            self._sink.emit(ConnectionRefused(self.peer, self.source, NeedsTls()))
            self._sendLast(str(NeedsTls()))
        elif self.encrypted:
            self._sink.emit(HandshakeTimedOut(self.peer, self.source))
        else:
            self._sink.emit(FirstMessageTimedOut(self.peer, self.source, FIRST_MESSAGE_TIMEOUT))
        self.drop()
        return False

    def drop(self) -> None:
        """See :class:`bore.server.unclassified.Connection`."""
        self.stop()
        self.socket.close()
        self._waiting.left(self)

    def _ended(self, start: bytes) -> None:
        """No more bytes come: what has come goes to a worker, which answers."""
        if start:
            self.decide(NO_WORKER)
        else:
            self.drop()

    def decide(self, hint: int) -> None:
        """It is clear where it belongs: to the worker of a hint, or, with NO_WORKER, to any."""
        self.stop()
        self._decidedAt = self._reactor.seconds()
        self.hint = hint
        self._waiting.decided(self)

    def _sendLast(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self.socket.send(encode(Error(text)))
            self.socket.shutdown(socket.SHUT_WR)
            self.socket.recv(_MAX_UNREAD)
