"""A cluster: what its visitors have seen is judged as it was, and one row with each engine, in small."""

from __future__ import annotations

import asyncio

import pytest
from twisted.trial.unittest import SynchronousTestCase

from laboratory.cluster import KilledNode
from laboratory.clusterfault import Struck, judgeVisitors
from laboratory.clustersite import Size
from laboratory.fault import Outcome
from laboratory.pages import CLOSED, REFUSED, Place, Visit, Visitor, serve
from laboratory.pairings import WITH_ETCD, WITH_REDIS
from laboratory.rivals import Turn, judgeTurn
from tests.laboratory.test_faults import FaultCase
from tests.ports import freePort

PLACE = Place("10.77.1.2", 20000)

#: Two clients of ours and an original one.
SMALL = KilledNode(size=Size(clients=2, tunnels=2, originals=1, streams=6, rate=20), seconds=2, before=1, after=3)


def visit(came: float, waited: float = 0.1, owner: str = "one", trouble: str = "-") -> Visit:
    served = 0 if owner == "-" else came + waited
    return Visit(PLACE, came, served, came + waited, owner, trouble)


class JudgeTests(SynchronousTestCase):
    """What visitors have seen, without a cluster."""

    def visitors(self, struck: Struck, *visits: Visit) -> list[str]:
        """What is not as promised."""
        outcome = Outcome()
        judgeVisitors(outcome, struck, visits)
        return outcome.broken

    def turn(self, *visits: Visit) -> list[str]:
        """What is not as promised, where "one" was cut off."""
        outcome = Outcome()
        judgeTurn(outcome, Turn("one", 0, 100), visits)
        return outcome.broken

    def test_aVisitIsTheSameWhenItIsReadAgain(self) -> None:
        for each in (visit(1.5), visit(2, owner="-", trouble=CLOSED)):
            self.assertEqual(Visit.read(str(each)), each)

    def test_lostAndLateVisitorsAreFound(self) -> None:
        self.assertEqual(self.visitors(Struck(), visit(1), visit(2, 2.9)), [])
        [lost] = self.visitors(Struck(), visit(1), visit(2, owner="-", trouble=CLOSED))
        self.assertEqual(lost, "1 of 2 new visitors lost (1 closed)")
        [late] = self.visitors(Struck(), visit(1), visit(2, 3.1))
        self.assertIn("3.1 s", late)

    def test_nothingIsPromisedToVisitorsOfTheMomentsAfterAFault(self) -> None:
        self.assertEqual(self.visitors(Struck(windows=[(2, 3)]), visit(1), visit(2.5, 9, "-", CLOSED)), [])
        self.assertNotEqual(self.visitors(Struck(windows=[(2, 3)]), visit(1), visit(3.5, 9, "-", CLOSED)), [])

    def test_whoComesToTheFormerOwnerAfterTheNextOneIsFound(self) -> None:
        self.assertEqual(self.turn(visit(1), visit(2, 5, "one"), visit(4, 0.1, "other"), visit(5, 0.1, "other")), [])
        [found] = self.turn(visit(1), visit(4, 0.1, "other"), visit(4.05), visit(4.2), visit(5, 0.1, "other"))
        self.assertIn("1 of 5 later", found)


class VisitorTests(SynchronousTestCase):
    """Visitors of local services, without a tunnel."""

    def test_aVisitorReadsWhoseThePageIs(self) -> None:
        async def meet() -> list[Visit]:
            first = freePort()
            service = asyncio.create_task(serve("127.0.0.1", first, ["one"]))
            await asyncio.sleep(0)
            while (found := await Visitor(Place("127.0.0.1", first), lambda: True).come()).trouble == REFUSED:
                await asyncio.sleep(0.01)
            service.cancel()
            return [found, await Visitor(Place("127.0.0.1", 1), lambda: True).come()]

        page, none = asyncio.run(meet())
        self.assertEqual((page.owner, page.isWhole), ("one", True))
        self.assertEqual((none.owner, none.trouble, none.served), ("-", REFUSED, 0))


@pytest.mark.timeout(240)
class RedisTests(FaultCase):
    """With Redis, a replica and Sentinel."""

    def test_aKilledNodeCostsOnlyItsOwnStreams(self) -> None:
        self.keeps(SMALL, WITH_REDIS)


@pytest.mark.timeout(240)
class EtcdTests(FaultCase):
    """With etcd, three members."""

    def test_aKilledNodeCostsOnlyItsOwnStreams(self) -> None:
        self.keeps(SMALL, WITH_ETCD)
