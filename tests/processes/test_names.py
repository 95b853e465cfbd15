"""Name servers that are silent, threads that cannot be had, and odd names: nothing of this holds up a process."""

from __future__ import annotations

import signal
import sys
import time

from tests.processes.case import ProcessCase
from tests.support import CHECKOUT, Program, bore

#: ``bore`` and twistd, with something else in the place of a part of the system.
_BORE = "import sys; from bore.cli import main; sys.exit(main())"
_TWISTD = "from twisted.scripts.twistd import run; run()"

_SILENT = """
import socket, time
real = socket.getaddrinfo
def getaddrinfo(host, *more, **named):
    if not isinstance(host, bytes):
        return real(host, *more, **named)
    print("looked up", flush=True)
    time.sleep(60)
socket.getaddrinfo = getaddrinfo
"""

_NO_THREADS = """
import threading
real, left = threading._start_new_thread, [2]
def start(*words):
    if left[0]:
        left[0] -= 1
        raise RuntimeError("can't start new thread")
    return real(*words)
threading._start_new_thread = start
"""

_ODD_NAMES = """
import socket
real = socket.getaddrinfo
def getaddrinfo(host, *more, **named):
    print("asked for", host)
    return real("127.0.0.1" if host in (b"bore_server", b"xn--bcher-kva.test") else host, *more, **named)
socket.getaddrinfo = getaddrinfo
"""


class NamesCase(ProcessCase):
    """Runs our programs in a system that is not as usual."""

    def launchWith(self, change: str, *words: str, program: str = _BORE) -> Program:
        """Start a program behind a change of what it finds."""
        environment = {"PYTHONPATH": str(CHECKOUT)}
        return self.start(Program([sys.executable, "-c", f"{change}\n{program}", *words], environment, "/"))

    def serve(self) -> int:
        return self.server(host="127.0.0.1")[1]

    def assertEndsSoon(self, program: Program, number: int) -> None:
        begin = time.monotonic()
        program.process.send_signal(number)
        code = program.wait(10)
        self.assertLess(time.monotonic() - begin, 5)
        self.assertIn(code, (0, -number), program.transcript())


class SilentNameServersTests(NamesCase):
    """No name server answers, as for a laptop without a network."""

    def test_aSignalEndsTheClientAtOnce(self) -> None:
        for to in ("example.com", "tls://example.com"):
            client = self.launchWith(_SILENT, "local", "80", "--to", to)
            client.waitFor("looked up")
            self.assertEndsSoon(client, signal.SIGINT)

    def test_aSignalEndsTwistdAtOnce(self) -> None:
        words = ["-n", "--pidfile=", "bore-client", "80", "--to", "example.com"]
        client = self.launchWith(_SILENT, *words, program=_TWISTD)
        client.waitFor("looked up")
        self.assertEndsSoon(client, signal.SIGTERM)

    def test_aVisitorWhoseServiceIsLookedUpDoesNotHoldUpTheEnd(self) -> None:
        port = self.serve()
        words = ["local", str(self.service.port), "-l", "web.example", "--to", f"127.0.0.1:{port}"]
        client = self.launchWith(_SILENT, *words)
        public = client.port("listening at ")
        self.visitor(public, host="127.0.0.1")
        client.waitFor("looked up")
        self.assertEndsSoon(client, signal.SIGTERM)


class NoThreadTests(NamesCase):
    """The limit of processes is reached when the client starts, and not later."""

    def test_theClientTriesAgain(self) -> None:
        port = self.serve()
        words = [str(self.service.port), "--to", f"localhost:{port}", "--max-reconnect-delay", "1"]
        for change, line, program in (
            (_NO_THREADS, ["local", *words], _BORE),
            (_NO_THREADS, ["-n", "--pidfile=", "bore-client", *words], _TWISTD),
        ):
            client = self.launchWith(change, *line, program=program)
            client.waitFor("can't start new thread", after=1)
            client.waitFor("listening at localhost:")
            self.assertNotIn("Traceback", client.transcript())
            client.kill()


class OddNamesTests(NamesCase):
    """Names as container networks give them, and names with letters beyond ASCII."""

    def test_theyAreAskedForAsNameServersHaveThem(self) -> None:
        port = self.serve()
        words = ["--bind-addr", "127.0.0.1", "--control-port", "0", "--tls"]
        tls = self.start(bore("server", *words)).port("listening on ")
        for name, asked in (("bore_server", "bore_server"), ("B\u00dcCHER.test", "xn--bcher-kva.test")):
            for to in (f"{name}:{port}", f"tls://{name}:{tls}"):
                client = self.launchWith(_ODD_NAMES, "local", str(self.service.port), "--to", to, "--no-reconnect")
                client.waitFor(f"listening at {name}:")
                client.waitFor(f"asked for b'{asked}'")
                client.kill()
