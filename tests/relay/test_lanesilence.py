"""Lanes on which nothing comes: they are dead, or there is nothing to send."""

from __future__ import annotations

import sys

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there are no lanes on this system")

from bore.relay.interface import Reason
from tests.relay.lanecase import LaneCase, data, pairOn
from tests.relay.plugs import TINY, fill, reset, take, wasReset


class SilentTests(LaneCase):
    """Lanes on which nothing comes."""

    def test_whatHasArrivedIsProof(self) -> None:
        visitor, lane, hand = self.visit()
        visitor.send(b"hello")
        self.turn()
        self.reactor.advance(3)
        self.assertIsNone(pairOn(lane).unproven)
        reset(hand.socket)
        self.turn()
        self.assertEqual((self.given, [e.reason for e in self.endings]), ([], [Reason.RIGHT_CUT]))
        self.assertTrue(wasReset(visitor))

    def test_whatHasNotArrivedIsGivenBackOnce(self) -> None:
        visitor, lane, _ = self.visit()
        visitor.send(b"hello")
        self.turn()
        inner = pairOn(lane).plain.socket
        self.unacknowledged()
        self.reactor.advance(2.4)
        self.assertEqual(self.given, [])
        self.reactor.advance(0.2)
        self.assertEqual((self.given, lane.closed), ([(b"hello", True)], True))
        self.reactor.advance(60)
        self.assertEqual(len(self.given), 1)
        visitor.send(b"!")
        self.assertEqual(take(inner), b"!")

    def test_aLaneWhoseOtherSideTakesNothingGivesItsVisitorBack(self) -> None:
        lane, hand = self.lane(size=TINY)
        fill(lane.socket)
        take(hand.socket, 1)
        visitor, inner = self.stream()
        visitor.send(b"hello")
        self.join(inner, lane)
        self.turn()
        self.reactor.advance(3)
        self.assertEqual(self.given, [(b"hello", True)])

    def test_aLaneOnWhichSomethingHasComeIsNotChecked(self) -> None:
        visitor, _, hand = self.visit()
        hand.send(data(b"an answer"))
        self.turn()
        self.unacknowledged()
        self.reactor.advance(10)
        self.assertEqual((self.given, self.endings, take(visitor)), ([], [], b"an answer"))
