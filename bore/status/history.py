"""What has happened since the start: the number of events of each kind, and the last ones."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final

from bore.events import Event, Sink, entryOf
from bore.wire.errors import Refusal

#: How many events are kept.
RECENT: Final = 100


class History:
    """
    Counts the events of a program, but for those of single visitors, and keeps the last ones.

    It subscribes to the sink when it is made.

    :param turnedAway: the class of the event that a visitor was refused.
    :param wallClock: returns the seconds since the epoch.
    :ivar counts: how many events of each class there were.
    :ivar refused: how often something was refused, by the code of the refusal.
    :ivar recent: the last events, the oldest first: when they happened, in seconds since the epoch, and their entries.
        Of refused visitors in a row there is the first one only. The events themselves are not kept, as an error in one
        of them holds the connection that has raised it.
    """

    def __init__(self, sink: Sink, turnedAway: type[Event], wallClock: Callable[[], float] = time.time) -> None:
        self._turnedAway = turnedAway
        self._wallClock = wallClock
        self.counts: dict[type[Event], int] = {}
        self.refused: dict[str, int] = {}
        self.recent: deque[tuple[float, dict[str, object]]] = deque(maxlen=RECENT)
        self._last: type[Event] | None = None
        self._meanwhile: list[Event] | None = None
        sink.subscribe(self)

    def __call__(self, event: Event) -> None:
        kind = type(event)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if kind is not self._last or kind is not self._turnedAway:  # a flood of visitors leaves room for others
            self._last = kind
            self.recent.append((self._wallClock(), entryOf(event)))
        if self._meanwhile is not None:
            self._meanwhile.append(event)
        code = self._refusal(event)
        if code is not None:
            self.refused[code] = self.refused.get(code, 0) + 1

    def during(self, call: Callable[[], object]) -> list[Event]:
        """Call something, and return what has happened meanwhile."""
        found: list[Event] = []
        self._meanwhile = found
        try:
            call()
        finally:
            self._meanwhile = None
        return found

    def _refusal(self, event: Event) -> str | None:
        """The code of the refusal that an event reports; None: it reports none."""
        if isinstance(event, self._turnedAway):
            why = getattr(event, "why", None)
            return why.name.lower().replace("_", "-") if isinstance(why, Enum) else None
        error = getattr(event, "error", None)
        if isinstance(error, Refusal):
            return error.code
        code = getattr(event, "code", None)
        return code if isinstance(code, str) and code else None
