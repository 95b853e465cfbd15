"""Servers with workers under a service manager: what it gets to know, and what it keeps."""

from __future__ import annotations

import os
import signal

from tests.processes.test_descriptorstore import StoreCase, Visitors
from tests.support import eventually


class WorkersStoreTests(StoreCase):
    """A server with workers whose listening sockets the manager keeps."""

    def test_noVisitorIsRefusedAtAnUpgradeAndWhenItIsStartedAgain(self) -> None:
        server = self.begin("--workers", "2")
        self.assertEqual(sum("has started, process" in line for line in server.err), 2, server.transcript())
        control = server.port("listening on ")
        client, port = self.client(control)
        self.assertKept(str(port))
        visitors = Visitors(self.host, port)
        self.addCleanup(visitors.stop)
        self.manager.notices.clear()
        os.kill(server.pid, signal.SIGUSR2)
        server.waitFor("generation 2 serves from now on", 60)
        eventually(lambda: self.isReady(server), "it is ready again")
        self.assertIn("RELOADING=1", "".join(map(str, self.manager.notices)))
        status = [line for each in self.manager.notices for line in each if line.startswith("STATUS=")]
        self.assertTrue(
            status[-1].startswith(f"STATUS=listening on {self.host}:{control}; 2 workers, 1 tunnel"), status
        )
        self.assertKept(str(port))
        self.end(server, signal.SIGTERM)
        server = self.begin("--workers", "2")
        server.waitFor("public addresses that were kept: 1")
        before = visitors.served
        eventually(lambda: visitors.served > before + 5, "visitors are served")
        visitors.stop()
        self.assertEqual(visitors.refused, [])
        self.assertEqual(client.port("listening at "), port)
