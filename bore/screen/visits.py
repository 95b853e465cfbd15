"""The lines of visits, and the sums of those that come too fast for lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bore.events import VisitorEnd
from bore.events.client import VisitorLeft, VisitorUnserved
from bore.screen.lines import Glyphs, Line, Part, Style
from bore.screen.words import amount, duration

#: Visits that have lines of their own between two sums, which are a second apart. If there were more, those of the next
#: second have none.
MOST_LINES: Final = 4


class Visits:
    """
    Turns visits into lines.

    :ivar held: whether all visits go into sums: nothing can be written now.
    """

    def __init__(self, glyphs: Glyphs) -> None:
        self._glyphs = glyphs
        self._lines = 0  # since the last sum
        self._isBurst = False
        self._visits = self._unserved = self._fromVisitors = self._toVisitors = 0
        self.held = False

    def happened(self, event: VisitorLeft | VisitorUnserved, names: Mapping[str, str]) -> Line | None:
        """
        Take a visit that is over into account.

        :param names: those of the tunnels by their local services, where there are several.
        :returns: its line; None: it is in the next sum.
        """
        if not (self.held or self._isBurst) and self._lines < MOST_LINES:
            self._lines += 1
            return self._line(event, names.get(event.local, ""))
        self._visits += 1
        if isinstance(event, VisitorLeft):
            self._fromVisitors += event.fromVisitor
            self._toVisitors += event.toVisitor
        else:
            self._unserved += 1
        return None

    def sum(self) -> Line | None:
        """Return the sum of those that had no line since the last sum; None: there was none."""
        if self.held:
            return None
        lines, self._lines = self._lines, 0
        self._isBurst = lines + self._visits > MOST_LINES
        if not self._visits:
            return None
        begin = "and {} more visits" if lines else "{} visits"
        text = begin.format(self._visits) if self._visits > 1 else begin.format(1).rstrip("s")
        line = [Part(f"{text}, "), Part(_both(self._glyphs, self._fromVisitors, self._toVisitors))]
        if self._unserved:
            line.append(Part(f", {self._unserved} not served", Style.WARN))
        self._visits = self._unserved = self._fromVisitors = self._toVisitors = 0
        return line

    def _line(self, event: VisitorLeft | VisitorUnserved, name: str) -> Line:
        line = [Part(f"{name}: ")] if name else []
        if isinstance(event, VisitorUnserved):
            return [*line, Part(f"visit not served: {event.error}", Style.WARN)]
        amounts = _both(self._glyphs, event.fromVisitor, event.toVisitor)
        who = f"{_hostOf(event.visitor)}:" if event.visitor else "visit of"
        line.append(Part(f"{who} {duration(event.seconds)}, {amounts}"))
        if event.reason is not VisitorEnd.FINISHED:
            line.append(Part(f", {event.reason.value}", Style.DIM))
        return line


def _both(glyphs: Glyphs, received: int, sent: int) -> str:
    return f"{glyphs.received} {amount(received)} {glyphs.sent} {amount(sent)}"


def _hostOf(address: str) -> str:
    """The host in ``HOST:PORT``, without brackets."""
    return address.rpartition(":")[0].strip("[]")
