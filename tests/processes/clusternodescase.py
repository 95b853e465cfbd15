"""Nodes of a cluster as programs, with Redis."""

from __future__ import annotations

import sys
from unittest import SkipTest

from bore.tls.certificates import makeSelfSigned
from tests.cluster.redisserver import REDIS, WHY_NOT, RedisServer
from tests.ports import freePort, loopbackHost
from tests.processes.case import ProcessCase
from tests.support import CHECKOUT, Program, bore, eventually, isOpen, temporaryFolder

#: Runs ``bore`` on a machine whose clocks differ from those of this one by a number of hours.
_APART = """
import sys, time
seconds = 3600 * float(sys.argv[1])
timeOfDay, clock = time.time, time.clock_gettime
time.time = lambda: timeOfDay() + seconds
time.clock_gettime = lambda number: clock(number) + seconds
from bore.cli import main
sys.exit(main(sys.argv[2:]))
"""


class NodesCase(ProcessCase):
    """
    Three nodes, each with a host of its own, as a machine has.

    :ivar hosts: those of the nodes.
    :ivar controls: their control ports.
    """

    def setUp(self) -> None:
        super().setUp()
        if not REDIS:
            raise SkipTest(WHY_NOT)
        self.folder = temporaryFolder(self)
        self.key, self.pem = self.folder / "cluster.key", self.folder / "tls.pem"
        self.assertEqual(self.start(bore("cluster-key", "--write", str(self.key))).wait(), 0)
        self.pem.write_bytes(makeSelfSigned("nodes")[0])
        self.pem.chmod(0o600)
        self.hosts = [loopbackHost() for _ in range(3)]
        self.controls = [freePort(host) for host in self.hosts]
        self.redis = RedisServer()
        self.addCleanup(self.redis.kill)

    def node(self, number: int, hours: float = 0.0) -> Program:
        """
        Start a node with an admin socket of its own.

        :param hours: how much later its clocks are.
        """
        host, control = self.hosts[number], self.controls[number]
        words = ["--tls", "--tls-cert", str(self.pem), "--tls-key", str(self.pem), "--control-port", str(control)]
        place = ["--node", f"n{number}", "--advertise", f"tls://{host}:{control}", "--cluster-ttl", "15"]
        shared = ["--cluster", f"redis://127.0.0.1:{self.redis.port}", "--cluster-key", str(self.key)]
        hosts = ["--bind-addr", host, "--bind-tunnels", host, "--admin-socket", self.socket(number)]
        line = ["server", *hosts, *words, *place, *shared]
        if not hours:
            return self.start(bore(*line))
        return self.start(Program([sys.executable, "-c", _APART, str(hours), *line], None, str(CHECKOUT)))

    def nodes(self, *hours: float) -> list[Program]:
        """Start a node for each of these differences, and wait until they belong to the cluster."""
        nodes = [self.node(number, each) for number, each in enumerate(hours)]
        for number, node in enumerate(nodes):
            node.waitFor(f"node n{number} of the cluster; other nodes:")
        return nodes

    def socket(self, number: int) -> str:
        """The path of a node's admin socket."""
        return str(self.folder / f"n{number}.sock")

    def assertServesAt(self, host: str, port: int) -> None:
        """A visitor at a node is served, as soon as it listens."""
        eventually(lambda: isOpen(host, port), "the node listens at the port")
        self.host = host
        self.assertServes(port)
