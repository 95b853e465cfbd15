"""What visitors get when the local service cannot be reached, on real sockets."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import product
from typing import Final, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from bore.client import errorpage
from bore.client.service import ClientService
from bore.client.target import Target, UnixTarget
from bore.client.tunnelspec import TunnelSpec
from bore.events import Event
from bore.events.client import LaneOpened, LocalReached, LocalUnreachable
from bore.streams.reactor import IReactor
from bore.streams.transport import IStreamTransport
from bore.tls.settings import ClientTls, ServerTls
from bore.wire.proxyprotocol import Version
from bore.wire.publicaddress import PublicAddress
from tests.ports import freePort
from tests.tunnelscase import LOOPBACK, TunnelsCase, Visit

GET: Final = b"GET / HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\n\r\n"

#: What no visitor may learn.
INTERNAL: Final = (b"localhost", b"127.0.0.1", b"refused", b"bore")


class Asking(Visit):
    """
    A visitor that asks.

    :ivar reset: whether it was reset.
    """

    reset = False

    def connectionLost(self, reason: Failure | None = None) -> None:  # type: ignore[override]
        self.reset = reason is not None and not reason.check(ConnectionDone)
        super().connectionLost(reason)


class ErrorPageCase(TunnelsCase):
    """A tunnel whose local service is down."""

    async def tunnel(self, tls: bool = False, **settings: object) -> PublicAddress:
        """Open one."""
        self.spec = TunnelSpec(Target(freePort(LOOPBACK), LOOPBACK))
        return await self.open(self.spec, tls, **settings)

    async def open(self, spec: TunnelSpec, tls: bool = False, **settings: object) -> PublicAddress:
        trust: dict[str, object] = {}
        server = self.server(tls=ServerTls(folder=self.folder) if tls else None)
        if tls:
            assert server._certificate is not None
            trust["tls"] = ClientTls(fingerprint=server._certificate.fingerprint)
        self.showing: ClientService = self.client(server.controlPort, [spec], **settings, **trust)
        self.showing.startService()
        return await self.showing.whenOpened()

    async def come(self, port: PublicAddress) -> Asking:
        """Visit a public port."""
        assert isinstance(port, int)
        visit = cast(
            Asking,
            await HostnameEndpoint(cast(IReactor, reactor), self.host, port).connect(Factory.forProtocol(Asking)),
        )
        self.addCleanup(cast(ITCPTransport, visit.transport).abortConnection)
        return visit

    async def ask(self, port: PublicAddress, *parts: bytes) -> tuple[bytes, Asking]:
        """Send a request in parts, and return what comes until the end."""
        visit = await self.come(port)
        for part in parts:
            assert visit.transport is not None
            visit.transport.write(part)
            await self.pause(0.02 if len(parts) > 1 else 0)
        return await visit.take(1 << 20), visit

    async def pause(self, seconds: float) -> None:
        waited: Deferred[None] = Deferred()
        cast(IReactor, reactor).callLater(seconds, waited.callback, None)
        await waited

    def assertPage(self, answer: bytes, html: bool = False, hasBody: bool = True) -> None:
        """It is the whole error page."""
        head, empty, body = answer.partition(b"\r\n\r\n")
        status, *fields = head.split(b"\r\n")
        self.assertEqual((status, empty), (b"HTTP/1.1 502 Bad Gateway", b"\r\n\r\n"), answer)
        values = dict(field.split(b": ") for field in fields)
        self.assertEqual((values[b"Connection"], values[b"Cache-Control"]), (b"close", b"no-store"))
        self.assertEqual(values[b"Content-Type"], b"text/%s; charset=utf-8" % (b"html" if html else b"plain"))
        size = int(values[b"Content-Length"])
        self.assertGreater(size, 100)
        self.assertEqual(len(body), size if hasBody else 0)
        self.assertIs(body.startswith(b"<!DOCTYPE html>"), html and hasBody)
        for each in INTERNAL:
            self.assertNotIn(each, answer)


class PageTests(ErrorPageCase):
    """Visitors that speak HTTP."""

    async def test_theyGetThePageHoweverTheyCome(self) -> None:
        for lanes, portable, tls in product((4, 0), (False, True), (False, True)):
            port = await self.tunnel(tls, lanes=lanes, portableRelay=portable)
            for _ in range(3):
                answer, visit = await self.ask(port, GET)
                self.assertPage(answer)
                self.assertFalse(visit.reset, (lanes, portable, tls))
            other, _ = await self.ask(port, b"SSH-2.0-x\r\n")
            self.assertEqual(other, b"")
            await self.eventually(lambda: not self.showing._tunnels[self.spec.name].visitors)
            await self.showing.stopService()

    async def test_aBrowserGetsAPageAndHeadNoBody(self) -> None:
        port = await self.tunnel()
        browser = GET.replace(b"*/*", b"text/html,application/xhtml+xml,*/*;q=0.8")
        self.assertPage((await self.ask(port, browser))[0], html=True)
        self.assertPage((await self.ask(port, GET.replace(b"GET", b"HEAD")))[0], hasBody=False)
        self.assertPage((await self.ask(port, browser.replace(b"GET", b"HEAD")))[0], html=True, hasBody=False)

    async def test_aRequestMayComeSlowlyAndItsEndMayBeMissing(self) -> None:
        self.patch(errorpage, "REQUEST_TIMEOUT", 0.3)
        port = await self.tunnel()
        slowly = [bytes([each]) for each in b"GET / HT"]
        self.assertPage((await self.ask(port, *slowly, b"TP/1.0\n", b"\n"))[0])
        self.assertPage((await self.ask(port, b"GET / HTTP/1.1\r\nHost: exam"))[0])
        self.assertPage((await self.ask(port, b"GET / HTTP/1.1\r\nX: " + b"x" * 9000))[0])

    async def test_anUploadDoesNotCostTheAnswer(self) -> None:
        for lanes in (4, 0):
            port = await self.tunnel(lanes=lanes)
            answer, _ = await self.ask(port, b"POST / HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n" + bytes(3_000_000))
            self.assertPage(answer)
            await self.showing.stopService()

    async def test_aLaneIsUsedAgainBehindThePage(self) -> None:
        port = await self.tunnel(lanes=1)
        events: list[Event] = []
        self.showing._sink.subscribe(events.append, visitors=True)
        for _ in range(20):
            self.assertPage((await self.ask(port, GET))[0])
        self.assertLess(len([each for each in events if isinstance(each, LaneOpened)]), 5)

    async def test_theServiceItselfGetsItsVisitorsAgain(self) -> None:
        port = await self.tunnel()
        self.assertPage((await self.ask(port, GET))[0])
        target = await self.service(b"a")
        self.showing.apply([replace(self.spec, target=target)])
        await self.assertShows(port, b"a")

    async def test_noHeaderOfTheProxyProtocolIsInIt(self) -> None:
        spec = TunnelSpec(Target(freePort(LOOPBACK), LOOPBACK), proxyProtocol=Version.V1, bandwidth=1000)
        self.assertPage((await self.ask(await self.open(spec), GET))[0])

    async def test_aUnixSocketThatIsGoneIsALocalServiceThatIsDown(self) -> None:
        spec = TunnelSpec(UnixTarget(str(self.folder / "gone.sock")))
        answer, _ = await self.ask(await self.open(spec), GET)
        self.assertPage(answer)
        self.assertNotIn(b"gone", answer)


class NoPageTests(ErrorPageCase):
    """Visitors that are closed."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(errorpage, "REQUEST_TIMEOUT", 0.2)

    async def assertClosed(self, port: PublicAddress, *parts: bytes) -> None:
        answer, _ = await self.ask(port, *parts)
        self.assertEqual(answer, b"")

    async def test_silentOnesAreClosedSoonHoweverTheyCome(self) -> None:
        for lanes, portable in product((4, 0), (False, True)):
            port = await self.tunnel(lanes=lanes, portableRelay=portable)
            begin = time.monotonic()
            await gatherResults([Deferred.fromCoroutine(self.assertClosed(port)) for _ in range(3)])
            self.assertGreater(time.monotonic() - begin, 0.15)
            await self.assertClosed(port, b"GET /")
            await self.eventually(lambda: not self.showing._tunnels[self.spec.name].visitors)
            await self.showing.stopService()

    async def test_soAreAllIfTheUserWantsNoPageFromTheReloadOn(self) -> None:
        for lanes in (4, 0):
            port = await self.tunnel(lanes=lanes)
            self.assertPage((await self.ask(port, GET))[0])
            self.showing.apply([replace(self.spec, errorPage=False)])
            await self.assertClosed(port, GET)
            self.showing.apply([self.spec])
            self.assertPage((await self.ask(port, GET))[0])
            await self.showing.stopService()

    async def test_beyondTheLimitTheyAreClosedAtOnce(self) -> None:
        self.patch(errorpage, "MAX_ANSWERING", 3)
        self.patch(errorpage, "REQUEST_TIMEOUT", 60)
        for lanes in (8, 0):
            port = await self.tunnel(lanes=lanes)
            silent = [await self.come(port) for _ in range(3)]
            await self.eventually(lambda: len(self.showing._visitors._errorPages or ()) == 3)  # type: ignore[union-attr]
            await self.assertClosed(port, GET)
            for each in silent:
                cast(ITCPTransport, each.transport).loseConnection()
            await self.eventually(lambda: not self.showing._visitors._errorPages)  # type: ignore[union-attr]
            self.assertPage((await self.ask(port, GET))[0])
            await self.showing.stopService()

    async def test_theEndOfTheClientLeavesNothing(self) -> None:
        self.patch(errorpage, "REQUEST_TIMEOUT", 60)
        for lanes, portable in product((4, 0), (False, True)):
            port = await self.tunnel(lanes=lanes, portableRelay=portable)
            visit = await self.come(port)
            await self.eventually(lambda: self.showing._tunnels[self.spec.name].visitors)
            await self.showing.stopService()
            self.assertEqual(await visit.take(1), b"")

    async def test_oneThatKeepsTheConnectionIsCutInTime(self) -> None:
        self.patch(errorpage, "REST_TIMEOUT", 0.2)
        for lanes, portable in product((4, 0), (False, True)):
            port = await self.tunnel(lanes=lanes, portableRelay=portable)
            visit = await self.come(port)
            transport = cast(IStreamTransport, visit.transport)
            transport.write(GET)
            transport.pauseProducing()  # it reads neither the page nor the end
            await self.eventually(lambda: self.showing._tunnels[self.spec.name].visitors)
            await self.eventually(lambda: not self.showing._tunnels[self.spec.name].visitors)
            await self.showing.stopService()


class EventTests(ErrorPageCase):
    """What is known of the local service."""

    def told(self) -> list[tuple[type[object], int]]:
        return [
            (type(each), each.turnedAway) for each in self.events if isinstance(each, LocalUnreachable | LocalReached)
        ]

    async def test_itIsProbedAtTheStartAndWhenItIsUpAgain(self) -> None:
        await self.tunnel()
        await self.eventually(self.told)
        self.assertEqual(self.told(), [(LocalUnreachable, 0)])
        [event] = [each for each in self.events if isinstance(each, LocalUnreachable)]
        self.assertEqual((event.error, event.advice[:14]), ("connection refused", "nothing listen"))
        await self.serviceAt(self.spec)
        await self.eventually(lambda: len(self.told()) > 1)
        self.assertEqual(self.told()[1:], [(LocalReached, 0)])

    async def serviceAt(self, spec: TunnelSpec) -> None:
        """Start the local service that was down."""
        from twisted.internet.endpoints import TCP4ServerEndpoint

        assert isinstance(spec.target, Target)
        endpoint = TCP4ServerEndpoint(cast(IReactor, reactor), spec.target.port, interface=LOOPBACK)
        port = await endpoint.listen(Factory.forProtocol(Visit))
        self.addCleanup(port.stopListening)

    async def test_visitorsAreCountedUntilOneReachesIt(self) -> None:
        port = await self.open(TunnelSpec(Target(freePort(LOOPBACK), LOOPBACK), probe=False))
        [tunnel] = self.showing._tunnels.values()
        for state in ("unknown", "down"):
            self.assertEqual(tunnel.localState.value, state)
            await self.ask(port, GET)
        await self.serviceAt(tunnel.spec)
        await self.come(port)
        await self.eventually(lambda: tunnel.localState.value == "up")
        self.assertEqual(self.told(), [(LocalUnreachable, 1), (LocalUnreachable, 2), (LocalReached, 2)])

    async def test_oneThatAnswersIsConnectedToOnce(self) -> None:
        target = await self.service(b"a")
        await self.open(TunnelSpec(target))
        [tunnel] = self.showing._tunnels.values()
        await self.eventually(lambda: tunnel.localState.value == "up")
        self.assertEqual(self.told(), [])
