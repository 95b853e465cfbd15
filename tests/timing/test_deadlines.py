"""Values that are kept for a limited time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.timing.deadlines import Deadlines


class DeadlinesTests(SynchronousTestCase):
    """Values that expire in their order."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.gone: list[tuple[str, int]] = []
        self.kept: Deadlines[str, int] = Deadlines(self.clock, 10, lambda key, value: self.gone.append((key, value)))

    def test_eachValueIsKeptForTheTime(self) -> None:
        self.kept.add("a", 1)
        self.clock.advance(4)
        self.kept.add("b", 2)
        self.clock.advance(5.9)
        self.assertEqual(self.gone, [])
        self.clock.advance(0.1)
        self.assertEqual(self.gone, [("a", 1)])
        self.clock.advance(4)
        self.assertEqual(self.gone, [("a", 1), ("b", 2)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_aTakenValueDoesNotExpire(self) -> None:
        self.kept.add("a", 1)
        self.assertEqual(self.kept.take("a"), 1)
        self.assertIsNone(self.kept.take("a"))
        self.clock.advance(20)
        self.assertEqual((self.gone, len(self.kept), self.clock.getDelayedCalls()), ([], 0, []))

    def test_theReactorHasATurnBeforeAnythingExpires(self) -> None:
        """What has come while the process was stopped is read in that turn."""
        for key in ("taken", "late"):
            self.kept.add(key, 1)
        self.clock.advance(9)
        self.kept.add("later", 1)
        self.clock.rightNow += 5
        self.clock.callLater(0, self.kept.take, "taken")  # it stands in for that turn: it comes before the sweep
        self.clock.advance(0)
        self.assertEqual(self.gone, [("late", 1)])
        self.clock.advance(5)
        self.assertEqual(self.gone, [("late", 1), ("later", 1)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_theKeysAreInOrder(self) -> None:
        self.kept.add("b", 1)
        self.kept.add("a", 2)
        self.assertEqual(self.kept.keys(), ["b", "a"])

    def test_takingAllEndsTheTimer(self) -> None:
        self.kept.add("a", 1)
        self.kept.add("b", 2)
        self.assertEqual(self.kept.takeAll(), [1, 2])
        self.assertEqual((len(self.kept), self.clock.getDelayedCalls()), (0, []))

    def test_oneTimerIsEnoughForAll(self) -> None:
        for n in range(1000):
            self.kept.add(str(n), n)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_theCallbackMayAddAndTake(self) -> None:
        def expired(key: int, value: int) -> None:
            kept.take(2)
            kept.add(key + 10, 0)

        kept = Deadlines(self.clock, 1, expired)
        kept.add(1, 0)
        kept.add(2, 0)
        self.clock.advance(1)
        self.assertEqual(len(kept), 1)
        self.assertEqual(kept.take(11), 0)

    @given(st.lists(st.tuples(st.floats(0, 6), st.booleans()), max_size=30))
    def test_noValueExpiresTooLateOrTooEarly(self, steps: list[tuple[float, bool]]) -> None:
        clock = Clock()
        added: dict[int, float] = {}
        gone: dict[int, float] = {}
        kept: Deadlines[int, None] = Deadlines(clock, 10, lambda key, _: gone.__setitem__(key, clock.seconds()))
        taken = set()
        for n, (pause, take) in enumerate(steps):
            clock.pump([0.25] * int(pause / 0.25))
            kept.add(n, None)
            added[n] = clock.seconds()
            if take and n > 2 and (n - 2) not in gone:
                kept.take(n - 2)
                taken.add(n - 2)
        clock.pump([0.25] * 60)
        self.assertEqual(set(gone), set(added) - taken)
        for n, when in gone.items():
            self.assertTrue(10 <= when - added[n] <= 10.25, (n, when - added[n]))

    def test_aValueCanBeKeptForTheRestOfItsTime(self) -> None:
        expired: list[str] = []
        kept: Deadlines[str, int] = Deadlines(clock := Clock(), 10, lambda key, value: expired.append(key))
        kept.restore("first", 1, 3)
        kept.restore("second", 2, 50)
        self.assertEqual((kept.left("first"), kept.left("second"), kept.left("third")), (3, 10, None))
        clock.advance(1)
        kept.add("third", 3)
        clock.advance(2)
        self.assertEqual((expired, kept.left("second")), (["first"], 7))
        clock.pump([1] * 8)
        self.assertEqual(expired, ["first", "second", "third"])
        self.assertEqual(clock.getDelayedCalls(), [])
