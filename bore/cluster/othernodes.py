"""The other nodes of the cluster, as this node has to do with them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Final, NamedTuple
from uuid import UUID

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from bore.client.dataconnections import DataConnections
from bore.client.servers import TLS_PREFIX
from bore.client.visitors import Visitors
from bore.cluster.engine import Node
from bore.cluster.forwards import Forwards
from bore.cluster.handingon import HandingOn
from bore.cluster.nodelink import LinkContext, NodeLink, Place
from bore.cluster.nodeport import NodeKey, NodePort, nodeSecret
from bore.cluster.nodesession import NodeSession
from bore.cluster.offers import Memberships
from bore.events import Event, Sink, entryOf
from bore.events.server import Loss
from bore.relay.interface import Stream
from bore.server.control import ControlContext
from bore.server.core import ServerCore
from bore.server.firstmessage import FirstMessages
from bore.server.heartbeats import Rhythms
from bore.server.lanepool import LanePools
from bore.server.session import SessionContext
from bore.server.sessions import Sessions
from bore.server.settings import Bounds, ServerSettings
from bore.server.tunnel import Tunnel
from bore.streams.addresses import NO_ADDRESS, SocketAddress, parseHostPort
from bore.streams.dial import ServerDialer
from bore.streams.reactor import IReactor
from bore.timing.deadlines import Deadlines
from bore.timing.turns import Turns
from bore.wire.addressrules import NO_RULES
from bore.wire.errors import ClusterLost
from bore.wire.extension import Source
from bore.wire.laneopen import LaneVisitor
from bore.wire.limits import ACCEPT_TIMEOUT, CONTROL_PORT
from bore.wire.publicaddress import PublicAddress
from bore.wire.secret import Secret

#: Visitors of other nodes that wait while this node does not act as owner; further ones are refused.
_MAX_HELD: Final = 256


class _Held(NamedTuple):
    """A visitor of another node that waits, and the address that it has come to."""

    socket: socket.socket
    address: int
    source: SocketAddress


class OtherNodes:
    """
    Sessions with the other nodes: those that they have here, with which they offer what they own, and those that this
    node has with them. Visitors pass from the node to which they come to one that has a session of the tunnel.

    :param core: the server of this node, before it begins.
    :param memberships: what this node owns.
    :param key: the cluster's key.
    :ivar forwards: the tunnels whose visitors this node passes on.
    :ivar sessions: the sessions of other nodes.
    :ivar links: the sessions with other nodes, by name.
    :ivar names: the names of all nodes that were ever seen, by their numbers.
    :ivar number: the number of this node; 0: it has none yet.
    """

    _log: Final = Logger()

    def __init__(
        self, reactor: IReactor, core: ServerCore, memberships: Memberships, key: Secret, random: Random | None = None
    ) -> None:
        server, settings = core.server, _forForwards(core.settings)
        assert server.whole is not None, "a node without the custody of its addresses"
        self._reactor = reactor
        self._server = server
        self._memberships = memberships
        self._acts = True
        sink = Sink()
        sink.subscribe(self._note)
        self.forwards = Forwards(reactor, server, server.whole, memberships, sink, settings)
        pools = LanePools(reactor, sink, server.relay, settings.bounds.lanes, server.budget)
        self.sessions = Sessions(
            SessionContext(reactor, sink, settings, self.forwards, pools, Rhythms(reactor)), NodeSession
        )
        core.nodes = NodePort(
            ControlContext(
                reactor,
                core.sink,
                settings,
                NodeKey(key),
                server.unclassified,
                FirstMessages(server.unaccepted, server.relay, pools),
                self.sessions,
                server.guesses,
                Turns(reactor),
            ),
            self._takeIn,
        ).accepted
        self._context = LinkContext(
            reactor,
            sink,
            Turns(reactor),
            nodeSecret(key),
            Visitors(reactor, server.relay, settings.bounds.descriptors, sink),
            memberships.addresses,
            lambda: self.number,
            self._epochOf,
            lambda address: memberships.epochOf(address) > 0,
            self._deliver,
            self._dialler,
            Random() if random is None else random,
        )
        self.links: dict[str, NodeLink] = {}
        self.names: dict[int, str] = {}
        self._owned: dict[int, int] = {}  # the last epoch of each address that this node has owned
        self.number = 0
        self._held: Deadlines[socket.socket, _Held] = Deadlines(reactor, ACCEPT_TIMEOUT, lambda far, _: far.close())
        self._handingOn = HandingOn(reactor, server.relay, self._connectionsOf)
        server.control.setHandOn(self._handingOn)
        memberships.changed = self._changed
        self.forwards.offers.came = self._offered

    def follow(self, nodes: Sequence[Node], away: Callable[[str], bool] = lambda member: False) -> None:
        """
        Have sessions with these other nodes, and no others; those whose address cannot be read are left out.

        :param away: returns whether a member is presumed away: then other nodes are preferred.
        """
        self.forwards.prefer(frozenset(node.number for node in nodes if node.state != "up" or away(node.member)))
        places = {}
        self.names.update((node.number, node.name) for node in nodes)  # entries may be missing for a while
        for node in nodes:
            try:
                host, port = parseHostPort(node.advertise.removeprefix(TLS_PREFIX))
            except ValueError:
                continue
            places[node.name] = Place(host, CONTROL_PORT if port is None else port)
        self.setNodes(places)

    def setNodes(self, nodes: Mapping[str, Place]) -> None:
        """
        Have sessions with these other nodes, and no others. Those that there are with further nodes stay until they are
        lost: an engine that has lost all what it knew finds the nodes again one by one.
        """
        for name, link in list(self.links.items()):
            retired, link.retired = link.retired, name not in nodes
            if (not link.up and (retired or link.retired)) or nodes.get(name, link.place) != link.place:
                del self.links[name]
                link.stop()
        for name, place in nodes.items():
            if name not in self.links:
                link = self.links[name] = NodeLink(self._context, name, place)
                link.start()

    @property
    def retained(self) -> list[str]:
        """The addresses of further nodes with which there are sessions still."""
        return [f"{TLS_PREFIX}{link.place}" for link in self.links.values() if link.retired and link.up]

    def act(self, acts: bool) -> None:
        """
        Whether this node acts as the owner of its addresses: if not, it offers none, and passes visitors on to nodes
        that do.
        """
        self._acts = acts
        for tunnel in self._server.tunnels.all() if not acts else ():
            self._yield(tunnel)
        for link in self.links.values():
            link.updateAll()
        for held in self._held.takeAll() if acts else ():
            self._bring(held.address, held.socket, held.source)

    def lose(self, address: PublicAddress) -> None:
        """
        This node does not own an address any more. Its tunnel ends; visitors that wait go to a node that owns the
        address for the same client, if there is one.
        """
        tunnel, whole = self._server.tunnels.get(address), self._server.whole
        if tunnel is None or whole is None or not isinstance(address, int):
            return  # what is passed on depends on the offers of others alone
        if self.forwards.offers.waitsWith(address, self._owned.get(address, 0)):
            self._yield(tunnel)
        else:
            whole.lose(address)

    def _offered(self, address: int) -> None:
        """There is a new offer, and the tunnel has a client here."""
        tunnel = self._server.tunnels.get(address)
        if tunnel is not None and not self._acts:
            self._yield(tunnel)

    def _yield(self, tunnel: Tunnel) -> None:
        """Have other nodes serve the visitors of a tunnel, if they can. Its client may come back."""
        owner = tunnel.owner
        if owner is not None and self.forwards.offers.waits(tunnel.address):
            self._server.tunnels.lost(tunnel, Loss.GONE, canResume=True)
            owner.takeAway(tunnel, ClusterLost())

    def withdraw(self) -> None:
        """Offer nothing any more, and have no sessions with other nodes but theirs. May be called twice."""
        for link in self.links.values():
            link.stop()
        self.links.clear()
        self._handingOn.stop()

    def stop(self) -> Deferred[None]:
        """
        End all sessions with other nodes. Visitors that are served stay.

        :returns: fires when the other nodes have closed theirs, or CLOSE_TIMEOUT later.
        """
        self.withdraw()
        self._context.visitors.stop()
        for held in self._held.takeAll():
            held.socket.close()
        self.forwards.offers.stop()
        left = self.sessions.shutDown()
        self.forwards.closeAll()
        return left

    def _epochOf(self, address: int) -> int:
        owned = self._memberships
        return owned.epochOf(address) if self._acts and owned.isHere(address) else 0

    def _connectionsOf(self, number: int) -> DataConnections | None:
        """What makes connections to the node with a number; None: there is no such node."""
        link = self.links.get(self.names.get(number, ""))
        return None if link is None else link.connections

    def _changed(self, address: int) -> None:
        epoch = self._memberships.epochOf(address)
        if epoch:
            self._owned[address] = epoch
            self.forwards.offers.fence(address, epoch)
        for link in self.links.values():
            link.update(address)

    def _deliver(self, address: int, visitor: LaneVisitor) -> Stream | None:
        """
        Bring a visitor to a tunnel of this node, whose rules and limits hold. If its client has just left for another
        node, the visitor is passed on once more.
        """
        descriptors = self._server.descriptors
        if self._tunnel(address) is None or not descriptors.has(2) or len(self._held) >= _MAX_HELD:
            return None
        try:
            near, far = socket.socketpair()
        except OSError:
            return None
        descriptors.opened(2)
        near.setblocking(False)
        far.setblocking(False)
        source = NO_ADDRESS if visitor.source is None else visitor.source
        if self._memberships.mayServe(address):
            self._bring(address, far, source)
        else:
            self._held.add(far, _Held(far, address, source))
        return Stream(near)

    def _tunnel(self, address: PublicAddress) -> Tunnel | None:
        return self._server.tunnels.get(address) or self.forwards.get(address)

    def _bring(self, address: int, far: socket.socket, source: SocketAddress) -> None:
        tunnel = self._tunnel(address)
        if tunnel is None:
            far.close()
        else:
            tunnel.visitorCame(far, source)

    def _takeIn(self, sock: socket.socket, source: Source, early: bytes, challenge: UUID | None) -> None:
        """Serve the connection of a client that has come to another node."""
        self._server.control.goOn(sock, source, early, challenge)

    def _dialler(self, place: Place) -> ServerDialer:
        from bore.tls.nodedialer import NodeDialer

        return NodeDialer(self._reactor, *place)

    def _note(self, event: Event) -> None:
        """Log what happens between nodes, which would be a line for each tunnel and node."""
        self._log.debug("between nodes: {event}", **entryOf(event))


def _forForwards(settings: ServerSettings) -> ServerSettings:
    """The settings for tunnels whose visitors are passed on: the limits are those of the node that serves them."""
    bounds = settings.bounds
    unbounded = Bounds(
        bounds.pending, bounds.pendingPerSource, 0, 0, 0, bounds.waiting, bounds.lanes, 0, bounds.wrongSecrets
    )
    return replace(settings, bounds=replace(unbounded, descriptors=bounds.descriptors), rules=NO_RULES)
