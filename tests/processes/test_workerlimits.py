"""Limits that hold for all workers of a server together."""

from __future__ import annotations

import hashlib
import select
import signal
import socket

from tests.processes.case import count
from tests.processes.workerscase import WorkersCase
from tests.support import PATIENCE, Program, eventually, isOpen, receiveExactly

SECRET = "the own secret of alice"


class WholeServerTests(WorkersCase):
    """A server with two workers and a users file."""

    def setUp(self) -> None:
        super().setUp()
        self.users = self.folder / "users.toml"
        self.users.touch(0o600)
        self.write("max-visitors = 5\n")
        self.program, self.control = self.crew("--users", str(self.users))

    def write(self, rights: str) -> None:
        """Write the users file."""
        key = hashlib.sha256(SECRET.encode()).hexdigest()
        self.users.write_text(f'[alice]\nkey = "sha256:{key}"\noriginal = true\n{rights}')

    def clientOf(self) -> tuple[Program, int]:
        return self.client(self.control, "--no-state", "--secret", SECRET)

    def visit(self, port: int) -> socket.socket | None:
        """A visitor that is served; None: it was closed."""
        visitor = self.visitor(port)
        try:
            visitor.sendall(b"hello")
            return visitor if receiveExactly(visitor, 5) == b"hello" else None
        except ConnectionError:
            return None

    def test_theVisitorsAndTunnelsOfAUserAlsoBehindAnUpgrade(self) -> None:
        ports = [self.clientOf()[1] for _ in range(2)]
        workers = {self.workerOf(self.program, port) for port in ports}
        self.assertEqual(len(workers), 2, "each has one of the tunnels")
        visits = [self.visit(ports[n % 2]) for n in range(9)]
        served = [each for each in visits if each is not None]
        self.assertEqual([each is not None for each in visits], [True] * 5 + [False] * 4)
        self.program.process.send_signal(signal.SIGUSR2)

        def isUpgraded() -> bool:
            for each in served:
                self.assertEchoes(each)  # on a busy machine it takes longer than the local service waits
            return count(self.program, "generation 2 serves from now on") > 0

        eventually(isUpgraded, "the upgrade is over", 60)
        self.assertIsNone(self.visit(ports[0]))
        served[0].close()
        again: list[socket.socket] = []

        def isServed() -> bool:
            again.extend(filter(None, [self.visit(ports[1])]))
            return bool(again)

        eventually(isServed, "there is room for one more")
        self.assertIsNone(self.visit(ports[0]))
        for each in [*served[1:], *again]:
            self.assertEchoes(each)
        self.write("max-tunnels = 1\n")
        eventually(lambda: not isOpen(self.host, ports[1]), "the newer tunnel is withdrawn, which another worker has")
        self.assertTrue(isOpen(self.host, ports[0]))
        eventually(lambda: count(self.program, "user alice:") > 0, "one of four workers logs what all read")
        self.assertEqual(count(self.program, "user alice:"), 1, self.program.transcript())

    def test_theConnectionsOfAnAddressThatHaveSentNothing(self) -> None:
        clients = []
        for _ in range(320):
            clients.append(socket.create_connection((self.host, self.control), PATIENCE, ("127.99.0.1", 0)))
            self.addCleanup(clients[-1].close)
        for client in clients[-200:]:
            self.assertIn(b"Challenge", client.recv(100))
        poll = select.poll()
        for client in clients:
            client.setblocking(False)
            poll.register(client, select.POLLIN)

        def closed() -> int:
            """How many of them were refused, which have more to read than the challenge."""
            found = 0
            for client in clients:
                try:
                    found += b"too many" in client.recv(1000, socket.MSG_PEEK)
                except BlockingIOError:
                    pass
                except ConnectionError:
                    found += 1
            return found

        eventually(lambda: closed() >= 64, "those over the limit are closed")
        self.assertLess(closed(), 64 + 32, "and hardly any others")
