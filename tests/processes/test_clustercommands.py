"""The commands about tunnels at the nodes of a cluster, which are programs."""

from __future__ import annotations

import json

from bore import exits
from tests.processes.clusternodescase import NodesCase
from tests.support import Program, bore, eventually, isOpen


class CommandsTests(NodesCase):
    """Three nodes, of which one has the client."""

    def command(self, number: int, *words: str, code: int = 0) -> Program:
        """Run a command at a node."""
        program = self.start(bore(*words, "--socket", self.socket(number)))
        self.assertEqual(program.wait(), code, program.transcript())
        return program

    def test_aNodeThatPassesVisitorsOnSaysWhereTheTunnelIs(self) -> None:
        self.nodes(0.0, 0.0, 0.0)
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
