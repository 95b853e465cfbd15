"""The control ports of a server with workers: connections are accepted, looked at, and passed on to a worker."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from bore.events import Sink
from bore.server.settings import NO_PROXIES, Bounds, TrustedProxies
from bore.streams.addresses import SocketAddress
from bore.streams.listener import Listener, ListenerGroup
from bore.streams.reactor import IReactor
from bore.wire.workermessages import BaseSession, Connection, DropOldest, HandOn, Load, Pending, SupervisorMessage
from bore.wire.workernumbers import NO_WORKER
from bore.workers.handover import ArrivalState
from bore.workers.peeking import Arrival
from bore.workers.pending import PendingConnections
from bore.workers.placement import Placement, Worker

if TYPE_CHECKING:
    from bore.server.proxyheaders import ProxyHeaders


class Addressee(Worker, Protocol):
    """A worker to which messages are sent."""

    def send(self, message: SupervisorMessage, descriptors: Sequence[int] = ()) -> None:
        """
        Send it a message, unless its channel is closed.

        :param descriptors: they belong to the channel from now on, which closes them.
        """


class Doorway:
    """
    Accepts connections on the control ports, and passes each of them on to the worker that it belongs to.

    While no worker takes connections, none is accepted: they wait in the kernel. One that belongs to a worker whose
    channel is full waits here.

    :param members: returns the workers.
    :param known: returns whether a source has a tunnel.
    :param trusted: whose PROXY protocol headers are read.
    :param asks: whether clients have to prove something: then a client without TLS sends nothing before it is asked.
    """

    def __init__(
        self,
        reactor: IReactor,
        sink: Sink,
        bounds: Bounds,
        members: Callable[[], Iterable[Addressee]],
        known: Callable[[str], bool],
        asks: bool,
        trusted: TrustedProxies = NO_PROXIES,
    ) -> None:
        self._reactor = reactor
        self._sink = sink
        self._members = members
        self._asks = asks
        self._group = ListenerGroup(sink)
        self._listeners: list[Listener] = []
        self._placement: Placement[Addressee] = Placement(reactor, members)
        self._pending = PendingConnections(reactor, sink, bounds, known, self._dropOldest)
        self._here: dict[Arrival, None] = {}
        self._waiting: dict[Arrival, None] = {}  # those of them that are decided
        self._holdsBack = self._isPaused = False
        self._accepts = {encrypted: partial(self._accepted, encrypted) for encrypted in (False, True)}
        self._headers: ProxyHeaders | None = None
        self._trust(trusted)

    @property
    def count(self) -> int:
        """How many connections are here."""
        return len(self._pending)

    @property
    def alive(self) -> bool:
        """Whether it accepts connections on all ports, or will do so again."""
        return all(each.alive for each in self._listeners)

    def listen(self, sock: socket.socket, encrypted: bool) -> None:
        """
        Accept the connections of one control port.

        :param sock: a listening socket; it belongs to the doorway from now on.
        :param encrypted: whether TLS is spoken there.
        """
        rest = self._group, self._pending.dropOne, self._mayAccept
        listener = Listener(self._reactor, sock, self._accepts[encrypted], *rest)
        self._listeners.append(listener)
        if self._holdsBack:
            listener.pause()

    def give(self, session: BaseSession, descriptor: int) -> bool:
        """
        Give a session of another worker to the one with the least to do.

        :param descriptor: that of its connection, which belongs to the callee then.
        :returns: whether there is one.
        """
        worker = self._placement.least()
        if worker is None:
            return False
        worker.send(session, [descriptor])
        self._placement.passed(worker.number)
        return True

    def apply(self, bounds: Bounds, asks: bool, trusted: TrustedProxies) -> None:
        """Use other settings for the connections that come from now on."""
        self._pending.apply(bounds)
        self._asks = asks
        self._trust(trusted)

    # Upgrades.

    def pause(self) -> None:
        """Accept nothing more in this process, and pass nothing on: the channels are about to be left."""
        self._isPaused = True
        for each in self._listeners:
            each.release()

    def release(self) -> list[ArrivalState]:
        """Have nothing to do with any descriptor any more: return the connections for :meth:`adopt`, and close none."""
        self.pause()
        self._listeners.clear()
        here, self._here = list(self._here), {}
        for each in here:
            each.stop()
            self._pending.take(each)
        self._waiting.clear()
        unread = [] if self._headers is None else self._headers.release()
        return [
            ArrivalState(each.socket.detach(), each.passOn is self._accepts[True], each.address, proxied=each.isDue)
            for each in unread
        ] + [
            ArrivalState(
                each.socket.detach(),
                each.encrypted,
                each.address,
                each.early,
                None if each.challenge is None else str(each.challenge),
                each.hint,
                each.isDecided,
            )
            for each in here
        ]

    def adopt(self, states: Iterable[ArrivalState]) -> None:
        """Go on with connections that the doorway of an earlier process has released, or this one."""
        self._isPaused = False
        for each in states:
            sock = socket.socket(fileno=each.fd)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)  # it may have waited for more
            address, challenge = tuple(each.peer), None if each.challenge is None else UUID(each.challenge)
            if each.proxied and self._group.through is not None:
                self._group.through(self._accepts[each.encrypted], sock, address)
                continue
            arrival = Arrival(self._reactor, self._sink, self, sock, address, each.encrypted, each.early, challenge)
            self._add(arrival)
            if each.decided:
                arrival.decide(each.hint)
            else:
                arrival.peek()

    def close(self) -> None:
        """Close the control ports, and all connections that were not passed on."""
        for each in self._listeners:
            each.stop()
        self._listeners.clear()
        self.dropAll()

    def dropAll(self) -> None:
        """Close all connections that were not passed on."""
        self._here.clear()
        self._waiting.clear()
        self._pending.close()

    # What the workers are and say.

    def changed(self) -> None:
        """A worker takes connections that took none before, or is gone: pass on what has waited, and accept again."""
        for arrival in list(self._waiting):
            if arrival in self._waiting:
                self._place(arrival)
        if self._holdsBack and self._placement.least() is not None:
            self._holdsBack = False
            for each in self._listeners:
                each.resume()

    def loaded(self, worker: int, load: Load) -> None:
        """A worker has reported its load."""
        self._placement.reported(worker, load)

    def reported(self, worker: int, pending: Pending) -> None:
        """A worker has reported its unclassified connections."""
        self._pending.reported(worker, pending)

    def gone(self, worker: int) -> None:
        """A worker is gone, with the connections that were passed to it."""
        self._placement.gone(worker)
        self._pending.gone(worker)
        self.changed()

    def handOn(self, message: HandOn, sock: socket.socket) -> None:
        """
        Pass a connection on that a worker has read from, and that belongs to another worker.

        :param sock: belongs to the doorway from now on.
        """
        rest = message.early, message.challenge
        arrival = Arrival(self._reactor, self._sink, self, sock, message.peer, False, *rest)
        self._add(arrival)
        arrival.decide(message.worker)

    # What arrivals call.

    def decided(self, arrival: Arrival) -> None:
        """See :class:`bore.workers.peeking.Waiting`."""
        self._place(arrival)

    def left(self, arrival: Arrival) -> None:
        """See :class:`bore.workers.peeking.Waiting`."""
        self._here.pop(arrival, None)
        self._waiting.pop(arrival, None)
        self._pending.take(arrival)

    def _trust(self, trusted: TrustedProxies) -> None:
        """Read the headers of these proxies from now on."""
        if trusted and self._headers is None:
            from bore.server.proxyheaders import ProxyHeaders

            self._headers = ProxyHeaders(self._reactor, self._sink, self._group, self._pending)
        if self._headers is not None:
            self._headers.apply(trusted)

    def _add(self, arrival: Arrival) -> None:
        self._here[arrival] = None
        self._pending.add(arrival, arrival.source)

    def _mayAccept(self) -> bool:
        """Whether a worker takes one more connection. If not, further ones are held back from now on."""
        if self._placement.least() is not None:
            return True
        self._holdsBack = True
        for each in self._listeners:
            each.pause()
        return False

    def _accepted(self, encrypted: bool, sock: socket.socket, address: SocketAddress) -> None:
        arrival = Arrival(self._reactor, self._sink, self, sock, address, encrypted)
        self._add(arrival)
        if encrypted or not self._asks:
            arrival.peek()
        else:
            arrival.decide(NO_WORKER)

    def _place(self, arrival: Arrival) -> None:
        """Pass a connection on, or have it wait for the worker that it belongs to."""
        worker = self._placement.owner(arrival.hint) or self._placement.least()
        if self._isPaused or worker is None or not worker.hasRoom:
            self._waiting[arrival] = None
            return
        self._here.pop(arrival, None)
        self._waiting.pop(arrival, None)
        self._pending.take(arrival)
        message = Connection(arrival.encrypted, arrival.address, arrival.early, arrival.challenge)
        worker.send(message, [arrival.socket.detach()])
        self._pending.passed(worker.number, arrival.source)
        self._placement.passed(worker.number)

    def _dropOldest(self, worker: int, source: str) -> None:
        """Have a worker drop its oldest unclassified connection of a source."""
        for each in self._members():
            if each.number == worker:
                each.send(DropOldest(source))
