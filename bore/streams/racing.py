"""The addresses of one dial, which are tried concurrently until one answers (RFC 8305)."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.streams.addresses import Place, SocketAddress, isLoopback
from bore.streams.reactor import IReactor
from bore.streams.socketoptions import closeWithReset, prepareStream, saveAck

#: The time for a whole dial, in seconds.
DIAL_TIMEOUT: Final = 10.0

#: How many addresses of a name are tried; each takes a descriptor until it answers.
MAX_PLACES: Final = 128

#: The time between the attempts, in seconds (Connection Attempt Delay, RFC 8305, section 5).
_ATTEMPT_DELAY: Final = 0.25

#: The time by which the last of many addresses is tried, in seconds; it has as long to answer.
_ALL_TRIED: Final = DIAL_TIMEOUT / 2

#: Results of connect(2) that are not errors.
_UNDER_WAY: Final = (0, errno.EINPROGRESS, errno.EWOULDBLOCK)

#: Making a socket that does not block saves a system call, where it is possible.
_NONBLOCK: Final[int] = getattr(socket, "SOCK_NONBLOCK", 0)

#: Linux: the range of ephemeral ports.
_PORT_RANGE: Final = "/proc/sys/net/ipv4/ip_local_port_range"


def alternate(places: Sequence[Place]) -> list[Place]:
    """
    Sort addresses so that both families alternate (RFC 8305, section 4), each in its own order; at most MAX_PLACES.
    """
    unique = list(dict.fromkeys(places))
    first = [place for place in unique if place[0] == unique[0][0]]
    other = [place for place in unique if place[0] != unique[0][0]]
    mixed: list[Place] = []
    for n in range(max(len(first), len(other))):
        mixed += first[n : n + 1] + other[n : n + 1]
    return mixed[:MAX_PLACES]


def mayConnectToItself(port: int) -> bool:
    """Whether this port is one that the system may choose for the near end of a connection to it."""
    try:
        with open(_PORT_RANGE) as file:
            lowest, highest = map(int, file.read().split())
    except (OSError, ValueError):
        return port >= 1024
    return lowest <= port <= highest


def begin(place: Place, sendsFirst: bool = False) -> socket.socket:
    """
    Make a socket, and begin to connect it.

    :param sendsFirst: see :meth:`bore.streams.dial.Dialer.dial`.
    :raises OSError: when that fails at once.
    """
    family, address = place
    sock = socket.socket(family, socket.SOCK_STREAM | _NONBLOCK)
    try:
        if not _NONBLOCK:
            sock.setblocking(False)
        if isLoopback(address):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a peer in this machine does not vanish
        else:
            prepareStream(sock)
        if sendsFirst:
            saveAck(sock)
        code = sock.connect_ex(address)
        if code == errno.EINVAL and str(address[0]).startswith("fe80:"):
            raise OSError(code, "an fe80:: address needs its network interface, as in fe80::1%eth0")
        if code not in _UNDER_WAY:
            raise _error(code)
    except BaseException:
        sock.close()
        raise
    return sock


def isConnected(sock: socket.socket, mayBeItself: bool) -> bool:
    """
    Whether a connection was established at once, as it is within a machine.

    :param mayBeItself: whether to check that the socket is not connected to itself by TCP's simultaneous open: that
        happens where no one listens, when the system chooses the port that it connects to for the socket.
    :raises ConnectionRefusedError: when it is; the socket is closed, so that its port is free for the service.
    """
    try:
        peer = sock.getpeername()
    except OSError:
        return False
    if mayBeItself:
        refuseSelfConnection(sock, peer)
    return True


def refuseSelfConnection(sock: socket.socket, peer: SocketAddress) -> None:
    """
    Check that a socket is not connected to itself.

    :raises ConnectionRefusedError: see :func:`isConnected`.
    """
    if sock.getsockname()[:2] == peer[:2]:
        closeWithReset(sock)
        raise _error(errno.ECONNREFUSED)


def _error(code: int) -> OSError:
    return OSError(code, os.strerror(code))


class Race:
    """
    Tries the addresses of one dial, each a little after the one before, or as soon as that one has failed.

    :param places: the addresses to try.
    :param first: an attempt that has begun.
    :param error: the error of an attempt that has failed.
    :param mayBeItself: see :func:`isConnected`.
    :ivar done: fires with the address and its socket; fails with the last error, an OSError. Cancelling it ends all
        attempts.
    """

    def __init__(
        self,
        reactor: IReactor,
        places: Sequence[Place],
        first: tuple[Place, socket.socket] | None,
        error: OSError | None = None,
        mayBeItself: bool = False,
    ) -> None:
        self._reactor = reactor
        self.mayBeItself = mayBeItself
        self._places = list(places)
        self._delay = min(_ATTEMPT_DELAY, _ALL_TRIED / max(1, len(places)))
        self._attempts: set[_Attempt] = set()
        self._error = error or _error(errno.ETIMEDOUT)
        self._next: IDelayedCall | None = None
        self.done: Deferred[tuple[Place, socket.socket]] = Deferred(lambda _: self._end())
        self._timeout = reactor.callLater(DIAL_TIMEOUT, self._timedOut)
        if first is None:
            self._tryNext()
        else:
            self._await(*first)

    def _tryNext(self) -> None:
        self._next = None
        while self._places:
            place = self._places.pop(0)
            try:
                sock = begin(place)
            except OSError as e:
                self._error = e
                continue
            self._await(place, sock)
            return
        if not self._attempts:
            self._end()
            self.done.errback(self._error)

    def _await(self, place: Place, sock: socket.socket) -> None:
        self._attempts.add(_Attempt(self._reactor, self, place, sock))
        if self._places:
            self._next = self._reactor.callLater(self._delay, self._tryNext)

    def succeeded(self, attempt: _Attempt) -> None:
        self._attempts.discard(attempt)
        self._end()
        self.done.callback((attempt.place, attempt.socket))

    def failed(self, attempt: _Attempt, error: OSError) -> None:
        self._attempts.discard(attempt)
        self._error = error
        if self._next is not None:
            self._next.cancel()
        self._tryNext()

    def _timedOut(self) -> None:
        self._end()
        self.done.errback(_error(errno.ETIMEDOUT))

    def _end(self) -> None:
        for timer in (self._next, self._timeout):
            if timer is not None and timer.active():
                timer.cancel()
        self._places.clear()
        for attempt in self._attempts:
            attempt.abandon()
        self._attempts.clear()


@implementer(IWriteDescriptor)
class _Attempt:
    """A socket that is being connected to one address."""

    def __init__(self, reactor: IReactor, race: Race, place: Place, sock: socket.socket) -> None:
        self._reactor = reactor
        self._race = race
        self.place = place
        self.socket = sock
        reactor.addWriter(self)

    def fileno(self) -> int:
        return self.socket.fileno()

    def logPrefix(self) -> str:
        return "Dialer"

    def doWrite(self) -> None:
        self._finish()

    def connectionLost(self, reason: Failure) -> None:
        """The poll has reported an error of the socket, or the reactor stops."""
        if self.socket.fileno() >= 0:
            self._finish(errno.ECONNABORTED)

    def abandon(self) -> None:
        self._reactor.removeWriter(self)
        self.socket.close()

    def _finish(self, otherwise: int = 0) -> None:
        self._reactor.removeWriter(self)
        code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or otherwise
        try:
            if code:
                raise _error(code)
            if self._race.mayBeItself:
                refuseSelfConnection(self.socket, self.place[1])
        except OSError as e:
            self.socket.close()
            self._race.failed(self, e)
        else:
            self._race.succeeded(self)
