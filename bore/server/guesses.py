"""How often an address may be wrong about the secret."""

from __future__ import annotations

from itertools import islice
from typing import Final

from twisted.internet.interfaces import IReactorTime

#: So many wrong secrets in a row cost an address nothing: people mistype, and several of them share one address.
BURST: Final = 10

#: After that one is checked at this interval, in seconds.
INTERVAL: Final = 0.5

#: The longest wait for a check, in seconds. Original clients have a patience of 3.
LONGEST_WAIT: Final = 2.0

#: Addresses that are remembered.
_SOURCES: Final = 4096


class Guesses:
    """
    Counts wrong secrets per source, and has a source that was wrong too often wait for its turn.

    What is right and what is wrong is only known when it was checked: so both wait. An address that guesses can slow
    down other clients behind it, and does not keep them out as long as it waits for answers itself.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._forgiven: dict[str, float] = {}  # when each source will be as good as new

    def __len__(self) -> int:
        """How many sources are remembered."""
        return len(self._forgiven)

    def failed(self, source: str) -> None:
        """A source was wrong about the secret."""
        now = self._clock.seconds()
        forgiven = max(self._forgiven.pop(source, now), now) + INTERVAL
        for other in list(islice(self._forgiven, 2)):  # those that were wrong the longest ago
            if self._forgiven[other] <= now or len(self._forgiven) >= _SOURCES:
                del self._forgiven[other]
        self._forgiven[source] = forgiven

    def limits(self, source: str) -> bool:
        """Whether a source has to wait for the next check."""
        return source in self._forgiven and self._debt(source) > 0

    def turn(self, source: str) -> float | None:
        """
        Put a source's next check in line. It counts as a wrong one already.

        :returns: in how many seconds it is due; None: too many wait already.
        """
        wait = self._debt(source)
        if wait > LONGEST_WAIT:
            return None
        self.failed(source)
        return max(wait, 0.0)

    def _debt(self, source: str) -> float:
        return self._forgiven.get(source, 0.0) - self._clock.seconds() - BURST * INTERVAL
