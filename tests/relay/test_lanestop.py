"""The end of a relay that has lanes, and systems that have no room."""

from __future__ import annotations

import errno
import socket
import sys
from typing import Any, cast

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there are no lanes on this system")

from bore.relay.interface import Reason
from bore.relay.tolane import ToLane
from bore.wire.lane import DATA, END, END_FRAME, RESET, RESET_FRAME
from tests.relay.lanecase import OPENING, LaneCase, data
from tests.relay.plugs import TINY, hasEnded, reset, take, wasReset


class DrainTests(LaneCase):
    """The user is called once for each lane that is closed, and nothing is left."""

    def _drain(self, seconds: float = 5) -> list[str]:
        log: list[str] = []
        self.relay.drain(seconds).addCallback(lambda _: log.append("drained"))
        return log

    def test_idleLanesAreClosedAtOnce(self) -> None:
        hands = [self.lane(serves)[1] for serves in (True, False, True)]
        self.assertEqual(self._drain(), ["drained"])
        self.assertEqual(self.user.log, ["gone"] * 3)
        self.assertTrue(all(hasEnded(hand.socket) for hand in hands))

    def test_aLaneThatWaitsForAnAnswerToItsResetIsClosed(self) -> None:
        visitor, _, hand = self.visit(proved=True)
        reset(visitor)
        self.turn()
        self.assertEqual(hand.receiveKinds(), [RESET])
        self.assertEqual(self._drain(), ["drained"])
        self.assertEqual(self.user.log, ["gone"])

    def test_aLaneThatWaitsForItsServiceIsClosed(self) -> None:
        lane, hand = self.lane(False)
        hand.send(OPENING)
        self.turn()
        self.assertEqual(self._drain(), ["drained"])
        self.assertEqual((self.user.log, lane.closed), (["opened", "gone"], True))

    def test_aVisitorCannotBeRefusedOnALaneThatIsClosed(self) -> None:
        lane, hand = self.lane(False)
        hand.send(OPENING)
        self.turn()
        lane.end(reset=True)
        lane.refuse()
        self.turn()
        self.assertEqual((self.user.log, lane.closed), (["opened", "gone"], True))

    def test_aLaneThatHoldsTheRestOfAStreamIsClosed(self) -> None:
        self.held(TINY)
        self.assertEqual(self._drain(), ["drained"])
        self.assertEqual(self.user.log, ["gone"])

    def test_aVisitorMayFinish(self) -> None:
        visitor, _, hand = self.visit()
        idle = self.lane()[0]
        log = self._drain()
        visitor.send(b"question")
        self.turn()
        self.assertEqual(hand.receive(), [(DATA, b"question")])
        hand.send(data(b"answer"), END_FRAME)
        self.turn()
        self.assertEqual((log, take(visitor)), ([], b"answer"))
        visitor.shutdown(socket.SHUT_WR)
        self.turn()
        self.assertEqual((log, [e.reason for e in self.endings]), (["drained"], [Reason.FINISHED]))
        self.assertEqual((hand.receiveKinds(), idle.closed), ([END], True))
        self.assertEqual(sorted(self.user.log), ["gone", "gone"])

    def test_aVisitorThatDoesNotFinishIsCut(self) -> None:
        for proved in (True, False):
            self.setUpAgain()
            visitor, _, _ = self.visit(proved)
            log = self._drain(5)
            self.reactor.advance(4.9)
            self.assertEqual(log, [])
            self.reactor.advance(0.2)
            self.assertEqual((log, [e.reason for e in self.endings]), (["drained"], [Reason.STOPPED]))
            self.assertTrue(wasReset(visitor))
            self.assertEqual((self.given, self.user.log), ([], ["gone"]))

    def setUpAgain(self) -> None:
        """A relay drains once."""
        self.relay.close()
        descriptors = self._descriptors
        for sock in self.sockets:
            sock.close()
        self.plugs.close()
        self.setUp()
        self._descriptors = descriptors


class HalfOpenTests(LaneCase):
    """Silence on a lane."""

    def test_aHalfOpenVisitorThatFallsSilentIsCutAndTheLaneLivesOn(self) -> None:
        visitor, _, hand = self.visit(proved=True)
        hand.send(END_FRAME)
        self.turn()
        self.assertTrue(hasEnded(visitor))
        for _ in range(20):
            self.reactor.advance(75)
        self.assertEqual([e.reason for e in self.endings], [Reason.HALF_OPEN])
        self.assertEqual((hand.receiveKinds(), self.user.log), ([RESET], ["idle"]))
        with self.assertRaises(OSError):
            visitor.send(b"are you there?")

    def test_onceTheVisitorHasEndedTheLaneIsLost(self) -> None:
        visitor, lane, hand = self.visit(proved=True)
        visitor.shutdown(socket.SHUT_WR)
        self.turn()
        self.assertEqual(hand.receiveKinds(), [END])
        for _ in range(20):
            self.reactor.advance(75)
        self.assertEqual(([e.reason for e in self.endings], lane.closed), ([Reason.HALF_OPEN], True))
        self.assertTrue(hasEnded(hand.socket), "the lane's end in the middle of a stream is a cut")

    def test_aBusyOneLivesOn(self) -> None:
        visitor, _, hand = self.visit(proved=True)
        visitor.shutdown(socket.SHUT_WR)
        for _ in range(30):
            hand.send(data(b"x"))
            self.turn(2)
            self.reactor.advance(75)
        self.assertEqual((take(visitor), self.endings), (b"x" * 30, []))


class Refusing:
    """An epoll that has no room left."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def register(self, fd: int, mask: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class NoRoomTests(LaneCase):
    """The system cannot serve one more."""

    def _refuse(self) -> Any:
        real = self.relay.loop._epoll
        self.relay.loop._epoll = cast(Any, Refusing(real))
        return real

    def test_aLaneThatCannotBeServedIsNotAdopted(self) -> None:
        real = self._refuse()
        with self.assertRaises(OSError):
            self.lane()
        self.relay.loop._epoll = real
        self.assertEqual(len(self.relay.loop._halves), 0)

    def test_aVisitorThatCannotBeServedIsCutAndSoIsItsLane(self) -> None:
        for proved in (True, False):
            for early in (b"", b"early"):
                lane, hand = self.lane()
                visitor, inner = self.stream()
                visitor.send(b"hello")
                real = self._refuse()
                self.join(inner, lane, early, proved)
                self.relay.loop._epoll = real
                self.assertEqual([e.reason for e in self.endings], [Reason.FAILED])
                self.assertTrue(wasReset(visitor))
                self.assertTrue(wasReset(hand.socket))
                self.endings.clear()
        self.assertEqual((len(self.relay), self.given), (0, []))

    def test_aClosedRelayAdoptsNothing(self) -> None:
        self.relay.close()
        with self.assertRaises(ValueError):
            self.lane()

    def test_aFaultOfOursCostsOneVisitorAndItsLane(self) -> None:
        class Faulty(Exception):
            pass

        def fail(end: Any) -> None:
            raise Faulty

        visitor, lane, _ = self.visit()
        other, _, otherHand = self.visit(proved=True)
        broken = self.patch(ToLane, "moveFramed", fail)
        visitor.send(b"x")
        self.turn()
        self.assertEqual(([e.reason for e in self.endings], lane.closed), ([Reason.FAILED], True))
        self.assertEqual(len(self.flushLoggedErrors(Faulty)), 1)
        broken.restore()
        other.send(b"still here")
        self.turn()
        self.assertEqual(otherHand.receive(), [(DATA, b"still here")])

    def test_aRefusedVisitorLeavesTheLaneForTheNext(self) -> None:
        lane, hand = self.lane(False)
        hand.send(OPENING, data(b"hello"))
        self.turn()
        lane.refuse()
        self.turn()
        self.assertEqual(hand.receiveKinds(), [RESET])
        hand.send(data(b"not read yet"), RESET_FRAME, OPENING)
        self.turn()
        self.assertEqual(self.user.log, ["opened", "idle", "opened"])
        service, inner = self.stream()
        self.serve(inner, lane, b"PROXY\r\n")
        hand.send(data(b"to the next"), END_FRAME)
        self.turn()
        self.assertEqual(take(service), b"PROXY\r\nto the next")
