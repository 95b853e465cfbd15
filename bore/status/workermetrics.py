"""The metrics of a server's workers. All others are of the whole server, or of its supervisor's process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client.metrics_core import Metric

from bore.status.metrics import Samples, counter, gauge, single
from bore.status.report import WorkerReport

#: The states that workers may have.
_STATES: Final = ("starting", "serving", "retired", "ending", "hung")

#: The labels of what there is of each worker.
_LABELS: Final = ("worker", "generation")


def ofWorkers(workers: Sequence[WorkerReport], deaths: int) -> Iterator[Metric]:
    """
    Make the metrics of the workers.

    :param deaths: how many have ended that should not.
    """
    yield counter("server_worker_deaths", "Workers that have ended and should not.", (), single(deaths))
    latest = max((each.generation for each in workers), default=0)
    yield gauge("server_generation", "The generation of the latest workers.", (), single(latest))
    states = {(str(each.generation), state): 0 for each in workers for state in _STATES}
    for each in workers:
        key = str(each.generation), each.state
        states[key] = states.get(key, 0) + 1
    yield gauge("server_workers", "Workers.", ("generation", "state"), states.items())
    yield gauge(
        "server_worker_answers", "Whether a worker answers.", _LABELS, [(_of(each), each.answers) for each in workers]
    )
    samples: Samples = [(_of(each), each.sessions) for each in workers]
    yield gauge("server_worker_sessions", "Sessions of a worker.", _LABELS, samples)
    samples = [(_of(each), each.visitors) for each in workers]
    yield gauge("server_worker_visitors_open", "Visitors that a worker serves.", _LABELS, samples)
    known = [(_of(each), each.process) for each in workers if each.process is not None]
    yield counter(
        "server_worker_cpu_seconds",
        "CPU time of a worker.",
        _LABELS,
        [(labels, process.cpu) for labels, process in known],
        "seconds",
    )
    yield gauge(
        "server_worker_resident_memory_bytes",
        "Resident memory of a worker.",
        _LABELS,
        [(labels, process.memory) for labels, process in known],
        "bytes",
    )
    yield gauge(
        "server_worker_open_fds",
        "Open descriptors of a worker.",
        _LABELS,
        [(labels, process.descriptors) for labels, process in known],
    )


def _of(worker: WorkerReport) -> tuple[str, str]:
    return str(worker.worker), str(worker.generation)
