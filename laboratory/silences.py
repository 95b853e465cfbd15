"""Networks that go silent, change, or are bad."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import ClassVar

from laboratory.fault import Fault, Outcome
from laboratory.measure import Load, Visits, secondsUntil, sleepUntil
from laboratory.notices import Watched, noticed, portAfterwards, sessionKept
from laboratory.pairings import PAIRINGS, Site, lines


@dataclass(frozen=True)
class Silence(Fault):
    """The network is silent for some seconds."""

    name = "silence"
    fault = "the client's network is silent for {seconds} s"
    promise = (
        "detected by the server within 5 s, by the client within 9 s; the port is reserved; visitors are served again "
        "within 6 s after the network is back; same port; visitors of the previous 10 s are served; no data of a "
        "running stream is lost"
    )
    how = (
        "The router drops all packets from and to the client's host. Four visitors per second connect from another "
        "host, send a request each, and wait up to 20 s for the answer. One more visitor is connected all the time, "
        "and sends and receives continuously."
    )
    pairings = PAIRINGS
    idle = True
    mute: ClassVar[bool] = True
    deaf: ClassVar[bool] = True

    seconds: float = 12

    def inject(self, site: Site, outcome: Outcome) -> None:
        port = site.start()
        visits, talk = site.visits(port), site.talk(port)
        time.sleep(2)
        watched = Watched.server(site), Watched.client(site)
        begin = time.monotonic()
        self._fail(site, True)
        until = begin + self.seconds - 0.5
        server, client = noticed(begin, until, *watched)
        outcome.seconds("detected by the server", server, 5, self.seconds)
        outcome.seconds("by the client", client, 9, self.seconds)
        kept = site.lab.isOpen("visitor", site.host, port)
        outcome.holds("port kept" if kept else "port closed", kept)
        sleepUntil(begin + self.seconds)
        self._fail(site, False)
        self._afterwards(site, outcome, visits, port, begin)
        outcome.holds(f"running stream: {talk.finish()}", talk.whole)

    def _fail(self, site: Site, yes: bool) -> None:
        if self.mute:
            site.link.mute(yes)
        if self.deaf:
            site.link.deafen(yes)

    def _afterwards(self, site: Site, outcome: Outcome, visits: Visits, port: int, begin: float) -> None:
        back = time.monotonic()
        # Who was on the way already when the network fell silent may be served by retransmissions.
        again = visits.servedAfter(back, 40, begin + 0.1)
        outcome.seconds("served again", again, 6, 40)
        time.sleep(1)
        visits.stop()
        if again is not None:
            portAfterwards(site, outcome, port)
        served = back + (again or 0)
        came, lost = visits.between(served - 9.5, served), visits.lost(served - 9.5, served)
        outcome.holds(f"{len(lost)} of the {len(came)} visitors of the 10 s before that lost", not lost)
        outcome.says(f"{len(visits.lost())} lost in total")


class HalfSilence(Silence):
    """Nothing that the client sends arrives."""

    name = "muted"
    fault = "all packets from the client are lost for {seconds} s, but none to it"
    how = "As above, but the router drops packets in one direction only."
    deaf = False


class OtherHalfSilence(Silence):
    """Nothing that is sent to the client arrives."""

    name = "deafened"
    fault = "all packets to the client are lost for {seconds} s, but none from it"
    how = "As above, in the other direction."
    mute = False


@dataclass(frozen=True)
class LongSilence(Fault):
    """The lease runs out."""

    name = "long-silence"
    fault = "the client's network is silent for {seconds} s, and the lease of {lease} s expires"
    promise = (
        "the port is released; visitors are served again within the current retry delay plus one attempt; same port"
    )
    how = (
        "As above, with one visitor per second. The retry delay is the last one that the client has logged, at most "
        "{delay} s. An attempt takes up to 10 s."
    )
    pairings = PAIRINGS
    idle = True

    seconds: float = 300
    lease: float = 60
    delay: float = 64

    def inject(self, site: Site, outcome: Outcome) -> None:
        lease, delay = f"{self.lease:g}", f"{self.delay:g}"
        port = site.start(["--lease", lease], ["--max-reconnect-delay", delay])
        begin = time.monotonic()
        site.link.silence()
        # Each look is a visitor: not too many, since the original keeps a task for each for ever.
        free = secondsUntil(lambda: site.lab.isClosed("visitor", site.host, port), self.seconds - 5, 0.5)
        outcome.seconds("port free", free, 5 + self.lease + 2, self.seconds - 5)
        sleepUntil(begin + self.seconds)
        delays = [float(x) for line in site.client.err for x in re.findall(r"next attempt in ([\d.]+) s", line)]
        bound = (delays[-1] if delays else 0) + 10
        visits = site.visits(port, 1.0)
        back = time.monotonic()
        site.link.silence(False)
        again = visits.servedAfter(back, 120)
        delay = f" (the delay is {delays[-1]:.1f} s)" if delays else ""
        outcome.seconds(f"served again{delay}", again, bound, 120)
        if again is not None:
            portAfterwards(site, outcome, port)
        visits.stop()


@dataclass(frozen=True)
class Move(Fault):
    """The client's address changes."""

    name = "new-address"
    fault = "the client's address changes"
    promise = 'visitors are served again within 10 s; never "port already in use"; same port'
    how = (
        "The client's host gets another address, and the router drops all packets from and to the old one, without a "
        "FIN or a reset, as after a new mapping in a NAT or a change of the wireless network."
    )
    pairings = PAIRINGS
    idle = True

    def inject(self, site: Site, outcome: Outcome) -> None:
        port = site.start()
        visits = site.visits(port)
        time.sleep(1)
        begin = time.monotonic()
        site.link.move(site.link.address[:-1] + "7")
        again = visits.servedAfter(begin, 40, begin + 0.1)
        outcome.seconds("served again", again, 10, 40)
        time.sleep(1)
        visits.stop()
        refused = lines(site.client, "already in use")
        outcome.holds(f'{len(refused)} times "port already in use"', not refused)
        if again is not None:
            portAfterwards(site, outcome, port)
        outcome.says(f"{len(visits.lost())} of {len(visits.all)} visitors lost")


@dataclass(frozen=True)
class BadLink(Fault):
    """Delay and loss."""

    name = "bad-link"
    fault = "{delay} s of delay each way and {percent} % packet loss on the client's link, for {seconds} s"
    promise = "no session, no visitor and no data of a running stream is lost"
    how = "All packets from and to the client's host pass through a program that delays or drops them."
    pairings = PAIRINGS
    idle = True

    seconds: float = 60
    delay: float = 0.1
    percent: float = 5

    def inject(self, site: Site, outcome: Outcome) -> None:
        port = site.start()
        site.link.impair(self.delay, self.percent / 100)
        watched = Watched.server(site), Watched.client(site)
        visits, talk = site.visits(port, 0.5), site.talk(port)
        time.sleep(self.seconds)
        visits.stop()
        sessionKept(outcome, *watched)
        outcome.holds(f"{len(visits.lost())} of {len(visits.all)} visitors lost", not visits.lost())
        waits = sorted(visit.waited for visit in visits.all)
        outcome.says(f"waits: median {waits[len(waits) // 2]:.1f} s, longest {waits[-1]:.1f} s")
        outcome.holds(f"running stream: {talk.finish()}", talk.whole)


@dataclass(frozen=True)
class SlowLink(Fault):
    """A slow link with a long queue, which is full: heartbeats and answers take half a minute."""

    name = "slow-link"
    fault = "the client's link has 1 Mbit/s and a queue of {queue} bytes each way, and is saturated for {seconds} s"
    promise = "no data of a running stream is lost; same port (the client may reconnect meanwhile)"
    how = (
        "The link is slowed down (tc, tbf), and {visitors} visitors send as much as they can through the tunnel, to a "
        "service that echoes it. One more visitor sends and receives continuously. Then the link is restored."
    )
    pairings = PAIRINGS
    idle = True

    seconds: float = 60
    queue: int = 2_000_000
    visitors: int = 8

    def inject(self, site: Site, outcome: Outcome) -> None:
        port = site.start()
        talk = site.talk(port)
        loads = [Load(site.lab, "visitor", site.host, port) for _ in range(self.visitors)]
        secondsUntil(lambda: all(load.heard for load in loads), 20)
        watched = Watched.server(site), Watched.client(site)
        site.link.slow(1_000_000, self.queue)
        time.sleep(self.seconds)
        for load in loads:
            load.stop()
        site.link.slow(1_000_000_000, self.queue)
        broken = [trouble for load in loads if (trouble := load.finish())]
        outcome.holds(f"{len(broken)} of {len(loads)} loaded streams broken {broken or ''}".rstrip(), not broken)
        outcome.holds(f"running stream: {talk.finish()}", talk.whole)
        if site.pairing.client == "ours":
            outcome.says("session lost" if any(one.lines() for one in watched) else "session kept")
        else:
            sessionKept(outcome, *watched)
        visits = site.visits(port)
        again = visits.servedAfter(time.monotonic(), 40)
        visits.stop()
        outcome.seconds("a new visitor served", again, 6, 40)
        portAfterwards(site, outcome, port)
