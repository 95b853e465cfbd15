"""Whole servers with worker processes: they serve, and survive the death of each of their processes."""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import datetime

from bore.workers.supervisor import TOGETHER
from tests.original import CONTROL_PORT, original
from tests.processes.workerscase import WorkersCase, isAlive, residentOf, workersOf
from tests.promptness import within
from tests.support import Program, bore, eventually

#: How soon a client has its tunnel again when its worker was killed, in seconds.
_BACK = 2.0

#: The most that processes may use, in KiB.
_SUPERVISOR = 35 << 10


class ServingTests(WorkersCase):
    def test_clientsAreServedByBothWorkersPlainWithASecretAndInsideTls(self) -> None:
        secret = self.folder / "secret"
        secret.write_text("correct horse\n")
        secret.chmod(0o600)
        for words in ((), ("--secret-file", str(secret)), ("--tls",)):
            server, control = self.crew(*words)
            ports = [self.client(control, *words)[1] for _ in range(2)]
            for port in ports:
                visitors = [self.held(port) for _ in range(3)]
                for each in visitors:
                    self.assertEchoes(each)
            workers = {self.workerOf(server, port) for port in ports}
            self.assertEqual(len(workers), 2, server.transcript())
            self.endAll(server)

    def test_originalClientsAreServed(self) -> None:
        path = original()
        self.crew(port=CONTROL_PORT)
        words = [path, "local", str(self.service.port), "--to", self.host]
        client = self.start(Program(words))
        found = client.waitFor("listening at ")
        port = int(found.rpartition(":")[2])
        for _ in range(5):
            self.assertServes(port)

    def test_theLogSaysWhichWorkerItWas(self) -> None:
        server, control = self.crew("--log-format", "json")
        self.client(control)
        line = json.loads(server.waitFor('"event": "tunnel-opened"'))
        self.assertEqual(line["generation"], 1)
        self.assertIn(line["worker"], (1, 2))

    def test_clientsThatComeAtOnceFindAllWorkers(self) -> None:
        server, _ = self.crew("--log-format", "json")
        server.waitFor('"event": "listening"')
        lines = [json.loads(line) for line in server.err if line.startswith("{")]
        begun = [each for each in lines if each["event"] in ("worker-started", "listening")]
        first, second, third = (datetime.fromisoformat(each["time"]) for each in begun[:3])
        if (max(second, third) - first).total_seconds() < TOGETHER * 0.9:  # or this machine is too busy for that
            self.assertEqual([each["event"] for each in begun], ["worker-started"] * 2 + ["listening"])

    def test_memory(self) -> None:
        one, _ = self.server()
        server, _ = self.crew()
        time.sleep(0)  # none: what is measured is at rest when it is ready
        workers = [pid for _, pid in workersOf(server).values()]
        self.assertLessEqual(residentOf(server.pid), _SUPERVISOR)
        self.assertLessEqual(max(map(residentOf, workers)), residentOf(one.pid) * 1.05)


class DeathTests(WorkersCase):
    def test_aWorkerThatIsKilledCostsItsOwnStreamsOnly(self) -> None:
        server, control = self.crew()
        ports = [self.client(control)[1] for _ in range(2)]
        workers = {port: self.workerOf(server, port) for port in ports}
        victim = workers[ports[0]]
        visitors = {port: self.held(port) for port in ports}
        os.kill(victim, signal.SIGKILL)
        with within(_BACK):
            for port in ports:  # those that come meanwhile wait
                self.assertServes(port)
        for port, visitor in visitors.items():
            if workers[port] != victim:
                self.assertEchoes(visitor)
        self.untilReady(server, 2)
        server.waitFor("has ended: killed by SIGKILL; another one is started")

    def test_aWorkerThatIsStoppedIsReplaced(self) -> None:
        server, control = self.crew()
        _, port = self.client(control)
        os.kill(self.workerOf(server, port), signal.SIGSTOP)
        server.waitFor("has not answered for", 15)
        self.untilReady(server, 2)
        self.assertServes(port)

    def test_allAreWellAfterAStallOfAll(self) -> None:
        server, control = self.crew()
        _, port = self.client(control)
        visitor = self.held(port)
        processes = [server.pid, *(pid for _, pid in workersOf(server).values())]
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for pid in processes:
                os.kill(pid, number)
            if number == signal.SIGSTOP:
                time.sleep(7)
        self.assertEchoes(visitor)
        self.assertServes(port)
        time.sleep(1.5)
        self.assertEqual(sum("worker" in line and "error" in line for line in server.err), 0, server.transcript())

    def test_whenTheSupervisorIsKilledTheWorkersEndInOrder(self) -> None:
        server, control = self.crew()
        client, port = self.client(control)
        workers = [pid for _, pid in workersOf(server).values()]
        os.kill(server.pid, signal.SIGKILL)
        for pid in workers:
            eventually(lambda pid=pid: not isAlive(pid), f"worker {pid} has ended")  # type: ignore[misc]
        client.waitFor("server is shutting down")
        self.assertFree(port)

    def test_onSigtermAllEndInOrder(self) -> None:
        server, control = self.crew()
        client, port = self.client(control)
        visitor = self.held(port)
        os.kill(server.pid, signal.SIGTERM)
        client.waitFor("server is shutting down")
        self.assertEchoes(visitor)  # it has some seconds
        visitor.close()
        self.assertEqual(server.wait(), 0)
        self.assertEqual([pid for _, pid in workersOf(server).values() if isAlive(pid)], [])

    def test_aSecondSignalEndsThemAtOnce(self) -> None:
        server, control = self.crew()
        _, port = self.client(control)
        self.held(port)
        os.kill(server.pid, signal.SIGTERM)
        eventually(lambda: any("closed" in line for line in server.err), "it has begun to stop")
        os.kill(server.pid, signal.SIGTERM)
        self.assertEqual(server.wait(), 128 + signal.SIGTERM)
        workers = [pid for _, pid in workersOf(server).values()]
        with within(3):
            eventually(lambda: not any(map(isAlive, workers)), "the workers have ended")

    def test_aWorkerIgnoresTheSignalsOfTheSupervisor(self) -> None:
        server, _ = self.crew()
        _, worker = workersOf(server)[1]
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            os.kill(worker, number)
        os.kill(worker, signal.SIGTERM)
        server.waitFor("worker 1 of generation 1 has ended: in order; another one is started")
        self.untilReady(server, 2)


class StartTests(WorkersCase):
    def failed(self, *words: str) -> tuple[int, list[str]]:
        """The exit code of a server that cannot start, and what it says."""
        program = self.start(bore("server", "--bind-addr", self.host, "--control-port", "0", "--workers", "2", *words))
        return program.wait(), program.err

    def test_whatIsWrongIsSaidOnceAsWithoutWorkers(self) -> None:
        for words in (
            ("--tls", "--tls-cert", "/nonexistent", "--tls-key", "/nonexistent"),
            ("--users", "/nonexistent"),
        ):
            one = self.start(bore("server", "--bind-addr", self.host, "--control-port", "0", *words))
            self.assertEqual(self.failed(*words), (one.wait(), one.err))

    def test_aPortThatIsInUse(self) -> None:
        _, control = self.server()
        words = ("--bind-addr", self.host, "--control-port", str(control), "--workers", "2")
        program = self.start(bore("server", *words))
        self.assertEqual(program.wait(), 1)
        self.assertEqual(len(program.err), 1)
        self.assertIn(f"cannot listen on {self.host}:{control}: Address already in use", program.err[0])


class ReloadTests(WorkersCase):
    def test_theNumberOfWorkersChangesWhileItRuns(self) -> None:
        file = self.folder / "server.toml"
        file.write_text("workers = 1\n")
        server, control = self.server("--config", str(file))
        self.untilReady(server, 1)
        self.addCleanup(self.endAll, server)
        _, port = self.client(control)
        visitor = self.held(port)
        file.write_text("workers = 3\n")
        os.kill(server.pid, signal.SIGHUP)
        self.untilReady(server, 3)
        file.write_text("workers = 1\n")
        os.kill(server.pid, signal.SIGHUP)
        server.waitFor("gives its sessions away")
        self.assertEchoes(visitor)
        self.assertServes(port)

    def test_allWorkersReadTheFilesAgain(self) -> None:
        file = self.folder / "server.toml"
        secret = self.folder / "secret"
        secret.write_text("x\n")  # too short, of which there is one warning
        secret.chmod(0o600)
        file.write_text('workers = 2\nsecret-file = "secret"\nwatch = true\nmax-tunnels-per-source = 100\n')
        server, control = self.server("--config", str(file))
        self.untilReady(server, 2)
        self.addCleanup(self.endAll, server)
        self.client(control, "--secret-file", str(secret))
        file.write_text('workers = 2\nsecret-file = "secret"\nwatch = true\nmax-tunnels-per-source = 1\n')
        server.waitFor("reloaded: max-tunnels-per-source")
        self.assertEqual(sum("warn" in line for line in server.err), 1, server.transcript())
        refused = self.launch(f"{self.host}:{control}", "--secret-file", str(secret))
        refused.waitFor("too many tunnels")
        file.write_text("worker = 2\n")
        os.kill(server.pid, signal.SIGHUP)
        server.waitFor("the settings stay as they are")
