"""Dialling: a connected socket for a host and a port, in no more time than it takes."""

from __future__ import annotations

import socket
from typing import Final, Protocol

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import DNSLookupError
from twisted.python.failure import Failure

from bore.streams.addresses import Place, isLiteral, literalAddress
from bore.streams.names import LOOK_UPS, LookUps, NameTrouble
from bore.streams.racing import DIAL_TIMEOUT, Race, alternate, begin, isConnected, mayReachItself
from bore.streams.reactor import IReactor

#: How long the addresses of a name are believed, in seconds.
_NAME_LIFETIME: Final = 30.0

#: While a name cannot be looked up, the addresses that it had are used for so many seconds more.
_STALE_LIFETIME: Final = 3600.0

#: Who has such addresses waits for so many seconds for new ones.
_STALE_PATIENCE: Final = 2.0


#: Look-ups of one name at a time: one, and one more when that one takes so long that it may be asking name servers that
#: are those of another network.
_MOST_LOOKUPS: Final = 2


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
    within it. All who wait share one look-up. The address that answered last is tried first; one that refuses costs no
    time at all.

    :param host: a name or an IP address.
    :param names: looks names up.
    """

    patience = 0.0

    def __init__(self, reactor: IReactor, host: str, port: int, names: LookUps = LOOK_UPS) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port
        self._names = names
        self._literal = isLiteral(host)
        self._places: list[Place] = []
        self._expires = self._foundAt = float("-inf")
        self._maySelf = False
        self._asked: list[Deferred[None]] | None = None
        self._lookingUp = 0

    def dial(self) -> socket.socket | Deferred[socket.socket]:
        """
        Connect once.

        :returns: the connected socket, which does not block: at once where that takes no waiting, as it does within
            a machine, and a Deferred of it elsewhere, which fails with OSError, among them
            :class:`bore.streams.names.NameTrouble`. Cancelling it ends the attempt.
        """
        if self._reactor.seconds() >= self._expires:
            if not self._literal:
                return self._lookUp().addCallback(lambda _: self._connect())
            try:
                self._found([literalAddress(self._host, self._port)])
            except OSError:
                interface = self._host.partition("%")[2]
                return fail(NameTrouble(f"there is no network interface {interface}"))
        return self._connect()

    def forget(self) -> None:
        """Look the name up afresh for the next dial."""
        self._expires = float("-inf")

    def _lookUp(self) -> Deferred[None]:
        """Have the name looked up, once for all who ask meanwhile."""
        waiting: Deferred[None] = Deferred()
        if self._asked is None:
            self._asked = asked = [waiting]
            self._lookingUp += 1
            found = self._names.lookUp(self._reactor, self._host)
            found.addCallback(self._found).addBoth(self._tell, asked)
        else:
            self._asked.append(waiting)
        fresh = self._reactor.seconds() - self._foundAt < _STALE_LIFETIME
        patience = _STALE_PATIENCE if fresh else DIAL_TIMEOUT
        return waiting.addTimeout(patience, self._reactor, self._noAnswer).addErrback(self._makeDo, fresh)

    def _found(self, places: list[Place]) -> None:
        preferred = self._places[:1]
        found = [(family, (address[0], self._port, *address[2:])) for family, address in places]
        self._places = sorted(alternate(found), key=lambda place: place not in preferred)
        self._foundAt = self._reactor.seconds()
        self._expires = self._foundAt + _NAME_LIFETIME
        self._maySelf = mayReachItself(self._port)

    def _tell(self, result: Failure | None, asked: list[Deferred[None]]) -> None:
        self._lookingUp -= 1
        if self._asked is asked:
            self._asked = None
        for waiting in asked:
            if not waiting.called:  # cancelled, or was not patient enough
                waiting.callback(result)  # a Failure makes it fail

    def _noAnswer(self, unused_result: object, unused_timeout: float) -> Failure:
        if self._lookingUp < _MOST_LOOKUPS:
            self._asked = None
        return Failure(NameTrouble(f"the name {self._host} cannot be looked up: the name servers do not answer"))

    def _makeDo(self, reason: Failure, fresh: bool) -> None:
        """Use the addresses that the name had, if that it has others now is not known."""
        reason.trap(DNSLookupError)
        if not fresh or not (isinstance(reason.value, NameTrouble) and reason.value.temporary):
            reason.raiseException()
        self._expires = self._reactor.seconds() + _NAME_LIFETIME

    def _connect(self) -> socket.socket | Deferred[socket.socket]:
        place = self._places[0]
        try:
            first = begin(place)
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
