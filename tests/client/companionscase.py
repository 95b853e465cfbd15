"""What the tests of companions have in common: a home link and others that are no links."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, NamedTuple, cast

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from bore.client.companions import Companions
from bore.client.link import ServerLink
from bore.client.publicport import PublicPort
from bore.client.reasons import describe
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.target import Target
from bore.client.tunnel import Tunnel
from bore.client.tunnelspec import TunnelSpec
from bore.events import Event, Sink
from bore.events.client import NodeLost, Stage
from bore.streams.reactor import IReactor
from bore.wire.errors import ShuttingDown
from bore.wire.publicaddress import PublicAddress
from tests.client.case import tunnelOf
from tests.fakes import FakeReactor

NODES = tuple(ServerAddress(f"node{n}.example", 7835) for n in range(6))
HOME = ServerAddress("bore.example", 7835)
WHY = describe(ShuttingDown())


class FakeKept(NamedTuple):
    """A tunnel of a link."""

    tunnel: Tunnel


class FakeTunnels:
    """The tunnels of a link."""

    def __init__(self, address: ServerAddress) -> None:
        self._address = address
        self.kept: list[Tunnel] = []
        self.up: list[FakeKept] = []

    def add(self, tunnel: Tunnel, address: str = "") -> None:
        self.kept.append(tunnel)

    def portOf(self, kept: FakeKept) -> PublicPort:
        return kept.tunnel.publicPort(self._address)


class FakeLink:
    """A link without a session: what a server does to it is done by the test."""

    def __init__(self, address: ServerAddress, settings: ClientSettings) -> None:
        self.address = address
        self.server = str(address)
        self.settings = settings
        self.tunnels = FakeTunnels(address)
        self.here: ServerAddress | None = None
        self.nodes: Sequence[str] = ()
        self.started = self.stopped = False
        self.removed: list[Tunnel] = []

    def nodeAt(self, address: str) -> ServerAddress | None:
        return ServerAddress(address.removeprefix("tls://"), 7835) if address.startswith("tls://") else None

    def start(self) -> None:
        self.started = True

    def stop(self) -> Deferred[None]:
        self.stopped = True
        return succeed(None)

    def remove(self, tunnel: Tunnel) -> Deferred[None]:
        self.removed.append(tunnel)
        return succeed(None)

    def apply(self, settings: ClientSettings, trusts: None) -> None:
        self.settings = settings


class FakeHousehold:
    """Has the home link."""

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        self.sink = Sink()
        self.present = FakeLink(HOME, settings)
        self.present.here = NODES[0]
        self.made: list[FakeLink] = []

    @property
    def home(self) -> ServerLink | None:
        return None if self.present.stopped else cast(ServerLink, self.present)

    def linkWith(self, node: ServerAddress, settings: ClientSettings, owner: object) -> ServerLink:
        self.made.append(FakeLink(node, settings))
        return cast(ServerLink, self.made[-1])

    def succeed(self, heir: ServerLink) -> None:
        self.present.stop()
        self.present = cast(FakeLink, heir)
        self.present.here = heir.address

    def leave(self, closed: Deferred[None]) -> None:
        closed.addErrback(lambda reason: reason.raiseException())


if TYPE_CHECKING:
    from bore.client.companions import Household

    _: type[Household] = FakeHousehold


class CompanionsCase(SynchronousTestCase):
    """A home link with two tunnels at the first node, which names the others."""

    def setUp(self) -> None:
        self.make()

    def make(self, **settings: int) -> None:
        self.reactor = FakeReactor()
        self.household = FakeHousehold(ClientSettings((HOME,), checkEvery=5.0, **settings))  # type: ignore[arg-type]
        self.events: list[Event] = []
        self.household.sink.subscribe(self.events.append)
        self.companions = Companions(cast(IReactor, self.reactor), self.household, Random(7))
        self.tunnels = [
            tunnelOf(self.reactor, self.household.sink, TunnelSpec(Target(8000 + n), name=str(n))) for n in range(2)
        ]
        for n, tunnel in enumerate(self.tunnels):
            self.openAtHome(tunnel, 20000 + n)
        self.name(*NODES[1:4])

    def openAtHome(self, tunnel: Tunnel, address: PublicAddress) -> None:
        home = self.household.present
        tunnel.publicPort(home.address).opened(address, None)
        home.tunnels.up.append(FakeKept(tunnel))

    def name(self, *nodes: ServerAddress) -> None:
        """The server of the home link names nodes."""
        self.household.present.nodes = [f"tls://{node.host}" for node in nodes]
        self.companions.soon()
        self.reactor.advance(0)

    def open(self, link: FakeLink) -> None:
        """All tunnels come up at a companion."""
        for tunnel in link.tunnels.kept:
            self.companions.opening(cast(ServerLink, link))
            link.tunnels.up.append(FakeKept(tunnel))

    def lose(self, link: FakeLink, stage: Stage = Stage.TUNNEL, why: Exception | None = None) -> None:
        link.tunnels.up.clear()
        self.assertTrue(self.companions.lost(cast(ServerLink, link), stage, why or ShuttingDown()))
        self.reactor.advance(0)

    @property
    def links(self) -> list[FakeLink]:
        return cast(list[FakeLink], self.companions.links)

    def lostAt(self) -> list[str]:
        return [event.server for event in self.events if isinstance(event, NodeLost)]
