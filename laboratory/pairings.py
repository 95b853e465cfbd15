"""Who is on which side: ours, or the original."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple

from laboratory.link import Link
from laboratory.measure import Talk, Visits, secondsUntil
from laboratory.network import Lab
from tests.original import original
from tests.support import Program

#: The control port, and the port of the local service.
CONTROL_PORT: Final = 7835
SERVICE_PORT: Final = 9000

#: So that the lanes of a burst are not kept for the minute that they usually are.
FEW_LANES: Final = ("--max-lanes", "4")


class Pairing(NamedTuple):
    """
    Who is the server, and who the client: ``ours`` or ``original``.

    :ivar tls: whether they speak TLS.
    :ivar engine: what keeps who owns which address, where the server is a cluster.
    """

    server: str
    client: str
    tls: bool = False
    engine: str = ""

    @property
    def key(self) -> str:
        if self.engine:
            return f"cluster-{self.engine}"
        return f"{self.server}-{self.client}" + ("-tls" if self.tls else "")

    @property
    def title(self) -> str:
        return {
            OURS: "txbore with txbore",
            OURS_TLS: "txbore with txbore, with TLS",
            TO_ORIGINAL: "Server: original, client: txbore",
            FROM_ORIGINAL: "Server: txbore, client: original",
            ORIGINAL: "Original with original",
            WITH_REDIS: "A cluster with Redis",
            WITH_ETCD: "A cluster with etcd",
        }[self]

    @property
    def isOurs(self) -> bool:
        """Whether both sides are ours: something is promised then."""
        return self.server == self.client == "ours"


OURS: Final = Pairing("ours", "ours")
OURS_TLS: Final = Pairing("ours", "ours", tls=True)
FROM_ORIGINAL: Final = Pairing("ours", "original")
TO_ORIGINAL: Final = Pairing("original", "ours")
ORIGINAL: Final = Pairing("original", "original")
WITH_REDIS: Final = Pairing("ours", "ours", tls=True, engine="redis")
WITH_ETCD: Final = Pairing("ours", "ours", tls=True, engine="etcd")

#: All of them, and those without TLS; and those of a cluster, each with an engine.
PAIRINGS: Final = (OURS, OURS_TLS, FROM_ORIGINAL, TO_ORIGINAL, ORIGINAL, WITH_REDIS, WITH_ETCD)
PLAIN: Final = (OURS, FROM_ORIGINAL, TO_ORIGINAL, ORIGINAL)
CLUSTERS: Final = (WITH_REDIS, WITH_ETCD)


class Site:
    """
    A laboratory with a server on one host, a client and a local service on another, and visitors on a third.

    :ivar server: the server's program, once it was started; so is ``client``.
    """

    def __init__(self, pairing: Pairing, name: str, *further: str) -> None:
        self.pairing = pairing
        self._paths = {} if pairing.isOurs else {"original": [original()]}
        self._paths["ours"] = [sys.executable, "-m", "bore"]
        self.lab = Lab(name, ("server", "client", "visitor", *further))
        self.link = Link(self.lab, "client")
        self.host = self.lab.address("server")
        self.server: Program
        self.client: Program

    def __enter__(self) -> Site:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.lab.close()

    def runServerFrom(self, folder: Path) -> None:
        """Let servers that are started from now on be those of the code in a folder."""
        self._paths["ours"] = ["env", "-C", str(folder), sys.executable, "-m", "bore"]

    def _words(self, role: str, *ours: str) -> list[str]:
        """
        The beginning of the command line of one side.

        :param role: ``server`` or ``local``.
        :param ours: options that only ours knows.
        """
        kind = self.pairing.server if role == "server" else self.pairing.client
        tls = ("--tls",) if self.pairing.tls else ()
        return [*self._paths[kind], role, *((*ours, *tls) if kind == "ours" else ())]

    def startService(self) -> None:
        """Start the local service, an echo."""
        self.lab.python("client", "laboratory.echo", "127.0.0.1", str(SERVICE_PORT)).waitFor("ready")

    def startServer(self, *ours: str, place: str = "server") -> Program:
        """
        Start the server, and wait until it listens.

        :param ours: options that only ours knows.
        """
        self.server = self.lab.start(place, *self._words("server", *ours))
        address = self.lab.address(place)
        if secondsUntil(lambda: self.lab.isOpen("visitor", address, CONTROL_PORT), 20) is None:
            raise AssertionError(f"the server does not listen\n{self.server.transcript()}")
        return self.server

    def startClient(self, *ours: str, place: str = "client", to: str = "", state: str = "") -> Program:
        """
        Start a client.

        :param ours: options that only ours knows.
        :param state: its state folder, which is that of its host by default.
        """
        words = [str(SERVICE_PORT), "--local-host", "127.0.0.1", "--to", to or self.host]
        program = self.lab.start(place, *self._words("local", *ours), *words, state=state)
        if place == "client":
            self.client = program
        return program

    def startCrowd(self, clients: int) -> Program:
        """Start many clients in one process, and wait until their tunnels are up; see laboratory.manyclients."""
        words = (self.host, str(SERVICE_PORT), str(clients))
        crowd = self.lab.python("client", "laboratory.manyclients", *words)
        crowd.waitFor("opened", 30 + clients / 20, after=clients - 1)
        return crowd

    def start(self, serverOptions: Sequence[str] = (), clientOptions: Sequence[str] = ()) -> int:
        """Start everything; return the public port."""
        self.startService()
        self.startServer(*serverOptions)
        return port(self.startClient(*clientOptions))

    def visits(self, port: int, interval: float = 0.25) -> Visits:
        """Have visitors come."""
        return Visits(self.lab, "visitor", self.host, port, interval)

    def talk(self, port: int) -> Talk:
        """Have a visitor come and stay."""
        return Talk(self.lab, "visitor", self.host, port)


def ports(program: Program) -> list[int]:
    """The public ports that a client has reported, one for each time that its tunnel came up."""
    # Ours logs the port each time, and prints it when it is another one.
    lines = program.err if any("listening at" in line for line in program.err) else program.out
    return [int(found.group(1)) for line in lines if (found := re.search(r"listening at \S*?:(\d+)", line))]


def port(program: Program) -> int:
    """The client's public port, when its tunnel is up."""
    program.waitFor("listening at")
    return ports(program)[-1]


def lines(program: Program, pattern: str, start: int = 0) -> list[str]:
    """The lines of a program's output, from its n-th on, that match."""
    return [line for line in [*program.err[start:], *program.out[start:]] if re.search(pattern, line)]
