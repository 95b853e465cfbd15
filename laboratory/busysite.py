"""A server with many clients, tunnels and visitors, and what the visitors have to say about what is done to it."""

from __future__ import annotations

import re
import shutil
import signal
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SkipTest

from benchmarks.outputs import parseWrk
from laboratory.fault import Outcome
from laboratory.hashedstreams import Verdict
from laboratory.measure import secondsUntil
from laboratory.pairings import SERVICE_PORT, Site
from tests.nginx import nginxCommand
from tests.original import original
from tests.support import Program

#: Where the server speaks TLS; its control port is plain.
TLS_PORT: Final = 7836

#: Where the web server of the tunnels for wrk and ab is.
_WEB_PORT: Final = 8900

#: A connection to the web server ends after so many seconds, as the generation that serves it may. Outside a location
#: nginx has no such limit.
_WEB: Final = (
    f"listen 127.0.0.1:{_WEB_PORT}; location / {{ keepalive_time 4s; keepalive_requests 100000; return 200 hello; }}"
)

_SERVER_OPTIONS: Final = ("--tls-port", str(TLS_PORT), "--max-tunnels-per-source", "0")


@dataclass(frozen=True)
class Size:
    """
    How much there is.

    :ivar plain: clients of ours without TLS.
    :ivar tls: clients of ours with TLS.
    :ivar originals: original clients; each has one tunnel.
    :ivar tunnels: of each client of ours.
    :ivar streams: streams at a time that have two chunks a second in either direction.
    :ivar life: how long these last, in seconds.
    :ivar bulk: streams at a time that have no pause.
    :ivar requests: connections of wrk, and at a time of ab.
    """

    plain: int = 4
    tls: int = 4
    originals: int = 2
    tunnels: int = 6
    streams: int = 1000
    life: float = 4
    bulk: int = 2
    requests: int = 4

    @property
    def total(self) -> int:
        """All tunnels."""
        return (self.plain + self.tls) * self.tunnels + self.originals


@dataclass
class Client:
    """
    A client.

    :ivar services: the ports of its local services, one for each tunnel.
    :ivar isOurs: whether it is not an original one.
    :ivar public: the public port of each, as it was at first.
    :ivar pid: the process, which may be a successor of the program's.
    """

    program: Program
    services: list[int]
    isOurs: bool
    public: list[int] = field(default_factory=list)
    pid: int = 0

    def __post_init__(self) -> None:
        self.pid = self.program.pid

    @property
    def isThere(self) -> bool:
        """Whether the process runs."""
        return (
            self.program.process.poll() is None if self.pid == self.program.pid else Path(f"/proc/{self.pid}").exists()
        )

    def now(self) -> list[int]:
        """The public ports as the client has reported them last; 0 for a tunnel that was never up."""
        found = dict.fromkeys(self.services, 0)
        for line in [*self.program.out, *self.program.err]:
            if match := re.search(r"listening at \S*?:(\d+)(?: -> \S*?:(\d+))?", line):
                found[int(match[2] or self.services[0])] = int(match[1])
        return list(found.values())


class BusySite:
    """
    A site, and its clients and visitors.

    :ivar clients: ours without TLS, ours with TLS, and the original ones.
    """

    def __init__(self, site: Site, size: Size) -> None:
        self.site = site
        self.size = size
        self.clients: list[Client] = []
        self._hashed: list[Program] = []
        self._web: list[Program] = []

    @property
    def ours(self) -> list[Client]:
        """The clients that are not original ones."""
        return [client for client in self.clients if client.isOurs]

    def startServices(self) -> None:
        """Start the local services."""
        lab = self.site.lab
        words = ("serve", "127.0.0.1", str(SERVICE_PORT), str(self.size.total))
        lab.python("client", "laboratory.hashedstreams", *words).waitFor("ready")
        path = shutil.which("nginx")
        if path is None or not shutil.which("wrk") or not shutil.which("ab"):
            raise SkipTest("nginx, wrk or ab is missing")
        folder = lab.folder / "nginx"
        folder.mkdir()
        lab.start("client", *nginxCommand(path, folder, _WEB))

    def serverOptions(self) -> tuple[str, ...]:
        """The options of a server that all these clients can use."""
        return _SERVER_OPTIONS

    def startClients(self, alike: bool = False) -> None:
        """
        Start the clients, and wait for their tunnels.

        :param alike: whether all tunnels have the usual service; otherwise one of each kind of client has the web
            server as its first one, and each tunnel a service of its own.
        """
        size, first = self.size, SERVICE_PORT
        for n in range(size.plain + size.tls):
            services = list(range(first, first + size.tunnels))
            first += size.tunnels
            if alike:
                services = [SERVICE_PORT]
            elif n in (0, size.plain):
                services[0] = _WEB_PORT
            self._startOurs(n, services, tls=n >= size.plain)
        for n in range(size.originals):
            words = ("local", str(_WEB_PORT if n == 1 else first + n), "--local-host", "127.0.0.1", "--to")
            program = self.site.lab.start("client", original(), *words, self.site.host)
            self.clients.append(Client(program, [_WEB_PORT if n == 1 else first + n], False))
        for client in self.clients:
            if secondsUntil(lambda c=client: all(c.now()), 60) is None:  # type: ignore[misc]
                raise AssertionError(f"not all tunnels came up\n{client.program.transcript()}")
            client.public = client.now()

    def _startOurs(self, number: int, services: list[int], tls: bool) -> None:
        server = f"tls://{self.site.host}:{TLS_PORT}" if tls else self.site.host
        tables = [f"[tunnel.t{each}]\nlocal = '127.0.0.1:{each}'\n" for each in services]
        path = self.site.lab.folder / f"client{number}.toml"
        path.write_text(f"server = '{server}'\n" + "".join(tables))
        path.chmod(0o600)
        program = self.site.lab.python("client", "bore", "up", str(path), state=f"client{number}")
        self.clients.append(Client(program, services, True))

    def startVisitors(self) -> None:
        """Have visitors come, and wait until as many are there as there should be."""
        pairs = [pair for each in self.clients for pair in zip(each.public, each.services, strict=True)]
        hashed = [pair for pair in pairs if pair[1] != _WEB_PORT]
        web = [public for public, service in pairs if service == _WEB_PORT]
        self._hashed = [
            self._visit(self.size.streams, 200, round(self.size.life / 0.5), 0.5, hashed),
            self._visit(self.size.bulk, 1 << 16, 1000, 0.002, hashed),
        ]
        # They take what is left, as otherwise nothing would be left for new processes.
        calm = ("nice", "-n", "10")
        many = str(self.size.requests)
        lab, host = self.site.lab, self.site.host
        self._web = [
            lab.start(
                "visitor",
                *calm,
                "wrk",
                "--latency",
                "-t1",
                f"-c{many}",
                "-d1h",
                "--timeout",
                "20s",
                f"http://{host}:{web[0]}/",
            )
        ]
        self._web += [
            lab.start(
                "visitor", *calm, "ab", "-q", "-r", "-s", "20", "-n", "3000000", "-c", many, f"http://{host}:{each}/"
            )
            for each in web[1:]
        ]
        for program in self._hashed:
            program.waitFor("ready")

    def _visit(self, atOnce: int, size: int, count: int, pause: float, pairs: list[tuple[int, int]]) -> Program:
        words = [self.site.host, *map(str, (atOnce, size, count, pause)), *(f"{a}:{b}" for a, b in pairs)]
        return self.site.lab.python("visitor", "laboratory.hashedstreams", "visit", *words)

    def judge(self, outcome: Outcome) -> Verdict:
        """Let the visitors leave, and note what they have seen."""
        for program in self._web:
            program.process.send_signal(signal.SIGINT)
        for program in self._hashed:
            program.process.send_signal(signal.SIGTERM)
        total = Verdict()
        for program in self._hashed:
            if program.wait(60):
                raise AssertionError(f"the visitors have failed\n{program.transcript()}")
            verdict = Verdict.read(program.out[-1])
            total.whole += verdict.whole
            total.troubles += verdict.troubles
            if verdict.longest > total.longest:
                total.longest, total.at = verdict.longest, verdict.at
        lost = total.troubles.total()
        outcome.holds(f"{lost} of {total.whole + lost} streams {_kinds(total.troubles)}", not lost)
        for program, what in zip(self._web, ("wrk", "ab", "ab, original client"), strict=False):
            program.wait(60)
            if what == "wrk":
                count, failed = _wrk(program)
            else:
                count, failed, longest = _ab(program)
                total.longest = max(total.longest, longest)
            outcome.holds(f"{what}: {failed} of {count} requests failed", count > 0 and not failed)
        self._tunnels(outcome)
        return total

    def _tunnels(self, outcome: Outcome) -> None:
        """Note which tunnels are there."""
        known = [port for client in self.clients for port in client.public]
        closed = sum(not self.site.lab.isOpen("visitor", self.site.host, port) for port in known)
        outcome.holds(f"{closed} of {len(known)} tunnels lost", not closed)
        changed = sum(a != b for client in self.clients for a, b in zip(client.public, client.now(), strict=True))
        outcome.holds(f"{changed} ports changed", not changed)
        ended = sum(not client.isThere for client in self.clients)
        outcome.holds(f"{ended} clients ended", not ended)


def _kinds(troubles: Counter[str]) -> str:
    text = ", ".join(f"{count} {kind}" for kind, count in sorted(troubles.items()))
    return f"not whole ({text})" if text else "refused, reset, cut or altered"


def _wrk(program: Program) -> tuple[int, int]:
    """How many requests there were, and how many of them failed."""
    found = parseWrk("\n".join(program.out))
    return found.count, found.failed


def _ab(program: Program) -> tuple[int, int, float]:
    """The same, and how long the longest took, in seconds."""
    text = "\n".join(program.out)
    numbers = re.search(r"Complete requests:\s+(\d+)\s+Failed requests:\s+(\d+)[\s\S]*100%\s+(\d+)", text)
    if numbers is None:
        raise AssertionError(f"ab has counted nothing\n{program.transcript()}")
    return int(numbers[1]), int(numbers[2]), int(numbers[3]) / 1000
