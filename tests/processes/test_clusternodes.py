"""Three nodes of a cluster as programs, one of which is killed."""

from __future__ import annotations

import signal
import time
from unittest import skipUnless

from bore.tls.certificates import makeSelfSigned
from tests.cluster.redisserver import REDIS, WHY_NOT, RedisServer
from tests.ports import freePort, loopbackHost
from tests.processes.case import ProcessCase
from tests.support import Program, bore, eventually, isOpen, temporaryFolder

#: How long visitors may wait after the loss of a node, on a busy machine, in seconds.
_LONGEST = 10.0


class NodesTests(ProcessCase):
    """
    Each node has a host of its own, as a machine has.

    :ivar hosts: those of the nodes.
    """

    def node(self, number: int) -> Program:
        """Start a node."""
        host, port = self.hosts[number], self.controls[number]
        words = [
            "--tls",
            "--tls-cert",
            str(self.pem),
            "--tls-key",
            str(self.pem),
            "--bind-tunnels",
            host,
            "--control-port",
            str(port),
        ]
        place = ["--node", f"n{number}", "--advertise", f"tls://{host}:{port}", "--cluster-ttl", "15"]
        shared = ["--cluster", f"redis://127.0.0.1:{self.redis.port}", "--cluster-key", str(self.key)]
        return self.start(bore("server", "--bind-addr", host, "--bind-tunnels", host, *words, *place, *shared))

    @skipUnless(REDIS, WHY_NOT)
    def test_visitorsAtEveryNodeReachTheServiceWhileOneIsKilledAndStartedAgain(self) -> None:
        folder = temporaryFolder(self)
        self.key = folder / "cluster.key"
        self.assertEqual(self.start(bore("cluster-key", "--write", str(self.key))).wait(), 0)
        self.pem = folder / "tls.pem"
        self.pem.write_bytes(makeSelfSigned("nodes")[0])
        self.pem.chmod(0o600)
        self.hosts = [loopbackHost() for _ in range(3)]
        self.controls = [freePort(host) for host in self.hosts]
        self.redis = RedisServer()
        self.addCleanup(self.redis.kill)
        nodes = [self.node(number) for number in range(3)]
        for number, node in enumerate(nodes):
            node.waitFor(f"node n{number} of the cluster; other nodes:")
        client = self.launch(f"{self.hosts[0]}:{self.controls[0]}", "--tls", "--nodes", "2")
        client.waitFor("listening at ", 60)  # a new engine grants nothing for the time of --cluster-ttl
        port = client.port("listening at ")
        for host in self.hosts:
            self.assertServesAt(host, port)
        client.waitFor("the tunnels are at ")
        nodes[0].process.send_signal(signal.SIGKILL)
        nodes[0].wait()
        for host in self.hosts[1:]:
            begin = time.monotonic()
            self.assertServesAt(host, port)
            self.assertLess(time.monotonic() - begin, _LONGEST)
        nodes[0] = self.node(0)
        eventually(lambda: isOpen(self.hosts[0], port), "the node that is back listens at the port")
        for host in self.hosts:
            self.assertServesAt(host, port)

    def assertServesAt(self, host: str, port: int) -> None:
        """A visitor at a node is served, as soon as it listens."""
        eventually(lambda: isOpen(host, port), "the node listens at the port")
        self.host = host
        self.assertServes(port)
