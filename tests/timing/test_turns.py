"""Input of peers is processed in shares."""

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
    """A clock that makes immediate calls in the next turn, as a reactor does."""

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kw: object) -> IDelayedCall:
        return super().callLater(max(delay, 0.001), callable, *args, **kw)

    def turn(self) -> None:
        """Make one turn."""
        self.advance(0.001)


class _Peer:
    """
    A connection, and its processed input.

    :ivar processed: the numbers of the processed frames.
    :ivar paused: whether it is paused.
    """

    def __init__(self, turns: Turns) -> None:
        self.processed: list[int] = []
        self.paused = self.closed = False
        self.fails = False
        self._next = 0
        self.inflow: Inflow[int] = Inflow(turns, cast(IPushProducer, self), self.read)

    def send(self, frames: int, size: int = 1) -> None:
        """Send frames, of this size together."""
        assert not self.paused, "it is paused"
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
            self.processed.append(number)

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
        before = len(peer.processed)
        self.clock.turn()
        return len(peer.processed) - before

    def test_aLittleInputIsProcessedAtOnceWithoutATimer(self) -> None:
        [peer] = self.peers(1)
        for _ in range(100):
            peer.send(3)
            self.assertFalse(peer.paused)
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.clock.advance(0.01)
        self.assertEqual(peer.processed, list(range(1, 301)))

    def test_inputBeyondTheShareWaitsForTheNextTurn(self) -> None:
        [peer] = self.peers(1)
        peer.send(3 * SHARE)
        self.assertEqual((len(peer.processed), peer.paused), (SHARE - 1, True))  # the read counts, too
        self.assertEqual([self.turn(peer), self.turn(peer), self.turn(peer), self.turn(peer)], [SHARE, SHARE, 1, 0])
        self.assertEqual((peer.processed, peer.paused), (list(range(1, 3 * SHARE + 1)), False))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_readsCountEvenWithoutEvents(self) -> None:
        [peer] = self.peers(1)
        for _ in range(SHARE):
            peer.send(0)
        self.assertTrue(peer.paused)
        self.clock.turn()
        self.assertFalse(peer.paused)

    def test_bytesCount(self) -> None:
        [peer] = self.peers(1)
        peer.send(2, size=turns._SHARE)
        self.assertEqual(peer.processed, [])
        self.assertEqual(self.turn(peer), 2)

    def test_allTogetherHaveALimit(self) -> None:
        peers = self.peers(20)
        for peer in peers:
            peer.send(10 * SHARE)
        self.assertEqual(sum(len(peer.processed) + 1 for peer in peers if peer.processed), TURN)
        self.assertTrue(all(peer.paused for peer in peers))
        for _ in range(5):
            before = sum(len(peer.processed) for peer in peers)
            self.clock.turn()
            self.assertLessEqual(sum(len(peer.processed) for peer in peers) - before, TURN)

    def test_theLongestWaitIsServedFirst(self) -> None:
        peers = self.peers(20)
        for peer in peers:
            peer.send(10 * SHARE)
        for _ in range(10 * len(peers) * SHARE // TURN):
            self.clock.turn()
        counts = [len(peer.processed) for peer in peers]
        self.assertLessEqual(max(counts) - min(counts), 2 * SHARE, counts)

    def test_aPeerThatSendsLittleIsNotDelayedByPeersThatSendMuch(self) -> None:
        loud, [quiet] = self.peers(20), self.peers(1)
        for peer in loud:
            peer.send(100 * SHARE)
        for _ in range(20):
            self.clock.turn()
            quiet.send(2)
            self.assertFalse(quiet.paused)
        self.assertEqual(len(quiet.processed), 40)

    def test_manyPeersThatSendLittleDoNotStarveThoseThatWait(self) -> None:
        [loud], quiet = self.peers(1), self.peers(2 * TURN)
        loud.send(20 * SHARE)
        for _ in range(40):
            self.clock.turn()
            for peer in quiet:
                if not peer.paused:
                    peer.send(1)
        self.assertGreater(len(loud.processed), 4 * SHARE)

    def test_aStoppedInputIsLeftAlone(self) -> None:
        [peer] = self.peers(1)
        peer.send(3 * SHARE)
        peer.inflow.stop()
        for _ in range(5):
            self.assertEqual(self.turn(peer), 0)
        self.assertTrue(peer.paused)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_anExceptionEndsOneConnection(self) -> None:
        broken, other = self.peers(2)
        broken.send(3 * SHARE)
        other.send(3 * SHARE)
        broken.fails = True
        self.clock.turn()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual((broken.closed, other.closed), (True, False))
        for _ in range(4):
            self.clock.turn()
        self.assertEqual(len(other.processed), 3 * SHARE)

    @given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3 * SHARE), st.integers(1, 1 << 16)), max_size=20))
    def test_allInputIsProcessedOnceAndInOrder(self, said: list[tuple[int, int, int]]) -> None:
        clock = _Clock()
        turns = Turns(clock)
        peers = [_Peer(turns) for _ in range(5)]
        counts = [0] * 5
        for which, frames, size in said:
            while peers[which].paused:
                clock.turn()
            peers[which].send(frames, size)
            counts[which] += frames
        while clock.getDelayedCalls():
            clock.turn()
        self.assertEqual([peer.processed for peer in peers], [list(range(1, count + 1)) for count in counts])
        self.assertFalse(any(peer.paused for peer in peers))


class CycleTests(SynchronousTestCase):
    """There is a connection for each visitor: nothing is left of it for the garbage collector to find."""

    def test_aStoppedOwnerIsFreedAtOnce(self) -> None:
        gc.disable()
        self.addCleanup(gc.enable)
        peer = _Peer(Turns(Clock()))
        gone = weakref.ref(peer)
        peer.inflow.stop()
        peer.inflow._transport = cast(IPushProducer, None)  # its transport knows it no more
        del peer
        self.assertIsNone(gone())
