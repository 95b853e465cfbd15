"""First messages that name what is not here."""

from __future__ import annotations

from typing import cast
from uuid import uuid4

from twisted.trial.unittest import SynchronousTestCase

from bore.relay.interface import Relay
from bore.server.firstmessage import FirstMessages, Misplaced
from bore.server.lanepool import LanePools
from bore.server.unaccepted import UnacceptedVisitors
from bore.server.users import NAMELESS
from bore.wire.errors import ProtocolViolation
from bore.wire.extension import Lane
from bore.wire.messages import Accept
from bore.wire.sessionevents import VisitorTaken


class Nothing:
    """Has no visitor and no session."""

    def find(self, name: object) -> None:
        return None


class PredecessorTests(SynchronousTestCase):
    """With a process from which this one has taken over."""

    def setUp(self) -> None:
        unaccepted, pools = cast(UnacceptedVisitors, Nothing()), cast(LanePools, Nothing())
        self.messages = FirstMessages(unaccepted, cast(Relay, None), pools)
        self.visitor = uuid4()

    def hand(self) -> None:
        self.messages.hand(VisitorTaken(self.visitor, b"rest"), self.fail, NAMELESS)

    def test_aVisitorThatIsNotHereMayBeThere(self) -> None:
        self.messages.predecessor = True
        found = self.assertRaises(Misplaced, self.hand)
        self.assertEqual((found.request, found.rest), (Accept(self.visitor), b"rest"))
        self.assertRaises(Misplaced, self.messages.ownerOf, Accept(self.visitor))
        self.assertIsNone(self.messages.ownerOf(Lane("0" * 32)))  # its session comes again

    def test_withoutOneItIsNowhere(self) -> None:
        self.assertNotIsInstance(self.assertRaises(ProtocolViolation, self.hand), Misplaced)
        self.assertIsNone(self.messages.ownerOf(Accept(self.visitor)))
