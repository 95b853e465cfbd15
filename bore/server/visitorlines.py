"""The log of what happens to the visitors of a tunnel as a whole."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from bore.events import Event, entryOf
from bore.events.server import VisitorsHeldBack
from bore.server.tunnellog import at
from bore.timing.bursts import Burst, Overflow
from bore.wire.publicaddress import PublicAddress


class VisitorLines:
    """Logs what happens to the visitors of one tunnel as a whole."""

    def __init__(self, clock: IReactorTime, log: Logger, address: PublicAddress) -> None:
        self._clock = clock
        self._log = log
        self._address = address
        self._overflows: dict[str, Overflow] = {}
        self._heldBack = Burst(clock)

    def lost(self, text: str, event: Event) -> None:
        """Log visitors that are closed: a line for the first one of a burst, and one with their number at its end."""
        overflow = self._overflows.get(text)
        if overflow is None:
            overflow = self._overflows[text] = Overflow(self._clock, at(self._address, text))
        overflow.happened(**({} if overflow.ongoing else entryOf(event)))

    def heldBack(self, event: VisitorsHeldBack) -> None:
        """Log that visitors are held back: a line for each burst of that."""
        if event.count and self._heldBack.begins():
            self._log.warn(
                at(self._address, "visitors that wait for the client: {count}; more are not accepted yet"),
                **entryOf(event),
            )

    def stop(self) -> None:
        """Log the sums."""
        for overflow in self._overflows.values():
            overflow.end()
