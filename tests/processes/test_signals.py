"""SIGHUP, a closed terminal, and a second signal during a stop."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.processes.case import ProcessCase
from tests.processes.tlscase import portOf
from tests.support import CHECKOUT, Program, eventually, temporaryFolder

#: Runs a program in a session of its own, whose terminal is the first argument.
_IN_TERMINAL = "import os, sys; os.setsid(); os.open(sys.argv[1], os.O_RDWR); os.execv(sys.executable, sys.argv[2:])"

#: The same, with SIGHUP ignored as nohup(1) has it.
_NOHUP = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); " + _IN_TERMINAL

_BORE = ("-m", "bore")
_TWISTD = ("-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile=")


class SignalCase(ProcessCase):
    """Programs with a terminal, and without."""

    def inTerminal(self, *words: str, start: str = _IN_TERMINAL) -> tuple[Program, int]:
        """A program in a terminal of its own, and the other side of the terminal: a window, until it is closed."""
        window, terminal = pty.openpty()
        self.addCleanup(self.closeWindow, window)
        program = self.python("-c", start, os.ttyname(terminal), sys.executable, *words)
        eventually(lambda: self.hasTerminal(program), "the program has the terminal")
        os.close(terminal)
        return program, window

    def python(self, *words: str) -> Program:
        folder = str(temporaryFolder(self))
        return self.start(Program([sys.executable, *words], {"PYTHONPATH": str(CHECKOUT)}, folder))

    def hasTerminal(self, program: Program) -> bool:
        device = int(Path(f"/proc/{program.pid}/stat").read_text().rpartition(")")[2].split()[4])
        return device != 0

    def closeWindow(self, window: int) -> None:
        try:
            os.close(window)
        except OSError:
            return

    def serverWords(self) -> list[str]:
        return ["--bind-addr", self.host, "--control-port", "0"]

    def clientWords(self, control: int) -> list[str]:
        return [str(self.service.port), "-l", "127.0.0.1", "--to", f"{self.host}:{control}"]


class TerminalTests(SignalCase):
    """The window is closed."""

    def test_aClientSaysGoodbyeAndItsPortIsFree(self) -> None:
        for words in ((*_BORE, "local"), (*_TWISTD, "bore-client")):
            server, control = self.server()
            client, window = self.inTerminal(*words, *self.clientWords(control))
            port = client.port("listening at ")
            os.close(window)
            server.waitFor("said goodbye")
            self.assertEqual(client.wait(), 0, client.transcript())
            client.waitFor("the terminal is gone: stopping")
            self.assertFree(port)

    def test_aServerTellsItsClients(self) -> None:
        for words in ((*_BORE, "server"), (*_TWISTD, "bore-server")):
            server, window = self.inTerminal(*words, *self.serverWords())
            client, _ = self.client(server.port("listening on "))
            os.close(window)
            client.waitFor("server is shutting down")
            self.assertEqual(server.wait(), 0, server.transcript())

    def test_theDemonstrationEnds(self) -> None:
        demo, window = self.inTerminal(*_BORE, "demo")
        demo.waitFor("press Ctrl-C to stop")
        os.close(window)
        self.assertEqual(demo.wait(), 0, demo.transcript())

    def test_withNohupItGoesOn(self) -> None:
        server, control = self.server()
        client, window = self.inTerminal(*_BORE, "local", *self.clientWords(control), start=_NOHUP)
        port = client.port("listening at ")
        os.close(window)
        eventually(lambda: not self.hasTerminal(client), "the terminal is gone")
        client.process.send_signal(signal.SIGHUP)
        self.assertServes(port)
        self.assertNotIn("stopping", client.transcript())
        self.assertNotIn("nothing to reload", client.transcript())
        server.kill()


class ReloadTests(SignalCase):
    """SIGHUP where no terminal is gone."""

    def assertLives(self, program: Program, text: str) -> None:
        """A program follows each SIGHUP, and logs it."""
        for times in range(2):
            program.process.send_signal(signal.SIGHUP)
            program.waitFor(text, after=times)

    def test_aServerReadsItsOwnCertificateAgain(self) -> None:
        for words in ((*_BORE, "server"), (*_TWISTD, "bore-server")):
            server = self.python(*words, "--tls", *self.serverWords())
            portOf(server.waitFor("listening on "))
            self.assertLives(server, "the TLS certificate is the same")

    def test_aServerWithoutACertificateGoesOn(self) -> None:
        server, control = self.server()
        _, port = self.client(control)
        self.assertLives(server, "nothing to reload")
        self.assertServes(port)

    def test_aClientGoesOn(self) -> None:
        _, control = self.server()
        for words in ((*_BORE, "local"), (*_TWISTD, "bore-client")):
            client = self.python(*words, *self.clientWords(control))
            port = client.port("listening at ")
            self.assertLives(client, "nothing to reload")
            self.assertServes(port)

    def test_inATerminalThatIsThereToo(self) -> None:
        server, _ = self.inTerminal(*_BORE, "server", *self.serverWords())
        server.waitFor("listening on ")
        self.assertLives(server, "nothing to reload")
        self.assertIsNone(server.process.poll())


#: Has a program send itself a signal when its log says that it listens, and run as usual: before its reactor runs.
_AT_ONCE = """
import os, sys
from twisted.logger import globalLogPublisher

number = int(sys.argv.pop(1))

def observe(event):
    if str(event.get("log_format")).startswith("listening on"):
        os.kill(os.getpid(), number)

globalLogPublisher.addObserver(observe)
"""

_MAIN = {"bore": "from bore.cli import main; sys.exit(main(sys.argv[1:]))", "twistd": _TWISTD[1]}


class AtOnceTests(SignalCase):
    """A program stops in order from the moment on at which it says that it is ready."""

    def stopped(self, main: str, number: int, *words: str) -> int:
        """The exit code of a server."""
        program = self.python("-c", _AT_ONCE + _MAIN[main], str(number), *words, *self.serverWords())
        code = program.wait()
        program.waitFor("listening on")
        self.assertNotIn("Traceback", program.transcript())
        return code

    def test_aServerDoes(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self.assertEqual(self.stopped("bore", number, "server"), 0)

    def test_aServerWithWorkersDoes(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self.assertEqual(self.stopped("bore", number, "server", "--workers", "1"), 0)

    def test_aServerOfTwistdDoesAndEndsByTheSignal(self) -> None:
        pidfile = temporaryFolder(self) / "twistd.pid"
        for number in (signal.SIGTERM, signal.SIGINT):
            self.assertEqual(self.stopped("twistd", number, "-n", f"--pidfile={pidfile}", "bore-server"), -number)
            self.assertFalse(pidfile.exists())  # twistd has reached its end


class SecondTests(SignalCase):
    """A second signal ends what is stopping already."""

    def stopTwice(self, program: Program, pid: int, port: int) -> None:
        """Stop a server whose visitors could stay for five seconds more."""
        self.assertEchoes(self.visitor(port))
        os.kill(pid, signal.SIGTERM)
        self.client_.waitFor("server is shutting down")
        os.kill(pid, signal.SIGTERM)
        program.wait()  # its status says which signal has ended it

    def test_itEndsAtOnce(self) -> None:
        for words in ((*_BORE, "server"), (*_TWISTD, "bore-server")):
            server = self.python(*words, *self.serverWords())
            self.client_, port = self.client(server.port("listening on "), "--lanes", "0")
            self.stopTwice(server, server.pid, port)
            self.assertEqual(server.wait(), -signal.SIGTERM)
            self.assertNotIn("Traceback", server.transcript())

    def test_itEndsTheFirstProcessOfAContainer(self) -> None:
        unshare = ["unshare", "--map-root-user", "--user", "--pid", "--fork", "--kill-child"]
        if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
            raise SkipTest("this user may make no PID namespaces")
        server = self.start(
            Program([*unshare, sys.executable, *_BORE, "server", *self.serverWords()], None, str(CHECKOUT))
        )
        self.client_, port = self.client(server.port("listening on "), "--lanes", "0")
        [inner] = re.findall(r"\d+", Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text())
        self.stopTwice(server, int(inner), port)
        self.assertEqual(server.wait(), 128 + signal.SIGTERM)
