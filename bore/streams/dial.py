"""Dialling: a connected socket for a host and a port, in no more time than it takes."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from typing import Final, TypeAlias

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
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

from bore.streams.addresses import SocketAddress, isLiteral, literalAddress
from bore.streams.reactor import IReactor
from bore.streams.sockets import prepareStream

#: An address with its family, as a new socket needs it.
Place: TypeAlias = tuple[socket.AddressFamily, SocketAddress]

#: A dial that has not succeeded by then has failed, in seconds.
DIAL_TIMEOUT: Final = 10.0

#: When an address has not answered after so many seconds the next one is tried beside it (RFC 8305, section 5).
_ATTEMPT_DELAY: Final = 0.25

#: How long the addresses of a name are believed, in seconds.
_NAME_LIFETIME: Final = 30.0


class Dialer:
    """
    Dials one host and port, again and again.

    A name is not looked up for every dial: its addresses are believed for half a minute, and as long as they answer
    within it. The address that answered last is tried first; one that refuses costs no time at all.

    :param host: a name or an IP address.
    """

    def __init__(self, reactor: IReactor, host: str, port: int) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port
        self._places: list[Place] = []
        self._looked = float("-inf")

    def dial(self) -> Deferred[socket.socket]:
        """
        Connect once.

        :returns: the connected socket, which does not block. Fails with OSError, or with DNSLookupError when the
            name has no address. Cancelling ends the attempt.
        """
        return self._lookUp().addCallback(self._connect)

    def _connect(self, places: list[Place]) -> Deferred[socket.socket]:
        dialling = _Dialling(self._reactor, places)
        return dialling.done.addCallbacks(self._won, self._failed)

    def _won(self, result: tuple[Place, socket.socket]) -> socket.socket:
        place, sock = result
        if self._places and self._places[0] != place and place in self._places:
            self._places.remove(place)
            self._places.insert(0, place)
        return sock

    def _failed(self, reason: Failure) -> Failure:
        self._looked = float("-inf")
        return reason

    def _lookUp(self) -> Deferred[list[Place]]:
        if isLiteral(self._host):
            self._places = [literalAddress(self._host, self._port)]
        elif self._reactor.seconds() - self._looked > _NAME_LIFETIME:
            return _resolve(self._reactor, self._host, self._port).addCallback(self._resolved)
        return succeed(self._places)

    def _resolved(self, places: list[Place]) -> list[Place]:
        self._looked = self._reactor.seconds()
        preferred = self._places[:1]
        self._places = sorted(places, key=lambda place: place not in preferred)
        return self._places


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
    reactor.nameResolver.resolveHostName(resolution, host, port, [IPv4Address, IPv6Address], "TCP")
    return resolution.done


class _Dialling:
    """Tries the addresses of one dial, each a little after the one before, or as soon as that one has failed."""

    def __init__(self, reactor: IReactor, places: Sequence[Place]) -> None:
        self._reactor = reactor
        self._places = list(places)
        self._attempts: set[_Attempt] = set()
        self._error: OSError = OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        self._next: IDelayedCall | None = None
        self.done: Deferred[tuple[Place, socket.socket]] = Deferred(lambda _: self._end())
        self._timeout = reactor.callLater(DIAL_TIMEOUT, self._timedOut)
        self._tryNext()

    def _tryNext(self) -> None:
        self._next = None
        while self._places:
            place = self._places.pop(0)
            try:
                attempt = _Attempt(self._reactor, self, place)
            except OSError as e:
                self._error = e
                continue
            self._attempts.add(attempt)
            if self._places:
                self._next = self._reactor.callLater(_ATTEMPT_DELAY, self._tryNext)
            return
        if not self._attempts:
            self._end()
            self.done.errback(self._error)

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
        self.done.errback(OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))

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
    """One socket on its way to one address."""

    def __init__(self, reactor: IReactor, dialling: _Dialling, place: Place) -> None:
        self._reactor = reactor
        self._dialling = dialling
        self.place = place
        family, address = place
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self.socket.setblocking(False)
            prepareStream(self.socket)
            code = self.socket.connect_ex(address)
            if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
                raise OSError(code, os.strerror(code))
        except BaseException:
            self.socket.close()
            raise
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
