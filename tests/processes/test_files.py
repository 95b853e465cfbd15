"""Programs with settings files, as users start them."""

from __future__ import annotations

import os
import signal
import sys

from bore import exits
from tests.processes.case import ProcessCase
from tests.support import CHECKOUT, Program, bore, isOpen, temporaryFolder, twistd


class FileCase(ProcessCase):
    """Has a folder for files."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = temporaryFolder(self)

    def write(self, name: str, text: str) -> str:
        """Replace a file, as editors do."""
        path = self.folder / name
        new = self.folder / f"{name}.new"
        new.write_text(text)
        os.replace(new, path)
        return str(path)

    def serverFile(self, more: str = "") -> str:
        return self.write("server.toml", f'bind-addr = "{self.host}"\ncontrol-port = 0\n{more}')

    def clientFile(self, control: int, more: str = "", tunnel: str = "web") -> str:
        return self.write(
            "bore.toml",
            f'server = "{self.host}:{control}"\nlocal-host = "127.0.0.1"\n{more}\n'
            f"[tunnel.{tunnel}]\nlocal = {self.service.port}\n",
        )

    def serverOf(self, *words: str) -> tuple[Program, int]:
        """A server with its file, and its control port."""
        server = self.start(bore("server", "--config", str(self.folder / "server.toml"), *words))
        return server, server.port("listening on ")

    def reload(self, program: Program, text: str, after: int = 0) -> None:
        program.process.send_signal(signal.SIGHUP)
        program.waitFor(text, after=after)


class UpTests(FileCase):
    """bore up, and twistd bore-client --config."""

    def test_aTunnelOfAFileIsUp(self) -> None:
        self.serverFile()
        _, control = self.serverOf()
        path = self.clientFile(control)
        for program in (bore("up", path), twistd("-n", "--pidfile=", "bore-client", "--config", path)):
            client = self.start(program)
            self.assertServes(client.port("listening at "))
            client.process.send_signal(signal.SIGTERM)
            client.wait()

    def test_mistakesAreALineEachAndTheCodeIsThatOfUsage(self) -> None:
        path = self.write("bore.toml", "server = 'x'\nlanes = 'many'\n[tunnel.web]\nloacl = 80\n")
        mistakes = [
            f"{path}:2: lanes: 'many' must be a whole number from 0 to 10000000",
            f"{path}:3: tunnel.web.local: missing: local service: PORT, HOST:PORT or [ADDRESS]:PORT",
            f"{path}:4: tunnel.web.loacl: unknown key; did you mean 'local'?",
        ]
        for command in ("up", "check"):
            program = self.start(bore(command, path))
            self.assertEqual(program.wait(), exits.USAGE)
            self.assertEqual(program.err, [f"bore {command}: {each}" for each in mistakes])
        daemon = self.start(twistd("-n", "--pidfile=", "bore-client", "--config", path))
        self.assertNotEqual(daemon.wait(), 0)
        for each in mistakes:
            daemon.waitFor(each)

    def test_aFileWithoutMistakesIsConfirmed(self) -> None:
        path = self.clientFile(7835)
        program = self.start(bore("check", path))
        self.assertEqual((program.wait(), program.out), (exits.OK, [f"{path}: a client's file, 1 tunnel, no mistakes"]))

    def test_aPlainTunnelReadsNoFileAndLoadsNothingForIt(self) -> None:
        code = (
            "import sys\nfrom bore.options.client import clientCommand\nfrom bore.options.server import serverCommand\n"
            "import bore.client.service, bore.server.service, bore.serverprogram, bore.cli\n"
            "clientCommand('x').parse(['80', '--to', 'x'])\nserverCommand('x').parse([])\n"
            "print([name for name in ('tomllib', 'cattrs', 'bore.config', 'bore.reloading') if name in sys.modules])"
        )
        program = self.start(Program([sys.executable, "-c", code], None, str(CHECKOUT)))
        self.assertEqual((program.wait(), program.out), (0, ["[]"]), program.transcript())


class ServerTests(FileCase):
    """bore server --config."""

    def test_aReloadChangesTheRangeAndTheLimitsAndKeepsWhatIsThere(self) -> None:
        self.serverFile()
        server, control = self.serverOf()
        _, port = self.client(control)
        visitor = self.visitor(port)
        self.assertEchoes(visitor)
        path = self.serverFile("max-tunnels = 1\nlease = 7")
        self.reload(server, f"{path} reloaded: max-tunnels")
        server.waitFor("restart the program to change lease")
        other = self.launch(f"{self.host}:{control}", "--no-reconnect")
        other.waitFor("too many tunnels")
        self.assertEchoes(visitor)
        self.assertServes(port)
        self.serverFile("max-port = 'high'")
        self.reload(server, "server.toml:3: max-port: 'high' must be a number from 1 to 65535")
        server.waitFor("has mistakes: the settings stay as they are")
        self.assertEchoes(visitor)
        self.serverFile(f"min-port = {port + 1}\nmax-port = {port + 1}\nlease = 60")
        self.reload(server, "reloaded: min-port, max-port, max-tunnels")
        refused = self.launch(f"{self.host}:{control}", "--no-reconnect", "-p", str(port + 2))
        refused.waitFor(f"outside this server's range, {port + 1} to {port + 1}")
        self.assertEchoes(visitor)

    def test_aFileThatIsWatchedIsReloadedWhenItChanges(self) -> None:
        self.serverFile("watch = true")
        server, _ = self.serverOf()
        self.serverFile("watch = true\nmax-visitors = 5")
        server.waitFor("reloaded: max-visitors")

    def test_underTwistdItIsTheSame(self) -> None:
        path = self.serverFile("max-tunnels = 7")
        server = self.start(twistd("-n", "--pidfile=", "bore-server", "--config", path))
        port = server.port("listening on ")
        self.serverFile("max-tunnels = 8")
        self.reload(server, "reloaded: max-tunnels")
        self.assertTrue(isOpen(self.host, port))
