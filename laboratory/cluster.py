"""A cluster of three nodes, of which something fails while visitors come."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from laboratory import balancer, engines
from laboratory.clusterfault import ClusterFault, Struck
from laboratory.clustersite import MARGIN, NODES, ClusterSite, ended
from laboratory.fault import Outcome
from laboratory.link import Link, sever
from laboratory.pages import Place
from laboratory.pairings import SERVICE_PORT

#: How long a node may take to end in order, in seconds.
_END: Final = 60.0

#: The node that things are done to.
_STRUCK: Final = NODES[0]

_PROMISE: Final = (
    "0 visitors see a foreign page; all public ports stay; new visitors wait at most 3 s, and none is lost; "
)


def _now(after: float) -> tuple[float, float]:
    """The visitors that are under way, and those of the next few seconds."""
    return time.monotonic() - 0.5, time.monotonic() + after


@dataclass(frozen=True)
class KilledNode(ClusterFault):
    """SIGKILL to a node."""

    name = "cluster-killed-node"
    fault = "one of three nodes is killed (SIGKILL), and started again {seconds} s later"
    promise = f"{_PROMISE}streams that did not pass the node are untouched"
    avoided = (_STRUCK,)

    seconds: float = 25

    def strike(self, cluster: ClusterSite, outcome: Outcome) -> Struck:
        struck = Struck({_STRUCK}, {_STRUCK}, [_now(0.2)])
        cluster.nodes[_STRUCK].process.kill()
        time.sleep(self.seconds)
        cluster.startNode(_STRUCK)
        return struck


@dataclass(frozen=True)
class Severed(ClusterFault):
    """
    The network between a node and others drops everything for a while.

    :cvar others: the hosts that it is cut off from.
    """

    others: ClassVar[Sequence[str]]

    seconds: float = 15

    def strike(self, cluster: ClusterSite, outcome: Outcome) -> Struck:
        struck = self.struck(cluster)
        for other in self.others:
            sever(cluster.lab, _STRUCK, other)
        time.sleep(self.seconds)
        for other in self.others:
            sever(cluster.lab, _STRUCK, other, False)
        return struck

    def struck(self, cluster: ClusterSite) -> Struck:
        """What is not promised from now on."""
        return Struck(homes={_STRUCK})


@dataclass(frozen=True)
class BrieflyWithoutEngine(Severed):
    """For less than TTL - margin."""

    name = "cluster-engine-briefly"
    fault = "one of three nodes is cut off from the engine for {seconds} s, less than it may act as owner without"
    promise = f"{_PROMISE}no stream is cut"
    others = (engines.PLACE,)

    seconds: float = 7


@dataclass(frozen=True)
class WithoutEngine(Severed):
    """For more than TTL + margin."""

    name = "cluster-engine-away"
    fault = "one of three nodes is cut off from the engine for {seconds} s, until it is taken for dead"
    promise = f"{_PROMISE}no stream is cut"
    others = (engines.PLACE,)

    seconds: float = 25


@dataclass(frozen=True)
class NodesApart(Severed):
    """From the other nodes."""

    name = "cluster-nodes-apart"
    fault = "one of three nodes is cut off from the others for {seconds} s"
    promise = (
        f"{_PROMISE}streams that did not pass the node are untouched. Visitors who come in at the node, where the "
        "client of their tunnel has no session, wait until it is back; so do those of original clients whose further "
        "connections come to it"
    )
    others = NODES[1:]

    def struck(self, cluster: ClusterSite) -> Struck:
        ours = [client for client in cluster.clients if client.isOurs]
        far = [client for client, own in zip(ours, cluster.nodesOf(ours), strict=True) if _STRUCK not in own]
        far += [client for client in cluster.clients if not client.isOurs]
        hosts = (cluster.site.host, cluster.lab.address(_STRUCK))
        places = {Place(host, port) for client in far for port in client.public for host in hosts}
        return Struck({_STRUCK}, set(NODES), [_now(balancer.LEFT_OUT)], places)


@dataclass(frozen=True)
class ClientsApart(Severed):
    """From its clients."""

    name = "cluster-clients-apart"
    fault = "one of three nodes is cut off from all clients, and from the balancer, for {seconds} s"
    promise = f"{_PROMISE}streams that did not pass the node are untouched"
    others = ("client", balancer.PLACE)

    def struck(self, cluster: ClusterSite) -> Struck:
        return Struck({_STRUCK}, {_STRUCK}, [_now(balancer.LEFT_OUT)])


@dataclass(frozen=True)
class EmptyEngine(ClusterFault):
    """A new incarnation."""

    name = "cluster-empty-engine"
    fault = "all servers of the engine are killed, and started again {pause} s later without any data"
    promise = f"{_PROMISE}no stream is cut"

    ttl: float = 20
    pause: float = 3

    def strike(self, cluster: ClusterSite, outcome: Outcome) -> Struck:
        cluster.engine.kill()
        time.sleep(self.pause)
        cluster.engine.start()
        begin = time.monotonic()
        [service] = cluster.startServices("client", SERVICE_PORT + 1000, ["later/t0"])
        later = cluster.startClient("client", "later", [service])
        cluster.awaitTunnels([later])
        outcome.seconds("a new tunnel granted", time.monotonic() - begin, self.ttl + 10)
        return Struck()


class FailedOver(ClusterFault):
    """The engine's leader dies."""

    name = "cluster-failover"
    fault = "the leader of the engine is killed, and another one takes over"
    promise = f"{_PROMISE}no stream is cut"

    def strike(self, cluster: ClusterSite, outcome: Outcome) -> Struck:
        begin = time.monotonic()
        cluster.engine.killLeader()
        outcome.seconds("another leader", time.monotonic() - begin)
        time.sleep(self.ttl + MARGIN)
        return Struck()


class RestartedBalancer(ClusterFault):
    """The balancer is gone for a moment."""

    name = "cluster-balancer"
    fault = "the balancer is killed, and started again 1 s later"
    promise = f"{_PROMISE}streams that do not pass the balancer are untouched. Before it is back, it refuses visitors"

    def strike(self, cluster: ClusterSite, outcome: Outcome) -> Struck:
        begin = time.monotonic()
        cluster.balancer.kill()
        time.sleep(1)
        cluster.balancer.start()
        struck = Struck(windows=[(begin - 0.5, time.monotonic() + 0.1)])
        time.sleep(10)
        return struck


class RollingUpgrade(ClusterFault):
    """All nodes are restarted one by one."""

    name = "cluster-upgrade"
    fault = "all three nodes are restarted one by one (SIGTERM), each when the one before is back"
    promise = f"{_PROMISE}streams have the time that they have at the end of a server"
    avoided = NODES

    def strike(self, cluster: ClusterSite, outcome: Outcome) -> Struck:
        begin = time.monotonic()
        for node in NODES:
            cluster.nodes[node].process.send_signal(signal.SIGTERM)
            cluster.nodes[node].wait(_END)
            cluster.startNode(node)
            time.sleep(3)
        outcome.lasts("all of it took", time.monotonic() - begin)
        return Struck(set(NODES), set(NODES))


class MovedClient(ClusterFault):
    """A client has another address."""

    name = "cluster-moved-client"
    fault = "a client moves to another network"
    promise = f"{_PROMISE}the client's visitors are served again within 10 s; no stream of others is cut"

    def strike(self, cluster: ClusterSite, outcome: Outcome) -> Struck:
        [service] = cluster.startServices("mover", SERVICE_PORT, ["mover/t0"])
        client = cluster.startClient("mover", "mover", [service])
        cluster.awaitTunnels([client])
        [port] = client.public
        visitors = cluster.visit(0.1, [Place(cluster.site.host, port)])
        time.sleep(2)
        Link(cluster.lab, "mover").move(cluster.lab.address("mover").removesuffix(".2") + ".7")
        begin = time.monotonic()
        time.sleep(20)
        visits = ended([visitors])
        back = [visit.served - begin for visit in visits if visit.served > begin + 0.1]
        outcome.seconds("served again", min(back, default=None), 10, 20)
        lost = [visit for visit in visits if not visit.isWhole]
        outcome.says(f"{len(lost)} of {len(visits)} of its visitors lost")
        foreign = sum(visit.owner not in ("-", "mover/t0") for visit in visits)
        outcome.holds(f"{foreign} of them saw a foreign page", not foreign)
        return Struck()


@dataclass(frozen=True)
class StoppedNode(ClusterFault):
    """SIGSTOP to a node, for longer than its membership lasts."""

    name = "cluster-stopped-node"
    fault = "one of three nodes is stopped for {seconds} s (SIGSTOP), until it is taken for dead"
    promise = f"{_PROMISE}streams that did not pass the node are untouched"
    avoided = (_STRUCK,)

    seconds: float = 25

    def strike(self, cluster: ClusterSite, outcome: Outcome) -> Struck:
        struck = Struck({_STRUCK}, {_STRUCK}, [_now(balancer.LEFT_OUT)])
        os.kill(cluster.nodes[_STRUCK].pid, signal.SIGSTOP)
        time.sleep(self.seconds)
        os.kill(cluster.nodes[_STRUCK].pid, signal.SIGCONT)
        return struck
