"""What several workers have answered to one order, as one answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bore.wire.workermessages import Done


class Reloaded(NamedTuple):
    """
    What a reload has changed.

    :ivar restart: the keys of the settings file for which the server has to be started again; empty: none.
    """

    changes: Sequence[str]
    mistakes: Sequence[str]
    restart: str


def kicked(answers: Iterable[Done]) -> tuple[int, int, int]:
    """The numbers of sessions, tunnels and visitors that were ended."""
    sessions = tunnels = visitors = 0
    for each in answers:
        counts = (*each.counts, 0, 0, 0)
        sessions, tunnels, visitors = sessions + counts[0], tunnels + counts[1], visitors + counts[2]
    return sessions, tunnels, visitors


def reloaded(own: Reloaded, answers: Sequence[tuple[int, Done | None]]) -> Reloaded:
    """
    What a reload has changed in all processes. What several of them say is there once.

    :param own: what it has changed in the supervisor.
    :param answers: the numbers of the workers, and their answers; None: a worker has not answered in time.
    """
    changes = dict.fromkeys(own.changes)
    mistakes = dict.fromkeys(own.mistakes)
    ofWorkers: dict[str, list[int]] = {}
    for number, answer in answers:
        if answer is None:
            mistakes[f"worker {number} has not answered: it may not have read the files"] = None
            continue
        changes.update(dict.fromkeys(answer.lines))
        for line in (answer.problem or "").splitlines():
            ofWorkers.setdefault(line, []).append(number)
    for line, numbers in ofWorkers.items():
        if line not in mistakes:
            isOfAll = len(numbers) == len(answers)
            mistakes[line if isOfAll else f"worker {', '.join(map(str, numbers))}: {line}"] = None
    return Reloaded(list(changes), list(mistakes), own.restart)
