"""
Metrics for Prometheus, made of a snapshot when they are asked for.

Names and units follow https://prometheus.io/docs/practices/naming/; docs/metrics.rst has them all. Labels have the
words of the snapshot. What holds for both ends is here, the rest in :mod:`bore.status.servermetrics` and
:mod:`bore.status.clientmetrics`.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)

from bore.system.usage import usage
from twisted import __version__ as twistedVersion

if TYPE_CHECKING:
    from bore.status.report import ClientReport, ServerReport

#: Values of a metric by the values of its labels, in the order of these.
Samples: TypeAlias = Iterable[tuple[tuple[str, ...], float]]

_PREFIX: Final = "txbore_"


def gauge(name: str, help: str, labels: tuple[str, ...], samples: Samples, unit: str = "") -> Metric:
    """
    Make a metric that goes up and down.

    :param name: without what is in front of all names, and with its unit at the end.
    """
    made = GaugeMetricFamily(_PREFIX + name, help, labels=labels, unit=unit)
    for values, value in samples:
        made.add_metric(values, value)
    return made


def counter(name: str, help: str, labels: tuple[str, ...], samples: Samples, unit: str = "") -> Metric:
    """
    Make a metric that only goes up.

    :param name: without what is in front of all names, and without ``_total`` at the end.
    """
    made = CounterMetricFamily(_PREFIX + name, help, labels=labels, unit=unit)
    for values, value in samples:
        made.add_metric(values, value)
    return made


def single(value: float) -> Samples:
    """The only sample of a metric without labels."""
    return [((), value)]


def byLabel(values: Mapping[str, float]) -> Samples:
    """The samples of a metric with one label."""
    return [((key,), value) for key, value in values.items()]


def counted(words: Iterable[str], known: tuple[str, ...]) -> Samples:
    """
    Count words, for a metric with one label.

    :param known: the words that have a sample even if there are none of them.
    """
    counts = dict.fromkeys(known, 0)
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return byLabel(counts)


def common(report: ServerReport | ClientReport, since: float, states: tuple[str, ...]) -> Iterator[Metric]:
    """
    Make the metrics of a program of either kind.

    :param since: when it started, in seconds since the epoch.
    :param states: the states that it may have.
    """
    program = report.program
    yield InfoMetricFamily(
        _PREFIX + "build",
        "The versions that run.",
        value={
            "program": program,
            "version": report.version,
            "python": platform.python_version(),
            "twisted": twistedVersion,
        },
    )
    help = "When the program started, as Unix time."
    yield gauge(f"{program}_start_time_seconds", help, (), single(since), "seconds")
    help = "1 for the state that the program is in."
    yield gauge(f"{program}_state", help, ("state",), counted([report.state], states))
    totals = report.totals
    yield counter(f"{program}_visitors", "Visitors that were accepted.", (), single(totals.visitors))
    yield counter(f"{program}_refused", "What was refused, by the reason.", ("reason",), byLabel(totals.refused))
    yield counter(
        f"{program}_events", "What has happened, by the name of the event.", ("event",), byLabel(totals.events)
    )


def ofProcess() -> Iterator[Metric]:
    """Make the metrics of the process, where the system shows them, by the names that all programs have for them."""
    found = usage()
    if found is None:
        return
    for name, help, value in (
        ("virtual_memory_bytes", "Virtual memory size in bytes.", found.virtual),
        ("resident_memory_bytes", "Resident memory size in bytes.", found.resident),
        ("start_time_seconds", "Start time of the process as Unix time.", found.started),
        ("open_fds", "Number of open file descriptors.", found.descriptors),
        ("max_fds", "Maximum number of open file descriptors.", found.most),
    ):
        yield GaugeMetricFamily(f"process_{name}", help, value=value)
    help = "Total user and system CPU time spent in seconds."
    yield CounterMetricFamily("process_cpu_seconds", help, value=found.cpu)
