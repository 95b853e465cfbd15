"""
Connections that mean harm, to the control ports of a server with workers.

``make test`` runs a short form; BORE_STRESS=1 the whole: 100 000 connections.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from bore.wire.clienthello import MAX_START
from bore.wire.limits import FIRST_MESSAGE_TIMEOUT
from tests.ports import loopbackHost
from tests.support import CHECKOUT, PATIENCE, eventually, slowness
from tests.wire.test_clienthello import browserHello, hello, opensslHello, record, records
from tests.workers.doorwaycase import lane

STRESS: Final = bool(os.environ.get("BORE_STRESS"))

#: How many connections come.
COUNT: Final = 100_000 if STRESS else 3000

#: How many of them are open at the same time: more than may be pending.
OPEN: Final = 1500

#: Half of them come from one address, the others from as many as this.
SOURCES: Final = 64


def attacks() -> list[Callable[[random.Random], bytes]]:
    """What is sent, some of it in parts."""
    ours, browser, many = opensslHello(b"bore/1", b"bore-at/2"), browserHello(b"h2"), hello(b"")
    return [
        lambda _: b"",
        lambda chance: ours[: chance.randrange(1, len(ours))],
        lambda chance: browser[: chance.randrange(1, len(browser))],
        lambda chance: chance.randbytes(chance.randrange(1, 400)),
        lambda chance: b"\x16\x03\x01" + chance.randbytes(chance.randrange(400)),
        lambda _: b"\x16\x03\x01\x40\x00\x01\x00\x3f\xf0" + bytes(5000),
        lambda _: b"".join(map(record, [many[at : at + 1] for at in range(15)])),
        lambda _: records(many, range(1, len(many))),
        lambda _: b"x" * (2 * MAX_START),
        lambda chance: b'{"Lane":"' + chance.randbytes(10),
        lambda _: b"{" * 300,
        lambda _: lane(7),
        lambda chance: ours[:-1] + chance.randbytes(1),
        lambda _: b" " * 256,
    ]


class Flood:
    """
    Connections from many addresses, of which some are reset, and some send byte by byte.

    :param seed: the same connections come each time.
    """

    def __init__(self, host: str, ports: list[int], seed: int = 1) -> None:
        self._host = host
        self._ports = ports
        self._random = random.Random(seed)
        self._attacks = attacks()
        self._open: deque[tuple[socket.socket, bytes]] = deque()
        self.failed = 0

    def go(self, count: int) -> Iterator[int]:
        """Make connections; gives the number of those that were made from time to time."""
        for n in range(count):
            self._one()
            while len(self._open) > OPEN:
                self._end(*self._open.popleft())
            if n % 500 == 499:
                yield n + 1

    def close(self) -> None:
        for sock, _ in self._open:
            sock.close()
        self._open.clear()

    def _one(self) -> None:
        chance = self._random
        sock = socket.socket()
        source = "127.0.0.1" if chance.random() < 0.5 else f"127.77.0.{1 + chance.randrange(SOURCES)}"
        try:
            sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
            sock.bind((source, 0))
            sock.settimeout(PATIENCE)
            sock.connect((self._host, chance.choice(self._ports)))
            sock.setblocking(False)
            data = chance.choice(self._attacks)(chance)
            slow = chance.random() < 0.1
            with contextlib.suppress(BlockingIOError):
                sock.send(data[:1] if slow else data)
        except OSError:
            self.failed += 1
            sock.close()
            return
        self._open.append((sock, data[1:] if slow else b""))

    def _end(self, sock: socket.socket, rest: bytes) -> None:
        with contextlib.suppress(OSError):
            for at in range(0, min(len(rest), 20), 2):
                sock.send(rest[at : at + 2])
            if self._random.random() < 0.5:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()


class DoorwayCase(SynchronousTestCase):
    """
    A doorway in a process of its own.

    :cvar pending: how many unclassified connections there may be; 0: any number.
    :cvar most: how many descriptors the process may have.
    """

    pending = 256
    most = 1500

    def setUp(self) -> None:
        self.host = loopbackHost()
        words = [sys.executable, "-m", "tests.workers.doorwayprogram", self.host, str(self.pending), str(self.most)]
        self.program = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=CHECKOUT)
        self.addCleanup(self._end)
        assert self.program.stdout is not None and self.program.stdin is not None
        self.ports = [int(self.program.stdout.readline()) for _ in range(2)]

    def _end(self) -> None:
        for pipe in (self.program.stdin, self.program.stdout):
            assert pipe is not None
            pipe.close()
        self.program.kill()
        self.program.wait()

    def ask(self) -> list[int]:
        """How many connections the doorway has, and the workers, and how many each was sent."""
        assert self.program.stdout is not None and self.program.stdin is not None
        self.program.stdin.write(b"?\n")
        self.program.stdin.flush()
        return [int(each) for each in self.program.stdout.readline().split()]

    @property
    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.program.pid}/fd"))

    @property
    def memory(self) -> int:
        """In KiB."""
        with open(f"/proc/{self.program.pid}/status") as status:
            [found] = [int(line.split()[1]) for line in status if line.startswith("VmRSS")]
        return found

    @property
    def cpu(self) -> float:
        """In seconds."""
        with open(f"/proc/{self.program.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def served(self, data: bytes, encrypted: bool) -> str:
        """What a client of ours gets, which comes from an address of its own."""
        with socket.create_connection((self.host, self.ports[encrypted]), PATIENCE, ("127.88.0.1", 0)) as client:
            client.sendall(data)
            return client.recv(100).decode()


class FloodTests(DoorwayCase):
    """A flood from many addresses."""

    def test_nothingIsLeftOfAFloodAndClientsAreServedMeanwhile(self) -> None:
        flood = Flood(self.host, self.ports)
        self.addCleanup(flood.close)
        for _ in flood.go(500):
            pass
        before, waits = self.memory, list[float]()
        for _ in flood.go(COUNT):
            begin = time.monotonic()
            self.assertEqual(self.served(lane(2), False), "worker 2")
            self.assertEqual(self.served(opensslHello(b"bore/1", b"bore-at/1"), True), "worker 1")
            waits.append(time.monotonic() - begin)
            here, there, *_ = self.ask()
            self.assertLessEqual(here + there, self.pending + 64, "more than may be pending")
        middle = sorted(waits)[len(waits) // 2]
        self.assertTrue(middle < 1.0 or middle < slowness(), middle)
        self.assertEqual(flood.failed, 0)
        flood.close()
        eventually(lambda: self.ask()[:2] == [0, 0], "all are gone", FIRST_MESSAGE_TIMEOUT + PATIENCE)
        eventually(lambda: self.descriptors <= 16, "descriptors are as before")
        self.assertLess(self.memory, before + 4096, "memory")

    def test_halfMessagesThatStandStillCostNothing(self) -> None:
        whole = opensslHello(b"bore/1", b"bore-at/2")
        clients = [socket.create_connection((self.host, self.ports[1]), PATIENCE) for _ in range(60)]
        for n, client in enumerate(clients):
            self.addCleanup(client.close)
            client.sendall(whole[: 1 + n * 5])
        eventually(lambda: self.ask()[0] == len(clients), "all are looked at")
        before, begin = self.cpu, time.monotonic()
        eventually(lambda: time.monotonic() - begin > 1, "a second has passed")
        self.assertLess(self.cpu - before, 0.3)


class DescriptorTests(DoorwayCase):
    """A flood that takes all descriptors, as nothing else limits it."""

    pending = 0
    most = 200

    def test_theOldestOfTheAddressWithMostGoes(self) -> None:
        clients = []
        for n in range(600):
            clients.append(socket.create_connection((self.host, self.ports[n % 2]), PATIENCE, ("127.0.0.1", 0)))
            self.addCleanup(clients[-1].close)
            if n % 100 == 99:
                self.assertEqual(self.served(opensslHello(b"bore-at/1"), True), "worker 1")
        eventually(lambda: self.ask()[0] > 100, "it has taken what it could")
        self.assertLessEqual(self.descriptors, self.most)
        for client in clients:
            client.close()
        eventually(lambda: self.ask()[:2] == [0, 0], "all are gone", FIRST_MESSAGE_TIMEOUT + PATIENCE)
        self.assertEqual(self.served(lane(2), False), "worker 2")
