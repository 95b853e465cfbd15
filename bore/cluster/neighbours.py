"""The other nodes of a cluster, as one of them sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from bore.cluster.engine import Node

#: A node whose entry has not changed for this time is presumed away: others are preferred. In seconds.
AWAY: Final = 3.0

#: A member ceases to act as owner this much before its time to live is over, and others presume that this much later,
#: in seconds: clocks of two nodes may differ in speed.
MARGIN: Final = 5.0


class _Seen(NamedTuple):
    node: Node
    since: float
    beats: bool  # whether it has beaten since it was seen first


class Neighbours:
    """
    The other members, and for how long each entry has not changed.

    :param ttl: the time to live of a member that does not beat, in seconds.
    """

    def __init__(self, ttl: float) -> None:
        self._ttl = ttl
        self._seen: dict[str, _Seen] = {}
        self._now = 0.0
        self._shown: list[tuple[str, str, int, bool, str]] = []

    def take(self, nodes: Sequence[Node], own: str, now: float) -> bool:
        """
        Take an answer of the engine.

        :param own: the member of this node.
        :param now: when the answer came.
        :returns: whether there are others than before, or one has another state.
        """
        self._now = now
        before, self._seen = self._seen, {}
        for node in nodes:
            if node.member != own:
                seen = before.get(node.member)
                if seen is None:
                    self._seen[node.member] = _Seen(node, now, False)
                elif seen.node.beat == node.beat:
                    self._seen[node.member] = _Seen(node, seen.since, seen.beats)
                else:
                    self._seen[node.member] = _Seen(node, now, True)
        shown = sorted(
            (node.member, node.advertise, node.number, self.isAway(node.member), node.state) for node in self.all()
        )
        changed, self._shown = shown != self._shown, shown
        return changed

    def all(self) -> list[Node]:
        """All other members."""
        return [seen.node for seen in self._seen.values()]

    def isAway(self, member: str) -> bool:
        """Whether a member is presumed away. It may still act as owner."""
        seen = self._seen.get(member)
        return seen is None or self._now - seen.since >= AWAY

    def hasName(self, name: str) -> bool:
        """Whether another node that runs has this name. The entry of an earlier run does not beat."""
        return any(seen.beats and seen.node.name == name for seen in self._seen.values())

    def silent(self) -> list[Node]:
        """The members that have ceased to act as owners, whatever has become of them."""
        return [seen.node for seen in self._seen.values() if self._now - seen.since >= self._ttl + MARGIN]
