"""Several nodes in this process, with sessions with each other on real sockets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from random import Random
from typing import Any, Final, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, gatherResults
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IReactorTime, ITCPTransport
from twisted.internet.protocol import Factory

from bore.client.service import ClientService
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.tunnelspec import TunnelSpec
from bore.cluster.nodelink import NodeLink, Place
from bore.cluster.othernodes import OtherNodes
from bore.events.server import Loss
from bore.server.registry import Grant, LocalRegistry
from bore.server.service import ServerService
from bore.server.settings import ServerSettings
from bore.server.users import User
from bore.streams.reactor import IReactor
from bore.tls.settings import ClientTls, ServerTls
from bore.wire.errors import PortInUse
from bore.wire.publicaddress import PublicAddress
from bore.wire.secret import Secret
from tests.ports import freePort, loopbackHost
from tests.support import temporaryFolder
from tests.tunnelscase import TunnelsCase, Visit

SECRET_TEXT: Final = "correct horse battery staple"
SECRET: Final = Secret(SECRET_TEXT)
LEASE: Final = 60


@dataclass
class Records:
    """
    What an engine knows: who owns which address.

    :ivar owners: of each address the epoch, and the names of the nodes.
    """

    owners: dict[int, tuple[int, set[str]]] = field(default_factory=dict)
    last: int = 0

    def join(self, address: int, name: str) -> int:
        """A node becomes an owner. Returns the epoch."""
        if address not in self.owners:
            self.last += 1
            self.owners[address] = self.last, set()
        epoch, names = self.owners[address]
        names.add(name)
        return epoch

    def leave(self, address: int, name: str) -> None:
        """A node ceases to be an owner."""
        names = self.owners[address][1]
        names.discard(name)
        if not names:
            del self.owners[address]


class JoinedRegistry(LocalRegistry):
    """
    The registry of a node. All clients have the same key.

    :param name: the name of the node.
    """

    def __init__(self, records: Records, name: str, lease: float, clock: IReactorTime | None = None) -> None:
        super().__init__(cast(IReactor, reactor) if clock is None else clock, lease)
        self._records = records
        self._name = name
        self.epochs: dict[int, int] = {}
        self.away: set[int] = set()
        self.changed: Callable[[int], None] = lambda address: None
        self.superseded: list[tuple[int, int]] = []
        self.acts = True

    def claim(self, address: PublicAddress, user: User, key: str | None = None, limit: int = 0) -> Deferred[Grant]:
        if self.isTaken(address):
            return fail(PortInUse.on(address))
        assert isinstance(address, int)
        self.epochs[address] = self._records.join(address, self._name)
        self.away.discard(address)
        self.changed(address)
        return super().claim(address, user)

    def addresses(self) -> list[int]:
        return list(self.epochs)

    def epochOf(self, address: int) -> int:
        return self.epochs.get(address, 0)

    def release(self, grant: Grant) -> Deferred[None]:
        released = super().release(grant)
        if not self.isTaken(grant.address):
            self._leave(grant.address)
        return released

    def lend(self, address: PublicAddress, user: User) -> Grant:
        assert isinstance(address, int)
        if address in self.epochs:
            self.away.add(address)
            self.changed(address)
        return super().lend(address, user)

    def isHere(self, address: int) -> bool:
        return address in self.epochs and address not in self.away

    def mayServe(self, address: PublicAddress) -> bool:
        return self.acts or (isinstance(address, int) and not self.isHere(address))

    def supersede(self, address: int, epoch: int) -> None:
        self.superseded.append((address, epoch))
        self._leave(address)

    def _leave(self, address: PublicAddress) -> None:
        if isinstance(address, int) and self.epochs.pop(address, None) is not None:
            self._records.leave(address, self._name)
            self.changed(address)


class Node:
    """
    A node.

    :ivar host: its address, of the control port and of the public ports.
    """

    def __init__(self, case: NodesCase, records: Records, name: str, key: str, plain: bool) -> None:
        folder = temporaryFolder(case)
        folder.chmod(0o700)
        self.name = name
        self.host = loopbackHost()
        settings = ServerSettings(
            secret=SECRET,
            bindAddr=self.host,
            bindTunnels=self.host,
            controlPort=0,
            lease=LEASE,
            tls=ServerTls(port=freePort(self.host) if plain else None, folder=folder),
        )
        self.registry = JoinedRegistry(records, name, LEASE)
        self.service = ServerService(cast(IReactor, reactor), settings, sink=case.serverSink(), registry=self.registry)
        self.others = OtherNodes(cast(IReactor, reactor), self.service, self.registry, Secret(key), Random(1))
        self.service.server.unaccepted.mayServe = self.registry.mayServe
        self.service.startService()
        self.stopped = False

    @property
    def place(self) -> Place:
        """Where the other nodes reach it."""
        address, _ = self.service.controlPorts[-1]
        return Place(self.host, int(address.rpartition(":")[2]))

    async def stop(self) -> None:
        """Stop it in order. May be called twice."""
        if not self.stopped:
            self.stopped = True
            await gatherResults([self.others.stop(), self.service.stopService()])

    def cut(self) -> None:
        """It is gone at once, as for the others."""
        self.others.withdraw()
        for session in self.others.sessions.all():
            session.handle.shutdown(2)

    def loseClients(self) -> None:
        """All clients of this node are lost, and do not come back."""
        for session in self.service.server.sessions.all():
            session.lost(Loss.GONE)
            session.handle.shutdown(2)


class NodesCase(TunnelsCase):
    """
    Nodes that know each other, and clients.

    :ivar nodes: by name.
    """

    count = 2
    keys: Sequence[str] = ("the key of the cluster",)
    plain = False

    def setUp(self) -> None:
        super().setUp()
        self.records = Records()
        self.nodes = [
            Node(self, self.records, name, key, self.plain)
            for name, key in zip("abc"[: self.count], cycle(self.keys), strict=False)
        ]
        for number, node in enumerate(self.nodes, start=1):
            node.others.number = number
            self.addCleanup(lambda node: Deferred.fromCoroutine(node.stop()), node)
        self.port = freePort(self.nodes[0].host)
        self.meet()

    def meet(self) -> None:
        """Have all nodes that were not stopped know each other."""
        up = {node.name: node.place for node in self.nodes if not node.stopped}
        for node in self.nodes:
            if not node.stopped:
                node.others.setNodes({name: place for name, place in up.items() if name != node.name})

    async def met(self) -> None:
        """All nodes have sessions with each other."""
        await self.eventually(lambda: all(link.up for link in self.links()))

    def links(self) -> list[NodeLink]:
        """All links of all nodes."""
        return [link for node in self.nodes for link in node.others.links.values()]

    def superseded(self) -> list[tuple[int, int]]:
        """The addresses that nodes have lost by the offers of others."""
        return [each for node in self.nodes for each in node.registry.superseded]

    async def clientAt(self, node: Node, name: bytes = b"here", reconnect: bool = True, **spec: Any) -> ClientService:
        """A client of a node, whose local service sends this name. It has the port of the test."""
        tunnel = TunnelSpec(await self.service(name), public=self.port, **spec)
        settings = ClientSettings(
            servers=(ServerAddress(node.host, node.service.controlPort),),
            secret=SECRET,
            tls=ClientTls(lasting=False, knownServers=temporaryFolder(self) / "known"),
            reconnect=reconnect,
        )
        client = ClientService(cast(IReactor, reactor), settings, [tunnel], self.clientSink())
        client.startService()
        self.addCleanup(client.stopService)
        await client.whenOpened()
        return client

    async def visitAt(self, node: Node, port: int = 0) -> Visit:
        """Visit the port of the test at a node, or another one."""
        factory = Factory()
        factory.protocol = Visit
        endpoint = HostnameEndpoint(cast(IReactor, reactor), node.host, port or self.port)
        visit = cast(Visit, await endpoint.connect(factory))
        self.addCleanup(cast(ITCPTransport, visit.transport).abortConnection)
        return visit

    async def assertShowsAt(self, node: Node, name: bytes) -> Visit:
        """A new visitor at a node reaches the local service with this name."""
        visit = await self.visitAt(node)
        self.assertEqual(await visit.take(len(name) + 1), name + b"\n")
        self.assertEqual(await visit.ask(b"hello"), b"hello")
        return visit

    def forwards(self, node: Node) -> bool:
        """Whether a node passes the visitors of the port on, and knows to whom."""
        tunnel = node.others.forwards.get(self.port)
        return tunnel is not None and tunnel.owner is not None
