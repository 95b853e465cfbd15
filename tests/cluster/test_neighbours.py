"""Which other nodes a node knows."""

from __future__ import annotations

from tests.cluster.clustercase import ClusterCase


class NeighboursTests(ClusterCase):
    """Runs of nodes, and an engine that has lost all entries."""

    def test_anEarlierRunOfANodeIsNotAnotherNode(self) -> None:
        one, two = self.node("one"), self.node("two")
        self.pass_(2)
        self.stopped.add(two)
        again = self.node("two")
        self.pass_(10)
        self.assertEqual([each.member for each in one.membership.neighbours.all()], [again.membership.member])
        self.assertEqual([each.name for each in again.membership.neighbours.all()], ["one"])

    def test_theOthersAreStillKnownWhenTheEngineHasLostAllEntries(self) -> None:
        one, two = self.node("one"), self.node("two")
        self.pass_(2)
        number = two.membership.number
        two.engine.fault = "lost"
        self.pass_(0.5)
        self.store.begin()
        self.pass_(2)
        [seen] = one.membership.neighbours.all()
        self.assertEqual((seen.name, seen.number), ("two", number))
        self.assertFalse(one.membership.neighbours.isAway(seen.member))
        two.engine.fault = ""
        self.pass_(4)
        [seen] = one.membership.neighbours.all()
        self.assertEqual((seen.member, seen.number), (two.membership.member, number))
        two.engine.fault = "lost"
        self.store.begin()
        self.pass_(12)
        self.assertEqual(one.membership.neighbours.all(), [])
