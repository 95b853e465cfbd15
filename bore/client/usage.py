"""What a tunnel is used for. Visitors are counted here, and nowhere else."""

from __future__ import annotations

from bore.relay.interface import Ending


class Usage:
    """
    What a tunnel is used for: the visitors who are not there any more.

    :ivar visitors: how many were served, and have left.
    :ivar fromVisitors: bytes from these.
    :ivar toVisitors: bytes to these.
    :ivar unserved: how many came, and were not served.
    """

    __slots__ = ("fromVisitors", "toVisitors", "unserved", "visitors")

    def __init__(self) -> None:
        self.visitors = self.fromVisitors = self.toVisitors = self.unserved = 0

    def add(self, other: Usage) -> None:
        """Add what another tunnel was used for."""
        self.visitors += other.visitors
        self.fromVisitors += other.fromVisitors
        self.toVisitors += other.toVisitors
        self.unserved += other.unserved

    def left(self, ending: Ending) -> None:
        """A visitor that was served has left."""
        self.visitors += 1
        self.fromVisitors += ending.toRight
        self.toVisitors += ending.toLeft
