"""The status of a server with workers, one of which serves a client here."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed

from bore.events import NothingToReload, Sink
from bore.events.server import Admission, VisitorRefused
from bore.server.settings import ServerSettings
from bore.status.history import History
from bore.status.process import processReport
from bore.status.questions import Answer, Question, Routes
from bore.status.server import ServerStatus
from bore.status.serverroutes import serverTunnel
from bore.status.settings import StatusPortSettings
from bore.status.traffic import Traffic
from bore.streams.reactor import IReactor
from bore.wire.publicaddress import PublicAddress
from bore.wire.workermessages import Done, Report, Reported, SupervisorMessage, WorkerMessage
from bore.workers.answers import Reloaded, kicked
from bore.workers.reporter import Reporter
from bore.workers.routes import adminRoutes, portRoutes
from bore.workers.status import SupervisorStatus, Unserved
from bore.workers.upgrade import NoUpgrade
from tests.status.case import StatusCase
from tests.status.test_routes import answer
from tests.support import connect

clock = cast(IReactor, reactor)


class FakeMember:
    """A worker in this process."""

    generation = 1
    pid = 1
    state = "serving"
    isSilent = False

    def __init__(self, number: int, status: ServerStatus, server: FakeSupervisor) -> None:
        self.number = number
        self.since = clock.seconds()
        self._server = server
        self.reporter = Reporter(clock, status.take, partial(serverTunnel, status), self._give)

    def maySend(self, kind: type) -> bool:
        return not self.isSilent

    def send(self, message: SupervisorMessage) -> None:
        assert isinstance(message, Report)
        self.reporter.ask(message)

    def _give(self, message: WorkerMessage) -> None:
        assert isinstance(message, Reported)
        self._server.status.reports.reported(self.number, message)


class FakeSupervisor:
    """What the supervisor knows, and does for its operator."""

    state = "running"
    admission = Admission.ANYONE
    controlPorts: Sequence[tuple[str, str | None]] = [("0.0.0.0:7835", None), ("0.0.0.0:7836", "SHA256:at-start")]

    def __init__(self, former: object = None) -> None:
        self.since = clock.seconds()
        self.settings = ServerSettings()
        self.members: list[FakeMember] = []
        self.waiting: list[Unserved] = []
        self.upgraded: Deferred[None] = succeed(None)
        self.upgrading = False
        self.kicked: list[tuple[str | None, PublicAddress | None]] = []
        self.sink = Sink()
        history = History(self.sink, VisitorRefused)
        self.status = SupervisorStatus(
            clock, self, history, lambda: self.members, lambda: self.waiting, lambda: 3, former
        )

    def reload(self) -> Deferred[Reloaded]:
        return succeed(Reloaded(["a.toml: lease"], [], ""))

    def drain(self, seconds: float) -> int:
        return int(seconds)

    def upgrade(self) -> Deferred[None]:
        if self.upgrading:
            raise NoUpgrade("an upgrade is under way already")
        return self.upgraded

    def kick(self, user: str | None, address: PublicAddress | None) -> Deferred[Sequence[int]]:
        self.kicked.append((user, address))
        counts = (1, 1, 0) if user == "" or address == 20000 else (0, 0, 0)
        return succeed(kicked([Done(1, counts, (), None)]))


class SupervisorStatusTests(StatusCase):
    """A supervisor with a worker that serves."""

    async def beginWorkers(self, **settings: Any) -> int:
        """Start both ends; return the public port."""
        [port] = await self.begin(**settings)
        self.supervisor = FakeSupervisor()
        self.status = self.supervisor.status
        working = ServerStatus(clock, self.serving, self.serverHistory, process=processReport)
        self.supervisor.members.append(FakeMember(2, working, self.supervisor))
        self.routes = adminRoutes(self.status, self.supervisor)
        return port

    async def test_whatTheWorkersHaveAndTheSupervisorKnows(self) -> None:
        port = await self.beginWorkers()
        with connect(self.host, port) as visitor:
            visitor.sendall(b"x")
            await self.until(lambda: self.clientTunnel().bytes.fromVisitors == 1)
            code, found = await answer(self.routes, "GET /status")
            [tunnel], [session], [worker] = found["tunnels"], found["sessions"], found["workers"]
            self.assertEqual((code, tunnel["address"], tunnel["worker"], session["worker"]), (200, port, 2, 2))
            self.assertEqual((worker["visitors"], worker["state"], worker["answers"]), (1, "serving", True))
            self.assertGreater(worker["process"]["memory"], 1 << 20)
            self.assertGreater(found["supervisor"]["descriptors"], 3)
            self.assertEqual((found["pid"], found["program"], found["state"]), (os.getpid(), "server", "running"))
            self.assertEqual([each["at"] for each in found["control"]], ["0.0.0.0:7835", "0.0.0.0:7836"])
            limits = {each["what"]: each["used"] for each in found["limits"]}
            self.assertEqual((limits["tunnels"], limits["connections without a first message"]), (1, 3))
            code, found = await answer(self.routes, f"GET /tunnels/{port}")
            self.assertEqual((code, found["worker"], len(found["list"])), (200, 2, 1))
        self.assertEqual((await answer(self.routes, "GET /tunnels/1"))[0], 404)

    async def test_theKeyIsTheOneThatAWorkerShowsNow(self) -> None:
        tls, trust = self.tls()
        await self.beginWorkers(server={"tls": tls}, tls=trust)
        _, found = await answer(self.routes, "GET /status")
        [(_, key)] = self.serving.controlPorts
        self.assertEqual([each["fingerprint"] for each in found["control"]], [None, key])

    async def test_aTunnelWhoseWorkerHasEndedIsAsItWas(self) -> None:
        port = await self.beginWorkers()
        with connect(self.host, port) as visitor:
            visitor.sendall(b"x")
            await self.until(lambda: self.clientTunnel().bytes.fromVisitors == 1)
            before = await self.status.take()
        self.supervisor.waiting = [Unserved(port, "", "127.0.0.1"), Unserved(1, "alice", "192.0.2.1")]
        self.status.reports.ended(self.supervisor.members.pop())
        report = await self.status.take()
        tunnel, unknown = report.tunnels
        self.assertEqual((tunnel.state, tunnel.peer, tunnel.worker), ("away", None, None))
        self.assertEqual((tunnel.visitors.open, tunnel.visitors.total, tunnel.bytes.toClient), (0, 1, 1))
        self.assertEqual(tunnel.since, before.tunnels[0].since)
        assert tunnel.keptFor is not None and tunnel.awaySince is not None
        self.assertGreater(tunnel.keptFor, 40)
        self.assertEqual((unknown.address, unknown.user, unknown.state), (1, "alice", "away"))
        self.assertEqual((report.totals.visitors, report.totals.toClient), (1, 1))
        found = await self.status.tunnel(str(port), None)
        assert found is not None
        self.assertEqual((found[0].state, found[1]), ("away", []))
        self.supervisor.waiting = []
        self.assertEqual((await self.status.take()).tunnels, [])
        self.assertEqual(self.status.reports.lost, {})

    async def test_theSumsOfTheProcessAfterAnUpgradeGoOn(self) -> None:
        port = await self.beginWorkers()
        self.supervisor.status.reports.ended(FakeMember(1, self.ofServer, self.supervisor))
        with connect(self.host, port) as visitor:
            visitor.sendall(b"x")
            await self.until(lambda: self.clientTunnel().bytes.fromVisitors == 1)
        await self.ended(port)
        self.supervisor.sink.emit(NothingToReload())
        before = await self.status.take()
        former = json.loads(json.dumps(self.status.forSuccessor()))
        after = FakeSupervisor(former)
        self.assertEqual((await after.status.take()).totals.visitors, 0)  # nobody has the worker any more
        after.members = self.supervisor.members
        for silent in (True, False):
            self.patch(after.members[0], "isSilent", silent)
            self.supervisor.status = after.status
            found = await after.status.take()
            self.assertEqual((found.totals, found.deaths), (before.totals, 1))
            self.assertEqual([each.event for each in found.recent].count("nothing-to-reload"), 1)

    async def test_orders(self) -> None:
        await self.beginWorkers()
        counts = {"sessions": 1, "tunnels": 1, "visitors": 0}
        self.assertEqual(await answer(self.routes, "POST /kick", {"user": "*"}), (200, counts))
        self.assertEqual(await answer(self.routes, "POST /kick", {"address": 20000}), (200, counts))
        self.assertEqual(self.supervisor.kicked, [("", None), (None, 20000)])
        self.assertEqual((await answer(self.routes, "POST /kick", {"user": "bob"}))[0], 404)
        self.assertEqual((await answer(self.routes, "POST /kick", {"address": 1}))[0], 404)
        self.assertEqual((await answer(self.routes, "POST /kick", {}))[0], 400)
        self.assertEqual(await answer(self.routes, "POST /drain", {"within": 7}), (200, {"visitors": 7, "within": 7}))
        code, found = await answer(self.routes, "POST /reload")
        self.assertEqual((code, found["changes"], found["restart"]), (200, ["a.toml: lease"], None))
        self.assertEqual((await answer(self.routes, "POST /upgrade", {}))[0], 202)
        self.supervisor.upgrading = True
        refused = 422, "no upgrade: an upgrade is under way already"
        self.assertEqual(await answer(self.routes, "POST /upgrade", {}), refused)

    async def test_theStatusPort(self) -> None:
        await self.beginWorkers()
        serves = [True]
        settings = StatusPortSettings("127.0.0.1", 0)
        traffic = Traffic(clock, self.status.take)
        routes = Routes(portRoutes(clock, self.status, traffic, lambda: "running", lambda: serves[0], settings))

        async def ask(path: str) -> tuple[int, str]:
            answered = routes(Question("GET", path, {}, {}, b"", "127.0.0.1:1"))
            found = await answered if isinstance(answered, Deferred) else answered
            assert isinstance(found, Answer)
            return found.code, found.body.decode() if isinstance(found.body, bytes) else "".join(found.body)

        self.assertEqual(await ask("/readyz"), (200, "ready\n"))
        serves[0] = False
        self.assertEqual((await ask("/readyz"))[0], 503)
        code, text = await ask("/metrics")
        self.assertEqual(code, 200)
        self.assertIn('txbore_server_workers{generation="1",state="serving"} 1.0', text)
        self.assertIn('"workers"', (await ask("/status"))[1])
