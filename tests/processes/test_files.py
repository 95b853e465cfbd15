"""Programs with settings files, as users start them."""

from __future__ import annotations

import os
import signal
import socket
import sys

from bore import exits
from tests.ports import freePort
from tests.processes.case import ProcessCase
from tests.support import CHECKOUT, LocalService, Program, bore, isOpen, receiveAll, temporaryFolder, twistd


def answerOther(sock: socket.socket) -> None:
    """Another local service."""
    receiveAll(sock)
    sock.sendall(b"other")


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
            f"{path}:3: tunnel.web.local: missing: local service: PORT, HOST:PORT, [ADDRESS]:PORT or unix:PATH",
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
            "import bore.clientprogram, bore.serverprogram, bore.cli\n"
            "clientCommand('x').parse(['80', '--to', 'x'])\nserverCommand('x').parse([])\n"
            "unused = ('tomllib', 'cattrs', 'bore.config', 'bore.reloading', 'bore.programservice',\n"
            "'bore.client.companions', 'bore.cluster',\n"
            "'bore.system.activation',\n"
            "'bore.system.notify', 'bore.system.linefile', 'bore.status.notices', 'bore.status.visitorlog')\n"
            "print([name for name in unused if name in sys.modules])"
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


class ReloadTests(FileCase):
    """A client's file that changes."""

    def setUp(self) -> None:
        super().setUp()
        self.serverFile()
        _, self.control = self.serverOf()
        self.other = LocalService(answerOther)
        self.addCleanup(self.other.close)

    def tunnels(self, more: str = "", **ports: tuple[int, int]) -> str:
        """Write a file with tunnels: their local ports, and their public ports."""
        tables = "".join(f"[tunnel.{name}]\nlocal = {local}\nport = {port}\n" for name, (local, port) in ports.items())
        return self.write(
            "bore.toml", f'server = "{self.host}:{self.control}"\nlocal-host = "127.0.0.1"\n{more}\n{tables}'
        )

    def up(self, path: str, *words: str, count: int = 1) -> Program:
        """A client whose tunnels are up."""
        client = self.start(bore("up", path, *words))
        for nth in range(count):
            client.waitFor("listening at ", after=nth)
        return client

    def test_tunnelsComeChangeAndGoAndWhatHasNotChangedIsNotInterrupted(self) -> None:
        a, b, c = (freePort(self.host) for _ in range(3))
        client = self.up(self.tunnels(a=(self.service.port, a), b=(self.service.port, b)), count=2)
        visitors = [self.visitor(a), self.visitor(b)]
        for visitor in visitors:
            self.assertEchoes(visitor)
        path = self.tunnels(a=(self.service.port, a), c=(self.other.port, c))
        self.reload(client, f"{path} reloaded: 1 tunnel added, 1 tunnel removed")
        client.waitFor(f"listening at {self.host}:{c}")
        self.assertEqual(self.ask(c), b"other")
        self.assertFree(b)
        for visitor in visitors:
            self.assertEchoes(visitor, b"and still here")
        self.assertServes(a)
        self.tunnels(a=(self.other.port, a), c=(self.other.port, c))
        self.reload(client, "reloaded: 1 tunnel changed")
        self.assertEqual(self.ask(a), b"other")
        self.assertEchoes(visitors[0], b"to the end")
        self.tunnels(a=(self.other.port, b), c=(self.other.port, c))
        self.reload(client, "reloaded: 1 tunnel changed", after=1)
        client.waitFor(f"listening at {self.host}:{b}", after=1)
        self.assertEqual(self.ask(b), b"other")
        self.assertFree(a)

    def test_aFileWithMistakesChangesNothing(self) -> None:
        port = freePort(self.host)
        client = self.up(self.tunnels(a=(self.service.port, port)))
        visitor = self.visitor(port)
        self.assertEchoes(visitor)
        path = self.tunnels("lanes = 'x'", a=(self.service.port, port), b=(70000, 80))
        self.reload(client, f"{path}:3: lanes: 'x' must be a whole number from 0 to 10000000")
        client.waitFor(f"{path}:8: tunnel.b.local: 70000 must be a number from 1 to 65535")
        client.waitFor(f"{path} has mistakes: the settings stay as they are")
        self.assertEchoes(visitor)
        self.assertServes(port)

    def test_whatNeedsARestartIsNamed(self) -> None:
        port = freePort(self.host)
        client = self.up(self.tunnels(a=(self.service.port, port)))
        self.tunnels("log-level = 'debug'\nlanes = 0\nmax-visitors = 7", a=(self.service.port, port))
        self.reload(client, "reloaded: 1 tunnel changed, lanes, max-visitors")
        client.waitFor("restart the program to change log-level")
        self.assertServes(port)

    def test_aSecretThatIsReplacedAtBothEndsCostsNoVisitor(self) -> None:
        """The client has it first: its server does not know it yet, and no tunnel is lost."""
        port, former, new = freePort(self.host), "the first secret of both\n", "another secret of both\n"
        secret, ofServer = self.folder / "secret", self.folder / "secrets"
        for file in (secret, ofServer):
            file.touch(0o600)
            file.write_text(former)
        self.serverFile(f"secret-file = '{ofServer}'")
        server, self.control = self.serverOf()
        client = self.up(self.tunnels(f"secret-file = '{secret}'", a=(self.service.port, port)))
        visitor = self.visitor(port)
        self.assertEchoes(visitor)
        secret.write_text(new)
        self.reload(client, "reloaded: secret-file")
        client.waitFor("the new settings are not in effect, and the tunnels stay open with the former ones")
        self.assertEchoes(visitor)
        self.assertServes(port)
        ofServer.write_text(new + former)
        self.reload(server, "reloaded: secret-file")
        self.reload(client, "has accepted the new settings")
        ofServer.write_text(new)
        self.reload(server, "reloaded: secret-file", after=1)
        self.assertEchoes(visitor)
        self.assertServes(port)

    def test_aFileThatIsWatchedIsReloadedWhenItChanges(self) -> None:
        a, b = freePort(self.host), freePort(self.host)
        client = self.up(self.tunnels(a=(self.service.port, a)), "--watch")
        self.tunnels(a=(self.service.port, a), b=(self.other.port, b))
        client.waitFor(f"listening at {self.host}:{b}")
        self.assertEqual(self.ask(b), b"other")

    def test_aPortThatIsInUseHoldsUpNoOtherTunnel(self) -> None:
        a, b = freePort(self.host), freePort(self.host)
        with socket.create_server((self.host, a)):
            client = self.up(self.tunnels(a=(self.service.port, a), b=(self.service.port, b)))
            client.waitFor("in use")
            self.assertServes(b)
        client.waitFor(f"listening at {self.host}:{a}")
        self.assertServes(a)

    def test_severalLocalServicesAreTunnelsAsWell(self) -> None:
        a, b = freePort(self.host), freePort(self.host)
        words = [f"{self.service.port}:{a}", f"127.0.0.1:{self.other.port}:{b}"]
        client = self.start(bore("local", *words, "-l", "127.0.0.1", "-t", f"{self.host}:{self.control}"))
        for nth in range(2):
            client.waitFor("listening at ", after=nth)
        self.assertServes(a)
        self.assertEqual(self.ask(b), b"other")
        client.process.send_signal(signal.SIGHUP)
        client.waitFor("nothing to reload")

    def test_underTwistdItIsTheSame(self) -> None:
        a, b = freePort(self.host), freePort(self.host)
        path = self.tunnels(a=(self.service.port, a))
        client = self.start(twistd("-n", "--pidfile=", "bore-client", "--config", path))
        client.waitFor(f"listening at {self.host}:{a}")
        self.tunnels(b=(self.other.port, b))
        self.reload(client, "reloaded: 1 tunnel added, 1 tunnel removed")
        client.waitFor(f"listening at {self.host}:{b}")
        self.assertFree(a)
