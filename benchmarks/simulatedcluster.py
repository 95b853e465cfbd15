"""The nodes, clients and groups of a simulation: see :mod:`benchmarks.clustersimulation`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from twisted.python.failure import Failure

from benchmarks.simulatedengine import Server, SimulatedClock, SimulatedEngine
from bore.cluster.membership import Membership
from bore.cluster.memory import MemoryStore
from bore.cluster.registry import ClusterRegistry
from bore.server.registry import Grant, LocalRegistry
from bore.server.users import NAMELESS
from bore.wire.errors import Refusal

#: Seconds: the time to live, and for how long the engine is away, or nodes until they are started again.
TTL: Final = 60.0
AWAY: Final = 10.0

#: Almost as long as nodes can act as owners without the engine, in seconds.
LONG_AWAY: Final = 50.0

#: At which interval it is seen what has become of clients and nodes, in seconds.
STEP: Final = 0.1

#: New sessions that a node takes in a second, each with TLS and a proof, and how many tunnels a client has.
SESSIONS: Final = 300
TUNNELS_PER_CLIENT: Final = 10

#: At how many nodes a client has its tunnels.
NODES_PER_CLIENT: Final = 2

#: Seconds until a client that was refused asks again, about.
AGAIN: Final = 10.0

#: A client whose session has ended comes again within this time, at random, in seconds.
BACK: Final = 1.0


class Node:
    """
    A node, and its queue of clients.

    :param nodes: how many there are in its cluster.
    :ivar alive: whether its process runs.
    """

    def __init__(self, server: Server, store: MemoryStore, name: str, nodes: int) -> None:
        self._clock = clock = server.clock
        self._engine = engine = SimulatedEngine(server, store, nodes)
        advertise, now = f"tls://{name}.example.com:7835", clock.seconds
        self.membership = Membership(clock, engine, name, advertise, "1.0", TTL, now, now)
        self.registry = ClusterRegistry(LocalRegistry(clock, 60), self.membership)
        self.alive = True
        self._free = 0.0
        self.membership.start()

    def admit(self) -> float:
        """After how many seconds it has taken one more session."""
        now = self._clock.seconds()
        self._free = max(now, self._free) + 1 / SESSIONS
        return self._free - now

    def kill(self) -> None:
        """End its process; nothing else gets to know."""
        self.alive = False
        self._engine.dead = True


@dataclass(slots=True)
class Client:
    """
    A client with some tunnels.

    :ivar ports: their public ports.
    :ivar at: the nodes where it has its tunnels, or asks for them, and how many it has there.
    """

    group: Group
    ports: Sequence[int]
    at: dict[int, int]

    @property
    def served(self) -> bool:
        """Whether visitors of all its tunnels are served."""
        return any(count == len(self.ports) for count in self.at.values())

    @property
    def whole(self) -> bool:
        """Whether it has all its tunnels at as many nodes as it wants."""
        return len(self.at) == NODES_PER_CLIENT and all(count == len(self.ports) for count in self.at.values())


class Group:
    """
    Nodes that share addresses: a cluster of its own, with a prefix of its own in the engine.

    :param size: how many nodes.
    :param tunnels: how many tunnels.
    """

    def __init__(self, server: Server, size: int, tunnels: int, random: Random) -> None:
        self.clock = server.clock
        self._server = server
        self._random = random
        self.store = MemoryStore()
        self.nodes = [Node(server, self.store, f"node{n}", size) for n in range(size)]
        ports = range(1024, 1024 + tunnels)
        self.clients = [
            Client(self, ports[begin : begin + TUNNELS_PER_CLIENT], {})
            for begin in range(0, tunnels, TUNNELS_PER_CLIENT)
        ]

    def come(self, client: Client, within: float = BACK) -> None:
        """A client that lacks nodes connects to others."""
        free = [n for n, node in enumerate(self.nodes) if node.alive and n not in client.at]
        for n in self._random.sample(free, min(len(free), NODES_PER_CLIENT - len(client.at))):
            client.at[n] = 0
            later = self._random.random() * within
            self.clock.callLater(later + self.nodes[n].admit(), self._ask, client, n, list(client.ports))

    def _ask(self, client: Client, n: int, ports: Sequence[int]) -> None:
        node = self.nodes[n]
        if n not in client.at:
            return
        for port in ports:
            asked = node.registry.claim(port, NAMELESS, f"{port:032x}")
            asked.addCallbacks(self._has, self._refused, callbackArgs=(client, n), errbackArgs=(client, n, port))

    def _has(self, grant: Grant, client: Client, n: int) -> None:
        if n in client.at:
            client.at[n] += 1

    def _refused(self, reason: Failure, client: Client, n: int, port: int) -> None:
        reason.trap(Refusal)
        self.clock.callLater(AGAIN * (0.5 + self._random.random()), self._ask, client, n, [port])

    def lose(self, numbers: Sequence[int]) -> None:
        """Kill nodes. Their clients connect to others, if there are some."""
        for n in numbers:
            self.nodes[n].kill()
        for client in self.clients:
            if any(client.at.pop(n, None) is not None for n in numbers):
                self.come(client)

    def restart(self) -> None:
        """Start all nodes again."""
        for n in range(len(self.nodes)):
            self.nodes[n] = Node(self._server, self.store, f"node{n}", len(self.nodes))
        for client in self.clients:
            client.at.clear()
            self.come(client)


class Simulation:
    """
    Some groups, and one engine for all of them.

    :ivar server: the engine.
    """

    def __init__(self, groups: int, size: int, tunnels: int) -> None:
        self.clock = SimulatedClock()
        self.server = Server(self.clock)
        random = Random(18)
        self.groups = [Group(self.server, size, tunnels // groups, random) for _ in range(groups)]

    def until(self, done: Callable[[Client], bool], groups: Sequence[Group]) -> None:
        """
        Go on until something has held once for each client of some groups.

        Only one client that is left is looked at each time: looking at all of them would take longer than all else.
        """
        began = self.clock.seconds()
        left = [client for group in groups for client in group.clients]
        while True:
            while left and done(left[-1]):
                left.pop()
            if not left:
                return
            if self.clock.seconds() - began > 600:
                raise AssertionError(f"{sum(not done(client) for client in left)} clients have not come back")
            self.clock.run(self.clock.seconds() + STEP)

    def load(self, since: float) -> tuple[int, float]:
        """The most calls that the engine had in a second, and the most of its CPU time, as a part of a second."""
        seconds = range(int(since), int(self.clock.seconds()) + 1)
        return max(self.server.calls[each] for each in seconds), max(self.server.busy[each] for each in seconds)

    def loseEngine(self, away: float) -> tuple[float, float, float]:
        """
        The engine is away, and is started again without what it knew.

        :param away: for how long, in seconds.
        :returns: for how many seconds a node did not act as owner, at most; after how many seconds the nodes have told
            the engine all; and after how many it grants again.
        """
        nodes = [node.membership for group in self.groups for node in group.nodes if node.alive]
        former = {node.member for node in nodes}
        self.server.away = True
        self.clock.run(self.clock.seconds() + away)
        for group in self.groups:
            group.store.begin()
        self.server.away = False
        began = self.clock.seconds()
        told, ceased = 0.0, Counter[int]()
        while any(group.store.recovering for group in self.groups):
            self.clock.run(self.clock.seconds() + STEP)
            ceased.update(n for n, node in enumerate(nodes) if not node.acting)
            if not told and all(node.settled and node.member not in former for node in nodes):
                told = self.clock.seconds() - began
        return max(ceased.values(), default=0) * STEP, told, self.clock.seconds() - began
