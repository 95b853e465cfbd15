"""A tunnel of this client."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from bore.client.localhealth import LocalHealth, LocalState
from bore.client.outcome import Outcome
from bore.client.publicport import PublicPort
from bore.client.reasons import describe, localAdvice
from bore.client.settings import ServerAddress
from bore.client.state import Memory, NoMemory
from bore.client.target import UnixTarget
from bore.client.tunnelspec import TunnelSpec
from bore.client.usage import Usage
from bore.events import Sink
from bore.events.client import LocalReached, LocalUnreachable, UploadsUnlimited
from bore.streams.dial import Dialer
from bore.streams.reactor import IReactor
from bore.wire.publicaddress import ANY_PORT, PublicAddress
from bore.wire.token import newToken


class Tunnel:
    """
    A tunnel, whichever session it is open in, and while it is in none.

    :param memory: makes what remembers the public port of what the user wants at a server.
    :param reserved: the public addresses that the user wants for any tunnel of the client.
    :ivar spec: what the user wants.
    :ivar name: the local service, by which events name the tunnel.
    :ivar label: the tunnel's own name if the client has several; else empty.
    :ivar local: connects to the local service.
    :ivar address: its public address, where it was up last; 0: it was never up.
    :ivar public: the same with the server's host, for people; empty: it was never up.
    :ivar visitors: the number of visitors that are served, or on their way.
    :ivar usage: what it is used for. When it is not wanted any more, that of all such tunnels.
    :ivar since: when it came up, or ceased to be, or was first wanted, by the clock.
    :ivar why: why the server has refused or closed it; empty: it is up, or was not refused.
    :ivar health: whether the local service answers.
    :ivar key: its lasting key, which the nodes of a cluster know it by; None: it has none yet.
    :ivar ports: its public ports at the servers where it was requested.
    :ivar witness: called for each visitor that has come through to this client.
    """

    def __init__(
        self,
        reactor: IReactor,
        spec: TunnelSpec,
        memory: Callable[[TunnelSpec, ServerAddress], Memory],
        sink: Sink,
        reserved: Collection[PublicAddress] = (),
    ) -> None:
        self._reactor = reactor
        self._memory = memory
        self._sink = sink
        self._reserved = reserved
        self.key: str | None = None
        self.ports: dict[ServerAddress, PublicPort] = {}
        self._joined: set[ServerAddress] = set()  # the nodes of which nothing is remembered
        self._opened: Outcome[PublicAddress] = Outcome()
        self._gaveUp: Outcome[None] = Outcome()
        self.spec = spec
        self.name = str(spec.target)
        self.local: Dialer = spec.target.dialer(reactor)
        self.label = ""
        self.address: PublicAddress = ANY_PORT
        self.public = ""
        self.visitors = 0
        self.usage = Usage()
        self.since = reactor.seconds()
        self.why = ""
        self.health = LocalHealth(reactor, lambda: self.local.dial(), self._probedInVain, self.reached)
        self._wasUp = False
        self._sessions = 0  # in which it is up
        self.witness: Callable[[], None] | None = None
        self._seen: Callable[[str, bytes], None] | None = None
        self._checkLimit()

    def publicPort(self, server: ServerAddress) -> PublicPort:
        """The tunnel's public port at a server."""
        if server not in self.ports:
            self.ports[server] = PublicPort(self._reactor, self.spec.public, self._memoryAt(server), self._reserved)
        return self.ports[server]

    def join(self, server: ServerAddress, address: PublicAddress) -> None:
        """Ask a server for the public address that the tunnel has at another node of its cluster."""
        if server not in self.ports:
            self._joined.add(server)
        port = self.publicPort(server)
        port.asked = address
        port.inherit(address, port.resume)

    def keyAt(self, port: PublicPort) -> str:
        """The lasting key, which is drawn when a node of a cluster is asked for the tunnel, and remembered."""
        key = port.key = self.key = self.key or port.key or newToken()
        return key

    def change(self, spec: TunnelSpec) -> None:
        """
        The user wants something else of the tunnel.

        What concerns visitors is so for the next ones. Another public address is requested when the tunnel is opened
        again. What remembers the public port moves along with the local service.
        """
        moved = spec.target != self.spec.target
        limited = spec.bandwidth and not self.spec.bandwidth
        self.spec = spec
        if moved:
            self.name = str(spec.target)
            self.local = spec.target.dialer(self._reactor)
            self._watch()
            self.health.forget()
        for server, port in self.ports.items():
            if server not in self._joined:
                port.asked = spec.public
            if moved:
                port.move(self._memoryAt(server))
        if moved or limited:
            self._checkLimit()
        if self._wasUp:
            self.health.allow(spec.probe)

    def watch(self, seen: Callable[[str, bytes], None]) -> None:
        """
        Have the first bytes passed on that the local service sends.

        :param seen: called with the name of the tunnel and the bytes: once, and again for another local service.
        """
        self._seen = seen
        self._watch()

    def _watch(self) -> None:
        if self._seen is not None:
            from bore.client.firstbytes import FirstBytes

            self.local = FirstBytes(self.local, partial(self._seen, self.spec.name))

    def remember(self) -> None:
        """Have the public ports remembered in another place, or nowhere."""
        for server, port in self.ports.items():
            port.move(self._memoryAt(server))

    def leave(self, used: Collection[ServerAddress]) -> None:
        """Let other clients use what remembers the public ports at other servers than these."""
        for server, port in list(self.ports.items()):
            if server not in used:
                port.close()
                if not port.had:
                    del self.ports[server]

    def forgetPorts(self) -> None:
        """Begin anew at all servers, as another user: what is remembered of the former one stays."""
        for port in self.ports.values():
            port.close()
        self.ports.clear()
        self._joined.clear()
        self.key = None

    def _memoryAt(self, server: ServerAddress) -> Memory:
        return NoMemory() if server in self._joined else self._memory(self.spec, server)

    def _checkLimit(self) -> None:
        if self.spec.bandwidth and isinstance(self.spec.target, UnixTarget):
            self._sink.emit(UploadsUnlimited(self.name))

    def whenOpened(self) -> Deferred[PublicAddress]:
        """
        Wait until the tunnel is up for the first time since the start.

        :returns: fires with the public address; fails with the reason when the client gives up before, and with
            CancelledError when it is stopped before.
        """
        return self._opened.wait()

    def whenGaveUp(self) -> Deferred[None]:
        """Wait until the client makes no further attempt: the Deferred fails with the reason then."""
        return self._gaveUp.wait()

    def opened(self, address: PublicAddress) -> None:
        """The tunnel is up, in one session. The first time, find out whether the local service answers."""
        self.address = address
        self.why = ""
        self._sessions += 1
        if self._sessions == 1:
            self.since = self._reactor.seconds()
        if not self._wasUp:
            self._wasUp = True
            self.health.allow(self.spec.probe)
        self._opened.settle(address)

    @property
    def isUp(self) -> bool:
        """Whether it is up in a session."""
        return self._sessions > 0

    def away(self) -> None:
        """The tunnel is not up any more, in one session."""
        self._sessions -= 1
        if not self._sessions:
            self.since = self._reactor.seconds()

    def gaveUp(self, why: Exception) -> None:
        """No further attempt is made."""
        self._opened.settle(Failure(why))
        self._gaveUp.settle(Failure(why))

    def stopped(self) -> None:
        """The tunnel is not wanted any more, or the client has stopped; both may be started again."""
        self._opened.settle(Failure(CancelledError()))
        self._opened = Outcome()
        if self._gaveUp.settled:
            self._gaveUp = Outcome()
        self._wasUp = False
        self.health.allow(False)
        self.health.forget()
        for port in self.ports.values():
            port.close()

    def renew(self) -> None:
        """The tunnel is opened again: who waits from now on waits for that."""
        if self._opened.settled:
            self._opened = Outcome()
        if self._gaveUp.settled:
            self._gaveUp = Outcome()

    def noticed(self) -> None:
        """A visitor has come through to this client, whatever becomes of it."""
        if self.witness is not None:
            self.witness()

    @property
    def localState(self) -> LocalState:
        """Whether the local service answers, as far as that is known."""
        return self.health.state

    def reached(self) -> None:
        """The local service was reached, which was not known to be up."""
        health = self.health
        if health.state is LocalState.DOWN:
            self._sink.emit(LocalReached(self.name, health.turnedAway, health.downFor, self.label))
        health.up()

    def unreached(self, reason: Failure) -> None:
        """The local service could not be reached for a visitor."""
        self.health.turnedAway += 1
        self.health.down()
        self._probedInVain(reason)

    def _probedInVain(self, reason: Failure) -> None:
        """The local service could not be reached."""
        why, health = reason.value, self.health
        event = LocalUnreachable(
            self.name, describe(why), localAdvice(why), health.turnedAway, health.downFor, self.label
        )
        self._sink.emit(event)
