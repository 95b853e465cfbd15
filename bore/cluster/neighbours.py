"""The other nodes of a cluster, as one of them sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from bore.cluster.engine import Node

#: A node whose entry has not changed for this time is presumed away: others are preferred. In seconds.
AWAY: Final = 3.0

#: A member ceases to act as owner this much before its time to live is over, and others presume that this much later,
#: in seconds: clocks of two nodes may differ in speed.
MARGIN: Final = 5.0


#: How long nodes have to be there again when the engine has lost all entries, in seconds: one that waits for the answer
#: to a call that was lost takes three.
_RETURN: Final = 10.0


class _Seen(NamedTuple):
    node: Node
    since: float  # when its beat was seen first
    beats: bool  # whether it has beaten since it was seen first
    until: float = float("inf")  # when it is forgotten, as the engine has lost its entry


class Neighbours:
    """
    The other members, and for how long each entry has not changed.

    :param name: the name of this node.
    :param ttl: the time to live of a member that does not beat, in seconds.
    :ivar longest: the longest time to live of all members that were ever seen, this one included.
    """

    def __init__(self, name: str, ttl: float) -> None:
        self._name = name
        self._ttl = ttl
        self.longest = ttl
        self._seen: dict[str, _Seen] = {}
        self._incarnation = ""
        self._now = 0.0
        self._shown: list[tuple[str, str, int, bool, str]] = []

    def take(self, nodes: Sequence[Node], own: str, incarnation: str, now: float) -> bool:
        """
        Take an answer of the engine.

        :param own: the member of this node.
        :param incarnation: that of the engine. In a new one, nodes come back one after the other.
        :param now: when the answer came.
        :returns: whether there are others than before, or one has another state.
        """
        self._now = now
        before, self._seen = self._seen, {}
        for node in nodes:
            if node.member != own:
                self._seen[node.member] = _next(before.get(node.member), node, now)
                self.longest = max(self.longest, node.ttl)
        until = float("inf") if incarnation == self._incarnation else now + _RETURN
        self._incarnation = incarnation
        self._keep(before, until)
        shown = sorted(
            (node.member, node.advertise, node.number, self.isAway(node.member), node.state) for node in self.all()
        )
        changed, self._shown = shown != self._shown, shown
        return changed

    def _keep(self, before: Mapping[str, _Seen], until: float) -> None:
        """Keep those whose entries the engine has lost, until they are there again."""
        names = {seen.node.name for seen in self._seen.values()}
        for member, seen in before.items():
            its = min(until, seen.until)
            if self._now < its < float("inf") and seen.node.name not in names:
                self._seen[member] = seen._replace(until=its)

    def all(self) -> list[Node]:
        """The other nodes. Of two runs of one, the one that has beaten last; an earlier run of this one is none."""
        latest: dict[str, _Seen] = {}
        for seen in self._seen.values():
            name = seen.node.name
            if name != self._name and (name not in latest or seen.since > latest[name].since):
                latest[name] = seen
        return [seen.node for seen in latest.values()]

    def isAway(self, member: str) -> bool:
        """Whether a member is presumed away. It may still act as owner."""
        seen = self._seen.get(member)
        return seen is None or self._now - seen.since >= AWAY

    def sinceBeat(self, member: str, now: float) -> float:
        """How long ago the last beat of a member was seen first, in seconds; 0 if there is no such member."""
        seen = self._seen.get(member)
        return 0.0 if seen is None else max(0.0, now - seen.since)

    def hasTwin(self, advertise: str) -> bool:
        """
        Whether another node that runs has the name of this one, or its address. The entry of an earlier run does not
        beat.
        """
        return any(
            seen.beats and (seen.node.name == self._name or seen.node.advertise == advertise)
            for seen in self._seen.values()
        )

    def hasOtherTtl(self) -> bool:
        """Whether another node has another time to live."""
        return any(node.ttl != self._ttl for node in self.all())

    def silent(self) -> list[Node]:
        """The members that have ceased to act as owners, whatever has become of them."""
        return [
            seen.node
            for seen in self._seen.values()
            if self._now - seen.since >= max(self._ttl, seen.node.ttl) + MARGIN
        ]


def _next(seen: _Seen | None, node: Node, now: float) -> _Seen:
    if seen is None:
        return _Seen(node, now, False)
    return _Seen(node, seen.since, seen.beats) if seen.node.beat == node.beat else _Seen(node, now, True)
