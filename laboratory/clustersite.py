"""A cluster of three nodes behind a balancer, with its engine, clients and visitors."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from laboratory import balancer, engines
from laboratory.busysite import TLS_PORT, Client
from laboratory.measure import secondsUntil, sleepUntil
from laboratory.pages import Place, Visit
from laboratory.pairings import CONTROL_PORT, SERVICE_PORT, Site, lines
from tests.certificates import Authority
from tests.original import original
from tests.support import Program

#: The hosts of the nodes.
NODES: Final = ("node1", "node2", "node3")

#: Further hosts: the engine's, and that of a client that moves.
HOSTS: Final = (*NODES, engines.PLACE, "mover")

#: How much sooner a node ceases to act as owner than others may take it for dead, in seconds.
MARGIN: Final = 5.0

#: The public ports of original clients, which each ask for one, as they do not keep any other one.
_ORIGINALS: Final = balancer.PORTS[-50]

#: The line that says that an original client has ended.
_ENDED: Final = "^ended$"

#: How long clients may take to have all their tunnels, in seconds.
_START: Final = 60.0


@dataclass(frozen=True)
class Size:
    """
    How much there is.

    :ivar clients: clients of ours.
    :ivar tunnels: of each of them.
    :ivar originals: original clients; each has one tunnel.
    :ivar streams: streams that stay, at the nodes in turn.
    :ivar rate: visitors in a second.
    """

    clients: int = 25
    tunnels: int = 12
    originals: int = 5
    streams: int = 60
    rate: float = 50

    @property
    def total(self) -> int:
        """All tunnels."""
        return self.clients * self.tunnels + self.originals


class ClusterSite:
    """
    The cluster of a site. The balancer is on the host ``server``: clients and visitors take it for the server.

    :param ttl: how long a node acts as owner without its engine, and the margin, in seconds.
    :param options: further options of the nodes.
    :ivar engine: its servers.
    :ivar nodes: the programs of the nodes, by host.
    :ivar clients: ours, and then the original ones.
    :ivar owners: what a page at a public port has to say.
    """

    def __init__(self, site: Site, size: Size, ttl: float, *options: str) -> None:
        self.site = site
        self.size = size
        self.lab = site.lab
        self.engine = engines.enginesOf(site.lab, site.pairing.engine)
        self.balancer = balancer.Balancer(site.lab, NODES)
        self.nodes: dict[str, Program] = {}
        self.clients: list[Client] = []
        self.owners: dict[int, str] = {}
        self._ended: dict[int, int] = {}
        self._services: dict[int, str] = {}
        self._ttl = ttl
        self._options = ("--cluster-ttl", f"{ttl:g}", *options)
        self._visitors: list[Program] = []
        self._streams: list[Program] = []
        folder = self.lab.folder
        authority = Authority()
        self._authority = authority.write(folder)
        places = ("server", *NODES)
        self._tls = authority.issue(*(self.lab.address(place) for place in places)).options(folder)
        self._key = str(folder / "cluster.key")
        self.lab.python("server", "bore", "cluster-key", "--write", self._key).wait()

    def start(self) -> None:
        """Start the engine, the nodes, the balancer, and all clients."""
        self.engine.start()
        for node in NODES:
            self._run(node)
        begin = time.monotonic()
        for node in NODES:
            self._awaitNode(node)
        self.balancer.start()
        # Before that nothing is granted: the engine is new, and might have lost something.
        sleepUntil(begin + self._ttl + 1)
        self.startClients()

    def startNode(self, node: str) -> None:
        """Start a node, and wait until it listens."""
        self._run(node)
        self._awaitNode(node)

    def _run(self, node: str) -> None:
        self.nodes[node] = self.lab.python(
            node, "bore", "server", *self._tls, "--tls-port", str(TLS_PORT),
            "--cluster", self.engine.url, "--node", node, "--advertise", f"tls://{self.lab.address(node)}:{TLS_PORT}",
            "--cluster-key", self._key, *self._options,
            "--trusted-proxies", self.lab.address(balancer.PLACE), "--max-tunnels-per-source", "0",
            "--status-port", f"0.0.0.0:{balancer.STATUS_PORT}", "--status-token-file", str(self.lab.folder / "token"),
            "--min-port", str(balancer.PORTS[0]), "--max-port", str(balancer.PORTS[-1]),
        )  # fmt: skip

    def _awaitNode(self, node: str) -> None:
        address = self.lab.address(node)
        if secondsUntil(lambda: self.lab.isOpen("visitor", address, CONTROL_PORT), 20) is None:
            raise AssertionError(f"{node} does not listen\n{self.nodes[node].transcript()}")

    def startClients(self) -> None:
        """Start the services and the clients, and wait for all tunnels."""
        size = self.size
        names = [f"client{n}/t{k}" for n in range(size.clients) for k in range(size.tunnels)]
        names += [f"original{n}" for n in range(size.originals)]
        ports = self.startServices("client", SERVICE_PORT, names)
        # The original ones have their ports before others get any: one of those may be what they ask for.
        originals = [
            self._startOriginal(service, _ORIGINALS + n)
            for n, service in enumerate(ports[size.clients * size.tunnels :])
        ]
        self.awaitTunnels(originals)
        for n in range(size.clients):
            self.startClient("client", f"client{n}", ports[n * size.tunnels : (n + 1) * size.tunnels])
        self.awaitTunnels(self.clients)
        self.clients += originals
        ours = [client for client in self.clients if client.isOurs]
        if secondsUntil(lambda: all(len(own) == 2 for own in self.nodesOf(ours)), _START, 0.5) is None:
            raise AssertionError(f"not all clients are at two nodes: {self.nodesOf(ours)}")

    def startServices(self, place: str, first: int, names: Sequence[str]) -> list[int]:
        """Start local services that answer with these names; return their ports."""
        if names:
            self.lab.python(place, "laboratory.pages", "serve", "127.0.0.1", str(first), *names).waitFor("ready")
        self._services |= dict(enumerate(names, first))
        return list(range(first, first + len(names)))

    def startClient(self, place: str, name: str, services: Sequence[int], port: int = 0) -> Client:
        """
        Start a client of ours, with a tunnel for each of some local services.

        :param port: the public port that it asks for; 0: any.
        """
        wish = f"port = {port}\n" if port else ""
        tables = [f"[tunnel.t{each}]\nlocal = '127.0.0.1:{each}'\n{wish}" for each in services]
        path = self.lab.folder / f"{name}.toml"
        server = f"server = 'tls://{self.site.host}:{TLS_PORT}'\ntls-ca = '{self._authority}'\n"
        path.write_text(server + "max-reconnect-delay = 5\n" + "".join(tables))
        path.chmod(0o600)
        client = Client(self.lab.python(place, "bore", "up", str(path), state=name), list(services), True)
        self.clients.append(client)
        return client

    def _startOriginal(self, service: int, port: int) -> Client:
        # It ends with its connection: what has started it starts it again, as a service manager does.
        words = f"'{original()}' local {service} --local-host 127.0.0.1 --to {self.site.host} --port {port}"
        program = self.lab.start("client", "sh", "-c", f"while :; do {words}; echo ended; sleep 0.5; done")
        return Client(program, [service], False)

    def awaitTunnels(self, clients: Sequence[Client]) -> None:
        """Wait until clients have all their tunnels, and note where these are."""
        for client in clients:
            if secondsUntil(lambda c=client: all(c.now()), _START, 0.05) is None:  # type: ignore[misc]
                raise AssertionError(f"not all tunnels came up\n{client.program.transcript()}")
            client.public = client.now()
            self._ended[client.pid] = len(lines(client.program, _ENDED))
            self.owners |= {
                port: self._services[service] for port, service in zip(client.public, client.services, strict=True)
            }

    def wasCut(self, client: Client) -> bool:
        """Whether an original client has ended since its tunnel came up first."""
        return len(lines(client.program, _ENDED)) > self._ended[client.pid]

    def homeOf(self, client: Client) -> str:
        """The node that an original client is at, as the nodes' logs say."""
        [port] = client.public
        opened = [node for node, program in self.nodes.items() if lines(program, f"port {port}: opened")]
        return opened[-1] if opened else ""

    def nodesOf(self, clients: Sequence[Client], place: str = "client") -> list[set[str]]:
        """The nodes that each of the clients on a host is connected with directly: there it has its lanes."""
        listing = self.lab.start(place, "ss", "-tnpH", "state", "established")
        listing.wait()

        def has(client: Client, node: str) -> bool:
            peer, process = f" {self.lab.address(node)}:", f"pid={client.pid},"
            return any(peer in line and process in line for line in listing.out)

        return [{node for node in NODES if has(client, node)} for client in clients]

    def startVisitors(self, avoided: Sequence[str] = ()) -> None:
        """
        Have visitors come, most through the balancer, and some to the nodes themselves.

        :param avoided: nodes that none goes to by itself.
        """
        entrances = [self.site.host, self.site.host, *(self.lab.address(node) for node in NODES if node not in avoided)]
        ports = sorted(self.owners)
        places = [Place(host, port) for host in entrances for port in ports]
        # A step that has no divisor in common with the number of places: in the end each has had a visitor.
        mixed = [places[n * 7919 % len(places)] for n in range(len(places))]
        self._visitors.append(self.visit(1 / self.size.rate, mixed))

    def visit(self, pause: float, places: Sequence[Place]) -> Program:
        """Have a visitor come every so many seconds, to one of the places after another."""
        return self.lab.python("visitor", "laboratory.pages", "visit", str(pause), *map(str, places))

    def startStreams(self) -> dict[Place, set[str]]:
        """Have streams stay at the nodes; return which nodes each of them passes."""
        ours = [client for client in self.clients if client.isOurs]
        at = zip(ours, self.nodesOf(ours), strict=True)
        known = itertools.cycle([(own, port) for client, own in at for port in client.public])
        found = {}
        for node, (own, port) in zip(itertools.cycle(NODES), itertools.islice(known, self.size.streams), strict=False):
            found[Place(self.lab.address(node), port)] = {node} if node in own else {node} | own
        self._streams.append(self.lab.python("visitor", "laboratory.pages", "stay", *map(str, found)))
        self._streams[-1].waitFor("ready")
        return found

    def owner(self, patience: float = 0.0) -> str:
        """
        The owner that the last page named which a visitor has read.

        :param patience: how long to wait for a page, in seconds; without, the empty string stands for none.
        """

        def served() -> list[Visit]:
            recent = [Visit.read(line) for program in self._visitors for line in program.out[-50:]]
            return [visit for visit in recent if visit.served]

        secondsUntil(lambda: bool(served()), patience, 0.1)
        return max(served(), key=lambda visit: visit.served).owner if served() else ""

    def leave(self) -> tuple[list[Visit], list[Visit]]:
        """Let all visitors leave; return what they have seen, and what the streams have seen."""
        return ended(self._visitors), ended(self._streams)


def ended(programs: Sequence[Program]) -> list[Visit]:
    """Let the visitors of programs leave; return what they have seen, in the order in which they came."""
    for program in programs:
        program.process.send_signal(signal.SIGTERM)
    for program in programs:
        if program.wait(60):
            raise AssertionError(f"the visitors have failed\n{program.transcript()}")
    found = [Visit.read(line) for program in programs for line in program.out if line.startswith("visit ")]
    return sorted(found, key=lambda visit: visit.came)
