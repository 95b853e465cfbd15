"""Three nodes of a cluster as programs, one of which is killed."""

from __future__ import annotations

import signal
import time

from tests.processes.clusternodescase import NodesCase
from tests.support import eventually, isOpen

#: How long visitors may wait after the loss of a node, on a busy machine, in seconds.
_LONGEST = 10.0


class NodesTests(NodesCase):
    """Visitors at all nodes."""

    def test_theyAreServedWhileANodeIsKilledAndStartedAgain(self) -> None:
        self._killOne(0.0, 0.0, 0.0)

    def test_theClocksOfNodesMayDifferByHours(self) -> None:
        self._killOne(5.0, 0.0, -5.0)

    def _killOne(self, *hours: float) -> None:
        nodes = self.nodes(*hours)
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
        self.node(0, -hours[0])
        eventually(lambda: isOpen(self.hosts[0], port), "the node that is back listens at the port")
        for host in self.hosts:
            self.assertServesAt(host, port)
