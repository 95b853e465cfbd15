"""The commands about tunnels at the nodes of a cluster, which are programs."""

from __future__ import annotations

import json
from unittest import skipUnless

from bore import exits
from bore.tls.certificates import makeSelfSigned
from tests.cluster.redisserver import REDIS, WHY_NOT, RedisServer
from tests.ports import freePort, loopbackHost
from tests.processes.case import ProcessCase
from tests.support import Program, bore, eventually, isOpen, temporaryFolder


class CommandsTests(ProcessCase):
    """Three nodes, of which one has the client."""

    def node(self, number: int) -> Program:
        """Start a node with an admin socket of its own."""
        host, control = self.hosts[number], freePort(self.hosts[number])
        self.controls.append(control)
        words = ["--tls", "--tls-cert", str(self.pem), "--tls-key", str(self.pem), "--control-port", str(control)]
        place = ["--node", f"n{number}", "--advertise", f"tls://{host}:{control}", "--cluster-ttl", "15"]
        shared = ["--cluster", f"redis://127.0.0.1:{self.redis.port}", "--cluster-key", str(self.key)]
        hosts = ["--bind-addr", host, "--bind-tunnels", host, "--admin-socket", self.socket(number)]
        return self.start(bore("server", *hosts, *words, *place, *shared))

    def socket(self, number: int) -> str:
        return str(self.folder / f"n{number}.sock")

    def command(self, number: int, *words: str, code: int = 0) -> Program:
        """Run a command at a node."""
        program = self.start(bore(*words, "--socket", self.socket(number)))
        self.assertEqual(program.wait(), code, program.transcript())
        return program

    @skipUnless(REDIS, WHY_NOT)
    def test_aNodeThatPassesVisitorsOnSaysWhereTheTunnelIs(self) -> None:
        self.folder = temporaryFolder(self)
        self.key, self.pem = self.folder / "cluster.key", self.folder / "tls.pem"
        self.assertEqual(self.start(bore("cluster-key", "--write", str(self.key))).wait(), 0)
        self.pem.write_bytes(makeSelfSigned("nodes")[0])
        self.pem.chmod(0o600)
        self.hosts, self.controls = [loopbackHost() for _ in range(3)], list[int]()
        self.redis = RedisServer()
        self.addCleanup(self.redis.kill)
        for number in range(3):
            self.node(number).waitFor(f"node n{number} of the cluster; other nodes:")
        client = self.launch(f"{self.hosts[0]}:{self.controls[0]}", "--tls", "--nodes", "1")
        why = "this cluster is finding out which tunnels exist, which takes up to "
        self.assertIn(why, client.waitFor("finding out which tunnels exist"))
        client.waitFor("listening at ", 60)
        port = client.port("listening at ")
        eventually(lambda: isOpen(self.hosts[1], port), "the other node listens at the port")
        self.host = self.hosts[1]
        visitor = self.visitor(port)
        self.assertEchoes(visitor)
        shown = self.command(1, "status", str(port))
        page = "\n".join(shown.out)
        self.assertIn(f"tunnel {port}\n", page)
        self.assertIn("  state     passed on for ", page)
        self.assertIn("  nodes     n0\n", page)
        self.assertIn("  visitors  1 open", page)
        self.assertIn(":".join(map(str, visitor.getsockname())), page)
        refused = self.command(1, "kick", str(port), code=exits.FAILURE)
        where = f"the tunnel {port} is not at this node, but at n0: run 'bore kick {port}' there"
        self.assertIn(where, refused.err[-1])
        self.assertEchoes(visitor)
        whole = "\n".join(self.command(1, "status").out)
        self.assertRegex(whole, f"PASSED ON .*\n{port} +n0 ")
        self.assertRegex(whole, r"\nn0 +up +[0-2] s ")
        report = json.loads(self.command(0, "status", "--json").out[0])
        self.assertEqual([each["nodes"] for each in report["tunnels"]], [["n0"]])
        self.assertIn("ended: 0 sessions, 1 tunnel, 1 visitor", self.command(0, "kick", str(port)).out[0])
