"""Many visitors at once: they wait where there is no room, and all are served."""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import shutil
import signal
import socket
import sys
import time

if os.name != "posix":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("descriptors are counted on POSIX systems")

import resource

from twisted.trial.unittest import SkipTest

from bore.wire.limits import ACCEPT_TIMEOUT
from tests.original import CONTROL_PORT, original
from tests.processes.tlscase import TlsCase
from tests.relay.plugs import reset
from tests.support import CHECKOUT, PATIENCE, Program, eventually, slowness

#: Many within a second; with BORE_STRESS the whole form. This process needs a descriptor for each, and each end two.
MANY = 4000 if os.environ.get("BORE_STRESS") else 2500

#: What one visitor sends.
WORDS = b"a question of %08d"


class Crowd:
    """
    Visitors who ask something, and leave when they have got it back.

    :ivar served: how many got back what they had sent.
    :ivar lost: why others did not.
    """

    def __init__(self, host: str, port: int, count: int) -> None:
        self.served = 0
        self.lost: list[str] = []
        self._selector = selectors.DefaultSelector()
        self._begin = time.monotonic()
        for number in range(count):
            visitor = socket.create_connection((host, port), PATIENCE)
            visitor.setblocking(False)
            visitor.send(WORDS % number)
            self._selector.register(visitor, selectors.EVENT_READ, number)
        self.came = time.monotonic() - self._begin

    def __len__(self) -> int:
        """How many are still there."""
        return len(self._selector.get_map())

    def wait(self, seconds: float, stay: int = 0) -> None:
        """Wait until all but some are served, or lost."""
        until = time.monotonic() + seconds
        while len(self) > stay and time.monotonic() < until:
            for key, _ in self._selector.select(1.0):
                visitor, number = key.fileobj, key.data
                assert isinstance(visitor, socket.socket)
                try:
                    answer = visitor.recv(100)
                except OSError as e:
                    answer = str(e).encode()
                if answer == WORDS % number:
                    self.served += 1
                else:
                    self.lost.append(f"{number}: {answer!r}")
                self._selector.unregister(visitor)
                visitor.close()

    def close(self) -> None:
        """All go."""
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()


class BurstCase(TlsCase):
    """A local service that has as many connections as there are visitors."""

    def setUp(self) -> None:
        super().setUp()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        self.service.close()
        words = [sys.executable, "-m", "laboratory.echo", "127.0.0.1", "0"]
        self.service.port = self.start(Program(words, cwd=str(CHECKOUT))).port("ready on ")

    def limited(self, limit: int, *words: str) -> Program:
        """Ours, with that many descriptors."""
        if shutil.which("prlimit") is None:
            raise SkipTest("there is no prlimit on this system")
        command = ["prlimit", f"--nofile={limit}:{limit}", sys.executable, "-m", "bore", *words]
        return self.start(Program(command, cwd=str(CHECKOUT)))

    def limitedServer(self, limit: int, *words: str) -> tuple[Program, int]:
        """A server with that many descriptors, and its control port."""
        program = self.limited(limit, "server", "--bind-addr", self.host, "--control-port", "0", *words)
        return program, program.port("listening on ")

    def limitedClient(self, limit: int, control: int, *words: str) -> int:
        """Start a client with that many descriptors; return its public port."""
        to = f"{self.host}:{control}"
        return self.limited(limit, "local", str(self.service.port), "-l", "127.0.0.1", "-t", to, *words).port(
            "listening at "
        )

    def crowd(self, port: int, count: int) -> Crowd:
        crowd = Crowd(self.host, port, count)
        self.addCleanup(crowd.close)
        return crowd

    def assertServesAll(self, port: int, count: int, seconds: float = 60) -> None:
        crowd = self.crowd(port, count)
        crowd.wait(seconds)
        self.assertEqual((crowd.served, crowd.lost[:5]), (count, []))


class BurstTests(BurstCase):
    """As many as a web page that is in the news has in a second."""

    def setUp(self) -> None:
        super().setUp()
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        # All have to be served within 10 s: a busy machine gets fewer.
        many = round(MANY / slowness())
        self.many = many if hard == resource.RLIM_INFINITY else min(many, hard // 5)

    def test_onLanes(self) -> None:
        _, control = self.server()
        _, port = self.client(control)
        self.assertServesAll(port, self.many)

    def test_onConnectionsOfTheirOwn(self) -> None:
        _, control = self.server()
        _, port = self.client(control, "--lanes", "0")
        self.assertServesAll(port, self.many)

    def test_onLanesInsideTls(self) -> None:
        _, control = self.tlsServer()
        _, port = self.tlsClient(control)
        self.assertServesAll(port, self.many)

    def test_onConnectionsOfTheirOwnInsideTls(self) -> None:
        _, control = self.tlsServer()
        _, port = self.tlsClient(control, "--lanes", "0")
        self.assertServesAll(port, self.many // 2)  # on a slow machine their handshakes take more than 10 s

    def test_withAnOriginalClient(self) -> None:
        self.server(port=CONTROL_PORT)
        words = [original(), "local", str(self.service.port), "--local-host", "127.0.0.1", "--to", self.host]
        line = self.start(Program(words)).waitFor("listening at ")
        self.assertServesAll(int(line.rpartition(":")[2]), self.many)

    def test_withAnOriginalServer(self) -> None:
        self.start(Program([original(), "server", "--bind-addr", self.host])).waitFor("listening")
        _, port = self.client(CONTROL_PORT)
        self.assertServesAll(port, self.many)


class FewDescriptorsTests(BurstCase):
    """``ulimit -n 128``."""

    def test_atTheClient(self) -> None:
        for words in ((), ("--lanes", "0")):
            _, control = self.server()
            self.assertServesAll(self.limitedClient(128, control, *words), 500)

    def test_atTheServer(self) -> None:
        for words in ((), ("--lanes", "0")):
            _, control = self.limitedServer(128)
            _, port = self.client(control, *words)
            self.assertServesAll(port, 500)

    def test_whoSaysNothingAtTheServerLeavesSomeForClientsAndVisitors(self) -> None:
        for words in ((), ("--workers", "2")):
            _, control = self.limitedServer(128, *words)
            for _ in range(200):
                silent = socket.create_connection((self.host, control))
                self.addCleanup(silent.close)
                silent.sendall(b"{")
            _, port = self.client(control)
            self.assertServesAll(port, 20)

    def test_atTheClientAsManyAsFitAreServedAtTheSameTime(self) -> None:
        for words in ((), ("--lanes", "0")):
            _, control = self.server()
            port = self.limitedClient(128, control, *words)
            visitors = [self.visitor(port) for _ in range(128)]
            for visitor in visitors:
                visitor.send(b"hello")
            waiting, served, fit = set(visitors), 0, 54  # with the log in a file, and not in a pipe, 55
            until = time.monotonic() + PATIENCE
            while served < fit and waiting and time.monotonic() < until:
                ready, _, _ = select.select(list(waiting), [], [], 1)
                waiting.difference_update(ready)
                for visitor in ready:
                    with contextlib.suppress(ConnectionResetError):  # it has waited for too long
                        served += visitor.recv(5) == b"hello"
            self.assertGreaterEqual(served, fit)

    def test_whoIsBehindAsManyAsFitIsServedWhenTheyLeave(self) -> None:
        for words in ((), ("--lanes", "0")):
            _, control = self.server()
            port = self.limitedClient(128, control, *words)
            visitors = [self.visitor(port) for _ in range(100)]
            for visitor in visitors:
                self.assertEchoes(visitor)
                visitor.close()


class FairnessTests(BurstCase):
    """A tunnel whose visitors are not accepted."""

    def test_theVisitorsOfAnotherTunnelAreServed(self) -> None:
        _, control = self.limitedServer(256)
        stopped, flooded = self.client(control)
        _, other = self.client(control)
        os.kill(stopped.pid, signal.SIGSTOP)
        crowd = self.crowd(flooded, 300)
        begin = time.monotonic()
        self.assertServesAll(other, 100)
        self.assertLess(time.monotonic() - begin, ACCEPT_TIMEOUT - 2, "nobody was waited for")
        os.kill(stopped.pid, signal.SIGCONT)
        crowd.wait(60)
        self.assertEqual((crowd.served, crowd.lost[:5]), (300, []))


class ResetTests(BurstCase):
    """Visitors that connect and reset, while the client is slow to open lanes."""

    def test_theyLeaveNothingBehind(self) -> None:
        server, control = self.server("--max-lanes", "8")
        client, port = self.client(control)
        self.assertServes(port)
        before = server.descriptors()
        os.kill(client.pid, signal.SIGSTOP)
        for _ in range(MANY // 2):
            reset(self.visitor(port))
        os.kill(client.pid, signal.SIGCONT)
        self.assertServesAll(port, 100)
        eventually(lambda: server.descriptors() <= before + 20, "theirs are free; some lanes stay for a minute")
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(8), 0)
        self.assertEqual([line for line in server.err if "Traceback" in line or "Error" in line], [])
