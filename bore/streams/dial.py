"""Dialling: a connected socket for a host and a port, in no more time than it takes."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from typing import Final, Protocol, TypeAlias

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHostResolution,
    IResolutionReceiver,
    IWriteDescriptor,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from bore.streams.addresses import SocketAddress, isLiteral, isLoopback, literalAddress
from bore.streams.reactor import IReactor
from bore.streams.sockets import prepareStream

#: An address with its family, as a new socket needs it.
Place: TypeAlias = tuple[socket.AddressFamily, SocketAddress]

#: A dial that has not succeeded by then has failed, in seconds.
DIAL_TIMEOUT: Final = 10.0

#: When an address has not answered after so many seconds the next one is tried beside it (RFC 8305, section 5).
_ATTEMPT_DELAY: Final = 0.25

#: What connect(2) says when it is not done yet, or is.
_UNDER_WAY: Final = (0, errno.EINPROGRESS, errno.EWOULDBLOCK)

#: How long the addresses of a name are believed, in seconds.
_NAME_LIFETIME: Final = 30.0


#: Where a socket can be made so that it does not block, that saves a system call.
_NONBLOCK: Final[int] = getattr(socket, "SOCK_NONBLOCK", 0)


class Dials(Protocol):
    """
    Whatever connects to one place, again and again.

    :cvar patience: how long it pays to do without a new connection, in case that another one becomes free, in seconds.
    """

    patience: float

    def dial(self) -> socket.socket | Deferred[socket.socket]:
        """Connect once: see :meth:`Dialer.dial`."""


class Dialer:
    """
    Dials one host and port, again and again.

    A name is not looked up for every dial: its addresses are believed for half a minute, and as long as they answer
    within it. The address that answered last is tried first; one that refuses costs no time at all.

    :param host: a name or an IP address.
    """

    patience = 0.0

    def __init__(self, reactor: IReactor, host: str, port: int) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port
        self._places: list[Place] = []
        self._expires = 0.0
        self._asked: list[Deferred[None]] | None = None

    def dial(self) -> socket.socket | Deferred[socket.socket]:
        """
        Connect once.

        :returns: the connected socket, which does not block: at once where that takes no waiting, as it does within
            a machine, and a Deferred of it elsewhere, which fails with OSError, or with DNSLookupError when the name
            has no address. Cancelling it ends the attempt.
        """
        if self._reactor.seconds() >= self._expires:
            if isLiteral(self._host):
                try:
                    self._places = [literalAddress(self._host, self._port)]
                except OSError as e:  # an interface that does not exist, or not yet
                    return fail(e)
                self._expires = float("inf")
            else:
                return self._lookUp().addCallback(lambda _: self._connect())
        return self._connect()

    def _lookUp(self) -> Deferred[None]:
        """Have the name looked up, once for all who ask meanwhile."""
        waiting: Deferred[None] = Deferred()
        if self._asked is not None:
            self._asked.append(waiting)
            return waiting
        self._asked = [waiting]
        found = _resolve(self._reactor, self._host, self._port).addTimeout(DIAL_TIMEOUT, self._reactor)
        found.addCallback(self._found).addBoth(self._tell)
        return waiting

    def _found(self, places: list[Place]) -> None:
        preferred = self._places[:1]
        self._places = sorted(places, key=lambda place: place not in preferred)
        self._expires = self._reactor.seconds() + _NAME_LIFETIME

    def _tell(self, result: Failure | None) -> None:
        asked, self._asked = self._asked, None
        for waiting in asked or ():
            if not waiting.called:  # cancelled
                waiting.callback(result)  # a Failure makes it fail

    def _connect(self) -> socket.socket | Deferred[socket.socket]:
        place = self._places[0]
        try:
            first = _begin(place)
        except OSError as e:
            dialling = _Dialling(self._reactor, self._places[1:], None, e)
        else:
            if _isConnected(first):
                return first
            dialling = _Dialling(self._reactor, self._places[1:], (place, first))
        return dialling.done.addCallbacks(self._won, self._failed)

    def _won(self, result: tuple[Place, socket.socket]) -> socket.socket:
        place, sock = result
        if self._places[0] != place and place in self._places:
            self._places.remove(place)
            self._places.insert(0, place)
        return sock

    def _failed(self, reason: Failure) -> Failure:
        if self._expires != float("inf"):
            self._expires = 0.0
        return reason


def _begin(place: Place) -> socket.socket:
    """A socket that is connected, or on its way."""
    family, address = place
    sock = socket.socket(family, socket.SOCK_STREAM | _NONBLOCK)
    try:
        if not _NONBLOCK:
            sock.setblocking(False)
        if isLoopback(address):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # nobody vanishes within a machine
        else:
            prepareStream(sock)
        code = sock.connect_ex(address)
        if code not in _UNDER_WAY:
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return sock


def _isConnected(sock: socket.socket) -> bool:
    """Whether a connection was made while it was asked for: within a machine it always is."""
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


@implementer(IResolutionReceiver)
class _Resolution:
    """Collects the addresses of one name."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._places: list[Place] = []
        self.done: Deferred[list[Place]] = Deferred()

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        pass

    def addressResolved(self, address: IAddress) -> None:
        if isinstance(address, IPv4Address | IPv6Address):
            self._places.append(literalAddress(address.host, address.port))

    def resolutionComplete(self) -> None:
        if self.done.called:
            return
        if self._places:
            self.done.callback(self._places)
        else:
            self.done.errback(DNSLookupError(f"no address is known for {self._host}"))


def _resolve(reactor: IReactor, host: str, port: int) -> Deferred[list[Place]]:
    resolution = _Resolution(host)
    try:
        reactor.nameResolver.resolveHostName(resolution, host, port, [IPv4Address, IPv6Address], "TCP")
    except UnicodeError:
        return fail(DNSLookupError(f"{host} is no name"))
    return resolution.done


class _Dialling:
    """Tries the addresses of one dial, each a little after the one before, or as soon as that one has failed."""

    def __init__(
        self,
        reactor: IReactor,
        places: Sequence[Place],
        first: tuple[Place, socket.socket] | None,
        error: OSError | None = None,
    ) -> None:
        self._reactor = reactor
        self._places = list(places)
        self._attempts: set[_Attempt] = set()
        self._error = error or _noAnswer()
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
                sock = _begin(place)
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
            self._next = self._reactor.callLater(_ATTEMPT_DELAY, self._tryNext)

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
        self.done.errback(_noAnswer())

    def _end(self) -> None:
        for timer in (self._next, self._timeout):
            if timer is not None and timer.active():
                timer.cancel()
        self._places.clear()
        for attempt in self._attempts:
            attempt.abandon()
        self._attempts.clear()


def _noAnswer() -> OSError:
    return OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))


@implementer(IWriteDescriptor)
class _Attempt:
    """One socket on its way to one address."""

    def __init__(self, reactor: IReactor, dialling: _Dialling, place: Place, sock: socket.socket) -> None:
        self._reactor = reactor
        self._dialling = dialling
        self.place = place
        self.socket = sock
        reactor.addWriter(self)

    def fileno(self) -> int:
        return self.socket.fileno()

    def logPrefix(self) -> str:
        return "Dialer"

    def doWrite(self) -> None:
        self._settle()

    def connectionLost(self, reason: Failure) -> None:
        """The poll says that something is wrong with the socket, or the reactor ends."""
        if self.socket.fileno() >= 0:
            self._settle(errno.ECONNABORTED)

    def abandon(self) -> None:
        self._reactor.removeWriter(self)
        self.socket.close()

    def _settle(self, otherwise: int = 0) -> None:
        code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or otherwise
        if code:
            self.abandon()
            self._dialling.failed(self, OSError(code, os.strerror(code)))
        else:
            self._reactor.removeWriter(self)
            self._dialling.succeeded(self)
