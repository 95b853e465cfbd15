"""What peers say is followed in shares."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.timing import turns
from bore.timing.turns import MIN_COST, Inflow, Turns

#: Short frames that one connection, and all together, may have followed in a turn: each comes in the same read.
SHARE = turns._SHARE // MIN_COST
TURN = turns._TURN // MIN_COST


class _Clock(Clock):
    """Time in which what is called at once is called in the next turn, as in a reactor."""

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kw: object) -> IDelayedCall:
        return super().callLater(max(delay, 0.001), callable, *args, **kw)

    def turn(self) -> None:
        """Have one turn."""
        self.advance(0.001)


class _Peer:
    """
    A connection, and what is followed of it.

    :ivar followed: the numbers of the frames that were.
    :ivar paused: whether nothing is read from it.
    """

    def __init__(self, turns: Turns) -> None:
        self.followed: list[int] = []
        self.paused = self.closed = False
        self.fails = False
        self._next = 0
        self.inflow: Inflow[int] = Inflow(turns, cast(IPushProducer, self), self.read)

    def say(self, frames: int, size: int = 1) -> None:
        """Say so many frames, of this size together."""
        assert not self.paused, "it is not read from"
        self.inflow.received(self._frames(frames), size)
        self.read()

    def _frames(self, count: int) -> Iterator[int]:
        for _ in range(count):
            self._next += 1
            yield self._next

    def read(self) -> None:
        for number in self.inflow:
            if self.fails:
                raise ZeroDivisionError
            self.followed.append(number)

    def pauseProducing(self) -> None:
        assert not self.paused
        self.paused = True

    def resumeProducing(self) -> None:
        assert self.paused
        self.paused = False

    def stopProducing(self) -> None:
        self.closed = True


class TurnsTests(SynchronousTestCase):
    """The shares of each turn."""

    def setUp(self) -> None:
        self.clock = _Clock()
        self.turns = Turns(self.clock)

    def peers(self, count: int) -> list[_Peer]:
        return [_Peer(self.turns) for _ in range(count)]

    def turn(self, peer: _Peer) -> int:
        """How much is followed of a peer in the next turn."""
        before = len(peer.followed)
        self.clock.turn()
        return len(peer.followed) - before

    def test_littleIsFollowedAtOnceAndNeedsNoTimer(self) -> None:
        [peer] = self.peers(1)
        for _ in range(100):
            peer.say(3)
            self.assertFalse(peer.paused)
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.clock.advance(0.01)
        self.assertEqual(peer.followed, list(range(1, 301)))

    def test_whatIsOverAShareWaitsForTheNextTurns(self) -> None:
        [peer] = self.peers(1)
        peer.say(3 * SHARE)
        self.assertEqual((len(peer.followed), peer.paused), (SHARE - 1, True))  # the read counts, too
        self.assertEqual([self.turn(peer), self.turn(peer), self.turn(peer), self.turn(peer)], [SHARE, SHARE, 1, 0])
        self.assertEqual((peer.followed, peer.paused), (list(range(1, 3 * SHARE + 1)), False))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_readsCountWhateverFollowsFromThem(self) -> None:
        [peer] = self.peers(1)
        for _ in range(SHARE):
            peer.say(0)
        self.assertTrue(peer.paused)
        self.clock.turn()
        self.assertFalse(peer.paused)

    def test_bytesCount(self) -> None:
        [peer] = self.peers(1)
        peer.say(2, size=turns._SHARE)
        self.assertEqual(peer.followed, [])
        self.assertEqual(self.turn(peer), 2)

    def test_allTogetherHaveAShare(self) -> None:
        peers = self.peers(20)
        for peer in peers:
            peer.say(10 * SHARE)
        self.assertEqual(sum(len(peer.followed) + 1 for peer in peers if peer.followed), TURN)
        self.assertTrue(all(peer.paused for peer in peers))
        for _ in range(5):
            before = sum(len(peer.followed) for peer in peers)
            self.clock.turn()
            self.assertLessEqual(sum(len(peer.followed) for peer in peers) - before, TURN)

    def test_whoHasWaitedForLongestIsNext(self) -> None:
        peers = self.peers(20)
        for peer in peers:
            peer.say(10 * SHARE)
        for _ in range(10 * len(peers) * SHARE // TURN):
            self.clock.turn()
        counts = [len(peer.followed) for peer in peers]
        self.assertLessEqual(max(counts) - min(counts), 2 * SHARE, counts)

    def test_whoSaysLittleIsNotHeldUpByThoseThatSayMuch(self) -> None:
        loud, [quiet] = self.peers(20), self.peers(1)
        for peer in loud:
            peer.say(100 * SHARE)
        for _ in range(20):
            self.clock.turn()
            quiet.say(2)
            self.assertFalse(quiet.paused)
        self.assertEqual(len(quiet.followed), 40)

    def test_manyThatSayLittleDoNotStarveThoseThatWait(self) -> None:
        [loud], quiet = self.peers(1), self.peers(2 * TURN)
        loud.say(20 * SHARE)
        for _ in range(40):
            self.clock.turn()
            for peer in quiet:
                if not peer.paused:
                    peer.say(1)
        self.assertGreater(len(loud.followed), 4 * SHARE)

    def test_whoIsStoppedIsLeftAlone(self) -> None:
        [peer] = self.peers(1)
        peer.say(3 * SHARE)
        peer.inflow.stop()
        for _ in range(5):
            self.assertEqual(self.turn(peer), 0)
        self.assertTrue(peer.paused)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_aFaultOfOursCostsOneConnection(self) -> None:
        broken, other = self.peers(2)
        broken.say(3 * SHARE)
        other.say(3 * SHARE)
        broken.fails = True
        self.clock.turn()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual((broken.closed, other.closed), (True, False))
        for _ in range(4):
            self.clock.turn()
        self.assertEqual(len(other.followed), 3 * SHARE)

    @given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3 * SHARE), st.integers(1, 1 << 16)), max_size=20))
    def test_everythingIsFollowedOnceAndInOrder(self, said: list[tuple[int, int, int]]) -> None:
        clock = _Clock()
        turns = Turns(clock)
        peers = [_Peer(turns) for _ in range(5)]
        counts = [0] * 5
        for which, frames, size in said:
            while peers[which].paused:
                clock.turn()
            peers[which].say(frames, size)
            counts[which] += frames
        while clock.getDelayedCalls():
            clock.turn()
        self.assertEqual([peer.followed for peer in peers], [list(range(1, count + 1)) for count in counts])
        self.assertFalse(any(peer.paused for peer in peers))


class CycleTests(SynchronousTestCase):
    """There is a connection for each visitor: nothing is left of it for the garbage collector to find."""

    def test_whoHasStoppedIsGoneAtOnce(self) -> None:
        gc.disable()
        self.addCleanup(gc.enable)
        peer = _Peer(Turns(Clock()))
        gone = weakref.ref(peer)
        peer.inflow.stop()
        peer.inflow._transport = cast(IPushProducer, None)  # its transport knows it no more
        del peer
        self.assertIsNone(gone())
