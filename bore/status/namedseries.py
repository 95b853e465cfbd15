"""
The series of single tunnels, or of single users.

A scrape takes several turns of the reactor, and another one may begin meanwhile. So what lasts from one to the next is
changed in one step, :meth:`NamedSeries.look`, and what a scrape goes on with is its own (:class:`Look`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

from prometheus_client.metrics_core import Metric

from bore.status.metrics import counter, gauge
from bore.status.series import OTHER, Named, OthersCounter

T = TypeVar("T")


class NamedSeries(Generic[T]):
    """
    Chooses those who have series of their own, and sums up the others.

    :param prefix: what is in front of the names of the metrics.
    :param label: the label that has the name of each.
    :param name: returns it.
    :param counters: what is counted for each.
    """

    def __init__(
        self, prefix: str, label: str, name: Callable[[T], str], counters: Mapping[str, Callable[[T], int]]
    ) -> None:
        self.prefix = prefix
        self.label = label
        self._name = name
        self.counters = counters
        self._named: Named[str] = Named()
        self._others: dict[str, OthersCounter[str]] = {name: OthersCounter() for name in counters}

    def look(self, present: Iterable[T]) -> Look[T]:
        """Begin a scrape. Each must be about a later state than the one before."""
        all = {self._name(each): each for each in present}
        named = self._named.choose(all)
        own = {name: each for name, each in all.items() if name in named}
        rest = {name: each for name, each in all.items() if name not in named}
        sums = {
            name: self._others[name].add({key: of(each) for key, each in rest.items()})
            for name, of in self.counters.items()
        }
        return Look(self, own, list(rest.values()), sums)


class Look(Generic[T]):
    """
    Makes metrics with a sample for each of those who have series of their own, and one for all others.

    :param own: those who have, by their names.
    :param rest: the others.
    :param sums: what is counted for all others who ever were there.
    """

    def __init__(self, series: NamedSeries[T], own: Mapping[str, T], rest: list[T], sums: Mapping[str, int]) -> None:
        self._series = series
        self._own = own
        self._rest = rest
        self._sums = sums

    def gauge(
        self,
        name: str,
        help: str,
        value: Callable[[T], float | None],
        further: Mapping[str, Callable[[T], str]] | None = None,
    ) -> Metric:
        """
        Make a metric that goes up and down. That of the others is their sum.

        :param value: returns that of each; None: it has none.
        :param further: further labels, and what they are of each. They are empty for the others.
        """
        more = further or {}
        samples = [
            ((key, *(of(each) for of in more.values())), found)
            for key, each in self._own.items()
            if (found := value(each)) is not None
        ]
        if self._rest:
            samples.append(((OTHER, *[""] * len(more)), sum(value(each) or 0.0 for each in self._rest)))
        return gauge(self._series.prefix + name, help, (self._series.label, *more), samples)

    def counter(self, name: str, help: str) -> Metric:
        """Make a metric of what is counted under a name."""
        samples = [((key,), value) for key, value in self._counted(name).items()]
        return counter(self._series.prefix + name, help, (self._series.label,), samples)

    def bytes(self, *directions: str) -> Metric:
        """Make the metric of the bytes that were passed on, which are counted under the names of their directions."""
        samples = [
            ((key, direction), value) for direction in directions for key, value in self._counted(direction).items()
        ]
        labels = (self._series.label, "direction")
        return counter(f"{self._series.prefix}bytes", "Bytes that were passed on.", labels, samples, "bytes")

    def _counted(self, name: str) -> dict[str, int]:
        """What is counted for each, and for the others if there ever were some."""
        of, sum = self._series.counters[name], self._sums[name]
        counts = {key: of(each) for key, each in self._own.items()}
        return {**counts, OTHER: sum} if self._rest or sum else counts
