"""
Metrics as text, in slices.

Prometheus' own library writes the text of all metrics at once, which with a thousand tunnels takes longer than streams
should wait. So it gets a few samples at a time here, and the reactor has its turn between them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from twisted.internet.defer import Deferred

from bore.status.metrics import ofProcess
from bore.status.questions import Answer, Question, Route
from bore.status.routes import Take

R = TypeVar("R")

#: The most samples that are written at once: that takes about a millisecond.
SLICE: Final = 100

#: What OpenMetrics has at the end of all metrics.
_END: Final = "# EOF\n"

#: The lines in front of the samples of a metric.
_HEAD: Final = re.compile("(?:#[^\n]*\n)+")


class _One(CollectorRegistry):
    """A registry with one metric."""

    def __init__(self, metric: Metric) -> None:
        CollectorRegistry.__init__(self)
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)


def metricsRoute(take: Take[R], families: Callable[[R], Iterator[Metric]]) -> Route:
    """
    Answer /metrics, in the format that the scraper asks for.

    :param take: takes a snapshot.
    :param families: makes the metrics of it.
    """

    def route(question: Question) -> Deferred[Answer]:
        accept = question.headers.get("accept", "")
        try:
            kind = choose_encoder(accept)[1]
        except (TypeError, ValueError):  # the library takes no version such as "1.x"
            accept = ""
            kind = choose_encoder(accept)[1]
        return take().addCallback(lambda report: Answer(slices(chain(families(report), ofProcess()), accept), kind))

    return route


def slices(metrics: Iterable[Metric], accept: str) -> Iterator[str]:
    """
    Write metrics as text, in slices, each of which takes a moment.

    :param metrics: the metrics; they are changed.
    :param accept: the Accept header of the request, which decides between OpenMetrics and the older format.
    """
    encode, kind = choose_encoder(accept)
    for metric in metrics:
        yield ""  # they were made in one piece
        samples = metric.samples
        for start in range(0, max(1, len(samples)), SLICE):
            metric.samples = samples[start : start + SLICE]
            text = encode(_One(metric)).decode().removesuffix(_END)
            yield _HEAD.sub("", text, 1) if start else text
    if kind.startswith("application/openmetrics-text"):
        yield _END
