"""A cluster: what its visitors have seen is judged as it was."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from laboratory.clusterfault import Struck, judgeVisitors
from laboratory.fault import Outcome
from laboratory.pages import CLOSED, Place, Visit
from laboratory.rivals import Turn, judgeTurn

PLACE = Place("10.77.1.2", 20000)


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
