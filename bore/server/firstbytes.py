"""The first bytes of a connection, which are looked at until they decide something."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.streams.reactor import IReactor
from bore.wire.more import More

T = TypeVar("T")

#: How long a connection rests that is reported as readable although what it waits for has not come, in seconds: the
#: kernel does that when it is short of memory.
_REST: Final = 0.1

#: The peer has ended its stream. Only Linux tells.
_ENDED: Final = getattr(select, "POLLRDHUP", 0)


@implementer(IReadDescriptor)
class FirstBytes(Generic[T]):
    """
    Looks at the first bytes of a connection, which stay in the socket.

    While more are needed, the kernel wakes us for that many only (SO_RCVLOWAT): a poll would report the same half of a
    message again and again.

    :param sock: does not block. It stays the caller's, who has to call :meth:`stop` before it is used or closed.
    :param most: how many bytes are looked at, at most.
    :param parse: what the bytes mean, or how many more it needs to know.
    :param decided: called once with what they mean.
    :param ended: called if the connection ends or breaks before, with the bytes that have come.
    :ivar seen: how many bytes have come.
    """

    def __init__(
        self,
        reactor: IReactor,
        sock: socket.socket,
        most: int,
        parse: Callable[[bytes], T | More],
        decided: Callable[[T], None],
        ended: Callable[[bytes], None],
    ) -> None:
        self._reactor = reactor
        self.socket = sock
        self._most = most
        self._parse = parse
        self._decided = decided
        self._ended = ended
        self.seen = 0
        self._wanted = 0  # what the kernel wakes us for
        self._reading = False
        self._resting: IDelayedCall | None = None

    def look(self) -> None:
        """Look at them now, and when more have come, until something is decided."""
        self.doRead()

    def stop(self) -> None:
        """Look at them no more. May be called twice."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if self._reading:
            self._reading = False
            self._reactor.removeReader(self)
        if self._wanted:
            self._wakeFor(1)
            self._wanted = 0

    def fileno(self) -> int:
        return self.socket.fileno()

    def logPrefix(self) -> str:
        return "FirstBytes"

    def doRead(self) -> None:
        try:
            start = self.socket.recv(self._most, socket.MSG_PEEK)
        except BlockingIOError:
            self._read()
            return
        except OSError:
            start = b""
        self.seen = len(start)
        if not start:
            self._end(start)
            return
        found = self._parse(start)
        if not isinstance(found, More):
            self.stop()
            self._decided(found)
        elif self.seen >= self._wanted:
            self._wanted = self.seen + found.count
            self._wakeFor(self._wanted)
            self._read()
        elif self._hasEnded():
            self._end(start)
        else:
            self._rest()

    def connectionLost(self, reason: Failure) -> None:
        """The poll has reported an error of the socket, or the reactor stops."""
        self._end(b"")

    def _end(self, start: bytes) -> None:
        self.stop()
        self._ended(start)

    def _wakeFor(self, count: int) -> None:
        with contextlib.suppress(OSError):  # Windows cannot: a poll reports what has come again and again
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)

    def _read(self) -> None:
        if not self._reading:
            self._reading = True
            self._reactor.addReader(self)

    def _rest(self) -> None:
        """Look again in a moment."""
        if self._reading:
            self._reading = False
            self._reactor.removeReader(self)
        self._resting = self._reactor.callLater(_REST, self._rested)

    def _rested(self) -> None:
        self._resting = None
        self._read()

    def _hasEnded(self) -> bool:
        """Whether no more bytes will come."""
        if not _ENDED:
            return False
        poll = select.poll()
        poll.register(self.socket, _ENDED)
        return bool(poll.poll(0))
