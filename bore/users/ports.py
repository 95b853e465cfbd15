"""Sets of ports."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from bore.wire.values import value

#: The lowest and the highest port of a range.
PortRange: TypeAlias = tuple[int, int]

_EXPECTED: Final = (
    "must be a port or a range of ports from 1 to 65535, such as 22022 or 20000-20009, and each in a value of its own"
)


@value
class Ports:
    """
    A set of ports, made by :func:`ports`.

    :ivar ranges: its ranges in ascending order, with at least one port missing between two of them.
    """

    ranges: tuple[PortRange, ...] = ()

    def __contains__(self, port: int) -> bool:
        return any(lowest <= port <= highest for lowest, highest in self.ranges)

    def __bool__(self) -> bool:
        """Whether there is a port."""
        return bool(self.ranges)

    def __len__(self) -> int:
        """How many ports there are."""
        return sum(highest - lowest + 1 for lowest, highest in self.ranges)

    def __or__(self, other: Ports) -> Ports:
        """The ports of both."""
        return ports((*self.ranges, *other.ranges))

    def __and__(self, other: Ports) -> Ports:
        """The ports that are in both."""
        return ports(
            (max(lowest, low), min(highest, high))
            for lowest, highest in self.ranges
            for low, high in other.ranges
            if max(lowest, low) <= min(highest, high)
        )

    def __sub__(self, other: Ports) -> Ports:
        """The ports that are not in the other set."""
        ends = [0, *(end for each in other.ranges for end in each), 65536]
        return self & ports(
            (below + 1, above - 1) for below, above in zip(ends[::2], ends[1::2], strict=True) if below + 1 < above
        )

    def __str__(self) -> str:
        return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in self.ranges)


def ports(ranges: Iterable[PortRange]) -> Ports:
    """Make a set of ports from ranges, which may overlap."""
    found: list[PortRange] = []
    for lowest, highest in sorted(ranges):
        if found and lowest <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(found[-1][1], highest)
        else:
            found.append((lowest, highest))
    return Ports(tuple(found))


NO_PORTS: Final = Ports()
ALL_PORTS: Final = Ports(((1, 65535),))


def parsePorts(text: str) -> PortRange:
    """
    Parse ``PORT`` or ``LOWEST-HIGHEST``.

    :raises ValueError: when it is neither; its text says what would be right.
    """
    first, dash, last = text.partition("-")
    lowest = _port(first)
    highest = _port(last) if dash else lowest
    if lowest > highest:
        raise ValueError(f"must begin with the lower port: {highest}-{lowest}")
    return lowest, highest


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= 65535:
        return int(text)
    raise ValueError(_EXPECTED)
