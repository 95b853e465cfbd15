"""The right to act as owner on machines whose clocks stand still, or are set."""

from __future__ import annotations

from bore.cluster.neighbours import MARGIN
from tests.cluster.clustercase import TTL, ClusterCase

KEY, OTHER_KEY = "1" * 32, "2" * 32


class ClocksTests(ClusterCase):
    """A node that owns an address, and another one that wants it."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.node("one"), self.node("two")
        self.successResultOf(self.one.claim(2001, KEY))

    def standStill(self) -> None:
        """The machine of a node is paused, and its clock that is never set with it, until another has its address."""
        self.stopped.add(self.one)
        self.pass_(TTL + MARGIN + 5)
        self.one.offset -= TTL + MARGIN + 5
        self.successResultOf(self.two.claim(2001, OTHER_KEY))
        self.stopped.clear()

    def test_aMachineWhoseClockStoodStillCeasesToActWhenItsTimeOfDayIsSet(self) -> None:
        self.one.engine.fault = "lost"
        self.standStill()
        self.assertTrue(self.one.serves(2001), "it cannot know")
        self.one.timeOfDay += TTL + MARGIN + 5
        self.assertNoTwo(2001)
        self.one.engine.fault = ""
        self.pass_(8)
        self.assertEqual(self.one.ended, [2001])

    def test_aMachineWhoseClockStoodStillCeasesToActWithTheNextAnswer(self) -> None:
        self.standStill()
        self.one.engine.fault = "restore"
        self.pass_(1.5)
        self.assertNoTwo(2001)
        self.assertEqual(self.one.ended, [], "it was not told of each address yet")

    def test_aTimeOfDayThatIsSetCostsTheTimeToTheNextBeat(self) -> None:
        for step in (3600, -7200):
            self.one.timeOfDay += step
            self.pass_(1)
            self.assertTrue(self.one.serves(2001))
        self.one.engine.fault = "lost"
        self.pass_(TTL)
        self.assertFalse(self.one.serves(2001))
