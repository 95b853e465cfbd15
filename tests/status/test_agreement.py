"""
Both ends report what the local service has seen, to the byte.

``make test`` runs a short form; BORE_STRESS=1 the whole, with ten thousand visitors that end in order, and as many of
which a part is cut.
"""

from __future__ import annotations

import os
from typing import Any, Final

import pytest

from tests.status.case import IN_ORDER, SERVICE_CUTS, VISITOR_CUTS, StatusCase

#: Whether all of it is tested.
_STRESS: Final = bool(os.environ.get("BORE_STRESS"))

#: How long a test may take, in seconds.
_TIME_LIMIT: Final = 600.0 if _STRESS else 75.0

#: How many visitors come in order in each test, and how many of which some are cut.
_VISITORS: Final = 2500 if _STRESS else 75


@pytest.mark.timeout(_TIME_LIMIT)
class AgreementTests(StatusCase):
    """Visitors at random."""

    timeout = _TIME_LIMIT

    async def assertAgrees(self, **settings: Any) -> None:
        [port] = await self.begin(**settings)
        await self.visitAll(port, _VISITORS)
        await self.ended(port)
        counter, tunnel, own = self.counter, self.serverTunnel(port), self.clientTunnel()
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(counter.service.errors, [])
        self.assertEqual(counter.visitors, _VISITORS)
        self.assertEqual((tunnel.visitors.total, own.visitors.total), (_VISITORS, _VISITORS))
        self.assertEqual((tunnel.bytes.toClient, own.bytes.fromVisitors), (counter.received, counter.received))
        self.assertEqual((tunnel.bytes.toVisitors, own.bytes.toVisitors), (counter.sent, counter.sent))
        self.assertEqual(counter.receivedByVisitors, counter.sent)
        self.assertEqual(counter.sentByVisitors, counter.received)
        await self.assertAgreesAboutCuts(port)

    async def assertAgreesAboutCuts(self, port: int) -> None:
        """Of visitors that are cut, each side knows at least what has reached the next one."""
        await self.visitAll(port, _VISITORS, (IN_ORDER, VISITOR_CUTS, SERVICE_CUTS), seed=1000)
        await self.ended(port)
        counter, tunnel, own = self.counter, self.serverTunnel(port), self.clientTunnel()
        self.assertEqual(tunnel.visitors.total, 2 * _VISITORS)
        self.assertLessEqual(own.visitors.total, tunnel.visitors.total)
        self.assertLessEqual(counter.visitors, own.visitors.total)
        up = counter.received, own.bytes.fromVisitors, tunnel.bytes.toClient, counter.sentByVisitors
        down = counter.receivedByVisitors, tunnel.bytes.toVisitors, own.bytes.toVisitors, counter.sent
        self.assertEqual(list(up), sorted(up))
        self.assertEqual(list(down), sorted(down))
        totals, ours = self.ofServer.snapshot().totals, self.ofClient.snapshot().totals
        self.assertEqual(
            (totals.visitors, totals.toClient, totals.toVisitors),
            (tunnel.visitors.total, tunnel.bytes.toClient, tunnel.bytes.toVisitors),
        )
        self.assertEqual((ours.fromVisitors, ours.toVisitors), (own.bytes.fromVisitors, own.bytes.toVisitors))

    async def test_onLanes(self) -> None:
        await self.assertAgrees()

    async def test_withoutLanes(self) -> None:
        await self.assertAgrees(lanes=0)

    async def test_insideTls(self) -> None:
        server, client = self.tls()
        await self.assertAgrees(server={"tls": server}, tls=client)

    async def test_ofThePortableRelay(self) -> None:
        await self.assertAgrees(server={"portableRelay": True}, portableRelay=True)
