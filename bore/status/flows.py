"""What the visitors have moved so far who are being served."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from typing import Generic, TypeVar

from bore.relay.interface import Relay, Running
from bore.status.slices import Work, mapped

T = TypeVar("T")
S = TypeVar("S")


class Flows(Generic[T, S]):
    """
    Reads the pairs of a relay.

    That takes several turns, and visitors leave meanwhile. What these have moved belongs to the usage of their tunnels
    from then on, so it is not counted here any more.

    :param keys: returns the tunnel of a pair's visitor, and the session that has its lane; None: it has no visitor.
    """

    def __init__(self, relay: Relay | None, keys: Callable[[object], tuple[T, S] | None]) -> None:
        self._relay = relay
        self._keys = keys
        self._ofTunnel: dict[T, list[Running]] = {}
        self._onLanes: dict[S, int] = {}

    def read(self) -> Work[None]:
        """Read all pairs."""
        if self._relay is not None:
            yield from mapped(self._add, self._relay.running())

    def _add(self, pair: Running) -> None:
        keys = self._keys(pair.ended)
        if keys is not None:
            tunnel, session = keys
            self._ofTunnel.setdefault(tunnel, []).append(pair)
            if pair.lane is not None:
                self._onLanes[session] = self._onLanes.get(session, 0) + 1

    @property
    def tunnels(self) -> Iterable[T]:
        """The tunnels that had visitors."""
        return self._ofTunnel

    def pairs(self, tunnel: T) -> Iterator[Running]:
        """The pairs of a tunnel's visitors who are still there."""
        relay = self._relay
        return (pair for pair in self._ofTunnel.get(tunnel, ()) if relay is not None and relay.isRunning(pair))

    def of(self, tunnel: T) -> tuple[int, int]:
        """The bytes of those visitors of a tunnel who are still there: those to the right, and those to the left."""
        return self._sum([tunnel])

    def ofOthers(self, there: Container[T]) -> tuple[int, int]:
        """The same of all tunnels apart from those that are there."""
        return self._sum(tunnel for tunnel in self._ofTunnel if tunnel not in there)

    def _sum(self, tunnels: Iterable[T]) -> tuple[int, int]:
        toRight = toLeft = 0
        for tunnel in tunnels:
            for pair in self.pairs(tunnel):
                toRight += pair.toRight
                toLeft += pair.toLeft
        return toRight, toLeft

    def onLanes(self, session: S) -> int:
        """How many visitors were on lanes of a session."""
        return self._onLanes.get(session, 0)
