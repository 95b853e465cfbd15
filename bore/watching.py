"""Notices that a file has changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from bore.system.filestamps import stampOf


class FileWatch:
    """
    Looks at a file now and then, while it is started.

    :param interval: how often, in seconds.
    :param changed: called when the file is another one than at the last call of :meth:`noted`, and has been the same
        twice: its writer has finished.
    """

    def __init__(self, clock: IReactorTime, path: Path, interval: float, changed: Callable[[], object]) -> None:
        self._clock = clock
        self._path = path
        self._interval = interval
        self._changed = changed
        self._looking: IDelayedCall | None = None
        self.noted()

    def start(self) -> None:
        """Look at the file from now on. May be called again."""
        if self._looking is None:
            self._looking = self._clock.callLater(self._interval, self._look)

    def stop(self) -> None:
        """Look no more. May be called again."""
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def noted(self) -> None:
        """The file is read now."""
        self._known = self._seen = stampOf(self._path)

    def _look(self) -> None:
        self._looking = None
        self.start()  # first: whatever a file does to the program, the next one is read
        seen, self._seen = self._seen, stampOf(self._path)
        if self._seen == seen != self._known and seen is not None:
            self._changed()
