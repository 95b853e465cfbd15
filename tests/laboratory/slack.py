"""How busy the machine is while a fault is measured."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Final

from tests.support import slowness

#: What an idle machine may add to a time that is promised, in seconds; a busy one may add more.
SLACK: Final = 2.0

#: How often it is looked at how late a thread runs, in seconds.
_STEP: Final = 0.02

#: How often what is measured may wait for a processor, one wait after another: a visitor and its answer pass six
#: processes, and not all of them are as unlucky as the unluckiest.
_WAITS: Final = 4

#: The part of the slack that the shortest times get which are promised; see Outcome.isWithin.
_SMALLEST_SHARE: Final = 1 / 8


class Slack:
    """
    How much longer than on an idle machine something may take: as this one is before, during and after it.

    Called when something has taken too long, in seconds.
    """

    def __init__(self) -> None:
        self._slowness = 1.0
        self._longest = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Slack:
        self._slowness = slowness()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def __call__(self) -> float:
        self._slowness = max(self._slowness, slowness())
        return SLACK * self._slowness + _WAITS * self._longest / _SMALLEST_SHARE

    def _watch(self) -> None:
        begin = time.monotonic()
        while not self._over.wait(_STEP):
            now = time.monotonic()
            self._longest = max(self._longest, now - begin - _STEP)
            begin = now
