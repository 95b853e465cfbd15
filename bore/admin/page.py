"""What the pages about servers and clients have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bore.admin.answer import Part
from bore.admin.layout import WARNING, Line, Row, table, wrapped
from bore.admin.units import amount, counted, delay, duration

#: The columns that are aligned on the right, and not wrapped.
NUMBERS: Final = (
    *("OPEN", "WAITING", "TOTAL", "REFUSED", "UNSERVED", "IN", "OUT", "ROUND TRIP", "SESSIONS"),
    *("WORKER", "GENERATION", "MEMORY"),
)

#: A limit is nearly reached when this part of it is used.
_NEARLY: Final = 0.8

#: The most limits that are shown; each source of connections may have one.
_MAX_LIMITS: Final = 10


@dataclass(frozen=True, slots=True)
class View:
    """
    How a page is shown.

    :ivar width: of the terminal, in columns.
    :ivar now: the current time.
    :ivar user: the user whose sessions and tunnels are shown; empty: those of all.
    """

    width: int
    now: datetime
    user: str = ""

    def table(self, headings: Sequence[str], rows: Sequence[Row]) -> list[Line]:
        """Lay out a table; one without rows is left out."""
        return table(headings, rows, self.width, NUMBERS) if rows else []

    def age(self, part: Part, key: str) -> str:
        """Return how long ago a time was; empty if there is none."""
        time = part.time(key)
        return "" if time is None else duration((self.now - time).total_seconds())

    def ours(self, parts: Sequence[Part], key: str = "user") -> list[Part]:
        """Return those that belong to the user whose page this is."""
        return [each for each in parts if not self.user or each.text(key) == self.user]


def blocks(*parts: list[Line]) -> list[Line]:
    """Join the parts of a page, with an empty line between two."""
    lines: list[Line] = []
    for part in filter(None, parts):
        lines += [*([Line("")] if lines else []), *part]
    return lines


def title(program: str, state: str, status: Part) -> str:
    """Return the title of a page: the program, its version, its state and its age."""
    age = duration(status.number("uptime"))
    started = f", started {age} ago" if age else ""
    return f"{program} {status.text('version')}: {state}{started} (pid {status.text('pid')})"


def nearlyReached(status: Part, view: View) -> list[Line]:
    """Return a line for each limit that is nearly reached."""
    found = []
    for each in status.parts("limits"):
        used, limit, whose = each.count("used"), each.count("limit"), each.text("whose")
        if limit and used >= _NEARLY * limit and (not view.user or whose == view.user):
            state = "reached" if used >= limit else "nearly reached"
            owner = f" ({whose})" if whose else ""
            found.append((used / limit, f"! limit {state}: {each.text('what')}{owner}, {used} of {limit}"))
    found.sort(key=lambda each: -each[0])
    lines = [text for _, text in found[:_MAX_LIMITS]]
    if len(found) > _MAX_LIMITS:
        lines.append(f"! {counted(len(found) - _MAX_LIMITS, 'more limit')} nearly reached")
    return [Line(part, WARNING) for text in lines for part in wrapped(text, view.width)]


def lanes(part: Part) -> str:
    """Return how many lanes are open and busy; empty if there are none."""
    count = part.part("lanes").count("open")
    return f"{count}, {part.part('lanes').count('busy')} busy" if count else ""


def roundTrip(part: Part) -> str:
    """Return the time of a round trip."""
    return delay(part.number("roundTrip"))


def number(count: int) -> str:
    """Return a number, or nothing for 0: a column of zeros is left out."""
    return str(count) if count else ""


def transferred(part: Part, key: str) -> str:
    """Return a number of bytes."""
    return amount(part.count(key))
