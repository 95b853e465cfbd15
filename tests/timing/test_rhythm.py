"""One interval for many members."""

from __future__ import annotations

import random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.timing.rhythm import Group, Rhythm, Stalls

INTERVAL = 0.5


class Counter:
    """Records when its beats come, and which are late."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.beats: list[float] = []
        self.late: list[float] = []
        self.group: Group | None = None
        self.leaveAt = 0

    def beat(self, late: bool) -> None:
        (self.late if late else self.beats).append(self._clock.seconds())
        if len(self.beats) == self.leaveAt and self.group is not None:
            self.group.leave(self)


class RhythmTests(SynchronousTestCase):
    """Beats of members that come and go."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1)  # what runs at the very beginning counts as late
        self.stalls = Stalls(self.clock)
        self.clock.advance(1)
        self.rhythm = Rhythm(self.clock, INTERVAL, self.stalls)

    def join(self) -> Counter:
        member = Counter(self.clock)
        member.group = self.rhythm.join(member)
        return member

    def pass_(self, seconds: float, step: float = 1 / 256) -> None:
        for _ in range(round(seconds / step)):
            self.clock.advance(step)

    def test_oneMemberHasExactlyTheInterval(self) -> None:
        member = self.join()
        self.pass_(3)
        self.assertEqual(member.beats, [2.5, 3.0, 3.5, 4.0, 4.5, 5.0])
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_manyNeedFewTimers(self) -> None:
        source = random.Random(1)
        members = []
        for _ in range(1000):
            self.pass_(source.random() / 50)
            members.append((self.join(), self.clock.seconds()))
        self.assertLessEqual(len(self.clock.getDelayedCalls()), 40)
        self.pass_(5)
        for member, joined in members:
            gaps = [after - before for before, after in zip([joined, *member.beats], member.beats, strict=False)]
            self.assertGreaterEqual(gaps[0], INTERVAL * 0.95)
            self.assertLessEqual(gaps[0], INTERVAL)
            self.assertEqual(set(gaps[1:]), {INTERVAL})

    def test_whatTheyCostIsSpreadOverTheInterval(self) -> None:
        members = []
        for _ in range(200):
            self.pass_(INTERVAL / 200, INTERVAL / 200)
            members.append(self.join())
        self.pass_(2)
        beats = [member.beats[-1] % INTERVAL for member in members]
        self.assertLessEqual(max(map(beats.count, beats)), 20)

    def test_withoutMembersThereIsNoTimer(self) -> None:
        members = [self.join() for _ in range(3)]
        for member in members:
            assert member.group is not None
            member.group.leave(member)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.join()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_membersMayLeaveDuringABeat(self) -> None:
        first, second, third = (self.join() for _ in range(3))
        first.leaveAt = 2
        self.pass_(1.5)
        self.assertEqual([len(member.beats) for member in (first, second, third)], [2, 3, 3])
        second.leaveAt = third.leaveAt = 4
        self.pass_(1.5)
        self.assertEqual([len(member.beats) for member in (first, second, third)], [2, 4, 4])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_aBeatThatIsLateDoesNotDelayTheOthers(self) -> None:
        member = self.join()
        self.clock.advance(0.7)
        self.pass_(1)
        self.assertEqual([round(at, 2) for at in member.beats], [2.7, 3.0, 3.5])

    def test_aStallCountsOnceHoweverManyGroupsThereAre(self) -> None:
        members = []
        for _ in range(10):
            self.pass_(INTERVAL / 10)
            members.append(self.join())
        self.pass_(1)
        self.clock.advance(60)
        self.assertLessEqual(abs(self.stalls.total - 60), 1 / 16)
        self.assertEqual([len(member.late) for member in members], [1] * 10)
        self.assertEqual(self.stalls.end, self.clock.seconds())
        total = self.stalls.total
        self.pass_(2)
        self.assertEqual(self.stalls.total, total)

    def test_aBeatRightAfterAStallIsLateAsWell(self) -> None:
        """The reactor calls what is due before it reads sockets."""
        member = self.join()
        self.assertTrue(self.stalls.wasLate(self.clock.seconds() - 5, self.clock.seconds()))
        self.assertTrue(self.stalls.wasLate(self.clock.seconds() - 0.1, self.clock.seconds()))
        self.pass_(1)
        self.assertEqual((member.late, len(member.beats)), ([], 2))
