"""A client with several tunnels, and what changes while it runs."""

from __future__ import annotations

import json
import socket
from dataclasses import replace

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError

from bore.client.target import Target
from bore.client.tunnelspec import TunnelSpec
from bore.events.client import Connected, GaveUp, TunnelGivenUp, TunnelUp, VisitorRefused
from bore.wire.addressrules import AddressRules, parseNetwork
from bore.wire.errors import PortInUse, PortNotAllowed
from bore.wire.proxyprotocol import Version
from tests.ports import freePort
from tests.support import digest, pattern
from tests.tunnelscase import LOOPBACK, TunnelsCase


class SeveralTests(TunnelsCase):
    """Several tunnels in one process."""

    async def test_eachIsUpAndLeadsToItsService(self) -> None:
        names = [f"{number}".encode() for number in range(5)]
        client = await self.started(*[TunnelSpec(await self.service(name), name=name.decode()) for name in names])
        ports = [await client.whenOpened(name.decode()) for name in names]
        self.assertEqual(len(set(ports)), 5)
        for name, port in zip(names, ports, strict=True):
            await self.assertShows(port, name)

    async def test_theyHaveTheirPortsBackAtTheNextStart(self) -> None:
        target = await self.service(b"one")
        specs = [TunnelSpec(target, name=name) for name in ("a", "b", "c")]
        client = await self.started(*specs)
        before = [await client.whenOpened(spec.name) for spec in specs]
        await client.stopService()
        client.startService()
        self.assertEqual([await client.whenOpened(spec.name) for spec in specs], before)

    async def test_oneThatIsRefusedIsReportedAndTheOthersGoOn(self) -> None:
        server = self.server(maxPort=29999)
        target = await self.service(b"one")
        specs = [TunnelSpec(target, port, name=name) for name, port in (("bad", 80), ("good", 0))]
        client = self.client(server.controlPort, specs, reconnect=False)
        client.startService()
        whole = client.whenGaveUp()
        with self.assertRaises(PortNotAllowed):
            await client.whenGaveUp("bad")
        await self.assertShows(await client.whenOpened("good"), b"one")
        self.assertNoResult(whole)
        (given,) = [event for event in self.events if isinstance(event, TunnelGivenUp)]
        self.assertEqual((given.tunnel, given.local, self.seen(GaveUp)), ("bad", str(target), 0))

    async def test_whenAllHaveFailedTheFirstReasonIsTheClients(self) -> None:
        server = self.server(maxPort=29999)
        taken = socket.create_server((self.host, 0))
        self.addCleanup(taken.close)
        specs = [TunnelSpec(Target(1, LOOPBACK), port, name=str(port)) for port in (80, 81)]
        client = self.client(server.controlPort, specs, reconnect=False)
        client.startService()
        with self.assertRaises(PortNotAllowed) as caught:
            await client.whenGaveUp()
        firsts = [self.failureResultOf(client.whenGaveUp(str(port))).value for port in (80, 81)]
        self.assertIn(caught.exception, firsts)
        self.assertEqual((self.seen(TunnelGivenUp), self.seen(GaveUp)), (2, 1))


class SessionTests(TunnelsCase):
    """One session for all."""

    async def test_thereIsOneConnectionWhateverBecomesOfTheTunnels(self) -> None:
        target = await self.service(b"web")
        specs = [TunnelSpec(target, name=str(number)) for number in range(20)]
        client = await self.started(*specs)
        client.apply([*specs[:10], replace(specs[10], public=freePort(self.host)), TunnelSpec(target, name="new")])
        for name in ("10", "new"):
            await self.assertShows(await client.whenOpened(name), b"web")
        self.assertEqual((self.seen(Connected), self.seen(TunnelUp)), (1, 22))

    async def test_theLastOneThatGoesTakesTheSessionAlongAndTheNextOneBringsAnother(self) -> None:
        target = await self.service(b"web")
        client = await self.started(TunnelSpec(target, name="a"))
        client.apply([])
        client.apply([TunnelSpec(target, name="b")])
        await self.assertShows(await client.whenOpened("b"), b"web")
        self.assertEqual(self.seen(Connected), 2)

    async def test_aPortThatIsTakenIsHadWhenItIsFreeInTheSameSession(self) -> None:
        target, port = await self.service(b"web"), freePort(self.host)
        taken = socket.create_server((self.host, port))
        self.addCleanup(taken.close)
        specs = [TunnelSpec(target, port, name="a"), TunnelSpec(target, name="b")]
        client = self.client(self.server().controlPort, specs, maxReconnectDelay=0.2)
        client.startService()
        visit = await self.assertShows(await client.whenOpened("b"), b"web")
        self.assertNoResult(client.whenOpened("a"))
        taken.close()
        self.assertEqual(await client.whenOpened("a"), port)
        self.assertEqual(await visit.ask(b"still here"), b"still here")
        self.assertEqual(self.seen(Connected), 1)


class ApplyTests(TunnelsCase):
    """Another list of tunnels while the client runs."""

    async def test_unchangedOnesNoticeNothing(self) -> None:
        kept, other = TunnelSpec(await self.service(b"kept"), name="kept"), await self.service(b"other")
        client = await self.started(kept)
        port = await client.whenOpened("kept")
        visit = await self.assertShows(port, b"kept")
        for number in range(3):
            name = f"new{number}"
            client.apply([TunnelSpec(other, name=name), kept])
            await self.assertShows(await client.whenOpened(name), b"other")
            self.assertEqual(await visit.ask(b"still here"), b"still here")
        await self.assertShows(port, b"kept")
        self.assertEqual(
            [event.public for event in self.events if isinstance(event, TunnelUp)].count(f"{self.host}:{port}"), 1
        )

    async def test_unchangedOnesLoseNoByteAndNoVisitor(self) -> None:
        kept, other = TunnelSpec(await self.service(b"kept"), name="kept"), await self.service(b"other")
        client = await self.started(kept)
        port = await client.whenOpened("kept")
        visits = [await self.assertShows(port, b"kept") for _ in range(3)]
        data = pattern(1, 1 << 22)
        streams = [Deferred.fromCoroutine(visit.ask(data)) for visit in visits]
        for number in range(20):
            changing = TunnelSpec(other, freePort(self.host), name="changing")
            client.apply([kept, changing, TunnelSpec(other, name=f"new{number % 3}")])
            await self.assertShows(port, b"kept")
        await self.assertShows(await client.whenOpened("changing"), b"other")
        self.assertEqual([digest(await stream) for stream in streams], [digest(data)] * 3)
        self.assertEqual(self.seen(Connected), 1)

    async def test_theVisitorsOfOneThatIsRemovedAreServedToTheirEndAndItsPortIsFree(self) -> None:
        specs = [TunnelSpec(await self.service(name.encode()), name=name) for name in ("kept", "gone")]
        client = await self.started(*specs)
        port = await client.whenOpened("gone")
        visit = await self.assertShows(port, b"gone")
        gaveUp = client.whenGaveUp("gone")
        client.apply(specs[:1])
        await self.eventually(lambda: self.isFree(port))
        self.assertEqual(await visit.ask(b"still here"), b"still here")
        await self.assertShows(await client.whenOpened("kept"), b"kept")
        self.assertNoResult(gaveUp)
        self.assertEqual([spec.name for spec in client.tunnels], ["kept"])

    async def test_anotherLocalServiceIsForTheNextVisitors(self) -> None:
        before, after = await self.service(b"before"), await self.service(b"after")
        client = await self.started(TunnelSpec(before, name="web"))
        port = await client.whenOpened("web")
        visit = await self.assertShows(port, b"before")
        client.apply([TunnelSpec(after, name="web")])
        await self.assertShows(port, b"after")
        self.assertEqual(await visit.ask(b"still here"), b"still here")
        self.assertEqual(self.seen(TunnelUp), 1)
        await client.stopService()
        client.startService()
        self.assertEqual(await client.whenOpened("web"), port, "the port has moved along")
        self.assertEqual([json.loads(path.read_text())["local"] for path in self.folder.glob("*.json")], [str(after)])

    async def test_aHeaderAndALimitAreForTheNextVisitors(self) -> None:
        spec = TunnelSpec(await self.service(b"web"), name="web")
        client = await self.started(spec)
        port = await client.whenOpened("web")
        first = await self.assertShows(port, b"web")
        client.apply([replace(spec, proxyProtocol=Version.V1, maxVisitors=2)])
        second = await self.assertShows(port, b"web")
        self.assertEqual((await second.take(11)), b"PROXY TCP4 ")
        third = await self.visit(port)
        self.assertEqual(await third.take(1), b"")
        self.assertEqual(self.seen(VisitorRefused), 1)
        self.assertEqual(await first.ask(b"still here"), b"still here")
        self.assertEqual(self.seen(TunnelUp), 1)

    async def test_anotherPublicPortClosesTheFormerOne(self) -> None:
        spec = TunnelSpec(await self.service(b"web"), name="web")
        client = await self.started(spec)
        before = await client.whenOpened("web")
        visit = await self.assertShows(before, b"web")
        after = freePort(self.host)
        client.apply([replace(spec, public=after)])
        self.assertEqual(await client.whenOpened("web"), after)
        await self.assertShows(after, b"web")
        self.assertTrue(self.isFree(before))
        self.assertEqual(await visit.ask(b"still here"), b"still here")

    async def test_otherRulesKeepThePortAndTheVisitors(self) -> None:
        spec = TunnelSpec(await self.service(b"web"), name="web")
        client = await self.started(spec)
        port = await client.whenOpened("web")
        visit = await self.assertShows(port, b"web")
        client.apply([replace(spec, rules=AddressRules((), (parseNetwork("0.0.0.0/0"),)))])
        self.assertEqual(await client.whenOpened("web"), port)
        stranger = await self.visit(port)
        self.assertEqual(await stranger.take(1), b"")
        self.assertEqual(await visit.ask(b"still here"), b"still here")

    async def test_twoCanSwapTheirPublicPorts(self) -> None:
        ports = freePort(self.host), freePort(self.host)
        a = TunnelSpec(await self.service(b"a"), ports[0], name="a")
        b = TunnelSpec(await self.service(b"b"), ports[1], name="b")
        client = await self.started(a, b)
        client.apply([replace(a, public=ports[1]), replace(b, public=ports[0])])
        self.assertEqual((await client.whenOpened("a"), await client.whenOpened("b")), (ports[1], ports[0]))
        await self.assertShows(ports[0], b"b")
        await self.assertShows(ports[1], b"a")

    async def test_oneThatWantsNoPortAnyMoreLeavesItToTheOneThatDoes(self) -> None:
        port = freePort(self.host)
        a = TunnelSpec(await self.service(b"a"), port, name="a")
        b = TunnelSpec(await self.service(b"b"), port, name="b")
        client = await self.started(a)
        client.apply([replace(a, public=0), b])
        self.assertEqual(await client.whenOpened("b"), port)
        await self.assertShows(await client.whenOpened("a"), b"a")

    async def test_oneWithAnyPortLeavesTheOneThatIsWantedForAnother(self) -> None:
        target, port = await self.service(b"web"), freePort(self.host)
        a, b = TunnelSpec(target, port, name="a"), TunnelSpec(target, name="b")
        client = await self.started(a, b)
        client.apply([replace(a, public=0), replace(b, public=port)])
        self.assertEqual(await client.whenOpened("b"), port)
        self.assertNotEqual(await client.whenOpened("a"), port)
        client.apply([replace(a, public=0)])
        client.apply([replace(a, public=port)])
        self.assertEqual(await client.whenOpened("a"), port)
        client.apply([replace(a, public=0)])
        self.assertEqual(await client.whenOpened("a"), port)
        client.apply([replace(a, public=0), replace(b, public=port)])
        self.assertEqual(await client.whenOpened("b"), port)
        self.assertNotEqual(await client.whenOpened("a"), port)

    async def test_theLastOfSeveralListsCounts(self) -> None:
        target = await self.service(b"web")
        ports = [freePort(self.host) for _ in range(4)]
        client = await self.started(TunnelSpec(target, ports[0], name="web"), TunnelSpec(target, name="gone"))
        gone = client.whenOpened("gone")
        for port in ports[1:]:
            client.apply([TunnelSpec(target, port, name="web"), TunnelSpec(target, name="new")])
            client.apply([TunnelSpec(target, port, name="web")])
        self.assertEqual(await client.whenOpened("web"), ports[3])
        await self.eventually(lambda: all(map(self.isFree, ports[:3])))
        self.successResultOf(gone)
        self.assertEqual(self.seen(TunnelGivenUp), 0)

    async def test_oneThatWasGivenUpIsTriedAgain(self) -> None:
        target = await self.service(b"web")
        taken = socket.create_server((self.host, 0))
        self.addCleanup(taken.close)
        specs = [TunnelSpec(target, port, name=name) for name, port in (("a", taken.getsockname()[1]), ("b", 0))]
        client = self.client(self.server(minPort=1).controlPort, specs, reconnect=False)
        client.startService()
        with self.assertRaises(PortInUse):
            await client.whenOpened("a")
        taken.close()
        client.apply(specs)
        await self.assertShows(await client.whenOpened("a"), b"web")

    async def test_whileTheClientIsStoppedItOnlyCountsForTheNextStart(self) -> None:
        target = await self.service(b"web")
        client = self.client(self.server().controlPort, [TunnelSpec(target, name="a")])
        waiting = client.whenOpened("a")
        client.apply([TunnelSpec(target, name="b")])
        self.failureResultOf(waiting, CancelledError)
        client.startService()
        await self.assertShows(await client.whenOpened("b"), b"web")
        await client.stopService()
        client.apply([])
        client.startService()
        await client.stopService()

    async def test_twoWithTheSameNameAreRefused(self) -> None:
        with self.assertRaises(ValueError):
            self.client(1, [TunnelSpec(Target(1), name="a"), TunnelSpec(Target(2), name="a")])

    async def test_aClientThatIsStoppedWhileATunnelIsReopenedStops(self) -> None:
        spec = TunnelSpec(await self.service(b"web"), name="web")
        client = await self.started(spec)
        port = await client.whenOpened("web")
        client.apply([replace(spec, public=freePort(self.host))])
        await client.stopService()
        await self.eventually(lambda: self.isFree(port))
        with self.assertRaises(ConnectError):
            await self.visit(port)
        self.assertEqual(self.seen(TunnelUp), 1)
