"""A client that is asked by SIGUSR2 to have another process of itself take over."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
from pathlib import Path

from tests.original import CONTROL_PORT, original
from tests.ports import freePort
from tests.processes.case import complaints, count
from tests.processes.test_files import FileCase
from tests.processes.test_notices import Manager
from tests.support import CHECKOUT, PATIENCE, Program, bore, connect, eventually, twistd


class HandoverCase(FileCase):
    """Clients under a service manager."""

    def setUp(self) -> None:
        super().setUp()
        self.manager = Manager(self.folder / "manager")
        self.addCleanup(self.manager.socket.close)
        self.variables = {"NOTIFY_SOCKET": self.manager.path}
        self.main = 0

    def started(self, client: Program) -> Program:
        """A client. Its successors have its output, and end before that is closed."""
        self.start(client)
        self.addCleanup(self.endSuccessors, client)
        self.main = client.pid
        return client

    def endSuccessors(self, client: Program) -> None:
        client.process.kill()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def processes(self) -> list[int]:
        """All processes of the client: successors are no children of ours, and have its environment."""
        found = []
        for file in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if self.manager.path.encode() in file.read_bytes():
                    found.append(int(file.parent.name))
        return found

    def up(self, path: str, *words: str) -> Program:
        return self.started(bore("up", path, *words, environment=self.variables))

    def file(self, control: int, *ports: int, more: str = "") -> str:
        """A settings file with a tunnel for each of these ports."""
        text = "".join(f"[tunnel.t{port}]\nlocal = {self.service.port}\nport = {port}\n" for port in ports)
        return self.write("bore.toml", f'server = "{self.host}:{control}"\nlocal-host = "127.0.0.1"\n{more}\n{text}')

    def upgrade(self, client: Program) -> int:
        """Have another process take over. Returns it."""
        os.kill(self.main, signal.SIGUSR2)
        (line,) = self.manager.until("MAINPID=")
        self.main = int(line.partition("=")[2])
        self.assertEqual(self.manager.until("READY=1")[0], "READY=1")
        client.waitFor(f"process {self.main} has taken over")
        return self.main

    def assertEnds(self, pid: int) -> None:
        """A process ends that is no child of ours."""
        eventually(lambda: not Path(f"/proc/{pid}").exists(), f"process {pid} has ended")

    def assertUp(self, client: Program, *ports: int) -> None:
        for port in ports:
            client.waitFor(f"listening at {self.host}:{port} ")


class TakeoverTests(HandoverCase):
    """The successor takes over."""

    def test_visitorsNoticeNothingTwiceInARow(self) -> None:
        server, control = self.server()
        ports, status, admin = [freePort(self.host) for _ in "ab"], freePort("127.0.0.1"), self.folder / "admin"
        words = ("--status-port", str(status), "--admin-socket", str(admin))
        client = self.up(self.file(control, *ports), *words)
        self.assertUp(client, *ports)
        visitors = [self.visitor(port) for port in ports for _ in "12"]
        for number in range(2):
            for each in visitors:
                self.assertEchoes(each)
            self.upgrade(client)
            for port in ports:
                self.assertServes(port)
            client.waitFor("taken over from process", after=number)
            with connect("127.0.0.1", status) as sock:
                sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                self.assertIn(b"200", sock.recv(100))
            eventually(admin.exists, "the admin socket is there again")
        client.process.send_signal(signal.SIGUSR2)
        client.waitFor("no successor is started: process")
        for each in visitors:
            self.assertEchoes(each)
            each.close()
        self.assertEqual(client.process.wait(PATIENCE), 0)
        self.assertEqual(len(complaints(client)), 1, client.transcript())
        self.assertEqual(complaints(server), [])
        os.kill(self.main, signal.SIGTERM)
        self.assertEnds(self.main)
        for port in ports:
            self.assertFree(port)

    def test_aSettingsFileThatHasChangedIsThatOfTheSuccessor(self) -> None:
        """A tunnel that is not there any more is given back, one that is new is opened."""
        _, control = self.server()
        kept, old, new = (freePort(self.host) for _ in "abc")
        client = self.up(self.file(control, kept, old))
        self.assertUp(client, kept, old)
        self.file(control, kept, new)
        self.upgrade(client)
        self.assertUp(client, new)
        self.assertServes(kept)
        self.assertFree(old)

    def test_whatTheManagerEndsEndsBoth(self) -> None:
        """Even if it sends SIGTERM to the main process alone."""
        _, control = self.server()
        port = freePort(self.host)
        client = self.up(self.file(control, port))
        self.assertUp(client, port)
        visitor = self.visitor(port)
        self.assertEchoes(visitor)
        self.upgrade(client)
        os.kill(self.main, signal.SIGTERM)
        client.waitFor("running visitors may go on for 5")
        self.assertTrue(Path(f"/proc/{self.main}").exists(), "systemd would end the other one with it")
        self.assertEchoes(visitor)
        visitor.close()
        self.assertEqual(client.process.wait(PATIENCE), 0)
        self.assertEnds(self.main)

    def test_underTwistdItIsTheSame(self) -> None:
        _, control = self.server()
        port = freePort(self.host)
        words = ("-n", "--pidfile=", "bore-client", "--config", self.file(control, port))
        client = self.started(twistd(*words, environment=self.variables, cwd=str(self.folder)))
        self.assertUp(client, port)
        os.kill(self.main, signal.SIGUSR2)
        (line,) = self.manager.until("MAINPID=")
        self.main = int(line.partition("=")[2])
        self.manager.until("READY=1")
        self.assertServes(port)


class FailureTests(HandoverCase):
    """The successor does not take over, or not as it should."""

    def test_aFileWithMistakesChangesNothingAndAReloadMeanwhileIsDoneAfterwards(self) -> None:
        _, control = self.server()
        port, other = freePort(self.host), freePort(self.host)
        path = self.file(control, port)
        client = self.up(path)
        self.assertUp(client, port)
        visitor = self.visitor(port)
        self.assertEchoes(visitor)
        self.write("bore.toml", "server = 'x'\nlanes = 'many'\n")
        client.process.send_signal(signal.SIGUSR2)
        client.waitFor("a successor is started")
        client.process.send_signal(signal.SIGHUP)
        client.waitFor("the successor has not taken over, and this process goes on: it has ended")
        client.waitFor("has mistakes: the settings stay as they are")
        self.assertEqual(count(client, "lanes: 'many' must be a whole number"), 2, client.transcript())
        self.assertEchoes(visitor)
        self.assertServes(port)
        self.file(control, port, other)
        self.upgrade(client)
        self.assertUp(client, other)
        self.assertEchoes(visitor)

    def test_theFormerOneIsKilledMeanwhile(self) -> None:
        """Without a manager that ends the other one, that is the client then."""
        _, control = self.server()
        port = freePort(self.host)
        client = self.up(self.file(control, port))
        self.assertUp(client, port)
        client.process.send_signal(signal.SIGUSR2)
        client.waitFor("a successor is started")
        client.process.kill()
        client.waitFor(f"listening at {self.host}:{port} ", after=1)
        client.waitFor("taken over from process")
        self.assertServes(port)

    def test_aStopMeanwhileEndsBothAndGivesTheTunnelBack(self) -> None:
        server, control = self.server()
        port = freePort(self.host)
        client = self.up(self.file(control, port))
        self.assertUp(client, port)
        client.process.send_signal(signal.SIGUSR2)
        client.waitFor("a successor is started")
        client.process.send_signal(signal.SIGTERM)
        self.assertEqual(client.process.wait(PATIENCE), 0)
        self.assertFree(port)
        eventually(lambda: not self.processes(), "the successor has ended")
        self.assertEqual(complaints(server), [])


class UnofferedTests(HandoverCase):
    """Where there can be no successor."""

    def test_anOriginalServer(self) -> None:
        words = ("server", "--bind-addr", self.host, "--bind-tunnels", self.host)
        self.start(Program([original(), *words])).waitFor("server listening")
        port = freePort(self.host)
        client = self.up(self.file(CONTROL_PORT, port))
        self.assertUp(client, port)
        client.process.send_signal(signal.SIGUSR2)
        client.waitFor(f"no successor is started: {self.host}:{CONTROL_PORT} is an original server")
        self.assertServes(port)

    def test_aTerminal(self) -> None:
        _, control = self.server()
        port = freePort(self.host)
        words = [sys.executable, "-m", "bore", "up", self.file(control, port)]
        inside = f"import pty, sys; sys.exit(pty.spawn({words}))"
        program = self.start(Program([sys.executable, "-c", inside], {"TERM": "dumb"}, str(CHECKOUT)))
        program.waitFor("listening at")
        [pid] = re.findall(r"\d+", Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text())
        os.kill(int(pid), signal.SIGUSR2)
        program.waitFor("no successor is started: on a terminal there is none")
        self.assertServes(port)
        os.kill(int(pid), signal.SIGTERM)
