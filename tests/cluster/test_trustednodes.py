"""Nodes whose addresses are trusted as those of proxies, which they should not be."""

from __future__ import annotations

from dataclasses import replace

from twisted.logger import formatEvent

from bore.server.settings import TrustedProxies
from bore.wire.addressrules import parseNetwork
from tests.cluster.nodescase import NodesCase
from tests.fakes import captureLog


class TrustedNodesTests(NodesCase):
    """Two nodes on loopback."""

    async def test_theLogNamesWhatMayBeWrong(self) -> None:
        logged = captureLog(self)
        for node in self.nodes:
            trusted = TrustedProxies((parseNetwork("127.0.0.0/8"),))
            node.service.apply(replace(node.service.settings, trustedProxies=trusted))
        await self.eventually(lambda: all(link.why for link in self.links()))
        lines = [formatEvent(event) for event in logged]
        lines = [line for line in lines if line.startswith("no session")]
        self.assertEqual(len(lines), 2)
        for line in lines:
            self.assertIn("or the address of this node is in the --trusted-proxies of that one", line)
