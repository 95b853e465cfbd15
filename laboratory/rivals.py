"""Two clients that want the same public address all the time, while nodes fail."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from laboratory import balancer, engines
from laboratory.busysite import Client
from laboratory.clusterfault import ClusterFault
from laboratory.clustersite import MARGIN, NODES, ClusterSite, Size
from laboratory.fault import Outcome
from laboratory.link import sever
from laboratory.measure import secondsUntil
from laboratory.pages import Visit
from laboratory.pairings import SERVICE_PORT, Site

#: Nothing but what is started for this.
_NOTHING: Final = Size(clients=0, tunnels=0, originals=0, streams=0, rate=40)

#: How long the address stays reserved for a client that is away, in seconds.
_LEASE: Final = 2.0

#: The hosts of the two.
_PLACES: Final = ("client", "mover")


class Turn(NamedTuple):
    """
    The address changes hands once. Times are those of time.monotonic(), in seconds.

    :ivar former: the name in the pages of the one that has it at first.
    :ivar begin: when it was cut off.
    :ivar end: when all was well again.
    """

    former: str
    begin: float
    end: float


@dataclass(frozen=True)
class Rivals(ClusterFault):
    """One has the address, and loses it, in turns."""

    name = "cluster-rivals"
    fault = (
        "two clients with different keys want the same address all the time; {times} times the one that has it is left "
        "with one node, and this node is in turns cut off from the engine and all other nodes, or stopped (SIGSTOP)"
    )
    promise = (
        "the other gets the address, after the node has ceased to act as its owner; from its first page on, no visitor "
        "comes to the former one, wherever he comes in, also when all is well again"
    )
    how = (
        "{rate} visitors per second come to the address, through the balancer and at the nodes directly, that one "
        "included. It is cut off until its client has lost the address, and 5 s longer. --cluster-ttl is {ttl} s, "
        "--lease 2 s."
    )

    size: Size = _NOTHING
    times: int = 4

    def inject(self, site: Site, outcome: Outcome) -> None:
        cluster = ClusterSite(site, self.size, self.ttl, "--lease", f"{_LEASE:g}")
        cluster.start()
        port = balancer.PORTS[0]
        rivals = {place: self._rival(cluster, place, port) for place in _PLACES}
        cluster.owners[port] = "either"
        cluster.startVisitors()
        turns = [self._turn(cluster, rivals, number) for number in range(self.times)]
        visits, _ = cluster.leave()
        for turn in turns:
            judgeTurn(outcome, turn, [visit for visit in visits if turn.begin <= visit.came < turn.end])
        strangers = sum(visit.owner not in ("-", *_PLACES) for visit in visits)
        outcome.holds(f"{strangers} of {len(visits)} visitors saw a foreign page", not strangers)

    def _rival(self, cluster: ClusterSite, place: str, port: int) -> Client:
        services = cluster.startServices(place, SERVICE_PORT, [place])
        return cluster.startClient(place, f"of-{place}", services, port)

    def _turn(self, cluster: ClusterSite, rivals: dict[str, Client], number: int) -> Turn:
        """Cut the one off that has the address, until the other has it."""
        former = cluster.owner(60)
        [other] = set(_PLACES) - {former}
        node = min(cluster.nodesOf([rivals[former]], former)[0])
        apart = [(former, place) for place in (balancer.PLACE, *NODES) if place != node]
        if number % 2 == 0:
            apart += [(node, place) for place in (engines.PLACE, *NODES) if place != node]
        begin = time.monotonic()
        for pair in apart:
            sever(cluster.lab, *pair)
        if number % 2:
            os.kill(cluster.nodes[node].pid, signal.SIGSTOP)
        gone = secondsUntil(lambda: cluster.owner() == other, 4 * (self.ttl + MARGIN), 0.1)
        time.sleep(5)
        for pair in apart:
            sever(cluster.lab, *pair, yes=False)
        if number % 2:
            os.kill(cluster.nodes[node].pid, signal.SIGCONT)
        if gone is None:
            raise AssertionError(f"{other} has not got the address")
        time.sleep(10)
        return Turn(former, begin, time.monotonic())


def judgeTurn(outcome: Outcome, turn: Turn, visits: Sequence[Visit]) -> None:
    """Note whether nobody came to the former owner after somebody had come to the next one."""
    changed = min(visit.served for visit in visits if visit.served and visit.owner != turn.former)
    foreign = [visit for visit in visits if visit.owner == turn.former and visit.came > changed]
    served = sum(visit.owner == turn.former for visit in visits)
    outcome.holds(
        f"the other served after {changed - turn.begin:.1f} s, {served} visitors at the former one until then, "
        f"{len(foreign)} of {len(visits)} later",
        not foreign,
    )
