"""What a tunnel is used for. Visitors are counted here, and nowhere else."""

from __future__ import annotations

from bore.relay.interface import Ending


class Usage:
    """
    What a tunnel is used for: the visitors who are not there any more.

    :ivar visitors: how many were served, and have left.
    :ivar toClient: bytes from these.
    :ivar toVisitors: bytes to these.
    :ivar unserved: how many were accepted, and closed before they were served.
    :ivar refused: how many were closed as soon as they came.
    """

    __slots__ = ("refused", "toClient", "toVisitors", "unserved", "visitors")

    def __init__(self) -> None:
        self.visitors = self.toClient = self.toVisitors = self.unserved = self.refused = 0

    def add(self, other: Usage) -> None:
        """Add what another tunnel was used for."""
        self.visitors += other.visitors
        self.toClient += other.toClient
        self.toVisitors += other.toVisitors
        self.unserved += other.unserved
        self.refused += other.refused

    def left(self, ending: Ending) -> None:
        """A visitor has left."""
        self.visitors += 1
        self.toClient += ending.toRight
        self.toVisitors += ending.toLeft
