"""Snapshots that are taken over several turns, while visitors come and go and tunnels are closed."""

from __future__ import annotations

import random
import socket
from typing import cast

from twisted.internet import reactor
from twisted.internet.task import deferLater

from bore.client.tunnelspec import TunnelSpec
from bore.status import slices
from bore.status.report import ClientReport, ServerReport
from bore.status.slices import Work
from bore.streams.reactor import IReactor
from tests.status.case import StatusCase
from tests.support import connect


class ConsistencyTests(StatusCase):
    """Both ends, with something happening between any two steps of a snapshot."""

    async def setUpTunnels(self, seed: int) -> None:
        self.patch(slices, "SLICE", 1)
        self.chance = random.Random(seed)
        specs = [TunnelSpec(self.target, name=f"t{n}", probe=False) for n in range(4)]
        await self.begin(specs)
        self.visitors: list[socket.socket] = []
        self.addCleanup(self.leave)
        for _ in range(6):
            self.come()

    def leave(self) -> None:
        for each in self.visitors:
            each.close()

    def come(self) -> None:
        open = [each for each in self.serving.server.tunnels.all() if isinstance(each.address, int)]
        if not open:
            return
        visitor = connect(self.host, cast(int, self.chance.choice(open).address))
        visitor.sendall(bytes(self.chance.randint(1, 1000)))
        self.visitors.append(visitor)

    def happen(self) -> None:
        """Something happens."""
        tunnels = self.serving.server.tunnels.all()
        match self.chance.randrange(12):
            case 0 if len(tunnels) > 2:
                self.serving.server.kickTunnel(self.chance.choice(tunnels))
            case 1 if len(self.showing.tunnels) > 2:
                self.showing.apply(self.showing.tunnels[1:])
            case 2 | 3 | 4 | 5 if self.visitors:
                self.visitors.pop(self.chance.randrange(len(self.visitors))).close()
            case _:
                self.come()

    async def read(self, work: Work[ServerReport] | Work[ClientReport]) -> None:
        """Take a snapshot."""
        while True:
            try:
                next(work)
            except StopIteration as end:
                report: ServerReport | ClientReport = end.value
                break
            if self.chance.random() < 0.3:
                self.happen()
            await deferLater(cast(IReactor, reactor), 0.002)
        moved = report.totals.toClient if isinstance(report, ServerReport) else report.totals.fromVisitors
        before = self.before.get(type(report), (0, 0))
        self.before[type(report)] = report.totals.visitors, moved
        self.assertGreaterEqual(report.totals.visitors, before[0])
        self.assertGreaterEqual(moved, before[1])

    async def test_totalsNeverGoDownAndCountNothingTwice(self) -> None:
        self.before: dict[type, tuple[int, int]] = {}
        await self.setUpTunnels(1)
        for _ in range(12):
            await self.read(self.ofServer._read())
            await self.read(self.ofClient._read())
        self.leave()
        await self.until(lambda: not len(self.serving.server.relay))
        server, client = self.ofServer.snapshot().totals, self.ofClient.snapshot().totals
        for now, before in (
            ((server.visitors, server.toClient), self.before[ServerReport]),
            ((client.visitors, client.fromVisitors), self.before[ClientReport]),
        ):
            self.assertGreaterEqual(now[0], before[0])  # else something was counted twice
            self.assertGreaterEqual(now[1], before[1])
