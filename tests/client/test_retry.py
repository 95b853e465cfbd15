"""When a client tries again: the policy alone, with a clock and a random source."""

from __future__ import annotations

import errno
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.client.reasons import CheckFailed, ServerUnreachable
from bore.client.retry import Again, Failed, RetryPolicy
from bore.client.verdicts import isBlip
from bore.events.client import Verdict
from bore.wire.errors import ClusterAway, ClusterRecovering, InvalidSecret, PortInUse, ProtocolViolation

REFUSED = OSError(errno.ECONNREFUSED, "refused")
NO_ROUTE = OSError(errno.EHOSTUNREACH, "no route")


def failed(why: BaseException = REFUSED, verdict: Verdict = Verdict.RETRY, lost: bool = False) -> Failed:
    return Failed(why, verdict, f"failed: {why}", lost)


class Upper(Random):
    """Draws the upper end of each interval."""

    def uniform(self, a: float, b: float) -> float:
        return b


class RetryCase(SynchronousTestCase):
    """A policy."""

    def make(self, longest: float = 64.0, exitAfter: int = 0, reconnect: bool = True) -> None:
        self.clock = Clock()
        self.policy = RetryPolicy(self.clock, Upper(), longest, exitAfter, reconnect)

    def setUp(self) -> None:
        self.make()

    def again(self, failure: Failed, servers: int = 1) -> Again:
        """What follows is another attempt."""
        follows = self.policy.next(failure, servers)
        assert isinstance(follows, Again), follows
        return follows

    def lose(self, why: BaseException, seconds: float = 100.0, keepsPort: bool = True, servers: int = 2) -> Again:
        """A session is opened, and lost after a while."""
        self.policy.opened()
        self.clock.advance(seconds)
        self.policy.lost(why, keepsPort, servers)
        return self.again(failed(why, lost=True), servers)

    def reasonToGiveUp(self, failure: Failed, servers: int = 1) -> Exception:
        follows = self.policy.next(failure, servers)
        assert isinstance(follows, Exception), follows
        return follows


class DelayTests(RetryCase):
    """How long the client waits."""

    def test_theDelayDoublesUpToTheLongest(self) -> None:
        self.make(longest=10.0)
        delays = [self.again(failed()).delay for _ in range(6)]
        self.assertEqual(delays, [1, 2, 4, 8, 10, 10])

    def test_theLongestHoldsForTheFirstOneToo(self) -> None:
        self.make(longest=0.25)
        self.assertEqual(self.again(failed()).delay, 0.25)

    def test_aTunnelStartsItAnew(self) -> None:
        for _ in range(5):
            self.again(failed())
        self.policy.opened()
        self.policy.lost(REFUSED, True, 1)
        self.assertEqual([self.again(failed(lost=True)).delay, self.again(failed()).delay], [1, 2])

    def test_whatWouldBeRefusedTheSameHasTheLongest(self) -> None:
        for verdict in Verdict:
            self.make()
            expected = 64.0 if verdict in (Verdict.LATER, Verdict.UNPROVEN) else 1.0
            self.assertEqual(self.again(failed(verdict=verdict)).delay, expected, verdict)

    def test_aClusterThatGrantsNothingForTheTimeBeingIsAskedAtLeastEveryTenSeconds(self) -> None:
        for why in (ClusterRecovering(), ClusterAway()):
            self.make()
            self.assertEqual([self.again(failed(why)).delay for _ in range(6)], [1, 2, 4, 8, 10, 10])
            self.make(longest=3)
            self.assertEqual([self.again(failed(why)).delay for _ in range(3)], [1, 2, 3])

    def test_aServerThatWasNotTriedYetIsTriedSoon(self) -> None:
        delays = [self.again(failed(), servers=3) for _ in range(7)]
        self.assertEqual([each.delay for each in delays], [0.5, 0.5, 1, 0.5, 0.5, 2, 0.5])
        self.assertTrue(all(each.elsewhere for each in delays))

    @given(st.integers(0, 1 << 32), st.floats(0.01, 1000), st.integers(1, 5))
    def test_theDelayIsSpreadWithinItsBounds(self, seed: int, longest: float, servers: int) -> None:
        policy = RetryPolicy(Clock(), Random(seed), longest)
        nominal = min(1.0, longest)
        for count in range(1, 20):
            follows = policy.next(failed(), servers)
            assert isinstance(follows, Again)
            if count % servers:
                assert 0 <= follows.delay <= 0.5
            else:
                assert nominal / 2 <= follows.delay <= nominal
                nominal = min(2 * nominal, longest)


class ReturnTests(RetryCase):
    """Back to the server that was lost, or on to the next one."""

    def test_behindABlipTheClientComesBack(self) -> None:
        self.assertFalse(self.lose(ConnectionLost()).elsewhere)
        self.assertTrue(self.policy.returning)
        self.assertEqual(self.again(failed(NO_ROUTE), 2), Again(0.5, elsewhere=False))

    def test_andOnlyThen(self) -> None:
        self.assertFalse(isBlip(ConnectionRefusedError()))
        for again in (
            self.lose(ConnectionRefusedError()),
            self.lose(PortInUse()),
            self.lose(ConnectionLost(), keepsPort=False),
            self.lose(ConnectionLost(), servers=1),
        ):
            self.assertTrue(again.elsewhere)
            self.assertFalse(self.policy.returning)

    def test_itLeavesAServerThatTurnsOutToBeGone(self) -> None:
        self.lose(ConnectionLost())
        self.assertTrue(self.again(failed(ConnectionRefusedError()), 2).elsewhere)
        self.assertTrue(self.again(failed(NO_ROUTE), 2).elsewhere)

    def test_itLeavesOneWhoseTimeIsOver(self) -> None:
        self.lose(ConnectionLost())
        self.policy.returning = False
        self.assertTrue(self.again(failed(NO_ROUTE), 2).elsewhere)

    def test_itLeavesOneWhoseSessionsAreAlwaysLostSoon(self) -> None:
        self.assertEqual([self.lose(ConnectionLost(), 1).elsewhere for _ in range(4)], [False, False, True, True])
        self.assertFalse(self.lose(ConnectionLost(), 60).elsewhere)


class MoveTests(RetryCase):
    """The server gives the session away."""

    def moved(self, within: float | None = None) -> float:
        """Let the client wait, and come again. Returns the seconds that it has waited."""
        delay = self.policy.moved(within)
        self.clock.advance(delay)
        self.policy.opened()
        return delay

    def test_itComesAgainWithinASecondAndLaterIfThatHappensAgainAndAgain(self) -> None:
        self.assertEqual([self.moved() for _ in range(9)], [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 64.0, 64.0])
        self.clock.advance(1)
        self.assertEqual(self.moved(), 1.0)

    def test_aServerWithFewClientsHasThemComeSooner(self) -> None:
        for _ in range(9):  # as in one upgrade after the other
            self.assertEqual(self.moved(0.005), 0.005)
            self.clock.advance(1.5)
        self.moved(0.005)
        self.assertEqual([self.moved(0.005) for _ in range(3)], [1.0, 2.0, 4.0])

    def test_thatHappensAnyNumberOfTimes(self) -> None:
        self.make(longest=0.2)
        self.assertEqual({self.moved() for _ in range(5000)}, {1.0})

    def test_itIsNoFailure(self) -> None:
        self.make(exitAfter=2)
        for _ in range(5):
            self.moved()
        self.again(failed())


class GiveUpTests(RetryCase):
    """When there is no further attempt."""

    def test_whereNoServerIsLeftTheReasonIsTheFailureItself(self) -> None:
        why = InvalidSecret()
        self.assertIs(self.reasonToGiveUp(failed(why, Verdict.DROP_FOR_GOOD), servers=0), why)

    def test_withoutReconnectingItIsTheFirstFailure(self) -> None:
        for why, kind in ((REFUSED, ServerUnreachable), (PortInUse(), PortInUse)):
            self.make(reconnect=False)
            self.assertIsInstance(self.reasonToGiveUp(failed(why)), kind)
        self.make(reconnect=False)
        self.assertIsInstance(self.reasonToGiveUp(failed(ProtocolViolation("x"))), ProtocolViolation)

    def test_failuresInARowAreCounted(self) -> None:
        self.make(exitAfter=3)
        self.again(failed())
        self.again(failed())
        self.assertEqual(str(self.reasonToGiveUp(failed())), f"failures in a row: 3, the last one: failed: {REFUSED}")

    def test_soAreSessionsThatAreLostSoonAndASettledOneStartsTheCountAnew(self) -> None:
        self.make(exitAfter=2)
        self.lose(REFUSED, 59)
        self.lose(REFUSED, 61)
        self.lose(REFUSED, 59)
        self.assertIsInstance(self.reasonToGiveUp(failed(), 2), ServerUnreachable)

    def test_attemptsToComeBackAreNot(self) -> None:
        self.make(exitAfter=1)
        self.lose(ConnectionLost())
        for _ in range(10):
            self.again(failed(NO_ROUTE), 2)

    def test_checksThatFailAreCountedUntilOneSucceeds(self) -> None:
        self.make(exitAfter=2)
        why = CheckFailed("no visitor came through")
        self.lose(why)
        self.policy.checked()
        self.lose(why)
        self.policy.opened()
        self.clock.advance(100)
        self.policy.lost(why, True, 2)
        self.assertIsInstance(self.reasonToGiveUp(failed(why, lost=True), 2), ServerUnreachable)
