"""Slow readers, a lack of descriptors, and local services that do not serve."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from laboratory.fault import Fault, Outcome
from laboratory.measure import ask, secondsUntil
from laboratory.notices import Watched, sessionKept
from laboratory.pairings import PAIRINGS, SERVICE_PORT, Site, port
from laboratory.processes import descriptors, memory
from tests.support import Program


@dataclass(frozen=True)
class SlowReader(Fault):
    """A visitor stops reading."""

    name = "slow-reader"
    fault = "a visitor sends as much as it can, and reads nothing for {seconds} s"
    promise = (
        "others are served as before (within 1 s); the memory of both ends is constant (within 5 %); no data is lost"
    )
    how = (
        "The local service echoes everything. The memory is measured when all buffers on the path are full while "
        "other visitors continue, and again at the end. Then the visitor reads, and the data is compared."
    )
    pairings = PAIRINGS
    idle = True

    seconds: float = 600

    def inject(self, site: Site, outcome: Outcome) -> None:
        number = site.start()
        visits = site.visits(number, 0.5)
        time.sleep(3)
        with site.lab.connect("visitor", site.host, number, 5) as slow:
            sent = fill(slow)
            programs = {"server": site.server, "client": site.client}
            before = {who: memory(program) for who, program in programs.items()}
            time.sleep(self.seconds)
            for who, program in programs.items():
                after = memory(program)
                text = f"memory of the {who}: {before[who] / 1024:.1f} MiB, then {after / 1024:.1f}"
                outcome.holds(text, after <= before[who] * 1.05 + 300)
            visits.stop()
            waits = [visit.waited for visit in visits.all if visit.served]
            lost = len(visits.lost())
            outcome.holds(f"{lost} of {len(visits.all)} other visitors lost", not lost)
            outcome.lasts("longest wait", max(waits, default=None), 1)
            slow.settimeout(20)
            heard = drain(slow, sent)
            outcome.holds(f"{sent - heard} of {sent} bytes lost", heard == sent)


def fill(sock: socket.socket) -> int:
    """Send until nothing is accepted for two seconds; return the bytes sent."""
    sent, data = 0, bytes(range(251)) * 256
    sock.settimeout(2)
    with contextlib.suppress(TimeoutError):
        while True:
            offset = sent % 251
            sent += sock.send(data[offset:])
    return sent


def drain(sock: socket.socket, size: int) -> int:
    """Read what :func:`fill` has sent; gives how many bytes are as they were."""
    heard, data = 0, bytes(range(251)) * 4096
    sock.shutdown(socket.SHUT_WR)
    with contextlib.suppress(OSError):
        while heard < size and (part := sock.recv(1 << 18)):
            if data[heard % 251 :][: len(part)] != part:
                break
            heard += len(part)
    return heard


@contextlib.contextmanager
def starved(program: Program, spare: int) -> Iterator[None]:
    """Leave a program a few descriptors for a while."""
    limits = resource.prlimit(program.pid, resource.RLIMIT_NOFILE)
    # The limit is on the highest number, and not on how many there are.
    resource.prlimit(program.pid, resource.RLIMIT_NOFILE, (descriptors(program) + spare, limits[1]))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(program.pid, resource.RLIMIT_NOFILE, limits)


@dataclass(frozen=True)
class NoDescriptors(Fault):
    """EMFILE on one side."""

    name = "no-descriptors"
    fault = "the server, and then the client, has no free descriptors for {seconds} s"
    promise = "both continue with the same session; new visitors are served within 2 s after descriptors are available"
    how = (
        "The limit of the process is lowered to ten more than its open descriptors, and 100 visitors connect and "
        "stay. Then they disconnect, and the limit is restored."
    )
    pairings = PAIRINGS
    idle = True

    seconds: float = 8

    def inject(self, site: Site, outcome: Outcome) -> None:
        number = site.start()
        watched = Watched.client(site)
        for who, program in (("server", site.server), ("client", site.client)):
            with starved(program, 10), contextlib.ExitStack() as stack:
                for _ in range(100):
                    with contextlib.suppress(OSError):
                        visitor = stack.enter_context(site.lab.connect("visitor", site.host, number, 1))
                        visitor.sendall(b"here")
                    if program.process.poll() is not None:
                        break
                time.sleep(self.seconds)
            begin = time.monotonic()
            secondsUntil(lambda: served(site, number, 5) or self._over(site) != "", 20)
            over = self._over(site)
            outcome.holds(f"{who} without descriptors: " + (f"the {over} ended" if over else "both continue"), not over)
            if over:
                return
            outcome.seconds("served again", time.monotonic() - begin, 2)
        sessionKept(outcome, watched)

    def _over(self, site: Site) -> str:
        """Which of the two has ended."""
        found = [who for who in ("server", "client") if getattr(site, who).process.poll() is not None]
        return found[0] if found else ""


def served(site: Site, number: int, patience: float = 20.0) -> bool:
    """Whether one visitor is served."""
    return visit(site, number, patience)[0] is None


def visit(site: Site, number: int, patience: float = 20.0) -> tuple[str | None, float]:
    """Have one visitor ask; return what went wrong, and how long it took in seconds."""
    begin = time.monotonic()
    with site.lab.inside("visitor"):
        trouble = asyncio.run(ask(site.host, number, patience))
    return trouble, time.monotonic() - begin


class Service:
    """
    A local service that can be bad.

    :param serve: what it does with each connection.
    """

    def __init__(self, site: Site, serve: Callable[[socket.socket], None], backlog: int = 100) -> None:
        with site.lab.inside("client"):
            self.listener = socket.create_server(("127.0.0.1", SERVICE_PORT), backlog=backlog)
        self._serve = serve
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def begin(self) -> None:
        """Accept connections from here on."""
        self._thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                threading.Thread(target=self._one, args=(sock,), daemon=True).start()

    def _one(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            sock.settimeout(30)
            self._serve(sock)

    def close(self) -> None:
        """End it, at once."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def answer(sock: socket.socket) -> None:
    """Send back what comes."""
    while data := sock.recv(4096):
        sock.sendall(data)


def cut(sock: socket.socket) -> None:
    """Reset the connection."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@dataclass(frozen=True)
class BadService(Fault):
    """The local service does not serve."""

    name = "bad-service"
    fault = "the local service is down, resets connections, or accepts them after {pause} s"
    promise = (
        "the visitor is closed or reset within 1 s, or served within 3 s after the service accepts; the tunnel "
        "continues"
    )
    how = (
        "Down: no process listens. Resets: it accepts and resets. Slow: its backlog is full, so that the kernel drops "
        "new connections until it begins to accept."
    )
    pairings = PAIRINGS
    idle = True

    pause: float = 3

    def inject(self, site: Site, outcome: Outcome) -> None:
        site.startServer()
        number = port(site.startClient())
        watched = Watched.client(site)
        self._told(site, outcome, number, "down")
        service = Service(site, cut)
        service.begin()
        self._told(site, outcome, number, "resets")
        service.close()
        time.sleep(0.2)
        self._slow(site, outcome, number)
        lost = watched.lines()
        ended = site.client.process.poll() is not None
        outcome.holds("the tunnel is lost" if lost or ended else "the tunnel continues", not lost and not ended)

    def _told(self, site: Site, outcome: Outcome, number: int, what: str) -> None:
        trouble, took = visit(site, number)
        outcome.seconds(f"{what}: {trouble or 'answered'}", took if trouble else None, 1)

    def _slow(self, site: Site, outcome: Outcome, number: int) -> None:
        service = Service(site, answer, backlog=0)
        begin = time.monotonic()
        with site.lab.connect("client", "127.0.0.1", SERVICE_PORT):  # the queue is full
            late = threading.Timer(self.pause, service.begin)
            late.start()
            trouble, _ = visit(site, number)
        if trouble:
            outcome.holds(f"slow: {trouble}", False)
        else:
            waited = time.monotonic() - begin - self.pause
            outcome.holds(f"slow: served {waited:.1f} s after it accepts", outcome.isWithin(waited, 3))
        late.join()
        service.close()
