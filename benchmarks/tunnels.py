"""What is measured: a tunnel that is up, and something that can bring one up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from benchmarks import measure
from benchmarks.programs import Program, Programs


class Address(NamedTuple):
    """Where a program listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Tunnel:
    """
    A tunnel that is up.

    :ivar public: where visitors come.
    :ivar local: the service that it shows.
    :ivar ends: its two processes, by role: "server" is the one that visitors reach, "client" the one next to the
        service. Empty if there is no tunnel.
    :ivar control: where further clients of the server come, if they speak bore's protocol.
    :ivar encrypted: whether they have to speak it inside TLS.
    :ivar extended: whether the server knows the extension of that protocol.
    :ivar serverOptions: the further options of our server.
    """

    public: Address
    local: Address
    ends: Mapping[str, Program] = field(default_factory=dict)
    control: Address | None = None
    encrypted: bool = False
    extended: bool = False
    serverOptions: tuple[str, ...] = ()

    def cpu(self) -> dict[str, measure.Cpu]:
        """The CPU time that each end has used up to now."""
        return {role: measure.cpu(program.processes()) for role, program in self.ends.items()}

    def serverTime(self) -> float:
        """The CPU time that the server has used up to now, in seconds, for when little of it matters."""
        return measure.runTime(self.ends["server"].processes())

    def memory(self) -> dict[str, measure.Memory]:
        """The memory that each end has."""
        return {role: measure.memory(program.processes()) for role, program in self.ends.items()}

    def memoryOfWorkers(self) -> tuple[float, float]:
        """The resident memory of the server's first process, and of the largest of the others, in MiB."""
        first, *others = self.ends["server"].processes()
        return measure.memory([first]).rss, max(measure.memory([pid]).rss for pid in others)


class Subject(Protocol):
    """
    Something to be measured.

    :ivar key: its name in options and results.
    :ivar title: its name in tables and plots.
    :ivar install: how to get it.
    :ivar encrypted: whether its bytes between server and client are encrypted.
    """

    @property
    def key(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def install(self) -> str: ...

    @property
    def encrypted(self) -> bool: ...

    def version(self) -> str | None:
        """Its version; None if it is not here."""

    def start(self, programs: Programs, host: str, local: Address) -> Tunnel:
        """
        Show a local service, and be ready for visitors.

        :param host: a loopback address of its own: where its server and the public port are.
        :raises BenchmarkError: if that cannot be done.
        """
