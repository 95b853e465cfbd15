"""What each backend of the relay promises about the ends of streams, and its own."""

from __future__ import annotations

import socket
import threading
import time

from bore.relay.interface import Ending, Reason, Stream
from tests.relay.plugs import reset, tcpPair
from tests.relay.relaycase import HalvedRelay, RelayContract, inReactor, inThread
from tests.support import PATIENCE, receiveAll, receiveExactly


class EndingContract(RelayContract):
    """How streams end."""

    @inThread
    def test_theEndOfOneDirectionLeavesTheOtherOneOpen(self) -> None:
        for first, second in (("left", "right"), ("right", "left")):
            pair = self.joined()
            one, other = getattr(pair, first), getattr(pair, second)
            one.sendall(b"that is all")
            one.shutdown(socket.SHUT_WR)
            self.assertEqual(receiveAll(other), b"that is all")
            for n in range(20):
                other.sendall(b"answer %02d" % n)
                self.assertEqual(receiveExactly(one, 9), b"answer %02d" % n)
            self.assertFalse(pair.hasEnded())
            other.shutdown(socket.SHUT_WR)
            self.assertEqual(receiveAll(one), b"")
            self.assertIs(pair.ending().reason, Reason.FINISHED)

    @inThread
    def test_aStreamThatHadEndedBeforeItWasJoinedIsServed(self) -> None:
        pair = self.joined(join=False)
        pair.left.sendall(b"request")
        pair.left.shutdown(socket.SHUT_WR)
        time.sleep(0.1)
        pair.join()
        self.assertEqual(receiveAll(pair.right), b"request")
        pair.right.sendall(b"answer")
        pair.right.close()
        self.assertEqual(receiveAll(pair.left), b"answer")
        self.assertEqual(pair.ending(), Ending(Reason.FINISHED, 7, 6))

    @inThread
    def test_aResetIsPassedOnAsAReset(self) -> None:
        sides = [("left", "right", Reason.LEFT_CUT), ("right", "left", Reason.RIGHT_CUT)]
        for first, second, reason in sides if self.rightResets else sides[:1]:
            pair = self.joined()
            one, other = getattr(pair, first), getattr(pair, second)
            one.sendall(b"before")
            self.assertEqual(receiveExactly(other, 6), b"before")
            reset(one)
            self.assertCut(pair, second)
            self.assertIs(pair.ending().reason, reason)

    @inThread
    def test_aStreamThatWasResetBeforeItWasJoinedResetsTheOther(self) -> None:
        pair = self.joined(join=False)
        reset(pair.left)
        time.sleep(0.1)
        pair.join()
        self.assertCut(pair, "right")
        self.assertIs(pair.ending().reason, Reason.LEFT_CUT)

    @inThread
    def test_aResetBehindAHalfCloseIsPassedOn(self) -> None:
        first, second = ("left", "right") if self.rightResets else ("right", "left")
        pair = self.joined()
        one, other = getattr(pair, first), getattr(pair, second)
        one.shutdown(socket.SHUT_WR)
        self.assertEqual(receiveAll(other), b"")
        reset(other)
        self.assertCut(pair, first)
        self.assertIs(pair.ending().reason, Reason.RIGHT_CUT if second == "right" else Reason.LEFT_CUT)

    @inThread
    def test_whoKeepsWritingToAStreamThatIsGoneIsReset(self) -> None:
        pair = self.joined()
        pair.right.shutdown(socket.SHUT_WR)
        self.assertEqual(receiveAll(pair.left), b"")
        pair.right.close()
        with self.assertRaises((ConnectionResetError, BrokenPipeError)):
            for _ in range(500):
                pair.left.sendall(bytes(1000))
                time.sleep(0.005)
        self.assertIs(pair.ending().reason, Reason.RIGHT_CUT)

    @inThread
    def test_bothSocketsAreClosedWhenThePairHasEnded(self) -> None:
        pair = self.joined()
        pair.left.close()
        self.assertEqual(receiveAll(pair.right), b"")
        pair.right.close()
        pair.ending()
        self.assertEqual((pair.innerLeft.fileno(), pair.innerRight.fileno()), (-1, -1))
        self.assertEqual(len(self.relay), 0)

    @inThread
    def test_manyPairsRunBesideEachOther(self) -> None:
        pairs = [self.joined() for _ in range(100)]
        self.assertEqual(len(self.relay), 100)
        for n, pair in enumerate(pairs):
            pair.left.sendall(b"to %d" % n)
        for n, pair in enumerate(pairs):
            pair.left.shutdown(socket.SHUT_WR)
            self.assertEqual(receiveAll(pair.right), b"to %d" % n)
            pair.right.close()
            self.assertIs(pair.ending().reason, Reason.FINISHED)


class DrainContract(RelayContract):
    """How the relay as a whole ends."""

    @inThread
    def test_aPairIsCutOnRequestAndNoOther(self) -> None:
        pair, other, halfOpen = self.joined(), self.joined(), self.joined()
        for each in (pair, other, halfOpen):
            each.left.sendall(b"request")
            self.assertEqual(receiveExactly(each.right, 7), b"request")
        halfOpen.right.shutdown(socket.SHUT_WR)
        self.assertEqual(receiveAll(halfOpen.left), b"")
        inReactor(self.relay.cut, {pair.innerLeft, halfOpen.innerLeft})
        for each in (pair, halfOpen):
            self.assertEqual(each.ending(), Ending(Reason.CUT, 7, 0))
        for side in ("left", "right"):
            self.assertCut(pair, side)
        other.right.sendall(b"answer")
        self.assertEqual(receiveExactly(other.left, 6), b"answer")
        other.left.close()
        other.right.close()
        self.assertIs(other.ending().reason, Reason.FINISHED)

    @inThread
    def test_whatRunningPairsHaveMovedIsKnown(self) -> None:
        pair, other = self.joined(), self.joined()
        pair.left.sendall(b"request")
        self.assertEqual(receiveExactly(pair.right, 7), b"request")
        pair.right.sendall(b"an answer")
        self.assertEqual(receiveExactly(pair.left, 9), b"an answer")
        found = sorted((toRight, toLeft) for _, _, toRight, toLeft, _ in inReactor(lambda: list(self.relay.running())))
        self.assertEqual(found, [(0, 0), (7, 9)])
        for each in (pair, other):
            each.left.close()
            each.right.close()
            each.ending()
        self.assertEqual(inReactor(lambda: list(self.relay.running())), [])

    @inThread
    def test_drainingIsDoneAtOnceWhenNothingRuns(self) -> None:
        inReactor(self.relay.drain, 60)

    @inThread
    def test_drainingWaitsForRunningPairs(self) -> None:
        pair = self.joined()
        done = threading.Event()
        inReactor(lambda: bool(self.relay.drain(60).addCallback(lambda _: done.set())))
        pair.left.sendall(b"still here")
        self.assertEqual(receiveExactly(pair.right, 10), b"still here")
        self.assertFalse(done.is_set())
        pair.left.close()
        pair.right.close()
        self.assertTrue(done.wait(PATIENCE))
        self.assertIs(pair.ending().reason, Reason.FINISHED)

    @inThread
    def test_drainingCutsWhatDoesNotEndInTime(self) -> None:
        pair = self.joined()
        inReactor(self.relay.drain, 0.1)
        self.assertEqual(pair.ending(), Ending(Reason.STOPPED, 0, 0))
        for side in ("left", "right"):
            self.assertCut(pair, side)


class HalfOpenContract(RelayContract):
    """Pairs of which one direction has ended."""

    halfOpenTimeout = 0.8

    @inThread
    def test_oneThatFallsSilentIsCut(self) -> None:
        for first, second in (("left", "right"), ("right", "left")):
            pair = self.joined()
            one, other = getattr(pair, first), getattr(pair, second)
            one.shutdown(socket.SHUT_WR)
            self.assertEqual(receiveAll(other), b"")
            begin = time.monotonic()
            self.assertCut(pair, first)
            self.assertTrue(0.6 < time.monotonic() - begin < 3, time.monotonic() - begin)
            reasons = {Reason.HALF_OPEN}
            if isinstance(self.relay, HalvedRelay):  # the time of the other half may be over first, and cuts this one
                reasons |= {Reason.LEFT_CUT, Reason.RIGHT_CUT}
            self.assertIn(pair.ending().reason, reasons)

    @inThread
    def test_oneThatIsBusyLivesOn(self) -> None:
        pair = self.joined()
        pair.left.shutdown(socket.SHUT_WR)
        self.assertEqual(receiveAll(pair.right), b"")
        for _ in range(8):
            time.sleep(0.3)
            pair.right.sendall(b"still here")
            self.assertEqual(receiveExactly(pair.left, 10), b"still here")
        pair.right.close()
        self.assertEqual(receiveAll(pair.left), b"")
        self.assertIs(pair.ending().reason, Reason.FINISHED)

    @inThread
    def test_aFullyOpenOneMayBeSilentForEver(self) -> None:
        pair = self.joined()
        time.sleep(2.4)
        pair.left.sendall(b"hello again")
        self.assertEqual(receiveExactly(pair.right, 11), b"hello again")
        pair.left.close()
        pair.right.close()
        self.assertIs(pair.ending().reason, Reason.FINISHED)


class ChurnContract(RelayContract):
    """Descriptors that are closed and used again at once."""

    @inThread
    def test_pairsMayBeJoinedWhileOthersEnd(self) -> None:
        done = threading.Event()
        results: list[bytes] = []

        def again(number: int) -> None:
            """In the reactor: join a pair over fresh sockets, which have the descriptors of those just closed."""
            if number == 300:
                done.set()
                return
            left, innerLeft = tcpPair()
            right, innerRight = tcpPair()
            left.sendall(b"%d" % number)
            left.shutdown(socket.SHUT_WR)
            right.shutdown(socket.SHUT_WR)

            def ended(ending: Ending) -> None:
                results.append(receiveAll(right))
                left.close()
                right.close()
                again(number + 1)

            self.relay.join(Stream(innerLeft), Stream(innerRight), ended)

        inReactor(again, 0)
        self.assertTrue(done.wait(PATIENCE), f"stuck after {len(results)}")
        self.assertEqual(results, [b"%d" % n for n in range(300)])
