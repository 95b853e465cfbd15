"""Many at once, and many one after another."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final

from laboratory.fault import Fault, Outcome
from laboratory.measure import ask, secondsUntil
from laboratory.notices import events, moments
from laboratory.pairings import FEW_LANES, OURS, TO_ORIGINAL, Site, lines
from laboratory.processes import descriptors, memory
from tests.support import Program

#: How long the ends have to let go of what has gone, in seconds.
QUIET: Final = 3.0


class Stayers:
    """
    Visitors who stay, each on a connection of its own.

    :ivar unserved: how many got no answer to their first question.
    :ivar broken: how many of those that had one have lost their connection, or got a wrong answer.
    """

    def __init__(self) -> None:
        self._connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.unserved = self.broken = 0

    async def come(self, host: str, ports: list[int], count: int) -> None:
        """Have ``count`` visitors come, as many to each port."""
        room = asyncio.Semaphore(300)

        async def one(port: int) -> None:
            async with room:
                try:
                    async with asyncio.timeout(30):
                        connection = await asyncio.open_connection(host, port)
                        await self._ask(*connection)
                        self._connections.append(connection)
                except (OSError, TimeoutError, asyncio.IncompleteReadError):
                    self.unserved += 1

        await asyncio.gather(*(one(ports[n % len(ports)]) for n in range(count)))

    async def askAll(self) -> None:
        """Have each ask once more."""
        kept = []
        for start in range(0, len(self._connections), 500):
            group = self._connections[start : start + 500]
            answers = await asyncio.gather(*(self._ask(*one) for one in group), return_exceptions=True)
            kept += [one for one, answer in zip(group, answers, strict=True) if not isinstance(answer, BaseException)]
        self.broken += len(self._connections) - len(kept)
        self._connections = kept

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = os.urandom(8)
        writer.write(question)
        async with asyncio.timeout(30):
            if await reader.readexactly(8) != question:
                raise ConnectionAbortedError

    def leave(self) -> None:
        """All go."""
        for _, writer in self._connections:
            writer.transport.abort()


def onHost(site: Site, place: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine on a host."""
    with site.lab.inside(place):
        asyncio.run(work())


@dataclass(frozen=True)
class Multitude(Fault):
    """
    Many tunnels, many visitors, and cuts.

    :ivar descriptors: how many each end may have; 0: as many as the system allows.
    """

    name = "multitude"
    fault = "{tunnels} tunnels with {visitors} simultaneous visitors; all control connections are cut {cuts} times"
    promise = (
        "all visitors are served; no established stream breaks; no visitor that waits less than 10 s is lost; all "
        "tunnels are open again within 5 s after each cut"
    )
    how = (
        "The clients share one process. The visitors stay, and each sends a request after each cut. Within the second "
        "after each cut, {fresh} more visitors connect to tunnels that are down."
    )
    pairings = (OURS, TO_ORIGINAL)

    tunnels: int = 1000
    visitors: int = 10_000
    cuts: int = 10
    fresh: int = 100
    descriptors: int = 0

    def inject(self, site: Site, outcome: Outcome) -> None:
        site.startService()
        limit = site.lab.descriptors = self.descriptors or resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        site.startServer("--max-tunnels-per-source", "0")
        crowd = site.startCrowd(self.tunnels)
        ports = list(events(crowd, "opened", 0))
        # Each takes two descriptors of the server, and so does each tunnel.
        room = limit // 2 - self.tunnels - self.fresh - max(50, limit // 80)
        visitors = min(self.visitors, room)
        if visitors < self.visitors:
            outcome.says(f"only {visitors} visitors, as the system allows no more descriptors")
        stayers, results, slowest = Stayers(), list[tuple[str | None, float]](), [0.0]

        async def work() -> None:
            begin = time.monotonic()
            await stayers.come(site.host, ports, visitors)
            outcome.seconds(f"{visitors} visitors there", time.monotonic() - begin)
            for n in range(self.cuts):
                slowest.append(await self._cut(site, crowd, ports[n * 7 :] + ports[: n * 7], results))
                await stayers.askAll()
            stayers.leave()

        onHost(site, "visitor", work)
        outcome.holds(f"{stayers.unserved} of them not served", not stayers.unserved)
        outcome.holds(f"{stayers.broken} of {visitors - stayers.unserved} joined streams broken", not stayers.broken)
        lost = sorted(f"{trouble} after {waited:.1f} s" for trouble, waited in results if trouble and waited < 9.9)
        text = f"{len(lost)} of {len(results)} waiting visitors lost" + (f" ({lost[0]} … {lost[-1]})" if lost else "")
        outcome.holds(text, not lost)
        outcome.lasts("longest wait", max((waited for _, waited in results), default=None))
        outcome.seconds("all tunnels back, at the latest", None if float("inf") in slowest else max(slowest), 5, 30)

    async def _cut(
        self, site: Site, crowd: Program, ports: list[int], results: list[tuple[str | None, float]]
    ) -> float:
        """Cut, have some come at once, and wait until all is back; gives how long that took."""
        begin = time.monotonic()
        crowd.process.send_signal(signal.SIGUSR1)
        await asyncio.to_thread(secondsUntil, lambda: bool(moments(crowd, "cut", begin)), 10)

        async def visit(port: int, later: float) -> None:
            await asyncio.sleep(later)
            came = time.monotonic()
            trouble = await ask(site.host, port)
            results.append((trouble, time.monotonic() - came))

        visits = [visit(ports[n % len(ports)], n / self.fresh) for n in range(self.fresh)]
        healed = asyncio.to_thread(secondsUntil, lambda: events(crowd, "opened", begin).keys() >= set(ports), 30)
        *_, full = await asyncio.gather(*visits, healed)
        return float("inf") if full is None else full


@dataclass(frozen=True)
class Churn(Fault):
    """Many visitors and reconnects, and what is left of them."""

    name = "churn"
    fault = "{visitors} visitors and {reconnects} reconnects, and then the same again"
    promise = (
        "descriptors and timers are as at the start (within 5 %), and memory stops growing: it is at most 2 % higher "
        "after the second half than after the first"
    )
    how = (
        "{clients} clients share one process. All control connections are cut repeatedly while visitors connect and "
        "disconnect, 64 at a time. The start is after a twentieth of the first half. Timers are counted by the "
        "reactor of each end. Memory is given at the start, after the first half, and after the second."
    )

    visitors: int = 100_000
    reconnects: int = 1000
    clients: int = 20

    def inject(self, site: Site, outcome: Outcome) -> None:
        site.startService()
        site.server = site.lab.python("server", "laboratory.timers", "server", *FEW_LANES)
        site.server.waitFor("listening on")
        crowd = site.startCrowd(self.clients)
        programs = {"server": site.server, "clients": crowd}
        ports = list(events(crowd, "opened", 0))
        self._round(site, crowd, ports, self.visitors // 20, 2)
        before = rest(programs)
        begin = time.monotonic()
        lost = self._round(site, crowd, ports, self.visitors, self.reconnects // self.clients)
        half = rest(programs)
        lost += self._round(site, crowd, ports, self.visitors, self.reconnects // self.clients)
        outcome.says(f"{2 * self.visitors / (time.monotonic() - begin):.0f} visitors a second, {lost} lost")
        for who, program in programs.items():
            secondsUntil(lambda p=program, w=who: descriptors(p) <= before[w][0], 15)  # type: ignore[misc]
        after = rest(programs)
        for who in programs:
            first, then, now = before[who], half[who], after[who]
            text = f"{who}: descriptors {first[0]}, then {now[0]}; timers {first[1]}, then {now[1]}"
            # Each session may be resting before it opens lanes, or wait for one.
            outcome.holds(text, now[0] <= first[0] and now[1] <= first[1] * 1.05 + 2 + 2 * self.clients)
            text = (
                f"memory of the {who}: {first[2] / 1024:.1f} MiB, then {then[2] / 1024:.1f}, then {now[2] / 1024:.1f}"
            )
            outcome.holds(text, now[2] <= then[2] * 1.02 + 300)

    def _round(self, site: Site, crowd: Program, ports: list[int], visitors: int, cuts: int) -> int:
        """Have visitors come while connections are cut; gives how many of them were lost."""
        over = threading.Event()
        lost = 0

        def cutting() -> None:
            for _ in range(cuts):
                begin = time.monotonic()
                crowd.process.send_signal(signal.SIGUSR1)
                secondsUntil(lambda b=begin: len(events(crowd, "opened", b)) >= self.clients, 20)  # type: ignore[misc]
            over.set()

        async def coming(share: int) -> None:
            nonlocal lost
            count = 0
            while count < share or not over.is_set():
                lost += await ask(site.host, ports[count % len(ports)]) is not None
                count += 1

        async def all() -> None:
            await asyncio.gather(*(coming(visitors // 64) for _ in range(64)))

        thread = threading.Thread(target=cutting, daemon=True)
        thread.start()
        onHost(site, "visitor", all)
        thread.join()
        time.sleep(QUIET)
        return lost


def rest(programs: Mapping[str, Program]) -> dict[str, tuple[int, int, int]]:
    """Descriptors, timers, and memory in KiB, of each program when all is quiet."""
    counts: dict[str, list[int]] = {who: [] for who in programs}
    for _ in range(5):  # there is always something under way: the least is what is at rest
        for who, program in programs.items():
            before = len(lines(program, "^timers"))
            program.process.send_signal(signal.SIGUSR2)
            program.waitFor("timers", after=before)
            counts[who].append(int(lines(program, "^timers")[-1].split()[2]))
        time.sleep(0.3)
    return {who: (descriptors(program), min(counts[who]), memory(program)) for who, program in programs.items()}
