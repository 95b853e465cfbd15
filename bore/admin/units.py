"""Durations and amounts in words."""

from __future__ import annotations

from typing import Final

_DURATIONS: Final = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))

_AMOUNTS: Final = ("B", "kB", "MB", "GB", "TB", "PB")


def duration(seconds: float | None) -> str:
    """Return a duration in its two largest units, such as ``2 h 5 min``; empty for None."""
    if seconds is None:
        return ""
    rest = max(0, int(min(seconds, 1e9)))
    for number, (unit, size) in enumerate(_DURATIONS):
        if rest >= size:
            whole, rest = divmod(rest, size)
            below, smaller = _DURATIONS[min(number + 1, len(_DURATIONS) - 1)]
            more = rest // smaller if below != unit else 0
            return f"{whole} {unit} {more} {below}" if more else f"{whole} {unit}"
    return "0 s"


def amount(size: int) -> str:
    """Return a number of bytes in the largest unit that has a digit before its point, such as ``1.2 MB``."""
    if size < 1000:
        return f"{size} B"
    value = float(size)
    unit = 0
    while value >= 999.5 and unit < len(_AMOUNTS) - 1:
        value /= 1000
        unit += 1
    return f"{value:.1f} {_AMOUNTS[unit]}" if value < 9.95 else f"{value:.0f} {_AMOUNTS[unit]}"


def delay(seconds: float | None) -> str:
    """Return the time of a round trip, such as ``0.4 ms`` or ``12 ms``; empty for None."""
    if seconds is None:
        return ""
    milliseconds = min(max(seconds, 0.0), 1e6) * 1000
    return f"{milliseconds:.1f} ms" if milliseconds < 9.95 else f"{milliseconds:.0f} ms"


def counted(number: int, what: str) -> str:
    """Return a number of things."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
