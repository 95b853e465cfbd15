"""Programs with admin sockets, as their operator uses them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from bore import exits
from tests.ports import freePort, loopbackHost
from tests.status.asking import ask
from tests.support import (
    CHECKOUT,
    LocalService,
    Program,
    bore,
    connect,
    echo,
    eventually,
    receiveExactly,
    running,
    temporaryFolder,
    twistd,
)


class AdminCase(SynchronousTestCase):
    """A server and a client with a runtime directory."""

    def setUp(self) -> None:
        self.host = loopbackHost()
        self.folder = temporaryFolder(self)
        self.environment = {"RUNTIME_DIRECTORY": str(self.folder)}
        self.service = LocalService(echo)
        self.addCleanup(self.service.close)

    def start(self, program: Program) -> Program:
        self.addCleanup(program.kill)
        return program

    def server(self, *words: str) -> tuple[Program, int]:
        at = ("--bind-addr", self.host, "--control-port", "0", "--min-port", "1024")
        program = self.start(bore("server", *at, *words, environment=self.environment))
        return program, program.port("listening on")

    def client(self, port: int, *words: str) -> tuple[Program, int]:
        at = (str(self.service.port), "--to", f"{self.host}:{port}", *words)
        program = self.start(bore("local", *at, environment=self.environment))
        return program, program.port("listening at")

    def socket(self, program: Program, name: str) -> Path:
        path = self.folder / f"{name}.sock"
        eventually(path.exists, str(path))
        return path

    def assertEchoes(self, visitor: Any) -> None:
        visitor.sendall(b"hello")
        self.assertEqual(receiveExactly(visitor, 5), b"hello")


class AdminTests(AdminCase):
    """bore server and bore local."""

    def test_bothAnswerAndEndInOrder(self) -> None:
        server, control = self.server()
        client, port = self.client(control)
        atServer = self.socket(server, f"server-{control}")
        atClient = self.socket(client, f"client-{client.pid}")
        with connect(self.host, port) as visitor:
            self.assertEchoes(visitor)
            code, found = ask(atServer, f"GET /tunnels/{port}")
            self.assertEqual((code, found["bytes"]), (200, {"toClient": 5, "toVisitors": 5}))
            code, own = ask(atClient, "GET /status")
            self.assertEqual((own["state"], own["tunnels"][0]["bytes"]["fromVisitors"]), ("up", 5))
            self.assertEqual((own["pid"], own["program"]), (client.pid, "client"))

            code, answer = ask(atServer, "POST /drain", {"within": 20})
            self.assertEqual((code, answer), (200, {"visitors": 1, "within": 20}))
            client.waitFor("server is shutting down")
            code, found = ask(atServer, "GET /status")
            self.assertEqual((found["state"], found["tunnels"], found["sessions"]), ("draining", [], []))
            self.assertEqual(ask(atServer, "POST /drain")[0], 409)
            self.assertEchoes(visitor)
        self.assertEqual(server.wait(), exits.OK)
        self.assertFalse(atServer.exists())
        self.assertEqual(ask(atClient, "POST /drain", {"within": 0})[0], 200)
        self.assertEqual(client.wait(), exits.OK)
        self.assertEqual(list(self.folder.iterdir()), [])
        for program in (server, client):
            self.assertNotIn("critical", program.transcript())

    def test_whoIsStillThereInTheEndIsCut(self) -> None:
        server, control = self.server()
        _, port = self.client(control)
        with connect(self.host, port) as visitor:
            self.assertEchoes(visitor)
            ask(self.socket(server, f"server-{control}"), "POST /drain", {"within": 0.5})
            self.assertEqual(server.wait(), exits.OK)
            with self.assertRaises(ConnectionResetError):
                visitor.recv(1)

    def test_aKickOfTheLastVisitorIsAnsweredBeforeTheEnd(self) -> None:
        server, control = self.server()
        _, port = self.client(control)
        path = self.socket(server, f"server-{control}")
        with connect(self.host, port) as visitor:
            self.assertEchoes(visitor)
            ask(path, "POST /drain", {"within": 20})
            server.waitFor("running visitors may go on")
            kicks = {"sessions": 0, "tunnels": 0, "visitors": 1}
            self.assertEqual(ask(path, "POST /kick", {"user": "*"}), (200, kicks))
        self.assertEqual(server.wait(), exits.OK)

    def test_aReloadSaysWhatIsWrongAndWhatHasChanged(self) -> None:
        file = self.folder / "server.toml"
        file.write_text("max-tunnels = 7\n")
        server, control = self.server("--config", str(file))
        path = self.socket(server, f"server-{control}")
        file.write_text("max-tunnels = 8\n")
        self.assertEqual(
            ask(path, "POST /reload"), (200, {"changes": [f"{file}: max-tunnels"], "mistakes": [], "restart": None})
        )
        file.write_text("max-tunnel = 8\n")
        code, found = ask(path, "POST /reload")
        self.assertEqual(code, 422)
        self.assertIn(f"{file}:1:", found["error"])
        file.write_text("max-tunnels = 8\nlease = 3\n")
        self.assertEqual(ask(path, "POST /reload")[1]["restart"], "lease")

    def test_curlCanUseIt(self) -> None:
        server, control = self.server("--admin-socket", str(self.folder / "a.sock"))
        try:
            found = subprocess.run(
                ["curl", "-sS", "--unix-socket", str(self.folder / "a.sock"), "-d", '{"user": "*"}', "http://bore/kick"],
                capture_output=True, text=True, check=False, timeout=20,
            )  # fmt: skip
        except FileNotFoundError:
            self.skipTest("there is no curl")
        self.assertEqual(found.stdout, '{"error": "there is no session or tunnel of *"}\n')
        self.assertEqual(server.process.poll(), None)
        del control

    def test_withoutOneThereIsNone(self) -> None:
        server, _ = self.server("--no-admin-socket")
        self.assertEqual(list(self.folder.iterdir()), [])
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(), exits.OK)

    def test_oneThatCannotBeOpenedIsAnError(self) -> None:
        taken = self.folder / "file"
        taken.touch()
        for words in (("server", "--control-port", "0"), ("local", "1", "--to", self.host)):
            with running(bore(*words, "--admin-socket", str(taken), environment=self.environment)) as program:
                self.assertEqual(program.wait(), exits.FAILURE)
                program.waitFor(f"cannot open the admin socket {taken}: there is a file that is not a socket")
        with running(twistd("-n", "--pidfile=", "bore-client", "1", "--to", self.host, "--admin-socket", str(taken),
                            environment=self.environment)) as program:  # fmt: skip
            self.assertNotEqual(program.wait(), 0)
            program.waitFor("twistd bore-client: cannot open the admin socket")

    def test_aKilledProgramsSocketIsReplaced(self) -> None:
        port = str(freePort(self.host))
        for _ in range(2):
            words = ("--bind-addr", self.host, "--control-port", port)
            server = self.start(bore("server", *words, environment=self.environment))
            server.port("listening on")
            path = self.socket(server, f"server-{port}")
            eventually(lambda path=path: self.answers(path), "an answer")  # type: ignore[misc]
            server.kill()
            self.assertTrue(path.exists())

    def answers(self, path: Path) -> bool:
        try:
            return ask(path, "GET /status")[0] == 200
        except OSError:
            return False


class TwistdTests(AdminCase):
    """The plugins."""

    def test_theServerDrainsAndEndsWith0(self) -> None:
        words = ("--bind-addr", self.host, "--control-port", "0")
        logs = ("-n", "--pidfile=", "--logfile=-")
        server = self.start(twistd(*logs, "bore-server", *words, environment=self.environment))
        control = server.port("listening on")
        path = self.socket(server, f"server-{control}")
        self.assertEqual(ask(path, "GET /status")[1]["state"], "running")
        self.assertEqual(ask(path, "POST /drain", {"within": 1})[0], 200)
        self.assertEqual(server.wait(), 0)
        self.assertFalse(path.exists())


class RestTests(AdminCase):
    """What nobody has asked for is not imported."""

    def test_aProgramAtRestHasNeitherHttpNorSnapshots(self) -> None:
        code = (
            "import sys; from bore.cli import main; from twisted.internet import reactor;"
            "reactor.callLater(0.5, lambda: (print(*sys.modules), sys.stdout.flush(), reactor.stop()));"
            f"main(['server', '--control-port', '0', '--bind-addr', '{self.host}'])"
        )
        environment = {**os.environ, **self.environment}
        found = subprocess.run(
            [sys.executable, "-c", code], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=True
        )
        modules = set(found.stdout.split())
        self.assertIn("bore.status.door", modules)
        self.assertEqual([name for name in modules if name.startswith("bore.cluster")], [])
        for absent in ("twisted.web.http", "bore.status.site", "bore.status.server", "bore.status.report"):
            self.assertNotIn(absent, modules)
