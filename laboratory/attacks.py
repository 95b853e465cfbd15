"""Attacks, and connections that send nothing."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from laboratory.burdens import served
from laboratory.fault import Fault, Outcome
from laboratory.link import Link
from laboratory.measure import secondsUntil
from laboratory.nonsense import throw
from laboratory.pairings import CONTROL_PORT, FEW_LANES, FROM_ORIGINAL, ORIGINAL, OURS, OURS_TLS, Pairing, Site, lines
from laboratory.processes import Process, children, descriptors, memory

#: What the attacker's connections come from, as there are bounds for each source.
SOURCES: Final = 8


def giveAddresses(site: Site) -> list[str]:
    """Give the attacker's host some addresses, and ports as fast as it takes them."""
    base = site.lab.address("attacker").rsplit(".", 1)[0]
    addresses = [f"{base}.{10 + n}" for n in range(SOURCES)]
    for address in addresses:
        site.lab.ip("attacker", "address", "add", f"{address}/24", "dev", "up0")
    site.lab.set("attacker", "net/ipv4/ip_local_port_range", "2048 65000")
    site.lab.set("attacker", "net/ipv4/tcp_tw_reuse", "1")
    return addresses


def farAway(site: Site, delay: float, addresses: Sequence[str]) -> None:
    """
    Hold back what comes from, and goes to, the client, the newcomer and the attacker.

    :param delay: each way, in seconds.
    :param addresses: those that were given to the attacker.
    """
    for place in ("client", "newcomer"):
        Link(site.lab, place).impair(delay, 0)
    Link(site.lab, "attacker").impair(delay, 0, *addresses)


@dataclass(frozen=True)
class SilentConnections(Fault):
    """Connections that send almost nothing."""

    name = "silent-connections"
    fault = "{connections} connections to the control port that send one byte per second, for {seconds} s"
    promise = (
        "visitors are served within 2 s; a new client has its tunnel within 3 s; the server grows by at most 16 MiB"
    )
    how = (
        "They have 8 source addresses, and each one that the server closes is opened again. The new client starts "
        "halfway through. The links of both clients and of the attacker have {delay} s of delay each way."
    )
    pairings = (OURS, OURS_TLS, FROM_ORIGINAL, ORIGINAL)
    hosts = ("attacker", "newcomer")

    connections: int = 2000
    seconds: float = 20
    delay: float = 0.05

    def inject(self, site: Site, outcome: Outcome) -> None:
        number = site.start()
        addresses = giveAddresses(site)
        farAway(site, self.delay, addresses)
        time.sleep(1)
        before = memory(site.server)
        with Dripping(site, addresses, self.connections) as attack:
            secondsUntil(lambda: attack.open >= self.connections * 0.95, 10)
            visits = site.visits(number)
            time.sleep(self.seconds / 2)
            begin = time.monotonic()
            client = site.startClient(place="newcomer")
            came = secondsUntil(lambda: bool(lines(client, "listening at")), 20)
            outcome.seconds("new client served", None if came is None else time.monotonic() - begin, 3, 20)
            time.sleep(max(0.0, self.seconds / 2 - (came or 20)))
            grown = (memory(site.server) - before) / 1024
            visits.stop()
            outcome.says(f"{attack.made} connections in all")
        lost = len(visits.lost())
        outcome.holds(f"{lost} of {len(visits.all)} visitors lost", not lost)
        outcome.lasts("longest wait", max((v.waited for v in visits.all if v.served), default=None), 2)
        outcome.holds(f"server grown by {grown:.1f} MiB", grown <= 16)


class Dripping:
    """
    Keeps connections open, and sends one byte a second on each.

    :ivar open: how many there are.
    :ivar made: how many there have been.
    """

    def __init__(self, site: Site, addresses: Sequence[str], count: int) -> None:
        self._addresses = addresses
        self._site = site
        self._count = count
        self._stop = threading.Event()
        self.open = self.made = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Dripping:
        with self._site.lab.inside("attacker"):
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        sockets: list[socket.socket] = []
        while not self._stop.is_set():
            begin = time.monotonic()
            sockets = [sock for sock in sockets if drip(sock)]
            for _ in range(self._count - len(sockets)):
                sock = socket.socket()
                sock.setblocking(False)
                sock.bind((self._addresses[self.made % SOURCES], 0))
                sock.connect_ex((self._site.host, CONTROL_PORT))
                self.made += 1
                sockets.append(sock)
            self.open = len(sockets)
            self._stop.wait(begin + 1 - time.monotonic())
        for sock in sockets:
            sock.close()


def drip(sock: socket.socket) -> bool:
    """Send one byte; return whether the connection still exists."""
    try:
        with contextlib.suppress(BlockingIOError):
            sock.send(b" ")
        with contextlib.suppress(BlockingIOError):
            if not sock.recv(4096):
                raise ConnectionAbortedError
    except OSError:
        sock.close()
        return False
    return True


@dataclass(frozen=True)
class RandomBytes(Fault):
    """Nonsense at both ports."""

    name = "random-bytes"
    fault = "{connections} connections with random and mutated data, to the control port and as visitors"
    promise = "no exception is logged, no descriptor is leaked, memory grows by at most 16 MiB; visitors are served"
    how = (
        "They have 8 source addresses and are made by 6 threads. They send up to 8 KiB of random data, or messages of "
        "the protocol, HTTP and TLS with up to eight mutations. A third of them end with a reset, and a third read to "
        "the end. One in four connects to the public port, as a visitor. The lease is 2 s, since some of them open "
        "tunnels. If the server uses TLS, some are mutated ClientHellos, and one in ten of those to the control port "
        "sends its data inside TLS, after a handshake."
    )
    pairings: ClassVar[Sequence[Pairing]] = (OURS, OURS_TLS, FROM_ORIGINAL, ORIGINAL)
    hosts = ("attacker",)
    options: ClassVar[Sequence[str]] = ()

    connections: int = 100_000

    def inject(self, site: Site, outcome: Outcome) -> None:
        number = site.start(["--max-tunnels-per-source", "0", "--lease", "2", *FEW_LANES, *self.options])
        addresses = giveAddresses(site)
        throw(site, number, addresses, self.connections // 50)  # what is made at first is made once
        time.sleep(5)
        programs = {"server": Process(site.server.pid), "client": Process(site.client.pid)}
        programs |= {f"worker {n}": worker for n, worker in enumerate(children(site.server), 1)}
        before = {who: (descriptors(program), memory(program)) for who, program in programs.items()}
        begin = time.monotonic()
        made = throw(site, number, addresses, self.connections)
        text = f"{made} connections, {made / (time.monotonic() - begin):.0f} a second"
        outcome.holds(text, made == self.connections)
        for who, program in programs.items():
            if not program.isRunning:
                outcome.holds(f"the {who} has ended", False)
                continue
            secondsUntil(lambda p=program, b=before[who][0]: descriptors(p) <= b, 15)  # type: ignore[misc]
            left, grown = descriptors(program) - before[who][0], (memory(program) - before[who][1]) / 1024
            text = f"{who}: {left:+} descriptors, {grown:+.1f} MiB"
            outcome.holds(text, left <= 0 and grown <= 16)
        said = [*site.server.err, *site.client.err]
        told = [line for line in said if re.search(r"Traceback|Unhandled|panicked", line)]
        outcome.holds(f"{len(told)} exceptions logged", not told)
        good = served(site, number)
        outcome.holds("visitors are served" if good else "no visitor is served", good)


class RandomBytesToWorkers(RandomBytes):
    """Nonsense that a supervisor has to pass on."""

    name = "random-bytes-workers"
    fault = "{connections} such connections to a server with two workers"
    how = "As above; each process is measured."
    pairings = (OURS, OURS_TLS)
    options = ("--workers", "2")
