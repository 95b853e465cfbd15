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
from laboratory.notices import Watched
from laboratory.pairings import CONTROL_PORT, PAIRINGS, SERVICE_PORT, Site, lines, port

#: What is asked of the service for its long answer, and how long that is.
_QUESTION: Final = b"?"
_ANSWER: Final = bytes(200_000)

#: The server's line about a visitor on a dead lane.
_DEAD: Final = "was on a dead lane"

#: And about one that has left, whose lane is idle again.
_GONE: Final = "the visitor .* is gone"


@dataclass(frozen=True)
class SlowLink(Fault):
    """Two clients behind the same slow link: one with lanes and one without, whose visitors take turns."""

    pairings = PAIRINGS
    visitors: int = 40
    delay: float = 0.025

    def begin(self, site: Site) -> list[int]:
        """Start the server and the clients; return their public ports."""
        site.startServer("--log-level", "debug")
        ports = [port(site.startClient())]
        if site.pairing.client == "ours":
            ports.append(port(site.startClient("--lanes", "0", state="second")))
        site.link.impair(self.delay, 0)
        time.sleep(2)
        return ports

    def compare(
        self, site: Site, ports: Sequence[int], visit: Callable[[int], float]
    ) -> tuple[list[float], list[float]]:
        """How long the visitors of the client took, and those of the one without lanes, which only ours can be."""
        found: tuple[list[float], list[float]] = [], []
        for _ in range(self.visitors):
            for times, number in zip(found, ports, strict=False):
                times.append(visit(number))
                if site.pairing.server == "ours":  # the next one is to find the lane of this one
                    secondsUntil(lambda: len(lines(site.server, _GONE)) == sum(map(len, found)), VISITOR_PATIENCE)
                time.sleep(0.2)
        return found


@dataclass(frozen=True)
class NewVisitor(SlowLink):
    """The first byte of a new visitor's echo."""

    name = "new-visitor"
    fault = "{delay} s of delay each way on the client's link; {visitors} visitors in succession"
    promise = "median of at most 1.15 round trips from the visitor's first packet to the first byte of the answer"
    how = (
        "The visitor's host is next to the server's, without delay. The measured time begins with the visitor's "
        "connect() and ends when it receives the first byte of the echo of its data, which it sends as soon as it is "
        "connected. For comparison, the same is measured with a client with --lanes 0 behind the same link. The round "
        "trip is the time until the client's host refuses a connection from the server's side, measured before each "
        "visit."
    )

    def inject(self, site: Site, outcome: Outcome) -> None:
        site.startService()
        ports = self.begin(site)
        trips: list[float] = []

        def visit(number: int) -> float:
            trips.append(_roundTrip(site))
            return _firstByte(site, number)

        first, base = self.compare(site, ports, visit)
        trip = median(trips)
        share = median(first) / trip
        text = f"the first byte after {share:.2f} round trips of {trip * 1000:.0f} ms (slowest {max(first) / trip:.2f})"
        if site.pairing.isOurs:
            outcome.holds(text, outcome.isWithin(share, 1.15, 1 / 20))
        else:
            outcome.says(text)
        if base:
            outcome.says(f"with --lanes 0 after {median(base) / trip:.2f} (slowest {max(base) / trip:.2f})")


@dataclass(frozen=True)
class LongAnswer(SlowLink):
    """The window of a lane that was used is open."""

    name = "long-answer"
    fault = "{delay} s of delay each way on the client's link; {visitors} visitors in succession receive 200 KB each"
    promise = "median at least twice as fast as with new connections (--lanes 0)"
    how = (
        "The visitor's host is next to the server's, without delay. The measured time begins with the visitor's "
        "connect() and ends with the last of 200 000 bytes, which it requests with one byte as soon as it is "
        "connected. For comparison, the same is measured with a client with --lanes 0 behind the same link. The first "
        "visitors, on unused lanes, are not counted. There is a pause of two seconds before the last visitor."
    )

    def inject(self, site: Site, outcome: Outcome) -> None:
        with site.lab.inside("client"):
            listener = socket.create_server(("127.0.0.1", SERVICE_PORT), backlog=128)
        threading.Thread(target=_answerAll, args=(listener,), daemon=True).start()
        try:
            ports = self.begin(site)
            used, base = self.compare(site, ports, lambda number: _longAnswer(site, number))
            time.sleep(2)
            idle = _longAnswer(site, ports[0])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        used = used[5:]
        text = f"200 KB after {median(used):.3f} s"
        outcome.says(f"{text}; after a pause of two seconds {idle:.3f} s")
        if base:
            factor = median(base) / median(used)
            outcome.holds(f"with --lanes 0 after {median(base):.3f} s, {factor:.1f} times as long", factor >= 2)


@dataclass(frozen=True)
class ForgottenLanes(Fault):
    """A NAT forgets what was idle."""

    name = "forgotten-lanes"
    fault = "a NAT drops its state of all idle lanes of a client; {delay} s of delay each way on the client's link"
    promise = (
        "each lane delays at most one visitor, by at most 5 s; no visitor is lost, the session continues, and no "
        "other visitor waits longer than 0.5 s"
    )
    how = (
        "While there are no visitors, the router begins to drop all packets of the existing connections between the "
        "two hosts, except the control connection, in both directions. New connections are not affected. Then ten "
        "visitors per second connect for {seconds} s."
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
        watched = Watched.server(site), Watched.client(site)
        dead = Watched(site.server, _DEAD, len(site.server.err))
        visits = self._come(site, number)
        met = len(dead.lines())
        waits = sorted((visit.waited for visit in visits), reverse=True)
        lost = sum(not visit.served for visit in visits)
        outcome.holds(f"{lost} of {len(visits)} visitors lost", not lost)
        outcome.holds(f"{met} of them on one of {len(lanes)} dead lanes", met <= len(lanes))
        if met:
            outcome.lasts("their longest wait", waits[0], 5)
        outcome.holds(f"of all others {waits[met]:.2f} s", outcome.isWithin(waits[met], 0.5, 1 / 8))
        gone = [line for one in watched for line in one.lines() if not re.search(" lane |visitor", line)]
        outcome.holds("session lost" if gone else "session kept", not gone)

    def _forget(self, site: Site) -> list[int]:
        """Forget lanes; return the ports that they have at the client."""
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
    fault = (
        "a NAT drops its state of one idle lane, the next to be used; {delay} s of delay each way on the client's link"
    )
    how = (
        "As above, but only for the lane that was used last, and there is only one visitor until the server has "
        "detected it, so that all other lanes are idle. Afterwards ten visitors per second connect for {seconds} s."
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
    """Drop all packets of a connection of the client to the server, both ways, without an error."""
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
