"""A server with workers answers as one server, also when one of them is killed."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
from pathlib import Path
from typing import Any, cast

from bore.admin.ask import NoAnswer, ask
from tests.processes.case import ProcessCase
from tests.support import Program, eventually, temporaryFolder


class WorkerStatusCase(ProcessCase):
    """A server with two workers."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = temporaryFolder(self)
        self.log = self.folder / "visitors.log"
        self.socket = self.folder / "server.sock"

    def begin(self, *words: str) -> tuple[Program, int]:
        """Start the server; return it, and its control port."""
        paths = "--admin-socket", str(self.socket), "--visitor-log", str(self.log)
        return self.server("--workers", "2", *paths, *words)

    def status(self) -> dict[str, Any]:
        return cast(dict[str, Any], ask(self.socket, "GET", "/status"))

    @property
    def visited(self) -> int:
        """How many visitors were accepted."""
        return int(self.status()["totals"]["visitors"])

    @property
    def serving(self) -> list[int]:
        """The generations of the workers that take sessions."""
        with contextlib.suppress(NoAnswer):  # another program begins to run
            return [each["generation"] for each in self.status()["workers"] if each["state"] == "serving"]
        return []

    def lines(self, path: Path | None = None) -> list[dict[str, Any]]:
        """The lines of the visitor log."""
        return [json.loads(line) for line in (path or self.log).read_text().splitlines()]


class WorkerStatusTests(WorkerStatusCase):
    """At each worker is a client."""

    def order(self, path: str, **body: object) -> dict[str, Any]:
        return cast(dict[str, Any], ask(self.socket, "POST", path, body))

    def workerOf(self, port: int) -> dict[str, Any]:
        """The worker that has a tunnel."""
        status = self.status()
        [number] = [each["worker"] for each in status["tunnels"] if each["address"] == port]
        [found] = [each for each in status["workers"] if each["worker"] == number]
        return cast(dict[str, Any], found)

    def metrics(self, server: Program) -> str:
        url = next(event["url"] for event in self.logged(server) if event["event"] == "status-port-open")
        connection = http.client.HTTPConnection("127.0.0.1", int(url.rstrip("/").rpartition(":")[2]), timeout=20)
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()

    def logged(self, server: Program) -> list[dict[str, Any]]:
        """The log of the server."""
        return [json.loads(line) for line in (*server.out, *server.err) if line.startswith("{")]

    def test_theSumsAreThoseOfAllWorkers(self) -> None:
        server, control = self.begin("--status-port", "0", "--log-format", "json")
        ports = [self.client(control, "--max-reconnect-delay", "1")[1] for _ in range(2)]
        workers = {port: self.workerOf(port) for port in ports}
        self.assertNotEqual(*(each["worker"] for each in workers.values()))
        for each in self.logged(server):
            found = (each.get("worker"), each.get("generation"))
            if each["event"] == "tunnel-opened":
                self.assertEqual(found, (workers[each["port"]]["worker"], 1))
            elif each["event"] == "listening":
                self.assertEqual(found, (None, None))
        for port in ports:
            self.assertServes(port)
        eventually(lambda: self.visited == 2, "both visitors are counted")
        eventually(lambda: len(self.lines()) == 2, "each has a line")
        status = self.status()
        self.assertEqual((status["pid"], len(status["workers"]), len(status["sessions"])), (server.pid, 2, 2))
        self.assertEqual((status["totals"]["toClient"], status["totals"]["toVisitors"]), (10, 10))

        killed = workers[ports[0]]
        os.kill(killed["pid"], signal.SIGKILL)
        eventually(lambda: self.status()["deaths"] == 1, "its death is seen")
        self.assertEqual(self.visited, 2)
        eventually(lambda: all(each["state"] == "up" for each in self.status()["tunnels"]), "its client is back")
        self.assertServes(ports[0])
        eventually(lambda: self.visited == 3, "the sum goes on")
        eventually(
            lambda: [each["state"] for each in self.status()["workers"]] == ["serving"] * 2, "there are two again"
        )
        self.assertNotIn(killed["worker"], [each["worker"] for each in self.status()["workers"]])
        metrics = self.metrics(server)
        self.assertIn("txbore_server_worker_deaths_total 1.0", metrics)
        self.assertIn('txbore_server_workers{generation="1",state="serving"} 2.0', metrics)

        done = self.order("/reload")
        self.assertEqual(done, {"changes": [f"visitor log reopened: path {self.log}"], "mistakes": [], "restart": None})
        visitor = self.visitor(ports[0])
        self.assertEchoes(visitor)
        tunnel = cast(dict[str, Any], ask(self.socket, "GET", f"/tunnels/{ports[0]}"))
        self.assertEqual(len(tunnel["list"]), 1)
        self.assertEqual(self.order("/kick", address=ports[0]), {"sessions": 0, "tunnels": 1, "visitors": 1})
        eventually(lambda: len(self.status()["tunnels"]) == 2, "it is open again")
        self.assertEqual(self.order("/kick", user="*")["sessions"], 2)
        self.assertRaises(NoAnswer, self.order, "/kick", user="nobody")
        eventually(lambda: [each["state"] for each in self.status()["tunnels"]] == ["up"] * 2, "they are back")
        last = self.visitor(ports[1])
        self.assertEchoes(last)
        self.order("/drain", within=60)
        eventually(lambda: self.status()["control"] == [], "the control port is closed")
        self.assertEqual(self.status()["state"], "draining")
        last.close()
        self.assertEqual(server.wait(), 0, server.transcript())
