"""``twistd bore-server --workers``, from the checkout."""

from __future__ import annotations

import contextlib
import os
import signal

from tests.ports import freePort
from tests.processes.test_twistd import TwistdCase
from tests.support import eventually


class WorkersTests(TwistdCase):
    """twistd bore-server --workers."""

    def log(self) -> str:
        path = self.folder / "twistd.log"
        return path.read_text() if path.exists() else ""

    def test_inTheForegroundItServesAndIsUpgraded(self) -> None:
        """It stays in its directory, whose name is relative to the one that it was started in."""
        (self.folder / "run").mkdir()
        server = self.start("-n", "--pidfile=", "--rundir=run", *self.serverWords(), "--workers", "1")
        server.waitFor("worker 1 of generation 1 has started")
        public = freePort(self.host)
        client = self.start("-n", "--pidfile=", *self.clientWords("-p", str(public)))
        client.waitFor(f"listening at {self.host}:{public}")
        self.assertServes(public)
        server.process.send_signal(signal.SIGUSR2)
        server.waitFor("generation 2 serves from now on")
        self.assertServes(public)
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(), -signal.SIGTERM)

    def test_asADaemonItGoesOnWithItsPidfileAndLog(self) -> None:
        pidfile = self.folder / "twistd.pid"
        self.assertEqual(self.start(*self.serverWords(), "--workers", "1").wait(), 0)
        eventually(lambda: "worker 1 of generation 1 has started" in self.log(), "it serves")
        pid = int(pidfile.read_text())
        self.addCleanup(kill, pid)
        public = freePort(self.host)
        client = self.start("-n", "--pidfile=", *self.clientWords("-p", str(public)))
        client.waitFor(f"listening at {self.host}:{public}")
        eventually(lambda: f"port {public}: opened" in self.log(), "the log has what workers log")
        os.kill(pid, signal.SIGUSR2)
        eventually(lambda: "generation 2 serves from now on" in self.log(), "it is upgraded", 40)
        self.assertEqual(int(pidfile.read_text()), pid)
        self.assertServes(public)
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not pidfile.exists(), "it has ended")

    def test_whatIsWrongIsLoggedOnceAndTheExitCodeIsNotZero(self) -> None:
        words = ("--workers", "2", "--tls", "--tls-cert", "/nonexistent", "--tls-key", "/nonexistent")
        server = self.start("-n", "--pidfile=", *self.serverWords(), *words)
        self.assertEqual(server.wait(), 1, server.transcript())
        found = [line for line in server.out + server.err if "critical" in line]
        self.assertEqual(len(found), 1, server.transcript())
        self.assertIn("/nonexistent cannot be read", found[0])

    def test_inAChrootItDoesNotStart(self) -> None:
        server = self.start("-n", "--pidfile=", f"--chroot={self.folder}", *self.serverWords(), "--workers", "1")
        self.assertEqual(server.wait(), 1)
        text = "twistd bore-server: --workers is not possible with twistd's --chroot"
        self.assertEqual([line for line in server.err if line.startswith(text)], server.err)


def kill(pid: int) -> None:
    """End a daemon."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
