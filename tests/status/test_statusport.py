"""The status port of a server and a client that run, over real sockets."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from types import MethodType
from typing import NamedTuple, cast

from twisted.internet import reactor
from twisted.internet.base import DelayedCall
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater

from bore.client.service import ClientService
from bore.client.tunnelspec import TunnelSpec
from bore.clientprogram import clientProgram
from bore.options.client import clientCommand
from bore.options.server import serverCommand
from bore.serverprogram import serverProgram
from bore.startup import IProgramReactor
from bore.system.descriptors import lengthOfList
from tests.fakes import captureLog
from tests.ports import freePort
from tests.status.test_metrics import Values, values
from tests.support import temporaryFolder
from tests.tunnelscase import LOOPBACK, TunnelsCase, Visit

PROGRAM = cast(IProgramReactor, reactor)


def _isOfACancelledTimer(thing: object) -> bool:
    """
    Whether it belongs to a timer that was cancelled.

    Twisted removes these before their time only once it counts many of them, and its count is too low for a while after
    a test that has cancelled thousands in one turn.
    """
    if isinstance(thing, MethodType):
        return thing.__self__ is PROGRAM
    return isinstance(thing, DelayedCall) and not thing.active()


class Response(NamedTuple):
    code: int
    headers: Mapping[str, str]
    body: str


class StatusPortCase(TunnelsCase):
    """Programs with a status port."""

    def setUp(self) -> None:
        TunnelsCase.setUp(self)
        self.logged = captureLog(self)

    @property
    def port(self) -> int:
        """The status port that was opened last."""
        urls = [str(event["url"]) for event in self.logged if "url" in event]
        return int(urls[-1].rpartition(":")[2].rstrip("/"))

    def serverWith(self, *words: str) -> int:
        """Start a server with a status port; return its control port."""
        line = serverCommand("bore server")
        all = ("--bind-addr", self.host, "--control-port", "0", "--status-port", "0", *words)
        program = serverProgram(PROGRAM, line.parse(all, {}), lambda: line.parse(all, {}), ())
        program.startService()
        self.addCleanup(program.stopService)
        at = next(str(event["at"]) for event in self.logged if "at" in event)
        return int(at.rpartition(":")[2])

    def clientWith(self, control: int, *words: str) -> ClientService:
        """Start a client with a status port."""
        line = clientCommand("bore local")
        all = (*words, "--to", f"{self.host}:{control}", "--no-state", "--status-port", "0")
        client, program = clientProgram(PROGRAM, line.parse(all, {}), lambda: line.parse(all, {}))
        program.startService()
        self.addCleanup(program.stopService)
        return client

    async def get(self, path: str, port: int = 0, **headers: str) -> Response:
        """Ask the status port."""
        factory = Factory()
        factory.protocol = Visit
        factory.noisy = False
        asked = cast(Visit, await HostnameEndpoint(PROGRAM, LOOPBACK, port or self.port).connect(factory))
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in {"Host": LOOPBACK, **headers}.items()]
        asked.transport.write("\r\n".join([f"GET {path} HTTP/1.1", *lines, "Connection: close", "", ""]).encode())  # type: ignore[union-attr]
        head, _, body = (await asked.take(1 << 24)).decode().partition("\r\n\r\n")
        first, *rest = head.split("\r\n")
        return Response(
            int(first.split()[1]),
            {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)},
            body,
        )

    async def metrics(self, port: int = 0) -> Values:
        return values((await self.get("/metrics", port)).body)


class ServerTests(StatusPortCase):
    """A server."""

    async def test_itServesMetricsHealthAndReadiness(self) -> None:
        self.serverWith()
        for path, text in (("/healthz", "ok\n"), ("/readyz", "ready\n")):
            response = await self.get(path)
            self.assertEqual((response.code, response.body), (200, text))
        response = await self.get("/metrics")
        self.assertTrue(response.headers["content-type"].startswith("text/plain"))
        self.assertIn("\ntxbore_server_visitors_total 0.0\n", response.body)
        response = await self.get("/metrics", Accept="application/openmetrics-text;version=1.0.0")
        self.assertTrue(response.headers["content-type"].startswith("application/openmetrics-text"))
        self.assertTrue(response.body.endswith("# EOF\n"))
        self.assertEqual((await self.get("/nowhere")).code, 404)

    async def test_scrapesLeaveNothingBehind(self) -> None:
        self.serverWith()

        async def scraped(count: int) -> tuple[int, int]:
            for _ in range(count):
                await self.get("/metrics")
            await deferLater(PROGRAM, 0.02)
            gc.collect()
            return sum(not _isOfACancelledTimer(each) for each in gc.get_objects()), lengthOfList()

        before, after = await scraped(10), await scraped(150)
        self.assertLess(after[0] - before[0], 140, "objects")
        self.assertEqual(after[1], before[1], "descriptors")

    async def test_aWebSiteWhoseNameLeadsHereGetsNothing(self) -> None:
        self.serverWith()
        response = await self.get("/metrics", Host="evil.example")
        self.assertEqual(response.code, 421)
        self.assertNotIn("txbore_server", response.body)

    async def test_withATokenItIsNeeded(self) -> None:
        path = temporaryFolder(self) / "token"
        self.serverWith("--status-token-file", str(path))
        response = await self.get("/metrics")
        self.assertEqual(response.code, 401)
        self.assertTrue(response.headers["www-authenticate"].startswith("Basic"))
        self.assertEqual((await self.get("/healthz")).code, 200)
        token = path.read_text().strip()
        self.assertEqual((await self.get("/metrics", Authorization=f"Bearer {token}")).code, 200)
        self.assertNotIn(token, str(self.logged))

    async def test_itCountsClientsOfTheBaseProtocolAndVisitors(self) -> None:
        control = self.serverWith()
        target = await self.service(b"x")
        base = self.client(control, [TunnelSpec(target)], lanes=0)
        base.startService()
        public = await base.whenOpened()
        visit = await self.assertShows(public, b"x")
        await visit.ask(b"y" * 1000)
        found = await self.metrics()
        self.assertEqual(found["txbore_server_visitors_open", frozenset()], 1)
        self.assertEqual(found["txbore_server_visitors_total", frozenset()], 1)
        self.assertEqual(found["txbore_server_bytes_total", frozenset({("direction", "toClient")})], 1000)
        self.assertEqual(found["txbore_server_bytes_total", frozenset({("direction", "toVisitors")})], 1002)
        name = "txbore_server_tunnel_bytes_total"
        self.assertEqual(found[name, frozenset({("address", str(public)), ("direction", "toClient")})], 1000)

    async def test_noCounterGoesDownWhenATunnelCloses(self) -> None:
        control = self.serverWith()
        client = self.client(control, [TunnelSpec(await self.service(b"x"))])
        client.startService()
        visit = await self.assertShows(await client.whenOpened(), b"x")
        before = await self.metrics()
        assert visit.transport is not None
        visit.transport.loseConnection()
        await client.stopService()
        after = await self.metrics()
        for key, value in before.items():
            if key[0].endswith("_total") and not key[0].startswith(("process_", "txbore_server_tunnel_")):
                self.assertGreaterEqual(after[key], value, key)
        self.assertEqual(after["txbore_server_tunnels", frozenset({("state", "up")})], 0)
        self.assertEqual(after["txbore_server_visitors_total", frozenset()], 1)


class ClientTests(StatusPortCase):
    """A client."""

    async def test_itIsNotReadyWithoutATunnel(self) -> None:
        self.clientWith(freePort(self.host), "1")
        response = await self.get("/readyz")
        self.assertEqual(response.code, 503)
        self.assertTrue(response.body.startswith("no tunnel is up: "))

    async def test_itIsReadyWhenATunnelIsUp(self) -> None:
        control = self.serverWith()
        target = await self.service(b"x")
        client = self.clientWith(control, str(target.port))
        public = await client.whenOpened()
        self.assertEqual((await self.get("/readyz")).code, 200)
        visit = await self.assertShows(public, b"x")
        await visit.ask(b"y" * 1000)
        found = await self.metrics()
        self.assertEqual(found["txbore_client_visitors_total", frozenset()], 1)
        self.assertEqual(found["txbore_client_bytes_total", frozenset({("direction", "fromVisitors")})], 1000)
        self.assertEqual(found["txbore_client_tunnels", frozenset({("state", "up")})], 1)
