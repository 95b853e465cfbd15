"""Settings of a client that change while it runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from bore.client import succession
from bore.client.links import Links
from bore.client.service import ClientService
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.tunnelspec import TunnelSpec
from bore.events import Event
from bore.events.client import Connected, GaveUp, SettingsAccepted, SettingsRefused, TunnelUp
from bore.events.server import TunnelClosed
from bore.server.registry import Grant, LocalRegistry, Registry
from bore.server.users import NAMELESS, Login, User
from bore.streams.reactor import IReactor
from bore.wire.errors import Refusal, TooManyTunnels
from bore.wire.publicaddress import PublicAddress
from bore.wire.secret import Secret
from bore.wire.serverproof import Identity, OwnerOf, ServerProof, SharedOnly, serverProof
from tests.ports import freePort
from tests.tunnelscase import TunnelsCase, Visit

OLD, NEW, WRONG = Secret("alice's own secret"), Secret("bob's own secret"), Secret("of nobody at all")


class BothSecrets:
    """Clients with any of some secrets are the same user: a secret is being replaced."""

    asks = True
    permits = None

    def __init__(self) -> None:
        self.valid = [OLD, NEW]

    def proof(self, channelBinding: bytes, ownerOf: OwnerOf, names: Sequence[str] = ()) -> ServerProof:
        return serverProof(SharedOnly(self.valid), channelBinding)

    def objection(self, login: Login) -> Refusal | None:
        return None

    def user(self, identity: Identity | None, names: Sequence[str] = ()) -> User:
        return NAMELESS


class SettingsCase(TunnelsCase):
    """A client whose settings change."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(succession, "TRY_AGAIN", 0.2)

    async def up(self, registry: Registry | None = None, **settings: Any) -> tuple[ClientService, Visit, PublicAddress]:
        """A client with a tunnel, a visitor, and the public port."""
        self.authenticator = BothSecrets()
        self.first = self.server(self.authenticator, registry)
        client = self.client(
            self.first.controlPort,
            [TunnelSpec(await self.service(b"a"))],
            **({"secret": OLD, "maxReconnectDelay": 0.2} | settings),
        )
        client.startService()
        port = await client.whenOpened()
        return client, await self.assertShows(port, b"a"), port

    def change(self, client: ClientService, **changes: Any) -> ClientSettings:
        new = replace(client.settings, **changes)
        client.applySettings(new)
        return new

    async def inEffect(self, client: ClientService, settings: ClientSettings) -> None:
        await self.eventually(lambda: client.settings == settings)
        await client.whenOpened()

    async def assertStays(self, visit: Visit) -> None:
        """A visitor that was there before has everything echoed."""
        self.assertEqual(await visit.ask(b"still here"), b"still here")

    async def pause(self, seconds: float) -> None:
        await deferLater(cast(IReactor, reactor), seconds)


class InPlaceTests(SettingsCase):
    """What no server has to accept."""

    async def test_theSessionGoesOn(self) -> None:
        client, visit, port = await self.up()
        for name, value in (
            ("reconnect", False),
            ("reconnect", True),
            ("maxReconnectDelay", 5.0),
            ("exitAfterFailures", 9),
            ("checkEvery", 0.1),
            ("checkEvery", 0.0),
            ("stateFolder", None),
            ("stateFolder", self.folder / "other"),
            ("halfOpenTimeout", 5.0),
            *(("lanes", number) for number in (7, 0, 2)),
            *(("nodes", number) for number in (1, 2)),
            ("servers", (*client.settings.servers, ServerAddress("192.0.2.7"))),
            ("servers", client.settings.servers),
        ):
            new = self.change(client, **{name: value})
            self.assertEqual(client.settings, new)
            await self.pause(0.02)
            await self.assertShows(port, b"a")
            await self.assertStays(visit)
        self.assertEqual((self.seen(Connected), self.seen(TunnelUp)), (1, 1))

    async def test_thePublicPortIsRememberedElsewhereOrNowhere(self) -> None:
        client, *_ = await self.up()
        self.assertEqual(len(list(self.folder.glob("*.json"))), 1)
        self.change(client, stateFolder=None)
        self.assertEqual(len(list(self.folder.glob("*.json"))), 0)
        self.change(client, stateFolder=self.folder)
        self.assertEqual(len(list(self.folder.glob("*.json"))), 1)

    async def test_whileTheClientIsStoppedTheyCountForTheNextStart(self) -> None:
        client, *_ = await self.up()
        await client.stopService()
        self.change(client, secret=NEW)
        self.authenticator.valid = [NEW]
        client.startService()
        await client.whenOpened()


class SecretTests(SettingsCase):
    """Another secret."""

    async def test_thePortAndTheVisitorsStay(self) -> None:
        client, visit, port = await self.up()
        await self.inEffect(client, self.change(client, secret=NEW))
        self.assertEqual(await client.whenOpened(), port)
        await self.assertStays(visit)
        await self.assertShows(port, b"a")
        self.assertEqual((self.seen(Connected), self.seen(SettingsAccepted)), (2, 1))

    async def test_aWrongOneCostsNoTunnelAndIsTriedAgain(self) -> None:
        client, visit, port = await self.up()
        before = client.settings
        self.change(client, secret=WRONG, lanes=0)
        await self.eventually(lambda: self.seen(SettingsRefused) >= 2)
        self.assertEqual(client.settings, replace(before, lanes=0))
        await self.assertStays(visit)
        await self.assertShows(port, b"a")
        await self.inEffect(client, self.change(client, secret=NEW))
        await self.assertShows(port, b"a")
        self.assertEqual(self.seen(GaveUp), 0)

    async def test_oneThatTheServerGetsLaterIsAcceptedThen(self) -> None:
        client, visit, port = await self.up()
        self.authenticator.valid = [OLD]
        new = self.change(client, secret=NEW)
        await self.eventually(lambda: self.seen(SettingsRefused) > 0)
        self.authenticator.valid = [NEW]
        await self.inEffect(client, new)
        await self.assertStays(visit)
        await self.assertShows(port, b"a")

    async def test_theFormerOneAgainEndsTheAttempts(self) -> None:
        client, visit, _ = await self.up()
        before = client.settings
        self.change(client, secret=WRONG)
        client.applySettings(before)
        await self.pause(0.5)
        self.assertEqual((self.seen(SettingsRefused), self.seen(SettingsAccepted)), (0, 0))
        await self.assertStays(visit)

    async def test_whereTheFormerOneLeadsNowhereEitherTheClientGivesUp(self) -> None:
        client, *_ = await self.up()
        self.change(client, secret=WRONG)
        await self.eventually(lambda: self.seen(SettingsRefused) > 0)
        self.authenticator.valid = [NEW]
        sessions = self.first._server.sessions
        sessions._end(list(sessions._sessions), TooManyTunnels())
        await self.eventually(lambda: self.seen(GaveUp) == 1)


class SlowRegistry(LocalRegistry):
    """It takes longer than the time after which it is looked for the answer."""

    def claim(self, address: PublicAddress, user: User, key: str | None = None, limit: int = 0) -> Deferred[Grant]:
        return deferLater(cast(IReactor, reactor), 0.3).addCallback(lambda _: LocalRegistry.claim(self, address, user))

    def resume(self, token: str | None, user: User, key: str | None = None) -> Deferred[Grant | None]:
        return deferLater(cast(IReactor, reactor), 0.1).addCallback(lambda _: LocalRegistry.resume(self, token, user))


class HandOverTests(SettingsCase):
    """Sessions at the same server, one of which takes over the tunnels of the other."""

    async def test_noTunnelIsGivenBackBeforeItIsTakenOver(self) -> None:
        """However long the server takes to answer."""
        self.patch(succession, "HANDOVER", 0.01)
        client, visit, port = await self.up(SlowRegistry(cast(IReactor, reactor), 60))
        ends: list[Event] = []
        self.first._sink.subscribe(lambda event: ends.append(event) if isinstance(event, TunnelClosed) else None)
        for secret in (NEW, OLD, NEW):
            await self.inEffect(client, self.change(client, secret=secret))
            await self.eventually(lambda: len(self.first._server.sessions._sessions) == 1)
            self.assertEqual((await client.whenOpened(), ends), (port, []))
        await self.assertStays(visit)
        await self.assertShows(port, b"a")

    async def test_whatTheFormerOneHasAskedForHoldsUpNothing(self) -> None:
        """Both ask for the same port, and the former one gets it."""
        server = self.server(BothSecrets(), SlowRegistry(cast(IReactor, reactor), 60))
        public = freePort(self.host)
        specs = [TunnelSpec(await self.service(b"a"), public)]
        client = self.client(server.controlPort, specs, secret=OLD, maxReconnectDelay=0.2)
        client.startService()
        await self.eventually(lambda: self.seen(Connected))
        await self.pause(0.05)
        self.change(client, secret=NEW)
        await self.eventually(lambda: self.seen(SettingsAccepted))
        began = cast(IReactor, reactor).seconds()
        self.assertEqual(await client.whenOpened(), public)
        self.assertLess(cast(IReactor, reactor).seconds() - began, 5)
        await self.assertShows(public, b"a")

    async def test_aServerThatAnswersNothingKeepsTheFormerSessionForALimitedTime(self) -> None:
        self.patch(succession, "HANDOVER", 0.01)
        self.patch(succession, "LONGEST_HANDOVER", 0.1)
        self.patch(Links, "settled", False)
        client, *_ = await self.up()
        await self.inEffect(client, self.change(client, secret=NEW))
        await self.eventually(lambda: len(self.first._server.sessions._sessions) == 1)


class ServerTests(SettingsCase):
    """Another server."""

    async def test_theTunnelMovesAndTheVisitorsStay(self) -> None:
        client, visit, port = await self.up()
        other = self.server(self.authenticator)
        address = ServerAddress(self.host, other.controlPort)
        await self.inEffect(client, self.change(client, servers=(address,)))
        await self.assertStays(visit)
        await self.eventually(lambda: self.isFree(port))
        await self.assertShows(await client.whenOpened(), b"a")

    async def test_oneThatIsAwayCostsNoTunnel(self) -> None:
        client, visit, port = await self.up()
        before = client.settings
        self.change(client, servers=(ServerAddress(self.host, freePort(self.host)),))
        await self.pause(0.3)
        self.assertEqual(client.settings, before)
        await self.assertStays(visit)
        await self.assertShows(port, b"a")

    async def test_thoseThatWereTriedBeforeLeaveNothingOpen(self) -> None:
        client, *_ = await self.up()
        other = self.server(self.authenticator)
        for round in range(2):
            for _ in range(20):
                self.change(client, servers=(ServerAddress(self.host, freePort(self.host)),))
                await self.pause(0.001)
            await self.inEffect(client, self.change(client, servers=(ServerAddress(self.host, other.controlPort),)))
            await self.inEffect(
                client, self.change(client, servers=(ServerAddress(self.host, self.first.controlPort),))
            )
            descriptors = len(os.listdir("/dev/fd"))
            if not round:
                before = descriptors
        self.assertLess(descriptors, before + 10)
        (tunnel,) = client._tunnels.values()
        self.assertEqual(len(tunnel.ports), 2)

    async def test_tunnelsThatChangeMeanwhileAreOpenAtEither(self) -> None:
        client, _, port = await self.up()
        self.change(client, servers=(ServerAddress(self.host, freePort(self.host)),))
        await self.pause(0.05)
        specs = [*client.tunnels, TunnelSpec(await self.service(b"b"), name="b")]
        client.apply(specs)
        await self.assertShows(await client.whenOpened("b"), b"b")
        client.apply(specs[1:])
        await self.eventually(lambda: self.isFree(port))
        other = self.server(self.authenticator)
        new = self.change(client, servers=(ServerAddress(self.host, other.controlPort),))
        await self.eventually(lambda: client.settings == new)
        await self.assertShows(await client.whenOpened("b"), b"b")

    async def test_stoppedWhileOneIsTried(self) -> None:
        client, *_ = await self.up()
        for secret in (WRONG, NEW):
            self.change(client, secret=secret)
            await client.stopService()
            client.startService()
            self.change(client, secret=OLD)
            await client.whenOpened()
