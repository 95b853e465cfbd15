"""Dialling: a host and a port become a connected socket."""

from __future__ import annotations

import socket
from typing import Final, Protocol

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import DNSLookupError
from twisted.python.failure import Failure

from bore.streams.addresses import Place, isLiteral, literalAddress
from bore.streams.racing import DIAL_TIMEOUT, Race, alternate, begin, isConnected, mayConnectToItself
from bore.streams.reactor import IReactor
from bore.streams.resolver import RESOLVER, LookupFailed, Resolver

#: How long the addresses of a name are used before it is looked up again, in seconds.
_NAME_LIFETIME: Final = 30.0

#: How long the former addresses of a name are used if it cannot be looked up, in seconds.
_STALE_LIFETIME: Final = 3600.0

#: How long a dial that has former addresses waits for new ones, in seconds.
_STALE_PATIENCE: Final = 2.0

#: How many look-ups of one name may run at the same time: one, and another one if that takes so long that it may be
#: asking the name servers of a former network.
_MAX_LOOKUPS: Final = 2


class Dialer(Protocol):
    """
    Connects to one place, again and again.

    :cvar patience: how long it pays to wait for another connection to become free before making one, in seconds.
    """

    patience: float

    def dial(self, sendsFirst: bool = False) -> socket.socket | Deferred[socket.socket]:
        """
        Connect once.

        :param sendsFirst: whether bytes are sent as soon as the socket is connected.
        :returns: a connected socket that does not block, if it is connected at once, as within a machine. Otherwise a
            Deferred of one, which fails with OSError or :class:`bore.streams.resolver.LookupFailed`. Cancelling it ends
            the attempt.
        """


class ServerDialer(Dialer, Protocol):
    """Makes further connections to the server of a session."""

    def leadTo(self, worker: int) -> None:
        """
        Have the connections tell which of the server's workers they should lead to.

        :param worker: its number; 0: they need not.
        """


class TcpDialer:
    """
    Connects to one host and port, again and again.

    A name is not looked up for every dial: its addresses are used for half a minute, as long as one of them answers.
    Concurrent dials share one look-up. The address that answered last is tried first; one that refuses costs no time.

    :param host: a name or an IP address.
    :param resolver: looks names up.
    """

    patience = 0.0

    def __init__(self, reactor: IReactor, host: str, port: int, resolver: Resolver = RESOLVER) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port
        self._resolver = resolver
        self._literal = isLiteral(host)
        self._places: list[Place] = []
        self._expires = self._foundAt = float("-inf")
        self._maySelf = False
        self._pending: list[Deferred[None]] | None = None
        self._lookingUp = 0

    def dial(self, sendsFirst: bool = False) -> socket.socket | Deferred[socket.socket]:
        """See :class:`Dialer`."""
        if self._reactor.seconds() >= self._expires:
            if not self._literal:
                return self._lookUp().addCallback(lambda _: self._connect(sendsFirst))
            try:
                self._found([literalAddress(self._host, self._port)])
            except OSError:
                interface = self._host.partition("%")[2]
                return fail(LookupFailed(f"there is no network interface {interface}"))
        return self._connect(sendsFirst)

    def leadTo(self, worker: int) -> None:
        """See :class:`ServerDialer`: a connection without TLS tells that in its first message."""

    def forget(self) -> None:
        """Look the name up again for the next dial."""
        self._expires = float("-inf")

    def _lookUp(self) -> Deferred[None]:
        """Look the name up, once for all dials that wait."""
        waiting: Deferred[None] = Deferred()
        if self._pending is None:
            self._pending = pending = [waiting]
            self._lookingUp += 1
            found = self._resolver.lookUp(self._reactor, self._host)
            found.addCallback(self._found).addBoth(self._lookedUp, pending)
        else:
            self._pending.append(waiting)
        fresh = self._reactor.seconds() - self._foundAt < _STALE_LIFETIME
        patience = _STALE_PATIENCE if fresh else DIAL_TIMEOUT
        return waiting.addTimeout(patience, self._reactor, self._noAnswer).addErrback(self._useFormer, fresh)

    def _found(self, places: list[Place]) -> None:
        preferred = self._places[:1]
        found = [(family, (address[0], self._port, *address[2:])) for family, address in places]
        self._places = sorted(alternate(found), key=lambda place: place not in preferred)
        self._foundAt = self._reactor.seconds()
        self._expires = self._foundAt + _NAME_LIFETIME
        self._maySelf = mayConnectToItself(self._port)

    def _lookedUp(self, result: Failure | None, pending: list[Deferred[None]]) -> None:
        self._lookingUp -= 1
        if self._pending is pending:
            self._pending = None
        for waiting in pending:
            if not waiting.called:  # cancelled, or timed out
                waiting.callback(result)  # or fails, if it is a Failure

    def _noAnswer(self, unused_result: object, unused_timeout: float) -> Failure:
        if self._lookingUp < _MAX_LOOKUPS:
            self._pending = None
        return Failure(LookupFailed(f"the name {self._host} cannot be looked up: the name servers do not answer"))

    def _useFormer(self, reason: Failure, fresh: bool) -> None:
        """Use the former addresses of the name, unless the name servers have answered."""
        reason.trap(DNSLookupError)
        if not fresh or not (isinstance(reason.value, LookupFailed) and reason.value.temporary):
            reason.raiseException()
        self._expires = self._reactor.seconds() + _NAME_LIFETIME

    def _connect(self, sendsFirst: bool) -> socket.socket | Deferred[socket.socket]:
        place = self._places[0]
        try:
            first = begin(place, sendsFirst)
            if isConnected(first, self._maySelf):
                return first
        except OSError as e:
            race = Race(self._reactor, self._places[1:], None, e, self._maySelf)
        else:
            race = Race(self._reactor, self._places[1:], (place, first), mayBeItself=self._maySelf)
        return race.done.addCallbacks(self._won, self._failed)

    def _won(self, result: tuple[Place, socket.socket]) -> socket.socket:
        place, sock = result
        if self._places[0] != place and place in self._places:
            self._places.remove(place)
            self._places.insert(0, place)
        return sock

    def _failed(self, reason: Failure) -> Failure:
        self.forget()
        return reason
