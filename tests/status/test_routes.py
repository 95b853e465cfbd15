"""What is answered at the admin socket, by live servers and clients."""

from __future__ import annotations

import json
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from bore.client.retry import RetryPolicy
from bore.client.target import Target
from bore.client.tunnelspec import TunnelSpec
from bore.events import (
    Event,
    NothingToReload,
    RestartNeeded,
    SettingsKept,
    SettingsMistake,
    SettingsReloaded,
)
from bore.events.client import ServerLost
from bore.events.server import CertificateNotRead, CertificateRead, ClientsKicked
from bore.status.client import ClientStatus
from bore.status.clientroutes import clientRoutes
from bore.status.questions import Answer, Question, Refused, Route
from bore.status.routes import reloadAnswer
from bore.status.serverroutes import serverRoutes
from bore.streams.reactor import IReactor
from bore.wire.secret import Secret
from tests.ports import freePort
from tests.status.case import StatusCase
from tests.support import connect


class FakeProgram:
    """Keeps what the operator has asked for."""

    def __init__(self) -> None:
        self.drained: list[float] = []

    def reload(self) -> list[Event]:
        return [NothingToReload()]

    def drain(self, seconds: float) -> int:
        self.drained.append(seconds)
        return 3


async def answer(route: Route, request: str, body: object = None) -> tuple[int, Any]:
    """Ask; return the status, and the JSON."""
    method, _, path = request.partition(" ")
    content = b"" if body is None else json.dumps(body).encode()
    try:
        answered = route(Question(method, path, {}, {}, content, "unix"))
        found = await answered if isinstance(answered, Deferred) else answered
    except Refused as e:
        return e.code, str(e)
    assert isinstance(found, Answer)
    text = found.body.decode() if isinstance(found.body, bytes) else "".join(found.body)
    return found.code, json.loads(text)


class RoutesCase(StatusCase):
    """The routes of both ends."""

    async def beginRoutes(self, **settings: Any) -> int:
        """Start both ends; return the public port."""
        [self.port] = await self.begin(**settings)
        self.program = FakeProgram()
        self.atServer = serverRoutes(self.ofServer, self.serving.server, self.program)
        self.atClient = clientRoutes(self.ofClient, self.program)
        return self.port


class SnapshotTests(RoutesCase):
    """What is there."""

    async def test_aVisitorThatIsThereIsInBothSnapshots(self) -> None:
        port = await self.beginRoutes()
        with connect(self.host, port) as visitor:
            visitor.sendall(b"\0\0\4\0" + bytes(96))  # the service waits for the rest
            await self.until(lambda: self.clientTunnel().bytes.fromVisitors == 100)
            name = "{}:{}".format(*visitor.getsockname())
            _, server = await answer(self.atServer, f"GET /tunnels/{port}")
            _, client = await answer(self.atClient, f"GET /tunnels/{port}")
            [one], [other] = server["list"], client["list"]
            self.assertEqual((one["id"], one["from"], one["state"]), (other["id"], name, "served"))
            self.assertEqual((other["from"], other["state"]), (name, "served"))
            self.assertEqual((one["toClient"], other["fromVisitor"]), (100, 100))
            self.assertIsInstance(one["lane"], int)
            self.assertLess(one["seconds"], 20)
            _, status = await answer(self.atServer, "GET /status")
            [session], [tunnel] = status["sessions"], status["tunnels"]
            self.assertEqual(session["tunnels"], [port])
            self.assertEqual(session["lanes"]["busy"], 1)
            self.assertGreater(session["lanes"]["open"], 1)
            self.assertEqual(session["peer"], tunnel["peer"])
            self.assertEqual(tunnel["state"], "up")
            self.assertEqual(tunnel["visitors"], {"open": 1, "waiting": 0, "total": 1, "refused": 0})
            self.assertEqual(status["state"], "running")
            self.assertEqual(status["control"][0]["at"], f"{self.host}:{self.serving.controlPort}")
            self.assertEqual(status["totals"]["events"]["tunnel-opened"], 1)
            _, own = await answer(self.atClient, "GET /status")
            [link] = own["servers"]
            self.assertEqual((own["state"], link["state"], link["lanes"]["busy"]), ("up", "up", 1))
            self.assertEqual(own["tunnels"][0]["public"], f"{self.host}:{port}")
            self.assertEqual(own["tunnels"][0]["localState"], "up")
            self.assertLess(link["roundTrip"], 1)

    async def test_noAnswerHasASecretOrAToken(self) -> None:
        secret = "correct horse battery staple"
        port = await self.beginRoutes(server={"secret": Secret(secret)}, secret=Secret(secret))
        [session], [tunnel] = self.serving.server.sessions.all(), self.serving.server.tunnels.all()
        assert session.laneToken is not None
        with connect(self.host, port) as visitor:
            visitor.sendall(b"x")
            await self.until(lambda: self.clientTunnel().bytes.fromVisitors == 1)
            for route in (self.atServer, self.atClient):
                for request in ("GET /status", f"GET /tunnels/{port}", "POST /reload"):
                    text = json.dumps(await answer(route, request))
                    for hidden in (secret, session.laneToken, tunnel.grant.token, Secret(secret).key.hex()):
                        self.assertNotIn(hidden, text)

    async def test_tunnelsThatDoNotExist(self) -> None:
        await self.beginRoutes()
        for name in ("1", "x", "unix:relative", "99999999"):
            self.assertEqual((await answer(self.atServer, f"GET /tunnels/{name}"))[0], 404)
        self.assertEqual((await answer(self.atClient, "GET /tunnels/x"))[0], 404)

    async def test_aServiceThatIsDown(self) -> None:
        target = Target(freePort(), "127.0.0.1")
        port = await self.beginRoutes(specs=[TunnelSpec(target)])
        with connect(self.host, port) as visitor:
            await self.until(lambda: self.clientTunnel().visitors.unserved == 1)
            del visitor
        tunnel = self.clientTunnel()
        self.assertEqual((tunnel.localState, tunnel.visitors.total, tunnel.visitors.open), ("down", 1, 0))

    async def test_aClientThatIsAway(self) -> None:
        port = await self.beginRoutes()
        await self.showing.stopService()
        self.assertEqual(self.ofClient.snapshot().state, "stopping")
        await self.until(lambda: not self.ofServer.snapshot().sessions)
        del port

    async def test_aLostSession(self) -> None:
        self.patch(RetryPolicy, "_spread", lambda policy, fresh: 1.0)
        port = await self.beginRoutes()
        [link] = self.showing.parts.links
        self.serving.server.sessions.all()[0]._connection.drop()
        await self.until(lambda: not link.contact.up)
        self.assertEqual(self.clientTunnel().state, "away")
        status = self.serverTunnel(port)
        self.assertEqual((status.state, status.peer), ("away", None))
        assert status.keptFor is not None
        self.assertLess(status.keptFor, 61)
        self.assertGreater(status.keptFor, 40)
        await self.until(lambda: self.serverTunnel(port).state == self.clientTunnel().state == "up")

    async def test_aServerThatCannotBeReached(self) -> None:
        await self.beginRoutes()
        await self.serving.stopService()
        await self.until(lambda: self.ofClient.snapshot().servers[0].why is not None)
        [link] = self.ofClient.snapshot().servers
        self.assertEqual((link.state, self.ofClient.snapshot().state), ("away", "away"))
        self.assertIsNotNone(link.awaySince)

    async def test_aTunnelThatIsRefused(self) -> None:
        taken = freePort(self.host)
        specs = [TunnelSpec(self.target, name="a"), TunnelSpec(Target(1), taken, name="b")]
        serving = self.statusServer()
        first = self.client(serving.controlPort, [TunnelSpec(Target(1), taken)])
        first.startService()
        await first.whenOpened()
        self.showing = self.client(serving.controlPort, specs)
        self.showing.startService()
        await self.showing.whenOpened("a")
        self.ofClient = ClientStatus(cast(IReactor, reactor), self.showing, self.clientHistory)
        await self.until(lambda: self.clientTunnel("b").state == "refused")
        self.assertIn("already in use", str(self.clientTunnel("b").why))
        self.assertEqual(self.ofClient.snapshot().state, "partly")


class KickTests(RoutesCase):
    """Sessions and tunnels that are ended."""

    async def test_theSessionsOfAUserAreAndItsClientsComeAgain(self) -> None:
        port = await self.beginRoutes()
        with connect(self.host, port) as visitor:
            visitor.sendall(b"x")
            await self.until(lambda: self.clientTunnel().bytes.fromVisitors == 1)
            counts = {"sessions": 1, "tunnels": 1, "visitors": 1}
            self.assertEqual(await answer(self.atServer, "POST /kick", {"user": "*"}), (200, counts))
            self.assertEqual(self.ofServer.snapshot().tunnels, [])
        await self.until(lambda: [each.address for each in self.ofServer.snapshot().tunnels] == [port])
        lost = [each for each in self.events if isinstance(each, ServerLost)]
        self.assertEqual([each.code for each in lost], ["kicked"])
        self.assertIn("the operator of the server has ended this", lost[0].why)
        self.assertEqual(self.clientTunnel().public, f"{self.host}:{port}")
        self.assertEqual((await answer(self.atServer, "POST /kick", {"user": "nobody"}))[0], 404)
        self.assertEqual(self.ofServer.history.counts[ClientsKicked], 1)

    async def test_aTunnelByItsAddress(self) -> None:
        port = await self.beginRoutes()
        with connect(self.host, port) as visitor:
            visitor.sendall(b"x")
            await self.until(lambda: self.clientTunnel().bytes.fromVisitors == 1)
            found = await answer(self.atServer, "POST /kick", {"address": port})
            self.assertEqual(found, (200, {"sessions": 0, "tunnels": 1, "visitors": 1}))
        await self.until(lambda: [each.address for each in self.ofServer.snapshot().tunnels] == [port])
        await self.until(lambda: self.clientTunnel().state == "up")

    async def test_mistakes(self) -> None:
        await self.beginRoutes()
        self.assertEqual((await answer(self.atServer, "POST /kick", {"user": "bob"}))[0], 404)
        self.assertEqual((await answer(self.atServer, "POST /kick", {"address": 1}))[0], 404)
        for body in ({}, {"user": "a", "address": 1}, {"address": [1]}):
            code, text = await answer(self.atServer, "POST /kick", body)
            self.assertEqual(code, 400)
            self.assertIn('{"address": 20000}', text)
        self.assertEqual((await answer(self.atServer, "POST /kick", {"address": True}))[0], 400)
        self.assertEqual((await answer(self.atClient, "POST /kick", {"user": "a"}))[0], 409)


class DrainTests(RoutesCase):
    """A program that is to end."""

    async def test_howLongVisitorsHave(self) -> None:
        await self.beginRoutes()
        self.assertEqual(await answer(self.atServer, "POST /drain"), (200, {"visitors": 3, "within": 300.0}))
        self.assertEqual(await answer(self.atClient, "POST /drain", {"within": 7}), (200, {"visitors": 3, "within": 7}))
        self.assertEqual(self.program.drained, [300.0, 7.0])
        for within in (-1, 1e9, 10**400, float("nan"), "1", True):
            self.assertEqual((await answer(self.atServer, "POST /drain", {"within": within}))[0], 400)

    async def assertDrains(self, which: str) -> None:
        port = await self.beginRoutes()
        service = self.serving if which == "serving" else self.showing
        with connect(self.host, port) as visitor:
            visitor.sendall(b"x")
            await self.until(lambda: self.clientTunnel().bytes.fromVisitors == 1)
            self.assertEqual(service.drain(30), 1)
            ended: Deferred[None] = service.stopService()
            await self.until(lambda: not self.ofServer.snapshot().tunnels)
            self.assertFalse(ended.called)
            totals = self.ofServer.snapshot().totals
            self.assertEqual((totals.visitors, totals.open), (1, 1 if which == "serving" else totals.open))
        await ended
        await self.until(lambda: not self.ofServer.snapshot().totals.open)

    async def test_aServer(self) -> None:
        await self.assertDrains("serving")
        self.assertEqual(self.ofServer.snapshot().state, "draining")

    async def test_aClient(self) -> None:
        await self.assertDrains("showing")
        self.assertEqual(self.ofClient.snapshot().totals.visitors, 1)


class ReloadTests(RoutesCase):
    """Files that are read again."""

    async def test_whatHasChanged(self) -> None:
        await self.beginRoutes()
        code, found = await answer(self.atServer, "POST /reload")
        self.assertEqual((code, found), (200, {"changes": ["nothing to reload"], "mistakes": [], "restart": None}))

    def test_changesMistakesAndWhatNeedsARestart(self) -> None:
        made = reloadAnswer([SettingsReloaded("a.toml", "lease"), RestartNeeded("tls"), CertificateRead("SHA256:x")])
        self.assertEqual(made.code, 200)
        assert isinstance(made.body, bytes)
        changes = ["a.toml: lease", "certificate read: fingerprint SHA256:x"]
        self.assertEqual(json.loads(made.body), {"changes": changes, "mistakes": [], "restart": "tls"})
        made = reloadAnswer([SettingsMistake("a.toml:1: no"), SettingsKept("a.toml"), CertificateNotRead("gone")])
        assert isinstance(made.body, bytes)
        found = json.loads(made.body)
        self.assertEqual((made.code, found["changes"]), (422, []))
        self.assertEqual(found["error"], "a.toml:1: no; certificate not read: error gone")
