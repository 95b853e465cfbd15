"""Processes that end, stop, or are somewhere else."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass

from laboratory.fault import Fault, Outcome
from laboratory.measure import secondsUntil, sleepUntil
from laboratory.notices import Watched, events, noticed, planned, portAfterwards
from laboratory.pairings import OURS, PAIRINGS, PLAIN, TO_ORIGINAL, Site, port


@dataclass(frozen=True)
class KilledClient(Fault):
    """SIGKILL, and a new start."""

    name = "killed-client"
    fault = "the client is killed (SIGKILL), and restarted {pause} s later"
    promise = "same port, within 2 s after the restart; visitors that connected meanwhile are served"
    how = "The command line requests no port. Four visitors per second connect, and wait."
    pairings = PAIRINGS
    idle = True

    pause: float = 1

    def inject(self, site: Site, outcome: Outcome) -> None:
        before = site.start()
        visits = site.visits(before)
        time.sleep(1)
        site.client.kill()
        killed = time.monotonic()
        time.sleep(self.pause)
        begin = time.monotonic()
        after = port(site.startClient())
        again = visits.servedAfter(begin, 5 if after == before else 0, killed)
        outcome.seconds("served again", again, 2, 5)
        outcome.holds("same port" if after == before else "another port", after == before)
        time.sleep(1)
        visits.stop()
        lost = len(visits.lost(killed, begin + (again or 0)))
        outcome.holds(f"{lost} visitors lost meanwhile", not lost)


@dataclass(frozen=True)
class RestartedServer(Fault):
    """The server dies, and is there again at once."""

    name = "restarted-server"
    fault = "the server is killed (SIGKILL) and restarted at once; {clients} clients"
    promise = "all tunnels are open again on their ports within 5 s"
    how = "Each client is a process with a random port. The time begins with the end of the old server."
    pairings = PAIRINGS
    idle = True

    clients: int = 5

    def inject(self, site: Site, outcome: Outcome) -> None:
        site.startService()
        site.startServer()
        clients = [site.startClient(state=f"client{n}") for n in range(self.clients)]
        before = [port(client) for client in clients]
        site.server.kill()
        begin = time.monotonic()
        site.startServer()

        def back() -> int:
            return sum(site.lab.isOpen("visitor", site.host, port) for port in before)

        full = secondsUntil(lambda: back() == self.clients, 20)
        outcome.seconds("all tunnels open", None if full is None else time.monotonic() - begin, 5, 20)
        outcome.says(f"{back()} of {self.clients} tunnels on their ports")
        ended = sum(client.process.poll() is not None for client in clients)
        outcome.holds(f"{ended} clients ended", not ended)


@dataclass(frozen=True)
class Stampede(Fault):
    """Many clients lose their server together."""

    name = "stampede"
    fault = "the server is killed and restarted at once; {clients} clients"
    promise = "all tunnels are open again on their ports within 5 s, and the attempts are spread over time"
    how = (
        "The clients share one process, since the machine cannot run so many. Their attempts are counted per 100 ms, "
        "from the end of the old server, at the times for which the clients have planned them."
    )
    pairings = (OURS, TO_ORIGINAL)

    clients: int = 500

    def inject(self, site: Site, outcome: Outcome) -> None:
        site.startService()
        site.startServer("--max-tunnels-per-source", "0")
        crowd = site.startCrowd(self.clients)
        before = set(events(crowd, "opened", 0))
        site.server.kill()
        begin = time.monotonic()
        site.startServer("--max-tunnels-per-source", "0")

        def back() -> dict[int, float]:
            return {port: at for port, at in events(crowd, "opened", begin).items() if port in before}

        secondsUntil(lambda: len(back()) == self.clients, 30)
        opened = sorted(back().values())
        full = opened[-1] - begin if len(opened) == self.clients else None
        outcome.seconds("all tunnels open", full, 5, 30)
        outcome.says(f"{len(opened)} of {self.clients} tunnels on their ports")
        attempts = sorted(at - begin for at in planned(crowd, begin))
        counts = histogram(attempts, 0.1)
        outcome.holds(
            f"at most {max(counts)} of {len(attempts)} attempts in 100 ms", max(counts) <= max(10, self.clients / 3)
        )
        outcome.figures.append(draw(counts, 0.1))


def histogram(moments: list[float], width: float) -> list[int]:
    """How many moments are in each span of ``width`` seconds."""
    counts = [0] * (int(max(moments) / width) + 1)
    for moment in moments:
        counts[int(moment / width)] += 1
    return counts


def draw(counts: list[int], width: float) -> str:
    """A histogram as text."""
    scale = max(1.0, max(counts) / 60)
    rows = [f"{n * width:4.1f} s {count:4} {'#' * round(count / scale)}".rstrip() for n, count in enumerate(counts)]
    return "\n".join(["attempts per 100 ms", "", *rows])


@dataclass(frozen=True)
class Stopped(Fault):
    """SIGSTOP and SIGCONT."""

    name = "stopped-5"
    fault = "the server's process, and then the client's, is stopped for {seconds} s (SIGSTOP)"
    promise = "no visitor and no data of a running stream is lost; visitors are served again within 2 s; same port"
    how = "Four visitors per second connect. One more visitor sends and receives continuously."
    pairings = PAIRINGS
    idle = True

    seconds: float = 5

    def inject(self, site: Site, outcome: Outcome) -> None:
        number = site.start()
        visits, talk = site.visits(number), site.talk(number)
        for who, program in (("server", site.server), ("client", site.client)):
            time.sleep(1)
            begin = time.monotonic()
            program.process.send_signal(signal.SIGSTOP)
            self._meanwhile(site, outcome, who, begin)
            sleepUntil(begin + self.seconds)
            program.process.send_signal(signal.SIGCONT)
            back = time.monotonic()
            again = visits.servedAfter(back, 30, begin + 0.1)
            outcome.seconds(f"{who} stopped: served again", again, self._bound(), 30)
            time.sleep(1)
        visits.stop()
        self._losses(outcome, len(visits.lost()), len(visits.all))
        outcome.holds(f"running stream: {talk.finish()}", talk.whole)
        portAfterwards(site, outcome, number)

    def _bound(self) -> float:
        return 2

    def _meanwhile(self, site: Site, outcome: Outcome, who: str, begin: float) -> None:
        """What is seen while the process is stopped."""

    def _losses(self, outcome: Outcome, lost: int, all: int) -> None:
        outcome.holds(f"{lost} of {all} visitors lost", not lost)


@dataclass(frozen=True)
class LongStopped(Stopped):
    """Stopped for as long as a vanished peer is noticed."""

    name = "stopped-30"
    promise = (
        "as for a dead peer: detected within 5 s (by the server) or 9 s (by the client); visitors are served again "
        "within 6 s; same port"
    )

    seconds: float = 30

    def _bound(self) -> float:
        return 6

    def _meanwhile(self, site: Site, outcome: Outcome, who: str, begin: float) -> None:
        other, bound = (Watched.server(site), 5.0) if who == "client" else (Watched.client(site), 9.0)
        [seen] = noticed(begin, begin + self.seconds - 1, other)
        outcome.seconds(f"stopped {who} detected", seen, bound, self.seconds - 1)

    def _losses(self, outcome: Outcome, lost: int, all: int) -> None:
        outcome.says(f"{lost} of {all} visitors lost")


@dataclass(frozen=True)
class MovedName(Fault):
    """The server's name gets another address."""

    name = "moved-name"
    fault = "the server is gone, and its name resolves to another server"
    promise = "the next attempt uses the new address: a tunnel within 12 s, on the same port if it is free there"
    how = "The first server is killed. Two seconds later its name resolves to another host, on which a server runs."
    pairings = PLAIN
    idle = True
    hosts = ("spare",)

    def inject(self, site: Site, outcome: Outcome) -> None:
        name, spare = "tunnel.example", site.lab.address("spare")
        site.lab.name("client", **{name: site.host})
        site.startService()
        site.startServer(place="spare")
        site.startServer()
        before = port(site.startClient(to=name))
        site.server.kill()
        time.sleep(2)
        site.lab.name("client", **{name: spare})
        back = secondsUntil(lambda: site.lab.isOpen("visitor", spare, before), 20)
        outcome.seconds("tunnel at the other server", back, 12, 20)
        ended = site.client.process.poll() is not None
        outcome.holds("the client has ended" if ended else "the client continues", not ended)
        if not ended:
            portAfterwards(site, outcome, before)
