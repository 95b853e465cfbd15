"""Floods, of authenticated peers too; attackers and victims are a round trip away from the server."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from laboratory.attacks import farAway, giveAddresses
from laboratory.fault import Fault, Outcome
from laboratory.measure import secondsUntil
from laboratory.notices import Watched, sessionKept
from laboratory.pairings import OURS, OURS_TLS, Pairing, Site, lines
from laboratory.processes import memory

_SECRET = "the lab's own secret"


@dataclass(frozen=True)
class Flood(Fault):
    """
    A host floods the server.

    :cvar kind: with what; see :mod:`laboratory.attacker`.
    :cvar sources: how many addresses it has.
    :cvar unit: what it counts.
    """

    promise = (
        "visitors of other clients are served within 1 s, no tunnel is lost, a new client has its tunnel within 3 s"
    )
    how = (
        "The links of the client, the new client and the attacker have {delay} s of delay each way. The new client "
        "starts halfway through. Four visitors per second connect."
    )
    hosts = ("attacker", "newcomer")
    kind: ClassVar[str]
    sources: ClassVar[int] = 0
    unit: ClassVar[str]
    pairings: ClassVar[Sequence[Pairing]] = (OURS, OURS_TLS)

    count: int = 20
    seconds: float = 10
    delay: float = 0.05

    def inject(self, site: Site, outcome: Outcome) -> None:
        secret = ("--secret", _SECRET)
        number = site.start(secret, secret)
        sources = giveAddresses(site)[: self.sources]
        farAway(site, self.delay, sources)
        time.sleep(1)
        watched = Watched.client(site)
        words = (self.kind, site.host, _SECRET, str(self.count), str(int(site.pairing.tls)), *sources)
        attacker = site.lab.python("attacker", "laboratory.attacker", *words)
        attacker.waitFor("ready")
        visits = site.visits(number)
        time.sleep(self.seconds / 2)
        self._come(site, outcome, secret)
        time.sleep(self.seconds / 2)
        visits.stop()
        done = lines(attacker, "^done")
        outcome.says(f"{int(done[-1].split()[1]) / len(done):,.0f} {self.unit} a second".replace(",", " "))
        lost = len(visits.lost())
        outcome.holds(f"{lost} of {len(visits.all)} visitors lost", not lost)
        outcome.lasts("longest wait", max((visit.waited for visit in visits.all if visit.served), default=None), 1)
        sessionKept(outcome, watched)

    def _come(self, site: Site, outcome: Outcome, secret: tuple[str, ...]) -> None:
        """Have a new client come."""
        begin = time.monotonic()
        client = site.startClient(*secret, place="newcomer")
        came = secondsUntil(lambda: bool(lines(client, "listening at")), 20)
        outcome.seconds("new client served", None if came is None else time.monotonic() - begin, 3, 20)


class AliveFlood(Flood):
    """Messages on control connections."""

    name = "alive-flood"
    fault = "{count} authenticated sessions send Alive without pause, for {seconds} s"
    kind = "alive"
    unit = "bytes"


class FrameFlood(Flood):
    """Small frames on lanes."""

    name = "frame-flood"
    fault = "{count} lanes of authenticated sessions send data without pause, one byte per frame, for {seconds} s"
    kind = "frames"
    unit = "bytes"


class SessionFlood(Flood):
    """Sessions that come and go."""

    name = "session-flood"
    fault = "an authenticated client opens and closes sessions, {count} at a time, for {seconds} s"
    kind = "sessions"
    unit = "sessions"


@dataclass(frozen=True)
class ConnectionFlood(Flood):
    """Connections on which nothing is sent."""

    name = "connection-flood"
    fault = "5 addresses open as many connections to the control port as they can, and send nothing, for {seconds} s"
    kind = "connections"
    sources = 5
    unit = "connections"

    count: int = 5
    delay: float = 0.1


@dataclass(frozen=True)
class KeyFlood(Flood):
    """Requests for new keys inside TLS."""

    name = "key-flood"
    fault = (
        "{count} connections request new keys inside TLS without pause, and do not read the answers, for {seconds} s"
    )
    kind = "keys"
    unit = "requests"
    pairings = (OURS_TLS,)


@dataclass(frozen=True)
class HeartbeatFlood(Fault):
    """A hostile server."""

    name = "heartbeat-flood"
    fault = "the server sends Heartbeat without pause, and does not read the answers, for {seconds} s"
    promise = (
        "the client grows by at most 16 MiB, and has its tunnel within {bound} s after a correct server has started"
    )
    how = (
        "A test program in place of the server opens a tunnel, sends heartbeats, and reads 4 KiB every other second. "
        "Then it is killed, and a server is started. The client's link has {delay} s of delay each way."
    )
    pairings = (OURS,)

    seconds: float = 20
    bound: float = 10
    delay: float = 0.05

    def inject(self, site: Site, outcome: Outcome) -> None:
        bad = site.lab.python("server", "laboratory.badserver", site.host)
        bad.waitFor("ready")
        site.link.impair(self.delay, 0)
        client = site.startClient("--max-reconnect-delay", "4")
        client.waitFor("listening at")
        before, most = memory(client), 0
        begin = time.monotonic()
        while time.monotonic() - begin < self.seconds and client.process.poll() is None:
            most = max(most, memory(client))
            time.sleep(0.1)
        bad.kill()
        outcome.holds(f"client grown by {(most - before) / 1024:.1f} MiB", most - before <= 16 << 10)
        start = len(client.err)
        begin = time.monotonic()
        site.startServer()
        came = secondsUntil(lambda: bool(lines(client, "listening at", start)), 30)
        outcome.seconds("tunnel at a good server", None if came is None else time.monotonic() - begin, self.bound, 30)
