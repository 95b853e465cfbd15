"""Lanes whose other side does not keep to what was agreed."""

from __future__ import annotations

import random
import socket
import sys

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there are no lanes on this system")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bore.relay.interface import LaneHandle, Reason, Stream
from bore.wire.lane import (
    DATA,
    END,
    END_FRAME,
    HEADER,
    MAX_PAYLOAD,
    RAW_FRAME,
    RESET,
    RESET_FRAME,
)
from tests.effort import examples
from tests.promptness import within
from tests.relay.lanecase import OPENING, LaneCase, data
from tests.relay.plugs import TINY, fill, hasEnded, reset, take, wasReset

#: What neither side may send at any time.
NO_FRAMES = (
    HEADER.pack(0, 0),
    HEADER.pack(6, 0),
    HEADER.pack(255, 1 << 31),
    HEADER.pack(1, 4097),
    HEADER.pack(2, 0),
    HEADER.pack(2, MAX_PAYLOAD + 1),
    HEADER.pack(3, 1),
    HEADER.pack(4, 1),
    HEADER.pack(5, 1),
)
FRAMES = (OPENING, data(b"x"), END_FRAME, RESET_FRAME, RAW_FRAME)


class IllegalTests(LaneCase):
    """What does not belong where it comes costs the lane, and the visitor on it, and nothing else."""

    def test_onAnIdleLaneOfAServerNothingMayCome(self) -> None:
        for frame in (*FRAMES, *NO_FRAMES):
            lane, hand = self.lane()
            hand.send(frame)
            self.turn()
            self.assertTrue(lane.closed, frame)
            self.assertTrue(wasReset(hand.socket), frame)

    def test_onAnIdleLaneOfAClientOnlyAVisitorMayCome(self) -> None:
        for frame in (*FRAMES[1:], *NO_FRAMES):
            lane, hand = self.lane(False)
            hand.send(frame)
            self.turn()
            self.assertTrue(lane.closed, frame)

    def test_onALaneWithAVisitorNoOtherMayCome(self) -> None:
        for frame in (OPENING, *NO_FRAMES):
            visitor, lane, hand = self.visit(proved=True)
            hand.send(data(b"first"), frame)
            self.turn()
            self.assertTrue(lane.closed, frame)
            self.assertTrue(wasReset(visitor), frame)
            service, lane, hand = self.served()
            hand.send(data(b"first"), frame)
            self.turn()
            self.assertTrue(lane.closed, frame)
            self.assertTrue(wasReset(service), frame)
        self.assertEqual({e.reason for e in self.endings}, {Reason.RIGHT_CUT, Reason.LEFT_CUT})

    def test_behindTheLastFrameNothingMayCome(self) -> None:
        for last in (END_FRAME, RESET_FRAME):
            for frame in (*FRAMES, *NO_FRAMES):
                _, lane, hand = self.visit(proved=True)
                hand.send(last, frame)
                self.turn()
                self.assertTrue(lane.closed, (last, frame))
        self.linger()
        self.assertEqual(len(self.relay), 0)

    def test_whileARresetIsAwaitedOnlyTheStreamMayCome(self) -> None:
        for frame in (OPENING, *NO_FRAMES):
            visitor, lane, hand = self.visit(proved=True)
            reset(visitor)
            self.turn()
            hand.send(data(b"thrown away"), frame)
            self.turn()
            self.assertTrue(lane.closed, frame)
        self.assertEqual(self.user.log, ["gone"] * (1 + len(NO_FRAMES)))

    def test_behindRawThereAreNoFrames(self) -> None:
        visitor, lane, hand = self.visit(proved=True)
        message = b"".join((OPENING, END_FRAME, RESET_FRAME, *NO_FRAMES))
        hand.send(RAW_FRAME, message)
        self.turn()
        self.assertEqual(take(visitor), message)
        hand.socket.shutdown(socket.SHUT_WR)
        self.turn()
        self.assertTrue(hasEnded(visitor))
        self.assertFalse(lane.closed)
        visitor.shutdown(socket.SHUT_WR)
        self.turn()
        self.assertEqual(hand.receiveKinds(), [END])
        self.assertEqual(([e.reason for e in self.endings], lane.closed), ([Reason.FINISHED], True))

    def test_noVisitorMayComeBeforeTheLastStreamsEndHasLeft(self) -> None:
        """The server cannot have received that end; what is unsent would have to be kept for each of them."""
        service, lane, hand = self.served(TINY)
        while not lane.other.unsent:
            fill(service)
            self.turn()
        hand.send(RESET_FRAME)
        self.turn()
        self.assertEqual((lane.closed, self.user.log), (False, ["opened"]))
        hand.send(OPENING)
        self.turn()
        self.assertEqual((lane.closed, self.user.log), (True, ["opened", "gone"]))

    def test_aVisitorIsNotDescribedAtAnyLength(self) -> None:
        lane, hand = self.lane(False)
        hand.send(HEADER.pack(1, 4096), bytes(4095))
        self.turn()
        self.assertEqual((lane.closed, self.user.log), (False, []))
        hand.send(b"\0")
        self.turn()
        self.assertEqual(self.user.log, ["opened"])

    @settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(
            st.one_of(
                st.sampled_from((*FRAMES, *NO_FRAMES)),
                st.binary(max_size=30),
                st.sampled_from(("reset", "end", "send", "turn", "pause")),
            ),
            max_size=20,
        ),
        st.booleans(),
        st.booleans(),
    )
    def test_whateverComesNothingIsLeft(self, script: list[bytes | str], serves: bool, proved: bool) -> None:
        ours, lane, hand = self.visit(proved) if serves else self.served()
        for word in script:
            if isinstance(word, bytes):
                if not lane.closed and hand.socket.fileno() >= 0:
                    try:
                        hand.send(word)
                    except OSError:
                        break
            elif word == "turn":
                self.turn(2)
            elif word == "pause":
                self.reactor.advance(11)
            elif ours.fileno() >= 0 and (word == "reset" or len(self.relay)):
                try:
                    self._do(ours, word)
                except OSError:
                    break
        self.turn(4)
        reset(hand.socket)
        self.turn(4)
        if ours.fileno() >= 0:
            reset(ours)
        self.turn(4)
        self.relay._cutAll()
        self.turn(2)
        relay = self.relay
        left = len(relay), len(relay.deadlines.unproven), len(relay.deadlines.unanswered)
        for waiting in self.user.visitors:
            waiting.end(reset=True)
        self.assertEqual((left, len(relay.loop._halves)), ((0, 0, 0), 0))

    def _do(self, ours: socket.socket, word: str) -> None:
        if word == "reset":
            reset(ours)
        elif word == "end":
            ours.shutdown(socket.SHUT_WR)
        else:
            ours.send(b"something")


class FloodTests(LaneCase):
    """A lot at once."""

    def test_visitorsThatComeAndGoInOneSegmentAreServedOneByOne(self) -> None:
        """Each is joined while the frames of the one before are read."""
        lane, hand = self.lane(False)
        inners = [self.stream()[1] for _ in range(300)]
        joined = 0

        def opened(lane: LaneHandle, visitor: bytes) -> None:
            nonlocal joined
            inner = inners.pop()
            joined += 1
            self.relay.joinWithLane(Stream(inner), lane, self.endings.append)

        self.user.opened = opened  # type: ignore[method-assign]
        hand.send((OPENING + RESET_FRAME) * 300)
        self.turn()
        self.assertEqual((joined, [e.reason for e in self.endings]), (300, [Reason.LEFT_CUT] * 300))
        self.assertEqual(hand.receiveKinds(), [RESET] * 300)
        self.assertFalse(lane.closed)

    def test_visitorsThatAreRefusedInOneSegmentAreRefusedOneByOne(self) -> None:
        lane, hand = self.lane(False)
        self.user.opened = lambda lane, visitor: lane.refuse()  # type: ignore[method-assign]
        hand.send((OPENING + data(b"hello") + END_FRAME) * 600)
        self.turn()
        self.assertEqual(hand.receiveKinds(), [RESET] * 600)
        self.assertEqual((lane.closed, lane.session.idle), (False, True))

    def test_manyShortStreamsOneAfterAnotherDoNotNestOnAServer(self) -> None:
        """Each visitor is there already when the one before leaves, and its lane's answers come in one segment."""
        lane, hand = self.lane()
        visitors = [self.stream() for _ in range(300)]
        for outer, _ in visitors:
            outer.shutdown(socket.SHUT_WR)
        waiting = [inner for _, inner in visitors]

        def idle(lane: LaneHandle) -> None:
            if waiting:
                self.join(waiting.pop(), lane)

        self.user.idle = idle  # type: ignore[method-assign]
        idle(lane)
        for _ in range(300):
            self.turn(2)
            hand.send(END_FRAME)
        self.turn()
        self.assertEqual([e.reason for e in self.endings], [Reason.FINISHED] * 300)

    def test_tinyFramesDoNotHoldUpOthersForLong(self) -> None:
        _, _, hand = self.visit(proved=True)
        other, _, otherHand = self.visit(proved=True)
        fill(hand.socket, data(b"x"))
        otherHand.send(data(b"still here"))
        with within(1):
            self.relay.loop.doRead()
        self.turn()
        self.assertEqual(take(other), b"still here")

    def test_aByteAtATimeIsAsGoodAsAllAtOnce(self) -> None:
        service, _, hand = self.served()
        chance = random.Random(1)
        for _ in range(20):
            hand.send(data(b"a few bytes"))
        rest = b"".join((data(b"dribbled"), END_FRAME, OPENING, data(b"to the next"), END_FRAME))
        second, inner = self.stream()
        self.user.opened = lambda lane, visitor: self.serve(inner, lane)  # type: ignore[method-assign]
        service.send(b"answer")
        service.shutdown(socket.SHUT_WR)
        for n in range(len(rest)):
            hand.send(rest[n : n + 1])
            self.turn(chance.randrange(1, 3))
        self.assertEqual(take(service), b"a few bytes" * 20 + b"dribbled")
        self.assertEqual(take(second), b"to the next")
        self.assertEqual(hand.receive(), [(DATA, b"answer"), (END, b"")])
