"""Work over several turns."""

from __future__ import annotations

import gc

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.status.slices import SLICE, Shared, Work, atOnce, joined, mapped, spread


class Turns(Clock):
    """A clock by which each step of work takes a whole turn."""

    def seconds(self) -> float:
        self.rightNow += 1
        return self.rightNow

    def turn(self, count: int = 1) -> None:
        """Make the calls that are due, and not those that they lead to."""
        for _ in range(count):
            for call in tuple(self.calls):
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)


class SlicesCase(SynchronousTestCase):
    """
    Work that counts its steps.

    :ivar begun: how often it was begun.
    """

    def setUp(self) -> None:
        self.clock = Turns()
        self.begun = self.steps = 0
        self.assertTrue(gc.isenabled())
        self.addCleanup(lambda: self.assertTrue(gc.isenabled(), "no garbage is collected any more"))

    def work(self, steps: int = 3, fault: bool = False) -> Work[int]:
        self.begun += 1
        number = self.begun
        for _ in range(steps):
            self.steps += 1
            yield
        if fault:
            raise ZeroDivisionError
        return number


class SpreadTests(SlicesCase):
    """Work on its own."""

    def test_itTakesTurns(self) -> None:
        done = spread(self.clock, self.work())
        for step in (1, 2, 3, 3):
            self.assertNoResult(done)
            self.assertEqual(self.steps, step)
            self.clock.turn()
        self.assertEqual(self.successResultOf(done), 1)

    def test_littleWorkEndsInOneTurn(self) -> None:
        self.assertEqual(self.successResultOf(spread(Clock(), self.work(100))), 1)

    def test_aFaultIsItsResult(self) -> None:
        done = spread(Clock(), self.work(fault=True))
        self.failureResultOf(done, ZeroDivisionError)

    def test_noGarbageIsCollectedBeforeItsEnd(self) -> None:
        def more(_: object) -> Deferred[int]:
            self.assertFalse(gc.isenabled())
            return spread(self.clock, self.work())

        done = spread(self.clock, self.work()).addCallback(more)
        for _ in range(8):
            self.assertFalse(gc.isenabled())
            self.clock.turn()
        self.assertEqual(self.successResultOf(done), 2)
        self.assertTrue(gc.isenabled())

    def test_itEndsWhenItIsCancelled(self) -> None:
        done = spread(self.clock, self.work())
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertEqual((self.clock.getDelayedCalls(), self.steps), ([], 1))

    def test_itemsAreMadeAFewAtATime(self) -> None:
        made: list[int] = []
        counts = [len(made) for _ in mapped(made.append, range(3 * SLICE + 1))]
        self.assertEqual(counts, [SLICE, 2 * SLICE, 3 * SLICE, 3 * SLICE + 1])
        self.assertEqual(atOnce(mapped(str, range(SLICE + 1))), [str(n) for n in range(SLICE + 1)])

    def test_textsAreJoined(self) -> None:
        self.assertEqual(atOnce(joined("abc")), "abc")


class SharedTests(SlicesCase):
    """Work that several ask for."""

    def test_thoseWhoAskMeanwhileShareTheNextResult(self) -> None:
        shared = Shared(self.clock, self.work)
        first = shared()
        others = [shared(), shared()]
        self.clock.turn(4)
        self.assertEqual(self.successResultOf(first), 1)
        self.assertEqual(self.begun, 2)
        self.clock.turn(4)
        self.assertEqual([self.successResultOf(each) for each in others], [2, 2])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_oneWhoAsksInTheAnswerGetsANewOne(self) -> None:
        shared = Shared(Clock(), self.work)
        self.assertEqual(self.successResultOf(shared().addCallback(lambda _: shared())), 2)

    def test_afterAFaultItIsTriedAgain(self) -> None:
        shared = Shared(Clock(), lambda: self.work(fault=not self.begun))
        self.failureResultOf(shared(), ZeroDivisionError)
        self.assertEqual(self.successResultOf(shared()), 2)

    def test_oneWhoDoesNotWantItAnyMoreTakesItFromNobody(self) -> None:
        shared = Shared(self.clock, self.work)
        first = shared()
        second, third = shared(), shared()
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.clock.turn(8)
        self.assertEqual((self.successResultOf(first), self.successResultOf(third)), (1, 2))
