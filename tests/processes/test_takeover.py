"""A server that another process takes over: nobody is refused, and nothing is cut."""

from __future__ import annotations

import os
import re
import signal
import socket

from bore.admin.ask import NoAnswer, ask
from tests.original import CONTROL_PORT, original
from tests.ports import freePort
from tests.processes.case import ProcessCase
from tests.processes.test_descriptorstore import Visitors
from tests.support import Program, bore, eventually, isOpen, temporaryFolder


class TakeOverCase(ProcessCase):
    """A server with an admin socket in a runtime directory, and those that take over."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = temporaryFolder(self) / "txbore"
        self.folder.mkdir()
        self.port = freePort(self.host)

    def serve(self, *words: str, port: int | None = None, **environment: str) -> Program:
        """Start a server."""
        place = ("--bind-addr", self.host, "--control-port", str(port or self.port))
        environment = {"RUNTIME_DIRECTORY": str(self.folder), "XDG_STATE_HOME": str(self.folder)} | environment
        return self.start(bore("server", *place, *words, environment=environment))

    def begin(self, *words: str) -> Program:
        """Start one that listens, and has its admin socket."""
        program = self.serve(*words)
        program.waitFor("admin socket at")
        return program

    def end(self, program: Program) -> None:
        """End a process in order."""
        os.kill(program.pid, signal.SIGTERM)
        self.assertEqual(program.wait(), 0)


class TakeOverTests(TakeOverCase):
    """It takes over."""

    def test_inARowNobodyIsRefusedAndNothingIsCut(self) -> None:
        first = self.begin("--status-port", f"{self.host}:{(status := freePort(self.host))}")
        client, port = self.client(self.port)
        visitors = Visitors(self.host, port)
        self.addCleanup(visitors.stop)
        held = [self.visitor(port)]
        self.assertEchoes(held[0])
        servers = [first]
        for _ in range(2):
            words = ("--take-over", "--drain", "60", "--status-port", f"{self.host}:{status}")
            servers.append(self.begin(*words))
            servers[-1].waitFor("took over from process")
            servers[-1].waitFor("is back")
            held.append(self.visitor(port))
            for each in held:
                self.assertEchoes(each)
            before = visitors.served
            eventually(lambda now=before: visitors.served > now + 5, "visitors are served")  # type: ignore[misc]
        visitors.stop()
        self.assertEqual((visitors.refused, visitors.cut), ([], 0))
        self.assertTrue(isOpen(self.host, status))
        self.assertEqual([each.process.poll() for each in servers], [None] * 3)  # each has a visitor
        for each in held:
            each.close()
        for server in servers[:2]:
            self.assertEqual(server.wait(), 0)
        self.assertEqual([each.name for each in self.folder.iterdir() if "take" in each.name], [])
        self.end(client)
        self.end(servers[-1])

    def test_anOriginalClientNoticesNothing(self) -> None:
        program = original()
        self.port = CONTROL_PORT
        first = self.begin()
        words = ("local", str(self.service.port), "--local-host", "127.0.0.1", "--to", self.host)
        client = self.start(Program([program, *words], {"NO_COLOR": "1"}))
        port = int(re.sub(r".*:", "", client.waitFor("listening at")))
        visitors = Visitors(self.host, port)
        self.addCleanup(visitors.stop)
        held = self.visitor(port)
        self.assertEchoes(held)
        second = self.begin("--take-over", "--drain", "60")
        before = visitors.served
        eventually(lambda: visitors.served > before + 20, "visitors are served")
        self.assertEchoes(held)
        held.close()
        self.assertEqual(first.wait(), 0)
        visitors.stop()
        self.assertEqual((visitors.refused, visitors.cut), ([], 0))
        self.assertServes(port)
        self.end(second)

    def test_thePortOfAClientThatIsAwayIsKept(self) -> None:
        first = self.begin()
        home = temporaryFolder(self)
        client, port = self.client(self.port, home=home)
        client.kill()
        first.waitFor("kept for 60 s")
        # As that of another unit of systemd, it has a runtime directory of its own.
        mine, common = str(temporaryFolder(self)), str(self.folder.parent)
        second = self.serve("--take-over", RUNTIME_DIRECTORY=mine, XDG_RUNTIME_DIR=common)
        second.waitFor("took over from process")
        self.assertEqual(first.wait(), 0)
        other = self.launch(f"{self.host}:{self.port}", "--port", str(port), "--no-reconnect")
        self.assertEqual(other.wait(), 1)
        _, again = self.client(self.port, home=home)
        self.assertEqual(again, port)
        self.end(second)

    def test_streamsGoOnIfTheNewProcessEnds(self) -> None:
        first = self.begin("--drain", "60")
        _, port = self.client(self.port)
        visitor = self.visitor(port)
        self.assertEchoes(visitor)
        second = self.begin("--take-over")
        first.waitFor("has taken over")
        self.end(second)
        first.waitFor("running visitors")
        self.assertEchoes(visitor)
        visitor.close()
        self.assertEqual(first.wait(), 0)


class NotTakenOverTests(TakeOverCase):
    """It does not take over, and the other one goes on."""

    def refused(self, *words: str, port: int | None = None, **environment: str) -> str:
        """The reason why a server does not take over."""
        program = self.serve("--take-over", *words, port=port, **environment)
        self.assertEqual(program.wait(), 1, program.transcript())
        return program.err[-1]

    def test_withoutARunningServer(self) -> None:
        self.assertIn(f"none that listens on {self.host}:{self.port} has an admin socket", self.refused())
        self.begin()
        text = self.refused(port=freePort(self.host))
        self.assertIn(f"one listens on {self.host}:{self.port}", text)

    def test_withAnotherControlPort(self) -> None:
        first = self.begin()
        _, port = self.client(self.port)
        text = self.refused("--tls-port", str(freePort(self.host)))
        self.assertIn("and this one would listen on", text)
        first.waitFor("has not taken over, and the server goes on")
        self.assertServes(port)
        self.client(self.port)

    def test_ifTheNewProcessCannotStart(self) -> None:
        first = self.begin()
        taken = socket.create_server((self.host, 0))
        self.addCleanup(taken.close)
        text = self.refused("--status-port", f"{self.host}:{taken.getsockname()[1]}")
        self.assertIn("cannot listen on", text)
        first.waitFor("cannot listen on")
        _, port = self.client(self.port)
        self.assertServes(port)

    def test_ifTheOtherProcessEndsMeanwhileOrIsNotTrusted(self) -> None:
        first = self.begin()
        _, port = self.client(self.port)
        admin = self.folder / f"server-{self.port}.sock"
        place = temporaryFolder(self) / "socket"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(place))
            listener.listen()
            self.assertEqual(ask(admin, "POST", "/take-over", {"socket": str(place)}), {})
            other, _ = listener.accept()
            with other:
                self.assertIn(b'{"ControlPort": {"encrypted": false}}', other.recv(1 << 16))
                self.assertIn("busy", str(ask(admin, "POST", "/take-over", {"socket": str(place)})))
            first.waitFor("has not taken over, and the server goes on: it has ended")
            place.parent.chmod(0o755)
            for path in (str(place), f"{place}.no", "/no/where"):
                self.assertRaises(NoAnswer, ask, admin, "POST", "/take-over", {"socket": path})
        self.assertServes(port)
        self.client(self.port)
