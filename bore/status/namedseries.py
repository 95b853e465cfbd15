"""The series of single tunnels, or of single users."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

from prometheus_client.metrics_core import Metric

from bore.status.metrics import counter, gauge
from bore.status.series import OTHER, Named, OthersCounter

T = TypeVar("T")


class NamedSeries(Generic[T]):
    """
    Makes metrics with a sample for each of those who have series of their own, and one for all others.

    :param prefix: what is in front of their names.
    :param label: the label that has the name of each.
    :param name: returns it.
    """

    def __init__(self, prefix: str, label: str, name: Callable[[T], str]) -> None:
        self._prefix = prefix
        self._label = label
        self._name = name
        self._named: Named[str] = Named()
        self._others: dict[tuple[str, ...], OthersCounter[str]] = {}
        self._own: dict[str, T] = {}
        self._rest: dict[str, T] = {}

    def look(self, present: Iterable[T]) -> None:
        """Find out who has series of their own. The metrics that are made next are about these."""
        all = {self._name(each): each for each in present}
        named = self._named.choose(all)
        self._own = {name: each for name, each in all.items() if name in named}
        self._rest = {name: each for name, each in all.items() if name not in named}

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
            samples.append(((OTHER, *[""] * len(more)), sum(value(each) or 0.0 for each in self._rest.values())))
        return gauge(self._prefix + name, help, (self._label, *more), samples)

    def counter(self, name: str, help: str, value: Callable[[T], int]) -> Metric:
        """Make a metric that only goes up. That of the others does so, too."""
        samples = [((key,), value) for key, value in self._counted((name,), value).items()]
        return counter(self._prefix + name, help, (self._label,), samples)

    def bytes(self, directions: Mapping[str, Callable[[T], int]]) -> Metric:
        """
        Make the metric of the bytes that were passed on.

        :param directions: what was passed on for each, by the direction.
        """
        samples = [
            ((key, direction), value)
            for direction, of in directions.items()
            for key, value in self._counted(("bytes", direction), of).items()
        ]
        name, help = f"{self._prefix}bytes", "Bytes that were passed on."
        return counter(name, help, (self._label, "direction"), samples, "bytes")

    def _counted(self, what: tuple[str, ...], value: Callable[[T], int]) -> dict[str, int]:
        """The counters of each, and that of the others, if there ever were some."""
        others = self._others.setdefault(what, OthersCounter())
        counts = {key: value(each) for key, each in self._own.items()}
        sum = others.add({key: value(each) for key, each in self._rest.items()})
        if self._rest or sum:
            counts[OTHER] = sum
        return counts
