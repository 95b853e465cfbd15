"""Whole programs under a service manager: what it is told, and that a program that hangs is noticed."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path

from tests.ports import freePort
from tests.processes.case import ProcessCase
from tests.support import CHECKOUT, PATIENCE, Program, bore, eventually, temporaryFolder, twistd


class Manager:
    """
    The socket of a service manager.

    :ivar path: its address.
    """

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)

    def next(self, seconds: float = PATIENCE) -> list[str]:
        """The lines of the next notice that is not a sign of life; TimeoutError: there is none in time."""
        end = time.monotonic() + seconds
        while True:
            self.socket.settimeout(max(0.001, end - time.monotonic()))
            lines = self.socket.recv(1 << 16).decode().split("\n")
            if lines != ["WATCHDOG=1"]:
                return lines

    def until(self, text: str) -> list[str]:
        """The first notice from now on with this text."""
        while True:
            lines = self.next()
            if any(text in line for line in lines):
                return lines

    def signs(self, seconds: float) -> int:
        """How many signs of life come in this time."""
        end, count = time.monotonic() + seconds, 0
        while (rest := end - time.monotonic()) > 0:
            self.socket.settimeout(rest)
            try:
                count += self.socket.recv(1 << 16) == b"WATCHDOG=1"
            except TimeoutError:
                break
        return count


#: Starts bore with a reactor that hangs when SIGUSR2 arrives.
HANGS = """
import signal, sys, time
from twisted.internet import reactor
from bore.cli import main
signal.signal(signal.SIGUSR2, lambda *_: reactor.callFromThread(time.sleep, 1.8))
sys.exit(main(sys.argv[1:]))
"""


class NoticesCase(ProcessCase):
    """Programs with a manager each."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = temporaryFolder(self)

    def manager(self, name: str) -> Manager:
        made = Manager(self.folder / name)
        self.addCleanup(made.socket.close)
        return made

    def environment(self, manager: Manager, watchdog: float = 0.0) -> dict[str, str]:
        return {"NOTIFY_SOCKET": manager.path} | ({"WATCHDOG_USEC": f"{watchdog * 1e6:.0f}"} if watchdog else {})


class ServerTests(NoticesCase):
    """A server."""

    def test_itSendsItsLifeFromTheStartToTheEnd(self) -> None:
        manager, config = self.manager("server"), self.folder / "server.toml"
        config.write_text("max-tunnels = 7\n")
        words = ("server", "--bind-addr", self.host, "--control-port", "0", "--config", str(config))
        program = self.start(bore(*words, environment=self.environment(manager)))
        ready, status = manager.next()
        port = program.port("listening on ")
        self.assertEqual((ready, status), ("READY=1", f"STATUS=listening on {self.host}:{port}; 0 tunnels, 0 clients"))
        self.client(port)
        manager.until("; 1 tunnel, 1 client")
        os.kill(program.pid, signal.SIGHUP)
        begin, stamp = manager.next()
        self.assertEqual((begin, stamp.partition("=")[0]), ("RELOADING=1", "MONOTONIC_USEC"))
        self.assertLess(abs(int(stamp.partition("=")[2]) / 1e6 - time.monotonic()), PATIENCE)
        self.assertEqual(manager.next()[0], "READY=1")
        os.kill(program.pid, signal.SIGTERM)
        self.assertEqual(manager.until("STOPPING=1"), ["STOPPING=1", "STATUS=stopping"])
        self.assertEqual(program.wait(), 0)

    def test_oneThatCannotListenIsNeverReady(self) -> None:
        manager = self.manager("server")
        _, port = self.server()
        words = ("server", "--bind-addr", self.host, "--control-port", str(port))
        self.assertEqual(self.start(bore(*words, environment=self.environment(manager))).wait(), 1)
        self.assertRaises(TimeoutError, manager.next, 0.1)

    def test_signsOfLifeEndWhenTheReactorHangs(self) -> None:
        manager = self.manager("server")
        program = self.start(
            Program(
                [sys.executable, "-c", HANGS, "server", "--bind-addr", self.host, "--control-port", "0"],
                self.environment(manager, 0.3),
                str(CHECKOUT),
            )
        )
        manager.until("READY=1")
        self.assertGreater(manager.signs(0.5), 0)
        os.kill(program.pid, signal.SIGUSR2)
        eventually(lambda: not manager.signs(0.6), "it hangs, and gives no sign")
        eventually(lambda: manager.signs(0.3) > 0, "it goes on")

    def test_underTwistdItIsTheSame(self) -> None:
        manager, words = self.manager("server"), ("--bind-addr", self.host, "--control-port", str(freePort(self.host)))
        program = self.start(
            twistd(
                "--nodaemon",
                "--pidfile=",
                "bore-server",
                *words,
                environment=self.environment(manager, 0.3),
                cwd=str(self.folder),
            )
        )
        self.assertEqual(manager.next()[0], "READY=1")
        self.assertGreater(manager.signs(0.5), 0)
        os.kill(program.pid, signal.SIGHUP)
        manager.until("RELOADING=1")
        self.assertEqual(manager.next()[0], "READY=1")
        os.kill(program.pid, signal.SIGTERM)
        manager.until("STOPPING=1")


class ClientTests(NoticesCase):
    """A client."""

    def test_aServerThatIsAwayDoesNotFailItsStart(self) -> None:
        manager, port = self.manager("client"), freePort(self.host)
        program = self.launch(f"{self.host}:{port}", home=self.folder, **self.environment(manager, 0.3))
        self.assertEqual(manager.next(), ["READY=1", "STATUS=connecting"])
        self.assertIn("cannot reach", manager.until("next attempt within")[0])
        self.assertGreater(manager.signs(0.5), 0)  # its next attempt has its time
        server, _ = self.server(port=port)
        public = program.port("listening at ")
        self.assertEqual(manager.until("STATUS=up"), [f"STATUS=up: {self.host}:{public}"])
        self.assertGreater(manager.signs(0.5), 0)
        os.kill(server.pid, signal.SIGTERM)
        manager.until("next attempt within")
        os.kill(program.pid, signal.SIGTERM)
        manager.until("STOPPING=1")
        self.assertEqual(program.wait(), 0)
