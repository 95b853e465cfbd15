"""What a tunnel is used for."""

from __future__ import annotations

from bore.relay.interface import Ending


class Usage:
    """
    What a tunnel is used for: the visitors who have left.

    :ivar visitors: how many they were.
    :ivar toClient: bytes from them.
    :ivar toVisitors: bytes to them.
    """

    __slots__ = ("toClient", "toVisitors", "visitors")

    def __init__(self) -> None:
        self.visitors = self.toClient = self.toVisitors = 0

    def left(self, ending: Ending) -> None:
        """A visitor has left."""
        self.visitors += 1
        self.toClient += ending.toRight
        self.toVisitors += ending.toLeft
