"""Visitors of a client that needs long for each of them."""

from __future__ import annotations

import socket

from bore.server import tunnel, uptake
from tests.server.lanecase import LaneCase


class UptakeTests(LaneCase):
    """How many are accepted: those that the client cannot take in time are not."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(tunnel, "MEASURED", 2)
        self.patch(uptake, "LEAST", 4)

    def accepted(self) -> int:
        return len(self.server.tunnels._byAddress[self.opened.port].waiting)

    def flood(self, count: int = 40) -> list[socket.socket]:
        return [self.visit(self.opened.port) for _ in range(count)]

    def take(self, count: int, seconds: float) -> None:
        """The client takes some, each within that time."""
        for _ in range(count):
            self.live(self.protocol, seconds)
            self.lane()
            self.turn()

    def test_someAreAcceptedBeforeItIsKnown(self) -> None:
        self.flood()
        self.assertEqual(self.accepted(), 4)
        text = f"port {self.opened.port}: visitors that wait for the client: 4; more are not accepted yet"
        self.assertEqual(self.warnings, [text])

    def test_asManyAreAcceptedAsAreTakenInTime(self) -> None:
        self.flood()
        self.take(8, 0.5)
        self.assertEqual(self.accepted(), 14)  # 2 a second, within 20/3 seconds, and the one that is accepted next

    def test_allAreTakenAndNobodyIsClosed(self) -> None:
        visitors = self.flood()
        self.take(40, 0.5)
        sources = [each.who.source for each in self.relay.carried]
        self.assertEqual(sources, [visitor.getsockname() for visitor in visitors])

    def test_whenNobodyIsTakenTheOthersAreAcceptedWhenTheseAreClosed(self) -> None:
        self.flood(6)
        self.live(self.protocol, 10.5)
        self.turn()
        self.assertEqual(self.accepted(), 2)

    def test_whatWasLongAgoDoesNotCount(self) -> None:
        self.flood(8)
        self.take(8, 0.5)
        self.live(self.protocol, 11)
        self.flood()
        self.assertEqual(self.accepted(), 4)
