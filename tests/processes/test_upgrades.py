"""Whole servers that are upgraded while they serve."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import threading
from pathlib import Path

from tests.original import CONTROL_PORT, original
from tests.processes.workerscase import WorkersCase, isAlive, workersOf
from tests.support import CHECKOUT, Program, bore, connect, eventually, receiveAll

#: Runs bore, which cannot run another program in its place.
STAYS = """
import os, sys
def fail(*_):
    raise OSError(12, "Cannot allocate memory")
os.execve = fail
from bore.cli import main
sys.exit(main())
"""


class Visits:
    """Visits a tunnel, one visitor after the other, until it is stopped; keeps what went wrong."""

    def __init__(self, host: str, port: int) -> None:
        self.errors: list[str] = []
        self.count = 0
        self._at = host, port
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._over.is_set():
            question = b"%d" % self.count
            try:
                with connect(*self._at) as visitor:
                    visitor.sendall(question)
                    visitor.shutdown(1)
                    answer = receiveAll(visitor)
                if answer != question:
                    self.errors.append(f"{answer!r} to {question!r}")
            except OSError as e:
                self.errors.append(f"{question!r}: {e}")
            self.count += 1


class UpgradeTests(WorkersCase):
    def upgraded(self, server: Program, generation: int) -> None:
        """The server has new workers, and all of them are ready."""
        server.waitFor(f"generation {generation} serves from now on", 60)

    def test_threeUpgradesUnderVisitors(self) -> None:
        secret = self.folder / "secret"
        secret.write_text("correct horse\n")
        secret.chmod(0o600)
        words = ("--secret-file", str(secret))
        server, control = self.crew(*words)
        _, port = self.client(control, *words)
        visitors = [self.held(port)]
        visits = Visits(self.host, port)
        for generation in (2, 3, 4):
            os.kill(server.pid, signal.SIGUSR2)
            self.upgraded(server, generation)
            visitors.append(self.held(port))
        visits.stop()
        self.assertEqual(visits.errors, [])
        self.assertGreater(visits.count, 3)
        # At most three generations: the first one was ended, and its streams are cut after some seconds. The client may
        # have moved to the second one only when its visitor was there.
        for each in visitors[2:]:
            self.assertEchoes(each)
            each.close()
        server.waitFor("the last worker of generation 1 has ended")
        self.assertServes(port)
        os.kill(server.pid, signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        self.assertEqual([pid for _, pid in workersOf(server).values() if isAlive(pid)], [])

    def test_originalClientsStayWhereTheyAre(self) -> None:
        path = original()
        server, _ = self.crew(port=CONTROL_PORT)
        client = self.start(Program([path, "local", str(self.service.port), "--to", self.host]))
        port = int(client.waitFor("listening at ").rpartition(":")[2])
        visitor = self.held(port)
        visits = Visits(self.host, port)
        os.kill(server.pid, signal.SIGUSR2)
        self.upgraded(server, 2)
        self.assertServes(port)
        visits.stop()
        self.assertEqual(visits.errors, [])
        self.assertEchoes(visitor)
        self.assertIsNone(client.process.poll())

    def test_aClientInsideTlsMovesToo(self) -> None:
        server, control = self.crew("--tls")
        _, port = self.client(control, "--tls")
        visitor = self.held(port)
        os.kill(server.pid, signal.SIGUSR2)
        self.upgraded(server, 2)
        self.assertServes(port)
        self.assertEchoes(visitor)
        visitor.close()
        server.waitFor("the last worker of generation 1 has ended")

    def test_boreUpgradeSaysWhatHasHappened(self) -> None:
        server, _ = self.crew()
        asked = self.start(bore("upgrade", "--socket", str(self.folder / "admin.sock")))
        server.waitFor("upgrade: the supervisor starts again")
        os.kill(server.pid, signal.SIGUSR2)  # it is refused, which is not the end of the other one
        self.assertEqual(asked.wait(60), 0)
        server.waitFor("no upgrade: ")
        self.assertEqual(len(asked.out), 1, asked.transcript())
        self.assertIn("generation 2", asked.out[0])
        self.untilReady(server, 2, 2)

    def test_nobodyIsRefusedAtTheStatusPort(self) -> None:
        """It is kept: another program could get its number, and then the server would be lost."""
        server, _ = self.crew("--status-port", "0", workers=1)
        port = int(server.waitFor("status at http://").rpartition(":")[2].rstrip("/"))
        os.kill(server.pid, signal.SIGUSR2)
        while not any("generation 2 serves from now on" in line for line in list(server.err)):
            connect("127.0.0.1", port).close()
        with connect("127.0.0.1", port) as asked:
            asked.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            self.assertIn(b" 200 ", receiveAll(asked))

    def test_withoutAStatusPortThatIsTakenItGoesOn(self) -> None:
        file = self.folder / "server.toml"
        file.write_text("workers = 1\n")
        server, control = self.server("--config", str(file))
        self.untilReady(server, 1)
        self.addCleanup(self.endAll, server)
        _, port = self.client(control)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            file.write_text(f"workers = 1\nstatus-port = {taken.getsockname()[1]}\n")
            os.kill(server.pid, signal.SIGUSR2)
            self.upgraded(server, 2)
        server.waitFor("Address already in use; the server goes on without that")
        self.assertServes(port)

    def test_codeThatDoesNotCompileChangesNothing(self) -> None:
        """A copy of the package is run, and damaged."""
        copy = Path(shutil.copytree(CHECKOUT / "bore", self.folder / "code" / "bore"))
        words = [sys.executable, "-m", "bore", "server", "--bind-addr", self.host, "--control-port", "0"]
        words += ["--workers", "1", "--admin-socket", str(self.folder / "admin.sock")]
        server = self.start(Program(words, cwd=str(self.folder / "code")))
        control = server.port("listening on ")
        self.untilReady(server, 1)
        self.addCleanup(self.endAll, server)
        _, port = self.client(control)
        visitor = self.held(port)
        module = copy / "server" / "tunnel.py"
        text = module.read_text()
        module.write_text(text + "\ndef broken(:\n")
        asked = self.start(bore("upgrade", "--socket", str(self.folder / "admin.sock")))
        self.assertEqual(asked.wait(60), 1)
        self.assertIn("tunnel.py", asked.err[0])
        server.waitFor("no upgrade, the server goes on as before")
        self.assertEqual(list(workersOf(server)), [1])
        self.assertEchoes(visitor)
        # What a trial does not find: the workers do not come up.
        program = copy / "workerprogram.py"
        program.write_text(
            program.read_text().replace("def work(", "def work(words):\n    raise SystemExit(3)\n\n\ndef other(")
        )
        module.write_text(text)
        os.kill(server.pid, signal.SIGUSR2)
        server.waitFor("no upgrade, the server goes on as before: a worker process could not start: exit code 3")
        self.assertEchoes(visitor)
        self.assertServes(port)

    def test_faultySettingsChangeNothing(self) -> None:
        file = self.folder / "server.toml"
        file.write_text("workers = 1\n")
        server, control = self.server("--config", str(file))
        self.untilReady(server, 1)
        self.addCleanup(self.endAll, server)
        file.write_text("workers = 1\nlease = -1\n")
        os.kill(server.pid, signal.SIGUSR2)
        line = server.waitFor("no upgrade, the server goes on as before")
        self.assertIn("server.toml:2: lease", line)
        self.client(control)

    def test_whereItCannotBeRunTheServerGoesOn(self) -> None:
        words = ["server", "--bind-addr", self.host, "--control-port", "0", "--workers", "1"]
        server = self.start(Program([sys.executable, "-c", STAYS, *words], cwd=str(CHECKOUT)))
        control = server.port("listening on ")
        self.untilReady(server, 1)
        self.addCleanup(self.endAll, server)
        _, port = self.client(control)
        visits = Visits(self.host, port)
        for number in range(2):
            os.kill(server.pid, signal.SIGUSR2)
            server.waitFor("Cannot allocate memory", after=number)
        self.client(control)
        self.assertServes(port)
        visits.stop()
        self.assertEqual(visits.errors, [])

    def test_aWorkerThatDiesMeanwhileIsReplaced(self) -> None:
        server, control = self.crew()
        _, port = self.client(control)
        os.kill(server.pid, signal.SIGUSR2)
        server.waitFor("the supervisor starts again")
        os.kill(self.workerOf(server, port), signal.SIGKILL)
        self.upgraded(server, 2)
        eventually(lambda: len(self.untilReady(server, 2, 2)) == 2, "two workers")
        self.assertServes(port)
