"""Lanes that turn out to be dead, at the server."""

from __future__ import annotations

from bore.wire.extension import Goodbye, Open, encode
from tests.server.lanecase import LaneCase


class DeadLaneTests(LaneCase):
    """A visitor was put on a lane that turns out to be dead."""

    def test_itWaitsAgainAndIsAnnounced(self) -> None:
        self.lane()
        self.come()
        who = self.relay.carried[0].who
        self.relay.giveBack(self.busy[0], b"early words", False)
        self.assertEqual(self.waiting(), [who])
        self.lane()
        [one] = self.relay.carried
        self.assertEqual((one.who, one.plain.early), (who, b"early words"))

    def test_silenceClosesTheOthersThatWereIdleForLonger(self) -> None:
        older, used = self.lane(), self.lane()
        self.come()
        self.reactor.advance(2.5)
        self.relay.giveBack(used, b"", True)
        self.assertIs(older.reset, True)
        self.assertEqual((len(self.waiting()), len(self.server.unaccepted)), (1, 1))

    def test_silenceLeavesThoseThatHaveWorkedSince(self) -> None:
        used = self.lane()
        self.come()
        fresh = self.lane()
        self.come()
        self.relay.leave(fresh)
        self.relay.giveBack(used, b"", True)
        self.assertIsNone(fresh.reset)

    def test_anotherIdleOneServesItAtOnce(self) -> None:
        other, used = self.lane(), self.lane()
        self.come()
        self.relay.giveBack(used, b"", False)
        self.assertEqual(self.busy, [other])
        self.assertEqual(self.waiting(), [])

    def test_whenAllHaveDiedTogetherItWaits(self) -> None:
        lanes = [self.lane() for _ in range(8)]
        self.come()
        for lane in lanes:
            lane.looksAlive = False
        self.relay.giveBack(lanes[-1], b"", False)
        self.assertEqual(self.busy, [])
        self.assertEqual((len(self.waiting()), len(self.server.unaccepted)), (1, 1))

    def test_whenTheClientIsAwayItWaitsForTheNextSession(self) -> None:
        used = self.lane()
        self.come()
        who = self.relay.carried[0].who
        self.lose(self.protocol)
        self.relay.giveBack(used, b"early", True)
        again, transport = self.begin()
        again.dataReceived(encode(Open(1, 0, self.opened.resume)))
        self.assertEqual(self.waiting(transport), [who])

    def test_whenTheTunnelIsClosedSoIsTheVisitor(self) -> None:
        used = self.lane()
        visitor = self.come()
        self.protocol.dataReceived(encode(Goodbye()))
        self.relay.giveBack(used, b"", True)
        self.assertEqual(visitor.recv(1), b"")
