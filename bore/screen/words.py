"""Times and amounts in words."""

from __future__ import annotations

from datetime import datetime
from typing import Final

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR

_UNITS: Final = ("kB", "MB", "GB", "TB", "PB")


def duration(seconds: float) -> str:
    """Return a duration in two units at most, such as ``2 h 3 min``; below ten seconds with a fraction."""
    seconds = max(0.0, seconds)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    for unit, name, below, nameBelow in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if whole >= unit:
            rest = whole % unit // below
            return f"{whole // unit} {name} {rest} {nameBelow}" if rest else f"{whole // unit} {name}"
    raise AssertionError(whole)


def wholeSeconds(seconds: float) -> str:
    """Return a duration that is counted while the user watches: without a fraction."""
    return duration(max(10, seconds)) if seconds >= 9.95 else f"{max(0, int(seconds))} s"


def amount(size: int) -> str:
    """Return an amount of data in bytes or decimal units, such as ``1.2 MB``."""
    if size < 1000:
        return f"{size} B"
    value = float(size)
    for unit in _UNITS:
        value /= 1000
        if value < 9.95:
            return f"{value:.1f} {unit}"
        if value < 999.5:
            return f"{value:.0f} {unit}"
    return f"{value:.0f} {_UNITS[-1]}"


def shortAmount(size: int) -> str:
    """Return the same where there is little room, such as ``1.2M``."""
    number, unit = amount(size).split(" ")
    return f"{number}{unit.rstrip('B')}"


def roundTrip(seconds: float) -> str:
    """Return the time of a round trip in milliseconds, below ten with a fraction."""
    milliseconds = seconds * 1000
    return f"{milliseconds:.0f} ms" if milliseconds >= 9.95 else f"{milliseconds:.1f} ms"


def clockTime(when: datetime, now: datetime) -> str:
    """Return a time as on a clock, with its date if that is another one."""
    return f"{when:%H:%M}" if when.date() == now.date() else f"{when:%Y-%m-%d %H:%M}"


def count(number: int, one: str, several: str) -> str:
    """Return a number and what it counts."""
    return f"1 {one}" if number == 1 else f"{number} {several}"
