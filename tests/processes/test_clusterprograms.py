"""``bore server --cluster`` as a program."""

from __future__ import annotations

import http.client
import json
import signal
from unittest import skipUnless

from bore import exits
from tests.cluster.redisserver import REDIS, WHY_NOT, RedisServer
from tests.ports import freePort
from tests.processes.test_takeover import TakeOverCase
from tests.support import PATIENCE, Program, bore, eventually, temporaryFolder


class ClusterProgramTests(TakeOverCase):
    """A node from its start to its end, with an admin socket."""

    def setUp(self) -> None:
        super().setUp()
        self.key = temporaryFolder(self) / "cluster.key"
        self.assertEqual(self.start(bore("cluster-key", "--write", str(self.key))).wait(), exits.OK)

    def get(self, server: Program, path: str) -> int:
        """Ask the status port, and return the code of the answer."""
        port = int(server.waitFor("status at http://").rpartition(":")[2].rstrip("/"))
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.addCleanup(connection.close)
        connection.request("GET", path)
        return connection.getresponse().status

    @skipUnless(REDIS, WHY_NOT)
    def test_aNodeStartsWithoutItsEngineJoinsWhenItIsThereAndLeaves(self) -> None:
        port = freePort()
        words = ["--tls", "--cluster", f"redis://127.0.0.1:{port}", "--cluster-key", str(self.key), "--node", "one"]
        place = ["--advertise", f"tls://127.0.0.1:{freePort()}", "--status-port", "0", "--cluster-ttl", "15"]
        server = self.begin(*words, *place)
        server.waitFor("cannot be used: connection refused; no tunnel is opened")
        self.assertEqual(self.get(server, "/readyz"), 503)
        redis = RedisServer(port=port)
        self.addCleanup(redis.kill)
        server.waitFor("node one of the cluster; other nodes: 0")
        self.assertEqual(self.get(server, "/readyz"), 200)
        self.assertEqual(self.get(server, "/status"), 200)
        other = self.serve("--tls", "--take-over")
        other.waitFor("it is a node of a cluster: stop it, and its clients go to other nodes")
        self.assertNotEqual(other.wait(), exits.OK)
        [entry] = json.loads(redis.command("--json", "HVALS", "bore:nodes"))
        self.assertEqual(json.loads(entry)["state"], "up")
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(), exits.OK, server.transcript())
        eventually(lambda: redis.command("HLEN", "bore:nodes") == "0", "it has left")
