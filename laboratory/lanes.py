"""Lanes: what they are worth on a link that takes its time, and what they cost when they are dead."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from laboratory.fault import Fault, Outcome
from laboratory.measure import VISITOR_PATIENCE, Visit, ask, secondsUntil
from laboratory.pairings import CONTROL_PORT, PAIRINGS, SERVICE_PORT, Site, lines, port
from laboratory.silences import CLIENT_NOTICES, SERVER_NOTICES

#: What is asked of the service for its long answer, and how long that is.
_QUESTION: Final = b"?"
_ANSWER: Final = bytes(200_000)

#: What the server says of a visitor who was on a dead lane.
_DEAD: Final = "was on a dead lane"


@dataclass(frozen=True)
class SlowLink(Fault):
    """Two clients behind the same slow link: one with lanes and one without, whose visitors take turns."""

    pairings = PAIRINGS
    visitors: int = 40
    delay: float = 0.025

    def begin(self, site: Site) -> list[int]:
        """Start the server and the clients; gives their public ports."""
        site.startServer()
        ports = [port(site.startClient())]
        if site.pairing.client == "ours":
            ports.append(port(site.startClient("--lanes", "0", state="second")))
        site.link.impair(self.delay, 0)
        time.sleep(2)
        return ports

    def compare(self, ports: Sequence[int], visit: Callable[[int], float]) -> tuple[list[float], list[float]]:
        """How long the visitors of the client took, and those of the one without lanes, which only ours can be."""
        found: tuple[list[float], list[float]] = [], []
        for _ in range(self.visitors):
            for times, number in zip(found, ports, strict=False):
                times.append(visit(number))
                time.sleep(0.2)
        return found


@dataclass(frozen=True)
class NewVisitor(SlowLink):
    """The first byte of a new visitor's echo."""

    name = "new-visitor"
    fault = "{delay} s of delay each way on the client's link; {visitors} visitors, one after another"
    promise = "the first byte of an answer 1.15 round trips after its visitor's first packet, at the median"
    how = (
        "The visitor's host is next to the server's, without a delay. The time is taken from the visitor's connect() "
        "until it has the first byte back of what it sends as soon as it is connected; beside it a visitor of a client "
        "with --lanes 0 behind the same link. The round trip is that between the server's side and the client's host: "
        "the time that a connection takes that is refused there, measured before each visit."
    )

    def inject(self, site: Site, outcome: Outcome) -> None:
        site.startService()
        ports = self.begin(site)
        trips: list[float] = []

        def visit(number: int) -> float:
            trips.append(_roundTrip(site))
            return _firstByte(site, number)

        first, base = self.compare(ports, visit)
        trip = median(trips)
        share = median(first) / trip
        text = f"the first byte after {share:.2f} round trips of {trip * 1000:.0f} ms (slowest {max(first) / trip:.2f})"
        if site.pairing.isOurs:
            outcome.holds(text, share <= 1.15 + outcome.slack / 20)
        else:
            outcome.says(text)
        if base:
            outcome.says(f"with --lanes 0 after {median(base) / trip:.2f} (slowest {max(base) / trip:.2f})")


@dataclass(frozen=True)
class LongAnswer(SlowLink):
    """The window of a lane that was used is open."""

    name = "long-answer"
    fault = "{delay} s of delay each way on the client's link; {visitors} visitors get 200 KB each, one after another"
    promise = "at least twice as fast as on new connections (--lanes 0), at the median"
    how = (
        "The visitor's host is next to the server's, without a delay. The time is taken from the visitor's connect() "
        "until it has the last of 200 000 bytes, for which it asks with one as soon as it is connected; beside it a "
        "visitor of a client with --lanes 0 behind the same link. The first visitors, on lanes that were not used "
        "yet, do not count; two seconds before the last one nobody comes."
    )

    def inject(self, site: Site, outcome: Outcome) -> None:
        with site.lab.inside("client"):
            listener = socket.create_server(("127.0.0.1", SERVICE_PORT), backlog=128)
        threading.Thread(target=_answerAll, args=(listener,), daemon=True).start()
        try:
            ports = self.begin(site)
            used, base = self.compare(ports, lambda number: _longAnswer(site, number))
            time.sleep(2)
            idle = _longAnswer(site, ports[0])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        used = used[5:]
        text = f"200 KB after {median(used):.3f} s"
        outcome.says(f"{text}; after two seconds without anybody {idle:.3f} s")
        if base:
            factor = median(base) / median(used)
            outcome.holds(f"with --lanes 0 after {median(base):.3f} s, {factor:.1f} times as long", factor >= 2)


@dataclass(frozen=True)
class ForgottenLanes(Fault):
    """A NAT forgets what was idle."""

    name = "forgotten-lanes"
    fault = "a NAT forgets all idle lanes of a client; {delay} s of delay each way on the client's link"
    promise = (
        "each lane costs at most the visitor who comes on it, and that one at most 5 s; nobody is lost, the session "
        "lives on, and nobody else waits for longer than 0.5 s"
    )
    how = (
        "While nobody comes, the router begins to drop all packets of each connection between the two hosts but the "
        "control connection, both ways; new connections pass. Then visitors come ten times a second for {seconds} s."
    )
    idle = True

    delay: float = 0.025
    seconds: float = 20

    def inject(self, site: Site, outcome: Outcome) -> None:
        number = site.start(["--log-level", "debug"])
        site.link.impair(self.delay, 0)
        warmUp = site.visits(number, 0.1)
        time.sleep(2)
        warmUp.stop()
        time.sleep(1)
        lanes = self._forget(site)
        start = len(site.server.err), len(site.client.err)
        visits = self._come(site, number)
        met = len(lines(site.server, _DEAD, start[0]))
        waits = sorted((visit.waited for visit in visits), reverse=True)
        lost = sum(not visit.served for visit in visits)
        outcome.holds(f"{lost} of {len(visits)} visitors lost", not lost)
        outcome.holds(f"{met} of them came on one of {len(lanes)} dead lanes", met <= len(lanes))
        if met:
            outcome.lasts("the longest wait of those", waits[0], 5)
        outcome.holds(f"of all others {waits[met]:.2f} s", waits[met] <= 0.5 + outcome.slack / 8)
        told = lines(site.server, SERVER_NOTICES, start[0]) + lines(site.client, CLIENT_NOTICES, start[1])
        gone = [line for line in told if not re.search(" lane |visitor", line)]
        outcome.holds("session lost" if gone else "session kept", not gone)

    def _forget(self, site: Site) -> list[int]:
        """Forget lanes; gives the ports that they have at the client."""
        lanes = freshestFirst(site)
        for lane in lanes:
            forget(site, lane)
        return lanes

    def _come(self, site: Site, number: int) -> list[Visit]:
        """Visitors come, and have left or given up when this returns."""
        visits = site.visits(number, 0.1)
        time.sleep(self.seconds)
        visits.stop()
        return visits.all


@dataclass(frozen=True)
class ForgottenLane(ForgottenLanes):
    """The one that the next visitor gets."""

    name = "forgotten-lane"
    fault = "a NAT forgets one idle lane, that of the next visitor; {delay} s of delay each way on the client's link"
    how = (
        "As above, but only the lane that was used last is forgotten, and the first visitor is alone until the server "
        "has found out: so all other lanes are idle then. Behind it visitors come ten times a second for {seconds} s."
    )

    seconds: float = 5

    def _forget(self, site: Site) -> list[int]:
        [lane, *_] = freshestFirst(site)
        forget(site, lane)
        return [lane]

    def _come(self, site: Site, number: int) -> list[Visit]:
        before = len(site.server.err)
        first = Visit(time.monotonic())

        def visit() -> None:
            first.trouble = asyncio.run(ask(site.host, number))
            first.over = time.monotonic()

        thread = threading.Thread(target=visit, daemon=True)
        with site.lab.inside("visitor"):
            thread.start()
        secondsUntil(lambda: bool(lines(site.server, _DEAD, before)), 5)
        others = super()._come(site, number)
        thread.join(VISITOR_PATIENCE)
        return [first, *others]


def freshestFirst(site: Site) -> list[int]:
    """The ports that the lanes have at the client; the one first on which something has come last."""
    [opened] = [line for line in site.server.err if "opened for" in line]
    control = int(opened.rsplit(":", 1)[1])
    words = ("ss", "-tinH", "state", "established", "dport", "=", f":{CONTROL_PORT}")
    listing = site.lab.start("client", *words)
    listing.wait()
    found = re.findall(rf"{re.escape(site.link.address)}:(\d+) .*? lastrcv:(\d+)", " ".join(listing.out))
    return [int(port) for port, _ in sorted(found, key=lambda one: int(one[1])) if int(port) != control]


def forget(site: Site, number: int) -> None:
    """Drop all packets of a connection of the client to the server, both ways. Nobody is told."""
    ways = (
        (site.link.address, number, site.host, CONTROL_PORT),
        (site.host, CONTROL_PORT, site.link.address, number),
    )
    for source, sport, to, dport in ways:
        words = ("from", source, "to", to, "ipproto", "tcp", "sport", str(sport), "dport", str(dport))
        site.lab.ip("router", "rule", "add", "pref", "40", *words, "type", "blackhole")


def _roundTrip(site: Site) -> float:
    """How long the server's side and the client's host need for a packet and its answer, in seconds."""
    with site.lab.inside("visitor"):
        sock = socket.socket()
    with sock:
        begin = time.perf_counter()
        sock.connect_ex((site.link.address, 1))
        return time.perf_counter() - begin


def _visit(site: Site, number: int, question: bytes, size: int) -> float:
    with site.lab.inside("visitor"):
        sock = socket.socket()
    with sock:
        sock.settimeout(20)
        begin = time.perf_counter()
        sock.connect((site.host, number))
        sock.sendall(question)
        while size > 0:
            got = len(sock.recv(1 << 16))
            if not got:
                raise AssertionError("a visitor was closed before it had its answer")
            size -= got
        return time.perf_counter() - begin


def _firstByte(site: Site, number: int) -> float:
    return _visit(site, number, b"x", 1)


def _longAnswer(site: Site, number: int) -> float:
    return _visit(site, number, _QUESTION, len(_ANSWER))


def _answerAll(listener: socket.socket) -> None:
    """A service that gives everybody who asks the same long answer."""
    while True:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        with sock:
            sock.recv(1)
            sock.sendall(_ANSWER)
