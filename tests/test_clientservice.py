"""The whole client: its start, its end, and its next start."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from bore.client.reasons import ServerUnreachable
from bore.client.service import ClientService
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.target import Target
from bore.client.tunnelspec import TunnelSpec
from bore.events import Event, NothingToReload, ShortSecret, Sink, Stopped
from bore.events.client import Connected, GaveUp, TunnelUp
from bore.server.registry import LocalRegistry, Registry
from bore.server.service import ServerService
from bore.server.settings import ServerSettings
from bore.server.users import Authenticator, SharedSecret
from bore.streams.reactor import IReactor
from bore.wire.errors import AuthenticationFailed
from bore.wire.secret import Secret
from tests.ports import freePort, loopbackHost
from tests.support import temporaryFolder


class ServiceCase(TestCase):
    """A client, on real sockets."""

    def setUp(self) -> None:
        self.host = loopbackHost()
        self.folder = temporaryFolder(self)
        self.events: list[Event] = []

    def client(self, port: int, tunnels: Sequence[TunnelSpec] = (), **settings: object) -> ClientService:
        """A client of the server at this port, with these tunnels; with one if there are none."""
        made = ClientSettings(
            (ServerAddress(self.host, port),),
            stateFolder=self.folder,
            **settings,  # type: ignore[arg-type]
        )
        sink = self.clientSink()
        sink.subscribe(self.events.append)
        specs = tunnels or [TunnelSpec(Target(freePort(), "127.0.0.1"))]
        client = ClientService(cast(IReactor, reactor), made, specs, sink)
        self.addCleanup(client.stopService)
        return client

    def server(
        self, authenticator: Authenticator | None = None, registry: Registry | None = None, **settings: Any
    ) -> ServerService:
        """A server, which runs until the test ends."""
        base = ServerSettings(minPort=1024, bindAddr=self.host, bindTunnels=self.host, controlPort=0)
        made = replace(base, **settings)
        service = ServerService(
            cast(IReactor, reactor), made, sink=self.serverSink(), authenticator=authenticator, registry=registry
        )
        service.startService()
        self.addCleanup(service.stopService)
        return service

    def clientSink(self) -> Sink:
        """The sink of the next client."""
        return Sink()

    def serverSink(self) -> Sink:
        """The sink of the next server."""
        return Sink()

    def seen(self, kind: type[Event]) -> int:
        """How many events of this kind there were."""
        return sum(isinstance(event, kind) for event in self.events)


class RestartTests(ServiceCase):
    """Stopped, and started again."""

    async def test_aClientThatWasStoppedCanBeStartedAgainAndHasItsPort(self) -> None:
        client = self.client(self.server().controlPort)
        ports = set()
        for number in range(1, 4):
            client.startService()
            ports.add(await client.whenOpened())
            self.assertEqual((self.seen(TunnelUp), self.seen(Stopped)), (number, number - 1))
            await client.stopService()
        self.assertEqual(len(ports), 1)
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_aClientThatHasGivenUpCanBeStartedAgain(self) -> None:
        client = self.client(freePort(self.host), reconnect=False)
        for _ in range(2):
            client.startService()
            with self.assertRaises(ServerUnreachable):
                await client.whenOpened()
            await client.stopService()
        self.assertEqual((self.seen(GaveUp), self.seen(Stopped)), (2, 2))

    async def test_aClientThatIsStoppedBeforeItWasUpSaysSo(self) -> None:
        client = self.client(self.server().controlPort)
        client.startService()
        waiting, gaveUp = client.whenOpened(), client.whenGaveUp()
        await client.stopService()
        self.failureResultOf(waiting, CancelledError)
        self.assertNoResult(gaveUp)

    async def test_stoppingAClientThatDoesNotRunDoesNothing(self) -> None:
        await self.client(freePort(self.host)).stopService()


class GiveUpTests(ServiceCase):
    """No further attempt."""

    async def test_theReasonIsTheSameForAllWhoWait(self) -> None:
        client = self.client(freePort(self.host), reconnect=False)
        early = client.whenOpened()
        client.startService()
        with self.assertRaises(ServerUnreachable) as caught:
            await client.whenGaveUp()
        for waiting in (early, client.whenOpened()):
            self.assertIs(self.failureResultOf(waiting).value, caught.exception)
        await client.stopService()

    async def test_aFailureThatNobodyWaitsForIsNotAnUnhandledError(self) -> None:
        client = self.client(freePort(self.host), reconnect=False)
        client.startService()
        while not self.seen(GaveUp):
            await deferLater(cast(IReactor, reactor), 0.01)
        await client.stopService()
        del client
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])


class GiveUpTogetherTests(ServiceCase):
    """Tunnels that are given up in one step; who waits for the first one changes the client."""

    def started(self, change: Callable[[ClientService], object]) -> Deferred[ClientService]:
        """Start a client with two tunnels; fires when the change was made."""
        specs = [TunnelSpec(Target(1, "127.0.0.1"), name=name) for name in ("a", "b")]
        client = self.client(freePort(self.host), specs, reconnect=False)
        client.startService()
        return client.whenGaveUp("a").addErrback(lambda _: change(client)).addCallback(lambda _: client)

    async def test_theOtherOneIsNotWantedAnyMore(self) -> None:
        client = await self.started(lambda client: client.apply(client.tunnels[:1]))
        await self.assertFailure(client.whenGaveUp("a"), ServerUnreachable)
        self.assertEqual(list(client._reasons), list(client._tunnels.values()))

    async def test_theClientIsStopped(self) -> None:
        client = await self.started(ClientService.stopService)
        await deferLater(cast(IReactor, reactor), 0)
        self.assertEqual((client._reasons, self.seen(GaveUp)), ({}, 0))


class EmbeddedTests(ServiceCase):
    """A server in a program that has its own users and its own registry."""

    async def test_theyDecideWhoIsLetInAndWhichPortsAreTaken(self) -> None:
        registry = LocalRegistry(cast(IReactor, reactor), 60)
        port = self.server(SharedSecret([Secret("of the program")]), registry).controlPort
        client = self.client(port, secret=Secret("of the program"))
        client.startService()
        await client.whenOpened()
        self.assertEqual(len(registry), 1)
        other = self.client(port, secret=Secret("of another program"))
        other.startService()
        with self.assertRaises(AuthenticationFailed):
            await other.whenOpened()


class EventTests(ServiceCase):
    """What the service itself has to tell."""

    async def test_aShortSecretIsAnEventAtEachStart(self) -> None:
        client = self.client(freePort(self.host), secret=Secret("hush"))
        client.startService()
        client.reload()
        await client.stopService()
        self.assertEqual((self.seen(ShortSecret), self.seen(NothingToReload), self.seen(Connected)), (1, 1, 0))
