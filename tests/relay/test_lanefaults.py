"""Faults that were found in the lanes, each with the test that has found it."""

from __future__ import annotations

import os
import socket
import sys
import unittest

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there are no lanes on this system")

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from bore.relay.interface import Ending, LaneHandle, Reason, Stream
from bore.relay.lane import Lane
from bore.wire.lane import END, END_FRAME, OPEN, RESET_FRAME
from tests.relay.lanecase import OPENING, LaneCase, data, pairOn
from tests.relay.plugs import TINY, fill, hasEnded, reset, take, wasReset
from tests.support import pattern

#: Linux: buffers beyond what users may have, for root.
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33


class NextVisitorTests(LaneCase):
    """What one visitor does to the next."""

    def _next(self, frame: bytes) -> socket.socket:
        """A visitor is cut by itself and by the service at the same time; another one waits for the lane."""
        lane, hand = self.lane()
        first, firstInner = self.stream()
        second, secondInner = self.stream()
        waiting = [secondInner]

        def idle(lane: LaneHandle) -> None:
            if waiting:
                self.join(waiting.pop(), lane, proved=True)

        self.user.idle = idle  # type: ignore[method-assign]
        first.send(bytes(1 << 16))
        self.join(firstInner, lane)
        first.send(b"more, which is held back until the lane has shown that it is alive")
        self.turn()
        hand.receive()
        reset(first)
        hand.send(frame)
        self.turn()
        self.assertEqual(hand.receiveKinds()[-1], OPEN)
        self.assertEqual([ending.reason for ending in self.endings], [Reason.LEFT_CUT])
        return second

    def test_aResetThatProvesALaneDoesNotCutTheNextVisitor(self) -> None:
        self.assertFalse(wasReset(self._next(RESET_FRAME)))

    def test_anEndThatProvesALaneDoesNotEndTheNextVisitor(self) -> None:
        self.assertFalse(hasEnded(self._next(END_FRAME)))

    def _idle(self) -> tuple[Lane, bytes, socket.socket]:
        """A visitor is done whose service has ended first, and has read nothing yet: an upload to a slow service."""
        visitor, lane, hand = self.visit(proved=True)
        hand.send(END_FRAME)
        message = pattern(1, 100_000)
        visitor.send(message)
        visitor.shutdown(socket.SHUT_WR)
        self.turn()
        return lane, message, hand.socket

    def test_aCutOfTheNextVisitorDoesNotDestroyTheLastBytesOfTheOneBefore(self) -> None:
        lane, message, other = self._idle()
        if not lane.closed and lane.session.idle:  # it may also be that it is not idle yet
            second, inner = self.stream()
            self.join(inner, lane, proved=True)
            second.shutdown(socket.SHUT_WR)
            self.turn()
            reset(second)
            self.turn()
        self.assertGreater(len(take(other)), len(message))  # a ConnectionResetError: they are lost

    def test_theNextVisitorDoesNotWaitBehindTheLastBytesOfTheOneBefore(self) -> None:
        lane, _, _ = self._idle()
        self.assertNotIn(lane, self.user.ready, "what is under way is not acknowledged yet")


class GivenBackTests(LaneCase):
    """A visitor whose lane was dead, or only slow."""

    def test_nothingIsLostOfAVisitorWhoSendsALotAtOnce(self) -> None:
        if os.geteuid():
            raise unittest.SkipTest("only root may have such buffers")
        lane, hand = self.lane()
        self.unacknowledged()
        lane.socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 1 << 21)  # as it is after some bulk
        visitor, inner = self.stream()
        inner.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 20)  # net.ipv4.tcp_rmem does not limit this
        self.join(inner, lane)
        message = pattern(1, 2_000_000)
        sent = visitor.send(message)
        self.turn(3)
        self.assertIsNotNone(lane.on)
        reset(hand.socket)
        self.turn()
        [(early, _)] = self.given
        got = early + take(inner)
        self.assertEqual(len(got), sent)
        self.assertEqual(got, message[:sent])

    def test_noMoreIsReadThanAnotherLaneCanBeGiven(self) -> None:
        self.unacknowledged()
        lane, _ = self.lane()
        visitor, inner = self.stream()
        self.join(inner, lane)
        visitor.send(pattern(1, 2_000_000))
        self.turn(3)
        self.assertLess(pairOn(lane).plain.received, 2 * (1 << 16))

    def test_aSlowLaneIsNotADeadOne(self) -> None:
        lane, hand = self.lane(size=TINY)
        visitor, inner = self.stream()
        visitor.send(pattern(1, 60_000))
        self.join(inner, lane)
        got = 0
        for _ in range(30):
            self.turn(2)
            got += len(hand.socket.recv(500))
            self.reactor.advance(0.1)
        for early, _ in self.given:
            self.fail(f"{len(early)} bytes are sent again, and the other side has had {got}")

    def test_aVisitorWhoseLaneIsSilentLeavesOneTimer(self) -> None:
        self.unacknowledged()
        lane, _ = self.lane(size=TINY)
        second, _ = self.lane(size=TINY)
        visitor, inner = self.stream()
        visitor.send(bytes(60_000))

        def again(early: bytes, silent: bool) -> None:
            self.relay.joinWithLane(Stream(inner, early), second, self.endings.append, OPENING, giveBack=again)

        self.relay.joinWithLane(Stream(inner), lane, self.endings.append, OPENING, giveBack=again)
        self.turn()
        self.reactor.advance(2.5)
        self.assertIsNotNone(second.on)
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)

    def test_whoIsCutWhenItsLaneIsFoundDeadDoesNotSeemToHaveEnded(self) -> None:
        """The kernel reports a reset once, and then an end."""
        self.unacknowledged()
        lane, hand = self.lane()
        visitor, inner = self.stream()
        reset(hand.socket)
        reset(visitor)
        self.join(inner, lane)
        for early, _ in self.given:
            lane, hand = self.lane()
            self.join(inner, lane, early, proved=True)
        self.turn()
        self.assertNotIn(END, hand.receiveKinds() if self.given else [])
        self.assertEqual([ending.reason for ending in self.endings], [Reason.LEFT_CUT])

    def test_whoIsCutWhileItIsHeldBackLeavesNoTimer(self) -> None:
        self.unacknowledged()
        lane, _ = self.lane()
        visitor, inner = self.stream()
        visitor.send(bytes(1_000_000))
        self.join(inner, lane)
        self.turn()
        reset(visitor)
        self.turn()
        for _ in range(40):
            self.reactor.advance(1)  # the lane is found dead, or its RESET is not answered
        self.assertEqual(len(self.relay), 0)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_whoIsGivenBackWhileTheRelayDrainsIsGivenBackFirst(self) -> None:
        self.unacknowledged()
        _, lane, hand = self.visit()
        log: list[str] = []
        inner = pairOn(lane).plain.socket

        def back(early: bytes, silent: bool) -> None:
            log.append("given back")
            inner.close()

        pairOn(lane)._giveBack = back
        self.relay.drain(60).addCallback(lambda _: log.append("drained"))
        reset(hand.socket)
        self.turn()
        self.assertEqual(log, ["given back", "drained"])


class EndTests(LaneCase):
    """Lanes that do not come to an end, or do it badly."""

    def test_aLaneThatIsResetBehindAnEndCutsTheStreamOnIt(self) -> None:
        service, _, hand = self.served()
        hand.send(data(b"hello"), END_FRAME)
        reset(hand.socket)
        self.turn()
        self.linger()
        self.assertEqual([ending.reason for ending in self.endings], [Reason.LEFT_CUT])
        with self.assertRaises(OSError):
            service.send(b"are you there?")

    def test_aLaneThatIsOverButTakesNothingIsClosed(self) -> None:
        visitor, lane, hand = self.visit(proved=True, size=TINY)
        fill(visitor)
        self.turn()
        hand.send(RESET_FRAME)
        self.turn()
        self.linger()
        self.assertEqual([ending.reason for ending in self.endings], [Reason.RIGHT_CUT])
        for _ in range(100):
            self.reactor.advance(10)
        self.assertTrue(lane.closed, "it holds 64 KiB and a descriptor for ever, and no limit applies to it")

    def test_theLastVisitorWhoIsCutWhileTheRelayDrainsLeavesNoTimer(self) -> None:
        visitor, _, _ = self.visit(proved=True)
        self.relay.drain(60)
        reset(visitor)
        self.turn()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def _cutWhileDraining(self, seconds: float) -> None:
        """The last visitor is cut in the middle of bare bytes: only a reset distinguishes that from their end."""
        visitor, lane, hand = self.visit(proved=True)
        while not self._isRaw(lane):
            visitor.send(bytes(60_000))
            self.turn(2)
            take(hand.socket)
        self.relay.drain(seconds)
        if seconds:
            reset(visitor)
        self.turn()
        self.assertEqual(len(self.endings), 1)
        self.assertTrue(wasReset(hand.socket), "a stream that was cut seems to be complete")

    def test_aVisitorThatIsStoppedDoesNotSeemToBeComplete(self) -> None:
        self._cutWhileDraining(0)

    def test_aVisitorThatIsCutWhileTheRelayDrainsDoesNotSeemToBeComplete(self) -> None:
        self._cutWhileDraining(60)

    def _isRaw(self, lane: Lane) -> bool:
        return not pairOn(lane).plain.framed

    def test_theReactorMayEndWhileStreamsRun(self) -> None:
        self.visit(proved=True)
        try:
            self.relay.loop.connectionLost(Failure(ConnectionDone()))
        finally:
            for pair in list(self.relay._pairs):
                pair.stop(Reason.STOPPED)

    def test_bytesOfAnotherStreamAreNoFramesOfALane(self) -> None:
        """What is called when a stream has ended may join another one, which reads into the same memory."""
        visitor, lane, hand = self.visit(proved=True)
        second, _ = self.lane()
        other, inner = self.stream()
        other.send(END_FRAME * 2000)

        def ended(ending: Ending) -> None:
            self.join(inner, second, proved=True)

        assert lane.on is not None
        self.relay._pairs[pairOn(lane)] = ended
        reset(visitor)
        hand.send(data(b"a" * 10), data(b"b" * 30), data(b"c" * 30))
        lane.serve(1)  # before the visitor's own event
        self.assertFalse(lane.session.idle, "an end was read that no peer has sent")
        self.assertEqual(self.user.log, [])
