"""A server gives its sessions away while visitors are served, on real sockets: no stream loses a byte."""

from __future__ import annotations

from itertools import count
from typing import cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.task import deferLater

from bore.client.tunnelspec import TunnelSpec
from bore.events.client import ServerLost, ServerMoved
from bore.server.service import ServerService
from bore.streams.reactor import IReactor
from bore.tls.settings import ClientTls, ServerTls
from bore.wire.publicaddress import PublicAddress
from bore.wire.secret import Secret
from tests.ports import freePort, loopbackHost
from tests.tunnelscase import TunnelsCase, Visit

PIECE = bytes(range(256)) * 64
SECRET = Secret("correct horse battery staple")


class MoveCase(TunnelsCase):
    """A server, and a client with two tunnels."""

    def setUp(self) -> None:
        super().setUp()
        self.moved = False

    async def begin(self, **settings: object) -> list[PublicAddress]:
        """Have both tunnels up. Returns their public ports."""
        self.serving = self.server(secret=SECRET)
        specs = [TunnelSpec(await self.service(name), name=name.decode()) for name in (b"a", b"b")]
        self.showing = self.client(self.serving.controlPort, specs, secret=SECRET, **settings)
        self.showing.startService()
        return [await self.showing.whenOpened(name) for name in "ab"]

    async def talk(self, visit: Visit) -> None:
        """Have a lot echoed, in small and large pieces, until the moves are over, and a little longer."""
        left = 10
        for number in count():
            data = number.to_bytes(4, "big") + PIECE * (1 if number % 8 else 64)
            self.assertEqual(await visit.ask(data), data)
            await deferLater(cast(IReactor, reactor), 0.02)
            left -= self.moved
            if not left:
                return

    async def moveNow(self, to: str | None = None) -> None:
        """The server gives its session away, and the client comes again."""
        before = self.seen(ServerMoved)
        self.assertEqual(self.serving.moveSessions(to), 1)
        await self.eventually(lambda: self.seen(ServerMoved) > before)

    def isBack(self) -> bool:
        return len(self.serving._server.sessions._sessions) == 1 and all(
            tunnel.owner is not None for tunnel in self.serving._server.tunnels._byAddress.values()
        )


class StreamTests(MoveCase):
    """Streams that are under way."""

    async def assertNothingIsLost(self, **settings: object) -> None:
        ports = await self.begin(**settings)
        visits = [
            await self.assertShows(port, name) for port, name in zip(ports, (b"a", b"b"), strict=True) for _ in "12"
        ]
        talks = [Deferred.fromCoroutine(self.talk(visit)) for visit in visits]
        for _ in range(2):
            await self.moveNow()
            meanwhile = [await self.visit(port) for port in ports]
            for visit, name in zip(meanwhile, (b"a\n", b"b\n"), strict=True):
                self.assertEqual(await visit.take(2), name, "it has waited for the next session")
            await self.eventually(self.isBack)
        self.moved = True
        await gatherResults(talks)
        for visit in visits:
            cast(ITCPTransport, visit.transport).loseWriteConnection()
            self.assertEqual(await visit.take(1), b"", "the end comes through, too")
        self.assertEqual((self.seen(ServerLost), self.seen(ServerMoved)), (0, 2))
        self.assertEqual([tunnel.address for tunnel in self.showing._tunnels.values()], ports)

    async def test_thoseOnLanesLoseNothing(self) -> None:
        await self.assertNothingIsLost()

    async def test_thoseOnConnectionsOfTheirOwnLoseNothing(self) -> None:
        await self.assertNothingIsLost(lanes=0)

    async def test_thoseThatTheProcessForwardsLoseNothing(self) -> None:
        await self.assertNothingIsLost(portableRelay=True)


class EncryptedMoveTests(MoveCase):
    """Servers with TLS send their clients elsewhere."""

    def setUp(self) -> None:
        super().setUp()
        self.elsewhere = loopbackHost()

    def encrypted(self, host: str, folder: str) -> ServerService:
        """A server with TLS; those with the same folder have the same key."""
        tls = ServerTls(folder=self.folder / folder)
        return self.server(secret=SECRET, tls=tls, bindAddr=host, bindTunnels=host)

    async def beginAt(self, server: ServerService, **settings: object) -> PublicAddress:
        self.serving = server
        certificate = server._certificate
        assert certificate is not None
        tls = ClientTls(fingerprint=certificate.fingerprint)
        specs = [TunnelSpec(await self.service(b"a"), name="a")]
        self.showing = self.client(server.controlPort, specs, secret=SECRET, tls=tls, **settings)
        self.showing.startService()
        return await self.showing.whenOpened("a")

    async def test_aClientGoesToTheServerWithTheSameKeyAndItsStreamsGoOn(self) -> None:
        first, second = self.encrypted(self.host, "one"), self.encrypted(self.elsewhere, "one")
        port = await self.beginAt(first)
        visit = await self.assertShows(port, b"a")
        talk = Deferred.fromCoroutine(self.talk(visit))
        await self.moveNow(f"tls://{self.elsewhere}:{second.controlPort}")
        await self.eventually(lambda: len(second._server.tunnels) == 1)
        self.host = self.elsewhere
        await self.assertShows(port, b"a")
        self.moved = True
        await talk
        self.assertEqual(self.seen(ServerLost), 0)

    async def test_aServerWithAnotherKeyIsNotTrustedAndTheClientComesBack(self) -> None:
        first, second = self.encrypted(self.host, "one"), self.encrypted(self.elsewhere, "other")
        port = await self.beginAt(first, maxReconnectDelay=1.0)
        await self.moveNow(f"tls://{self.elsewhere}:{second.controlPort}")
        await self.eventually(self.isBack)
        self.assertEqual(len(second._server.tunnels), 0)
        self.assertEqual(self.seen(ServerLost), 1)
        await self.assertShows(port, b"a")

    async def test_aServerThatCannotBeReachedIsLeftForTheOneBefore(self) -> None:
        port = await self.beginAt(self.encrypted(self.host, "one"), maxReconnectDelay=1.0)
        await self.moveNow(f"tls://{self.elsewhere}:{freePort(self.elsewhere)}")
        await self.eventually(self.isBack)
        await self.assertShows(port, b"a")

    async def test_aPlainServerIsNotFollowed(self) -> None:
        second = self.encrypted(self.elsewhere, "one")
        ports = await self.begin()
        await self.moveNow(f"tls://{self.elsewhere}:{second.controlPort}")
        await self.eventually(self.isBack)
        self.assertEqual(len(second._server.tunnels), 0)
        await self.assertShows(ports[0], b"a")
