"""
A lot through a whole tunnel, on both bodies of the relay.

``make test`` runs a short form; ``make stress`` the whole: a gigabyte, and 20 000 visitors.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import socket
import statistics
import struct
import threading
import time
from typing import Final

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.ports import loopbackHost
from tests.relay.plugs import reset
from tests.support import LocalService, Program, bore, connect, echo, eventually, pattern, receiveExactly

STRESS: Final = bool(os.environ.get("BORE_STRESS"))

#: How many bytes go through in all, both ways together.
TOTAL: Final = 1_000_000_000 if STRESS else 100_000_000

#: How many visitors come one after another.
VISITORS: Final = 20_000 if STRESS else 2_000

#: What streams carry: pieces of this, so that no byte costs time to make.
BLOCK: Final = pattern(0, 1 << 20)


class Sender(threading.Thread):
    """
    Sends pieces of random sizes with random pauses, and ends.

    :param cut: end by a reset.
    """

    def __init__(self, sock: socket.socket, seed: int, size: int, cut: bool = False) -> None:
        super().__init__(daemon=True)
        self._socket = sock
        self._random = random.Random(seed)
        self._left = size
        self._cut = cut
        self.hash = hashlib.sha256()
        self.error: OSError | None = None

    def run(self) -> None:
        try:
            self._send()
        except OSError as e:
            self.error = e

    def _send(self) -> None:
        while self._left:
            # Sizes from one byte to the block, as many small as large ones, but most bytes in large ones.
            size = min(self._left, int(2 ** self._random.uniform(0, 20)) if self._random.random() < 0.1 else 1 << 18)
            begin = self._random.randrange(len(BLOCK) - size + 1)
            piece = BLOCK[begin : begin + size]
            self.hash.update(piece)
            self._socket.sendall(piece)
            self._left -= size
            if self._random.random() < 0.02:
                time.sleep(self._random.uniform(0, 0.005))
        if self._cut:
            reset(self._socket)
        else:
            self._socket.shutdown(socket.SHUT_WR)


def receive(sock: socket.socket) -> tuple[str, int]:
    """Everything up to the end: its hash and its size."""
    seen, count = hashlib.sha256(), 0
    buffer = bytearray(1 << 18)
    while size := sock.recv_into(buffer):
        seen.update(memoryview(buffer)[:size])
        count += size
    return seen.hexdigest(), count


class TunnelCase(SynchronousTestCase):
    """A tunnel on a body of the relay."""

    def tunnel(self, body: str, service: LocalService, *words: str) -> tuple[str, int, Program, Program]:
        environment = {"BORE_RELAY": body}
        host = loopbackHost()
        server = bore("server", "--bind-addr", host, "--control-port", "0", environment=environment)
        self.addCleanup(server.kill)
        control = server.port("listening on")
        to = f"{host}:{control}"
        client = bore(
            "local", str(service.port), "-l", "127.0.0.1", "--no-probe", "-t", to, *words, environment=environment
        )
        self.addCleanup(client.kill)
        self.addCleanup(service.close)
        port = client.port("listening at")
        return host, port, server, client


class BytesTests(TunnelCase):
    """Random writes, pauses, half-closes and resets in many streams at once, compared by hash."""

    def _streams(self, body: str, count: int) -> None:
        heard: dict[int, tuple[str, int] | None] = {}
        said: dict[int, str] = {}
        size = TOTAL // count // 2

        def serve(sock: socket.socket) -> None:
            [seed] = struct.unpack("!I", receiveExactly(sock, 4))
            sender = Sender(sock, seed + 1000, size)
            sender.start()
            result = None
            with contextlib.suppress(ConnectionResetError):
                result = receive(sock)
            sender.join()
            # The kernel tells of a reset once: to the one who reads, or to the one who writes.
            heard[seed] = result if sender.error is None else None
            said[seed] = sender.hash.hexdigest()

        def visit(seed: int, cut: bool) -> None:
            with connect(host, port, 120) as visitor:
                visitor.sendall(struct.pack("!I", seed))
                sender = Sender(visitor, seed, size // 10 if cut else size, cut)
                sender.start()
                if not cut:
                    received[seed] = receive(visitor)
                sender.join()
                sent[seed] = sender.hash.hexdigest()

        host, port, _, _ = self.tunnel(body, LocalService(serve))
        received: dict[int, tuple[str, int]] = {}
        sent: dict[int, str] = {}
        # One in eight of many streams is cut, all others end each direction when it is done.
        cuts = {seed: count > 1 and seed % 8 == 7 for seed in range(count)}
        threads = [threading.Thread(target=visit, args=item, daemon=True) for item in cuts.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(200)
        eventually(lambda: len(said) == count, "the service is done with all streams", 60)
        self.assertEqual([seed for seed, cut in cuts.items() if cut and heard[seed]], [], "cut, but ended in order")
        for seed in (seed for seed, cut in cuts.items() if not cut):
            self.assertEqual(heard[seed], (sent[seed], size), f"{body}: up, stream {seed} of {count}")
            self.assertEqual(received[seed], (said[seed], size), f"{body}: down, stream {seed} of {count}")

    def test_oneStreamThroughSplice(self) -> None:
        self._streams("splice", 1)

    def test_eightStreamsThroughSplice(self) -> None:
        self._streams("splice", 8)

    def test_sixtyFourStreamsThroughSplice(self) -> None:
        self._streams("splice", 64)

    def test_oneStreamThroughThePortableBody(self) -> None:
        self._streams("portable", 1)

    def test_eightStreamsThroughThePortableBody(self) -> None:
        self._streams("portable", 8)

    def test_sixtyFourStreamsThroughThePortableBody(self) -> None:
        self._streams("portable", 64)


class LeakTests(TunnelCase):
    """Visitors one after another leave nothing behind."""

    def _resources(self, program: Program) -> tuple[int, int, int]:
        """Descriptors, pipes and kilobytes."""
        folder = f"/proc/{program.pid}/fd"
        links = []
        for fd in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
                links.append(os.readlink(f"{folder}/{fd}"))
        with open(f"/proc/{program.pid}/status") as status:
            [memory] = [int(line.split()[1]) for line in status if line.startswith("VmRSS")]
        return len(links), sum(link.startswith("pipe:") for link in links), memory

    def _visitors(self, body: str) -> None:
        # Without lanes: those of a burst are kept for a minute.
        host, port, *programs = self.tunnel(body, LocalService(echo), "--lanes", "0")

        def visit(count: int) -> None:
            for n in range(count):
                with connect(host, port) as visitor:
                    message = b"visitor %d" % n
                    visitor.sendall(message)
                    self.assertEqual(receiveExactly(visitor, len(message)), message)

        visit(VISITORS // 10)  # what is made at first is made once
        time.sleep(0.3)
        before = [self._resources(program) for program in programs]
        visit(VISITORS)
        eventually(
            lambda: all(
                self._resources(program)[:2] <= then[:2] for program, then in zip(programs, before, strict=True)
            ),
            "descriptors and pipes are as before",
        )
        for program, then in zip(programs, before, strict=True):
            self.assertLess(self._resources(program)[2], then[2] * 1.05 + 300, "memory")

    def test_visitorsLeaveNothingInTheSpliceBody(self) -> None:
        self._visitors("splice")

    def test_visitorsLeaveNothingInThePortableBody(self) -> None:
        self._visitors("portable")


class FairnessTests(TunnelCase):
    """A stream that runs flat out, and another's small messages."""

    def test_smallMessagesAreNotHeldUp(self) -> None:
        if not STRESS:
            raise SkipTest("a matter of milliseconds needs the machine for itself: make stress")

        def serve(sock: socket.socket) -> None:
            if receiveExactly(sock, 1) == b"b":
                while sock.recv(1 << 20):
                    pass
            else:
                echo(sock)

        host, port, _, _ = self.tunnel("splice", LocalService(serve))
        stop = threading.Event()

        def flood() -> None:
            with connect(host, port) as bulk:
                bulk.sendall(b"b")
                while not stop.is_set():
                    bulk.sendall(BLOCK)

        flooding = threading.Thread(target=flood, daemon=True)
        flooding.start()
        # What else the machine does can only make it worse: the best of some tries is what the relay does.
        tries = [self._worst(host, port) for _ in range(10)]
        stop.set()
        flooding.join(10)
        self.assertLess(min(tries), 0.005, f"p99 of each try, in seconds: {tries}")

    def _worst(self, host: str, port: int) -> float:
        """What 99 of 100 small messages keep to, there and back, in seconds."""
        times = []
        with connect(host, port) as visitor:
            visitor.sendall(b"e")
            for _ in range(1000):
                begin = time.perf_counter()
                visitor.sendall(b"ping")
                receiveExactly(visitor, 4)
                times.append(time.perf_counter() - begin)
        return statistics.quantiles(times, n=100)[98]
