"""What is done to a cluster of three nodes while visitors come, and what they have seen."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from laboratory.clustersite import HOSTS, ClusterSite, Size
from laboratory.fault import Fault, Outcome
from laboratory.pages import Place, Visit
from laboratory.pairings import CLUSTERS, Site, lines

#: What a whole measurement has.
FULL: Final = Size()

#: How long a new visitor waits at most, in seconds.
LONGEST: Final = 3.0

HOW: Final = (
    "{clients} clients with {tunnels} tunnels each, {originals} original ones, and {rate} visitors per second, some of "
    "whom go to the nodes directly. Each page has the name of the tunnel, which the visitor compares. {streams} "
    "streams stay, at the nodes in turn. --cluster-ttl is {ttl} s. An original client has one node, and is started "
    "again when it has ended; if it loses its node, nothing is promised to its visitors. Visitors that come in the 3.2 "
    "s before the balancer has left out a silent node are counted apart."
)


@dataclass
class Struck:
    """
    What was done.

    :ivar nodes: whose streams may be cut.
    :ivar homes: nodes whose original clients are without promises.
    :ivar windows: when visitors came to whom nothing is promised, by time.monotonic().
    :ivar places: public addresses whose visitors are without promises.
    """

    nodes: set[str] = field(default_factory=set)
    homes: set[str] = field(default_factory=set)
    windows: list[tuple[float, float]] = field(default_factory=list)
    places: set[Place] = field(default_factory=set)

    def excuses(self, visit: Visit) -> bool:
        """Whether nothing is promised to a visitor."""
        return visit.place in self.places or any(begin <= visit.came < end for begin, end in self.windows)


@dataclass(frozen=True)
class ClusterFault(Fault):
    """
    Something fails.

    :cvar avoided: nodes that no visitor goes to directly.
    :ivar before: how long visitors come before it, in seconds; likewise ``after``.
    """

    pairings = CLUSTERS
    hosts = HOSTS
    how = HOW
    avoided: ClassVar[Sequence[str]] = ()

    size: Size = FULL
    ttl: float = 15
    before: float = 3
    after: float = 5

    def numbers(self) -> Mapping[str, float]:
        own = {name: value for name, value in vars(self).items() if value is not self.size}
        return own | vars(self.size)

    def inject(self, site: Site, outcome: Outcome) -> None:
        cluster = ClusterSite(site, self.size, self.ttl)
        cluster.start()
        passed = cluster.startStreams()
        cluster.startVisitors(self.avoided)
        time.sleep(self.before)
        struck = self.strike(cluster, outcome)
        time.sleep(self.after)
        judge(cluster, outcome, struck, passed)

    def strike(self, cluster: ClusterSite, outcome: Outcome) -> Struck:
        """Let it fail, and let it recover."""
        raise NotImplementedError


def judge(cluster: ClusterSite, outcome: Outcome, struck: Struck, passed: Mapping[Place, set[str]]) -> None:
    """
    Let the visitors leave, and note what they have seen.

    :param passed: the nodes that each stream passes.
    """
    visits, streams = cluster.leave()
    foreign = sum(visit.owner not in ("-", cluster.owners[visit.place.port]) for visit in (*visits, *streams))
    outcome.holds(f"{foreign} of {len(visits) + len(streams)} visitors saw a foreign page", not foreign)
    originals = [client for client in cluster.clients if not client.isOurs]
    cut = {each.public[0] for each in originals if cluster.wasCut(each) or cluster.homeOf(each) in struck.homes}
    judgeVisitors(outcome, struck, [visit for visit in visits if visit.place.port not in cut])
    if cut:
        _ofOriginals(outcome, len(cut), [visit for visit in visits if visit.place.port in cut])
    far = [stream for stream in streams if not struck.nodes & passed[stream.place]]
    broken = sum(not stream.isWhole for stream in far)
    outcome.holds(f"{broken} of {len(far)} streams that passed other nodes cut", not broken)
    near = [stream for stream in streams if struck.nodes & passed[stream.place]]
    if near:
        outcome.says(f"{sum(not stream.isWhole for stream in near)} of {len(near)} others")
    changed = sum(client.now() != client.public for client in cluster.clients)
    outcome.holds(f"{changed} of {len(cluster.clients)} clients have other ports", not changed)
    ended = sum(not client.isThere for client in cluster.clients)
    outcome.holds(f"{ended} clients ended", not ended)
    wrong = sum(len(lines(node, "Traceback|Unhandled")) for node in cluster.nodes.values())
    outcome.holds(f"{wrong} exceptions logged by nodes", not wrong)


def judgeVisitors(outcome: Outcome, struck: Struck, visits: Sequence[Visit]) -> None:
    """Visitors of clients that are there."""
    promised = [visit for visit in visits if not struck.excuses(visit)]
    lost = [visit for visit in promised if not visit.isWhole]
    kinds = Counter(visit.trouble for visit in lost)
    outcome.holds(f"{len(lost)} of {len(promised)} new visitors lost{_kinds(kinds)}", not lost)
    longest = max(promised, key=lambda visit: visit.waited)
    outcome.lasts(f"longest wait (at {longest.place})", longest.waited, LONGEST)
    others = [visit for visit in visits if struck.excuses(visit)]
    if others:
        kinds = Counter(visit.trouble for visit in others if not visit.isWhole)
        text = f"{kinds.total()} of {len(others)} to whom nothing is promised lost{_kinds(kinds)}"
        outcome.says(f"{text}, longest wait {max(visit.waited for visit in others):.1f} s")


def _ofOriginals(outcome: Outcome, clients: int, visits: Sequence[Visit]) -> None:
    """Visitors of original clients that were cut off."""
    lost = [visit for visit in visits if not visit.isWhole]
    text = f"{clients} original clients lost their node: {len(lost)} of {len(visits)} of their visitors lost"
    outcome.says(text + (f", over {lost[-1].came - lost[0].came:.1f} s" if lost else ""))


def _kinds(kinds: Counter[str]) -> str:
    return f" ({', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))})" if kinds else ""
