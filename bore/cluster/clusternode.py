"""A node of a cluster: its membership, what it owns, and the other nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from bore.cluster.engine import Engine, Node
from bore.cluster.membership import Membership
from bore.cluster.othernodes import OtherNodes
from bore.cluster.registry import ClusterRegistry
from bore.server.core import ServerCore
from bore.server.registry import LocalRegistry
from bore.streams.reactor import IReactor
from bore.version import __version__
from bore.wire.secret import Secret

#: How long a node that stops waits for its clients to be at other nodes, in seconds: they come there within a second.
_MOVE_TIMEOUT: Final = 3.0

#: How long a visitor may take to arrive at another node, in seconds: until then there has to be a session with it.
_ARRIVE: Final = 0.3

#: How often it looks whether they are, in seconds.
_LOOK: Final = 0.05


class ClusterNode:
    """
    A server as a node of a cluster.

    :param engine: the store of the cluster.
    :param name: the name of the node.
    :param advertise: where clients and other nodes reach it, such as ``tls://node1.example.com:7835``.
    :param key: the cluster's key.
    :param ttl: for how long it may own addresses without an answer of the engine, in seconds.
    :param lease: how long an address is kept without a session, in seconds.
    :param now: the clock that goes on while the machine is suspended, in seconds.
    :ivar registry: the registry for its server.
    """

    def __init__(
        self,
        reactor: IReactor,
        engine: Engine,
        name: str,
        advertise: str,
        key: Secret,
        ttl: float,
        lease: float,
        now: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self._name = name
        self._advertise = advertise
        self._key = key
        self._withdrawn = False  # it has no sessions with other nodes any more, as it leaves
        self.membership = Membership(reactor, engine, name, advertise, __version__, ttl, now)
        self.registry = ClusterRegistry(LocalRegistry(reactor, lease), self.membership)
        self._core: ServerCore
        self.others: OtherNodes

    def attach(self, core: ServerCore) -> None:
        """Have a server, which was made with the registry and has not begun."""
        self._core = core
        self.others = OtherNodes(self._reactor, core, self.registry, self._key)
        core.server.sessions.here = self._advertise
        core.server.unaccepted.mayServe = self.registry.mayServe
        self.registry.ended = self.others.lose
        self.membership.changed = self._changed
        self.membership.acts = self.others.act

    def start(self) -> None:
        """Join the cluster. The engine may be away."""
        self._changed()
        self.membership.start()

    def leave(self, linger: float = 0.0) -> Deferred[None]:
        """
        Have the clients go to other nodes, as this one stops, and then the visitors that wait. Those that come
        meanwhile are passed on. Clients of the base protocol stay.

        :param linger: how long visitors are passed on at least, if there are other nodes, in seconds.
        :returns: fires when there are no sessions with other nodes any more, _MOVE_TIMEOUT and linger later at most.
        """
        return Deferred.fromCoroutine(self._leave(linger))

    @property
    def leaves(self) -> bool:
        """Whether it has begun to leave."""
        return self.membership.state == "draining"

    def depart(self) -> Deferred[None]:
        """Leave the cluster, as the server has stopped."""
        return self.membership.stop()

    async def _leave(self, linger: float) -> None:
        server, places = self._core.server, self._places()
        self.membership.state = "draining"
        until = self._reactor.seconds() + _MOVE_TIMEOUT
        if places and server.sessions.move(*places):
            await self._wait(lambda: all(tunnel.owner is not None for tunnel in server.tunnels.all()), until)
        self.others.withdraw()
        self._withdrawn = True
        if places:
            await self._wait(lambda: not len(server.unaccepted), until)
            await deferLater(self._reactor, linger)
            self.others.forwards.closeEntrances()
            await deferLater(self._reactor, _ARRIVE)
            await self._wait(lambda: not len(server.unaccepted), until + linger)
        await self.others.stop()

    async def _wait(self, condition: Callable[[], bool], until: float) -> None:
        """Wait for a condition, or until a time."""
        while not condition() and self._reactor.seconds() < until:
            await deferLater(self._reactor, _LOOK)

    def _places(self) -> list[str]:
        """The other nodes that take new sessions, as far as that is known."""
        isAway = self.membership.neighbours.isAway
        up = [each.advertise for each in self._nodes() if each.state == "up" and not isAway(each.member)]
        return [*up, *(each for each in self.others.retained if each not in up)]

    def _nodes(self) -> list[Node]:
        """The other nodes, without former runs of this one; of the runs of another one that which is not away."""
        neighbours = self.membership.neighbours
        seen = {self._name, self._advertise}
        nodes: list[Node] = []
        for each in sorted(neighbours.all(), key=lambda node: neighbours.isAway(node.member)):
            if seen.isdisjoint((each.name, each.advertise)):
                nodes.append(each)
            seen.update((each.name, each.advertise))
        return nodes

    def _changed(self) -> None:
        """The number of this node, or the others, have changed."""
        server = self._core.server
        server.setNumber(self.membership.number)
        self.others.number = self.membership.number
        if not self._withdrawn:
            self.others.follow(self._nodes(), self.membership.neighbours.isAway)
        server.sessions.nameNodes(self._places())
