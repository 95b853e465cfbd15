"""``twistd bore-server`` and ``twistd bore-client``, from the checkout."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.ports import freePort, loopbackHost
from tests.support import (
    CHECKOUT,
    LocalService,
    Program,
    connect,
    echo,
    eventually,
    isOpen,
    receiveExactly,
    temporaryFolder,
    twistd,
)

_TWISTD = "from twisted.scripts.twistd import run; run()"


class TwistdCase(SynchronousTestCase):
    """Runs twistd in a folder of its own."""

    def setUp(self) -> None:
        self.host = loopbackHost()
        self.port = freePort(self.host)
        self.folder = temporaryFolder(self)
        self.service = LocalService(echo)
        self.addCleanup(self.service.close)

    def start(self, *words: str, **environment: str) -> Program:
        program = twistd(*words, environment=environment, cwd=str(self.folder))
        self.addCleanup(program.kill)
        return program

    def serverWords(self) -> list[str]:
        return ["bore-server", "--bind-addr", self.host, "--control-port", str(self.port)]

    def clientWords(self, *more: str) -> list[str]:
        to = f"{self.host}:{self.port}"
        return ["bore-client", str(self.service.port), "-l", "127.0.0.1", "--to", to, *more]

    def assertServes(self, port: int) -> None:
        eventually(lambda: isOpen(self.host, port), "the tunnel is up")
        with connect(self.host, port) as visitor:
            visitor.sendall(b"hello")
            self.assertEqual(receiveExactly(visitor, 5), b"hello")


class ForegroundTests(TwistdCase):
    """twistd -n."""

    def test_aTunnelWorksAndTermEndsBoth(self) -> None:
        server = self.start("-n", "--pidfile=", *self.serverWords())
        server.waitFor("listening on")
        public = freePort(self.host)
        client = self.start("-n", "--pidfile=", *self.clientWords("-p", str(public)))
        client.waitFor(f"listening at {self.host}:{public}")
        self.assertServes(public)
        for program in (client, server):
            program.process.send_signal(signal.SIGTERM)
            self.assertEqual(program.wait(), -signal.SIGTERM)
        self.assertEqual(os.listdir(self.folder), [])

    def test_aBindFailureIsNotZero(self) -> None:
        with socket.create_server((self.host, self.port)):
            server = self.start("-n", "--pidfile=", *self.serverWords())
            self.assertEqual(server.wait(), 1, server.transcript())
            [line] = server.out + server.err
            self.assertIn(f"critical cannot listen on {self.host}:{self.port}: Address already in use", line)

    def test_whatElseAServerCannotStartWithIsOneLineToo(self) -> None:
        state = self.folder / "file"
        state.write_text("")
        server = self.start("-n", "--pidfile=", *self.serverWords(), "--tls", XDG_STATE_HOME=str(state))
        self.assertEqual(server.wait(), 1, server.transcript())
        [line] = server.out + server.err
        self.assertIn("tls.pem cannot be made: Not a directory", line)

    def test_aLogThatCannotBeWrittenIsOneLine(self) -> None:
        for name in ("/dev/stdout", "/nowhere/twistd.log"):
            server = self.start("-n", "--pidfile=", f"--logfile={name}", *self.serverWords())
            self.assertEqual(server.wait(), 1, server.transcript())
            [line] = server.out + server.err
            self.assertIn(f"cannot log to {name}: ", line)

    def test_usageErrorsNameTheOption(self) -> None:
        server = self.start("-n", "--pidfile=", "bore-server", "--min-port", "x")
        self.assertEqual(server.wait(), 1)
        self.assertIn("--min-port 'x': must be a number from 1 to 65535", server.transcript())

    def test_bothCommandsHaveHelp(self) -> None:
        for command in ("bore-server", "bore-client"):
            program = self.start(command, "--help")
            self.assertEqual(program.wait(), 0, program.transcript())
            self.assertIn("--secret-file PATH", "\n".join(program.out))

    def test_aRefusedSecretEndsTheClientWith77(self) -> None:
        self.start("-n", "--pidfile=", *self.serverWords(), "--secret", "right").waitFor("listening on")
        client = self.start("-n", "--pidfile=", *self.clientWords("--secret", "wrong"))
        self.assertEqual(client.wait(), 77, client.transcript())
        self.assertIn("invalid secret", client.transcript())

    def test_aClientThatGivesUpAtOnceEnds(self) -> None:
        client = self.start("-n", "--pidfile=", *self.clientWords("--no-reconnect"))
        self.assertEqual(client.wait(), 69, client.transcript())

    def test_theLogHasOurFormatAndLevel(self) -> None:
        server = self.start("-n", "--pidfile=", *self.serverWords(), "--log-format", "json")
        server.waitFor('"message": "listening on')
        self.assertTrue(all(line.startswith("{") for line in server.out), server.transcript())


class AsyncioTests(TwistdCase):
    """Another reactor."""

    def test_aTunnelWorksOnTheAsyncioReactor(self) -> None:
        self.start("-n", "--pidfile=", "--reactor=asyncio", *self.serverWords()).waitFor("listening on")
        public = freePort(self.host)
        self.start("-n", "--pidfile=", "--reactor=asyncio", *self.clientWords("-p", str(public))).waitFor(
            "listening at"
        )
        self.assertServes(public)


class DaemonTests(TwistdCase):
    """twistd in the background."""

    def daemon(self, name: str, *words: str) -> int:
        """Start a daemon, and give its process id."""
        pidfile = self.folder / f"{name}.pid"
        launcher = self.start(f"--pidfile={pidfile}", f"--logfile={self.folder}/{name}.log", *words)
        self.assertEqual(launcher.wait(), 0, launcher.transcript())
        pid = int(pidfile.read_text())
        self.addCleanup(self.end, pid, pidfile)
        return pid

    def end(self, pid: int, pidfile: Path) -> None:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            return
        eventually(lambda: not pidfile.exists(), "the daemon has ended")

    def test_bothDaemonsWorkAndLeaveNoPidfile(self) -> None:
        server = self.daemon("server", *self.serverWords())
        public = freePort(self.host)
        client = self.daemon("client", *self.clientWords("-p", str(public)))
        self.assertServes(public)
        for name, pid in (("client", client), ("server", server)):
            self.end(pid, self.folder / f"{name}.pid")
        self.assertIn("listening on", (self.folder / "server.log").read_text())
        self.assertIn("listening at", (self.folder / "client.log").read_text())

    def test_theLogIsRotatedOnSIGUSR1(self) -> None:
        pid = self.daemon("server", *self.serverWords())
        log = self.folder / "server.log"
        eventually(lambda: "listening on" in log.read_text(), "it listens")
        os.kill(pid, signal.SIGUSR1)
        eventually(lambda: log.with_name("server.log.1").exists(), "the log is rotated")

    def test_aBindFailureIsNotZero(self) -> None:
        with socket.create_server((self.host, self.port)):
            launcher = self.start("--pidfile=twistd.pid", *self.serverWords())
            self.assertEqual(launcher.wait(), 1, launcher.transcript())
            self.assertIn("cannot listen on", launcher.transcript())
            # The launcher ends when the daemon has reported the failure, and the daemon a moment later.
            eventually(lambda: not (self.folder / "twistd.pid").exists(), "the daemon has taken its pidfile away")
            eventually(lambda: "Address already in use" in (self.folder / "twistd.log").read_text(), "the log says why")
            self.assertNotIn("Traceback", (self.folder / "twistd.log").read_text())

    def test_aPidfileThatNamesAnotherProcessIsExplained(self) -> None:
        pidfile = self.folder / "server.pid"
        pidfile.write_text(str(os.getpid()))
        server = self.start("-n", f"--pidfile={pidfile}", *self.serverWords())
        self.assertEqual(server.wait(), 1, server.transcript())
        [line] = server.err
        self.assertIn(f"{pidfile} names process {os.getpid()} (", line)
        self.assertIn(f"remove {pidfile}; with an empty --pidfile=", line)
        self.assertTrue(pidfile.exists())

    def test_aPidfileThatNamesTheProcessItselfIsStale(self) -> None:
        write = "import os; open('twistd.pid', 'w').write(str(os.getpid())); " + _TWISTD
        words = ["-c", write, "-n", *self.serverWords()]
        server = Program([sys.executable, *words], {"PYTHONPATH": str(CHECKOUT)}, str(self.folder))
        self.addCleanup(server.kill)
        server.waitFor("listening on")

    def test_aPidfileWhoseProcessIsGoneIsStale(self) -> None:
        ended = self.start("--version")
        ended.wait()
        (self.folder / "twistd.pid").write_text(str(ended.pid))
        self.start("-n", *self.serverWords()).waitFor("listening on")


#: An observer of another package.
_LOGGER = """
from twisted.logger import FileLogObserver, formatEvent, ILogObserver
import sys
def make():
    return FileLogObserver(sys.__stdout__, lambda event: formatEvent(event) + "\\n")
"""


class ObserverTests(TwistdCase):
    """Logs that go where twistd's own options send them."""

    def test_whatAPeerHasSentReachesAnotherObserverEscaped(self) -> None:
        (self.folder / "theirs.py").write_text(_LOGGER)
        with socket.create_server((self.host, self.port)) as server:
            path = os.pathsep.join([str(CHECKOUT), str(self.folder)])
            client = self.start("-n", "--pidfile=", "--logger=theirs.make", *self.clientWords(), PYTHONPATH=path)
            peer, _ = server.accept()
            with peer:
                peer.sendall(b'{"Error":"\\u001b[2J\\nfake"}\0')
                line = client.waitFor("server error")
        self.assertIn(r"server error: \x1b[2J\nfake", line)


#: Does what systemd does for a service with a socket: the descriptor is 3, and the variables name this process.
ACTIVATE = """
import os, socket, sys
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.executable, [sys.executable, *sys.argv[3:]])
"""


class SocketActivationTests(TwistdCase):
    """A listening socket from systemd."""

    def test_whatIsNoListeningSocketIsSaidInOneLine(self) -> None:
        for words in (
            ["-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile=", "bore-server"],
            ["-m", "bore", "server"],
        ):
            activate = ACTIVATE.replace("socket.create_server((sys.argv[1], int(sys.argv[2])))", "socket.socket()")
            program = Program(
                [sys.executable, "-c", activate, self.host, "0", *words],
                {"PYTHONPATH": str(CHECKOUT)},
                str(self.folder),
            )
            self.addCleanup(program.kill)
            self.assertEqual(program.wait(), 1, program.transcript())
            [line] = program.out + program.err
            self.assertIn("descriptor 3, passed by systemd, is not a listening TCP socket", line)

    def test_theServerListensOnTheSocketThatItIsGiven(self) -> None:
        for words in (
            ["-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile=", "bore-server"],
            ["-m", "bore", "server"],
        ):
            self.port = freePort(self.host)
            program = Program(
                [sys.executable, "-c", ACTIVATE, self.host, str(self.port), *words, "--bind-tunnels", self.host],
                {"PYTHONPATH": str(CHECKOUT)},
                str(self.folder),
            )
            self.addCleanup(program.kill)
            program.waitFor(f"listening on {self.host}:{self.port}")
            public = freePort(self.host)
            self.start("-n", "--pidfile=", *self.clientWords("-p", str(public))).waitFor("listening at")
            self.assertServes(public)
