"""What the tests of the screen share."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from typing import Final

from hypothesis import strategies as st

from bore.screen.figures import Figures, ServerFigures, TunnelFigures

NOON: Final = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)

#: Texts that servers, users and services may have chosen, to do harm to a terminal.
HOSTILE: Final = (
    "\x1b[2J\x1b[H",
    "\x1b]0;title\x07",
    "\x9b31m",
    "a\rb\nc\x08\x00",
    "\u202eevil\u2066",
    "\u2028\u200b\ufeff",
    "e" + "\u0301" * 500,
    "\N{WATCH}\ufe0f" * 40,
    "漢字" * 40,
    "\ud800",
)

texts = st.one_of(
    st.sampled_from(HOSTILE), st.text(max_size=60), st.from_regex(r"[a-z.]{0,30}:[0-9]{1,5}", fullmatch=True)
)
widths = st.integers(1, 250)

tunnels = st.builds(TunnelFigures, texts, texts, texts, st.booleans(), texts, st.booleans())
servers = st.builds(
    ServerFigures, texts, st.booleans(), st.floats(0, 1e6), st.none() | st.floats(0, 1e4), st.just("") | texts
)
numbers = st.integers(0, 10**18)
figures = st.builds(
    Figures,
    st.just(NOON),
    st.none() | st.datetimes(timezones=st.just(UTC)),
    st.lists(servers, max_size=3).map(tuple),
    st.lists(tunnels, min_size=1, max_size=30).map(tuple),
    st.integers(0, 10**5),
    numbers,
    numbers,
    numbers,
    st.none() | st.floats(0, 100),
)

_SGR: Final = re.compile(r"\x1b\[[0-9;]*m")


def plain(line: str) -> str:
    """A line without its colours."""
    return _SGR.sub("", line)


def cells(line: str) -> int:
    """How many cells of a terminal a line takes, colours apart: an oracle that shares nothing with the code."""
    total = 0
    for char in plain(line):
        assert unicodedata.category(char)[0] not in "CZ" or char == " ", f"{char!r} in {line!r}"
        if unicodedata.category(char) not in ("Mn", "Me"):
            total += 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1
    return total
