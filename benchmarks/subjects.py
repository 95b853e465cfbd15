"""How each tunnel of ours is started, no tunnel, and everything that is measured."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.peers import CONTROL_PORT, Chisel, Frp, HAProxy, Original, Rathole, Ssh
from benchmarks.programs import Programs, freePort, toldVersion
from benchmarks.tunnels import Address, Subject, Tunnel

#: Our server with the original's client: bursts alone are measured with these.
MIXED: Final = "mixed"


@dataclass(frozen=True, slots=True)
class Direct:
    """No tunnel: visitors come to the service itself."""

    key: str = "direct"
    title: str = "no tunnel"
    install: str = ""
    encrypted: bool = False

    def version(self) -> str | None:
        return "-"

    def start(self, programs: Programs, host: str, local: Address) -> Tunnel:
        return Tunnel(local, local)


@dataclass(frozen=True, slots=True)
class Ours:
    """
    This project's server and client.

    Inside TLS the server makes a key for itself, and the client takes the first one that it sees.

    :ivar environment: which body of the relay they have.
    :ivar options: further options of the client.
    :ivar encrypted: whether they speak TLS.
    :ivar serverOptions: further options of the server.
    """

    key: str
    title: str
    environment: Mapping[str, str]
    options: tuple[str, ...] = ()
    encrypted: bool = False
    install: str = ""
    serverOptions: tuple[str, ...] = ()

    def version(self) -> str | None:
        return toldVersion([sys.executable, "-m", "bore", "--version"], r"txbore (\S+)")

    def start(self, programs: Programs, host: str, local: Address) -> Tunnel:
        control, public = Address(host, freePort(host)), Address(host, freePort(host))
        bore = [sys.executable, "-m", "bore"]
        # Nothing that is remembered of earlier servers is in the way, and nothing is left behind.
        environment = {"XDG_STATE_HOME": str(programs.folder / f"state-{host}"), **self.environment}
        tls = ["--tls"] if self.encrypted else []
        bounds = ["--max-tunnels-per-source", "0"]  # all of them come from this machine
        options = [*bounds, *tls, *self.serverOptions]
        words = [*bore, "server", "--bind-addr", host, "--control-port", str(control.port), *options]
        server = programs.start(words, environment)
        server.waitUntilListening(*control)
        words = [*bore, "local", str(local.port), "-l", local.host, "-t", str(control), "-p", str(public.port)]
        # A look whether the service is there would be the one test that iperf3 serves.
        client = programs.start([*words, "--no-state", "--no-probe", *tls, *self.options], environment)
        client.waitUntilListening(*public)
        ends = {"server": server, "client": client}
        return Tunnel(public, local, ends, control, self.encrypted, True, self.serverOptions)


@dataclass(frozen=True, slots=True)
class Mixed:
    """This project's server with the original's client, which knows one control port only."""

    key: str = MIXED
    title: str = "ours, original client"
    install: str = "cargo install bore-cli, or name its path in BORE_RUST"
    encrypted: bool = False

    def version(self) -> str | None:
        return Original().version()

    def start(self, programs: Programs, host: str, local: Address) -> Tunnel:
        control, public = Address(host, CONTROL_PORT), Address(host, freePort(host))
        server = programs.start([sys.executable, "-m", "bore", "server", "--bind-addr", host])
        server.waitUntilListening(*control)
        return Tunnel(public, local, {"server": server, "client": Original().client(programs, local, public)}, control)


#: Everything that is measured, in the order of tables and plots. Splice, with lanes, is what Linux gets without being
#: asked; on the base path each visitor has a data connection of its own, as with an original peer, and inside TLS a
#: handshake of its own. What a goal compares is side by side: the machine changes from one moment to the next.
SUBJECTS: Final[tuple[Subject, ...]] = (
    Direct(),
    Ours("splice", "ours (splice)", {}),
    Ours("worker", "ours (1 worker)", {}, serverOptions=("--workers", "1")),
    Ours("workers", "ours (2 workers)", {}, serverOptions=("--workers", "2")),
    Ours("tls", "ours (TLS)", {}, encrypted=True),
    Ours("base", "ours (base path)", {}, ("--lanes", "0")),
    Ours("tls-base", "ours (TLS, base path)", {}, ("--lanes", "0"), encrypted=True),
    Ours("portable", "ours (portable)", {"BORE_RELAY": "portable"}),
    Original(),
    Mixed(),
    HAProxy(),
    Ssh(),
    Rathole(),
    Rathole("rathole-noise", "rathole (noise)", encrypted=True),
    Frp(),
    Chisel(),
)

#: What ratios are taken to.
ORIGINAL: Final = "original"
HAPROXY: Final = "haproxy"
RATHOLE: Final = "rathole"

#: What ratios are taken to among the encrypted ones.
SSH: Final = "ssh"

#: Ours with workers, which only some cases are for.
WITH_WORKERS: Final = ("worker", "workers")

#: Those through which everybody can read on the way.
PLAIN: Final = tuple(
    subject for subject in SUBJECTS if not subject.encrypted and subject.key not in (MIXED, *WITH_WORKERS)
)

#: Ours with workers, and before them without.
WORKERS: Final = tuple(subject for subject in SUBJECTS if subject.key in ("splice", *WITH_WORKERS))

#: The encrypted ones, and before them ours without TLS.
ENCRYPTED: Final = tuple(subject for subject in SUBJECTS if subject.encrypted or subject.key in ("splice", "base"))
