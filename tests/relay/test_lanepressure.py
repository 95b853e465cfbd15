"""A peer that does not read: which streams it holds up, and what is kept meanwhile."""

from __future__ import annotations

import gc
import socket
import sys
import tracemalloc

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there are no lanes on this system")

import contextlib

from bore.relay.flow import BUFFER_SIZE
from bore.relay.interface import Reason
from bore.wire.lane import BARE, DATA, DONE_FRAME, END, END_FRAME, RAW, RAW_FRAME, RAW_MESSAGES, RESET_FRAME
from tests.relay.lanecase import Hand, LaneCase, data, pairOn
from tests.relay.plugs import SMALL, TINY, fill, hasEnded, reset, take
from tests.support import pattern

#: What one side of a stream may hold: what is held, and as much that was read and not taken apart yet.
MOST = 2 * BUFFER_SIZE + 64


class PressureTests(LaneCase):
    """Nothing is kept beyond what two reads give, and the other direction goes on."""

    def _holds(self) -> int:
        return sum(
            len(end.unsent) + len(getattr(end, "outgoing", b"")) + (end.decoder.kept if hasattr(end, "decoder") else 0)
            for end in self.relay.loop._halves.values()
        )

    def _flood(self, hand: Hand, frame: bytes, turns: int = 400, streams: int = 1) -> int:
        """Send the same until the stream is closed."""
        rest = b""
        count = 0
        for _ in range(turns):
            try:
                while True:
                    rest = rest or frame
                    sent = hand.socket.send(rest)
                    count += sent
                    rest = rest[sent:]
            except BlockingIOError:
                pass
            self.turn(1)
            self.assertLess(self._holds(), MOST * streams)
        return count

    def test_aVisitorThatDoesNotReadStopsTheLane(self) -> None:
        for size in (0, SMALL, TINY):
            visitor, _, hand = self.visit(proved=True, size=size)
            self.assertLess(self._flood(hand, data(bytes(30_000))), 16 << 20)
            visitor.send(b"still talking")
            self.turn()
            self.assertEqual(hand.receive(), [(DATA, b"still talking")])
            visitor.close()
            hand.socket.close()
            self.turn()

    def test_aServiceThatDoesNotReadStopsTheLane(self) -> None:
        service, _, hand = self.served()
        self.assertLess(self._flood(hand, data(b"x" * 7) * 1000), 16 << 20)
        service.send(b"still talking")
        self.turn()
        self.assertEqual(hand.receive(), [(DATA, b"still talking")])

    def test_otherLanesGoOn(self) -> None:
        _, _, stuck = self.visit(proved=True)
        others = [self.visit(proved=True) for _ in range(3)]
        self._flood(stuck, data(bytes(60_000)), 60)
        for visitor, _, hand in others:
            for _ in range(20):
                visitor.send(b"ping")
                self.turn(1)
                self.assertEqual(hand.receive(), [(DATA, b"ping")])
                hand.send(data(b"pong"))
                self.turn(1)
                self.assertEqual(take(visitor), b"pong")

    def test_whatWasHeldUpArrivesInTheEnd(self) -> None:
        for size in (SMALL, TINY):
            visitor, _, hand = self.visit(proved=True, size=size)
            message = pattern(1, 600_000)
            rest = b"".join(data(message[n : n + 999]) for n in range(0, 250_000, 999))
            rest += data(message[len(range(0, 250_000, 999)) * 999 :][:1]) + RAW_FRAME
            rest += message[len(range(0, 250_000, 999)) * 999 + 1 :]
            got = b""
            for n in range(20_000):
                if rest:
                    with contextlib.suppress(BlockingIOError):
                        rest = rest[hand.socket.send(rest) :]
                self.turn(1)
                if n % 3 == 0:
                    got += take(visitor, 5000)
                if len(got) == len(message):
                    break
            self.assertEqual(got, message)

    def test_aVisitorIsHeldUpByALaneThatTakesNothing(self) -> None:
        visitor, lane, hand = self.visit(proved=True, size=TINY)
        sent = 0
        for _ in range(100):
            sent += fill(visitor, b"u")
            self.turn(1)
            self.assertLess(self._holds(), MOST)
        self.assertLessEqual(pairOn(lane).plain.received, 2 * BUFFER_SIZE)
        hand.send(data(b"down"))
        self.turn()
        self.assertEqual(take(visitor), b"down")

    def test_manyStalledStreamsCostWhatTheyHoldAndNoMore(self) -> None:
        count = 20
        hands = [self.visit(proved=True, size=SMALL)[2] for _ in range(count)]
        gc.collect()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for hand in hands:
            self._flood(hand, data(bytes(10_000)), 3, count)
        self.turn(3)
        self.assertLess(tracemalloc.get_traced_memory()[0], count * MOST * 2)


class BorderTests(LaneCase):
    """Streams about as long as those that become RAW."""

    def _stream(self, size: int, cut: bool) -> tuple[list[tuple[int, bytes]], bytes, Hand]:
        visitor, _, hand = self.visit(proved=True)
        message = pattern(size, size)
        frames: list[tuple[int, bytes]] = []
        rest = message
        for _ in range(2000):
            if rest:
                with contextlib.suppress(BlockingIOError):
                    rest = rest[visitor.send(rest) :]
            self.turn(1)
            frames += hand.receive()
            if not rest and sum(len(payload) for _, payload in frames) == size:
                break
        if cut:
            reset(visitor)
        else:
            visitor.shutdown(socket.SHUT_WR)
        self.turn()
        if not cut or size < 1 << 18:
            frames += hand.receive()
        self.assertEqual(b"".join(payload for _, payload in frames), message)
        return frames, message, hand

    def test_belowTheBorderTheLaneLivesOn(self) -> None:
        for size in ((1 << 18) - 1, (1 << 18) - 65536):
            frames, _, hand = self._stream(size, False)
            self.assertEqual({kind for kind, _ in frames}, {DATA, END})
            hand.send(END_FRAME, DONE_FRAME)
            self.turn()
            self.assertEqual(self.user.log, ["idle"])
            self.user.log.clear()
            self.user.ready.clear()

    def test_fromTheBorderOnItIsRaw(self) -> None:
        for size in (1 << 18, (1 << 18) + 1, 1_000_000):
            frames, _, hand = self._stream(size, False)
            self.assertEqual(next(kind for kind, _ in frames if kind != DATA), RAW)
            self.assertEqual(hand.socket.recv(1), b"")
            hand.send(data(b"bye"), END_FRAME)
            self.turn()
            self.assertEqual((self.endings[-1].reason, self.endings[-1].toLeft), (Reason.FINISHED, 3))
            self.assertEqual(self.user.log, ["gone"])
            self.user.log.clear()

    def test_aCutBelowTheThresholdIsAFrameAndOneAboveItAReset(self) -> None:
        _, _, hand = self._stream((1 << 18) - 1, True)
        hand.send(RESET_FRAME)
        self.turn()
        self.assertEqual(self.user.log, ["idle"])
        self.user.log.clear()
        self.user.ready.clear()
        _, _, hand = self._stream(1 << 18, True)
        with self.assertRaises(ConnectionResetError):
            take(hand.socket)
        self.assertEqual(self.user.log, ["gone"])

    def _messages(self, visitor: socket.socket, hand: Hand, count: int) -> list[tuple[int, bytes]]:
        frames = []
        for _ in range(count):
            visitor.send(b"m")
            self.turn(1)
            frames += hand.receive()
        return frames

    def test_aStreamOfAFewMessagesLeavesTheLaneToTheNext(self) -> None:
        visitor, _, hand = self.visit(proved=True)
        few = RAW_MESSAGES - 1
        self.assertEqual(self._messages(visitor, hand, few), [(DATA, b"m")] * few)
        visitor.close()
        hand.send(END_FRAME)
        self.turn()
        self.assertEqual((hand.receive(), self.user.log), ([(END, b"")], ["idle"]))

    def test_aStreamOfManyMessagesIsRaw(self) -> None:
        visitor, _, hand = self.visit(proved=True)
        frames = self._messages(visitor, hand, RAW_MESSAGES + 2)
        self.assertEqual(frames, [(DATA, b"m")] * RAW_MESSAGES + [(RAW, b"")] + [(BARE, b"m")] * 2)
        hand.send(*[data(b"down")] * 100, END_FRAME)
        visitor.shutdown(socket.SHUT_WR)
        self.turn()
        self.assertEqual((hasEnded(hand.socket), take(visitor)), (True, b"down" * 100))
        self.assertEqual((self.endings[-1].reason, self.user.log), (Reason.FINISHED, ["gone"]))

    def test_nothingIsRawOnALaneThatMayBeDead(self) -> None:
        self.unacknowledged()
        visitor, _, hand = self.visit()
        many = 2 * RAW_MESSAGES
        self.assertEqual(self._messages(visitor, hand, many), [(DATA, b"m")] * many)
        reset(hand.socket)
        self.turn()
        self.assertEqual(self.given, [(b"m" * many, False)])

    def test_bothDirectionsMayBeRawAndEachEndsByItself(self) -> None:
        for first in ("visitor", "other side"):
            visitor, lane, hand = self.visit(proved=True)
            sent = 0
            up = down = b""
            hand.send(RAW_FRAME, b"down")
            while sent < 1 << 19:
                sent += visitor.send(bytes(30_000))
                self.turn(2)
                up += b"".join(payload for _, payload in hand.receive())
            if first == "visitor":
                visitor.shutdown(socket.SHUT_WR)
                self.turn()
                up += b"".join(payload for _, payload in hand.receive())
                hand.send(b", and more")
                self.turn()
                hand.socket.shutdown(socket.SHUT_WR)
            else:
                hand.socket.shutdown(socket.SHUT_WR)
                self.turn()
                visitor.send(b"more")
                sent += 4
                self.turn()
                visitor.shutdown(socket.SHUT_WR)
            self.turn()
            up += b"".join(payload for _, payload in hand.receive())
            down = take(visitor)
            self.assertEqual(len(up), sent)
            self.assertEqual(down, b"down, and more" if first == "visitor" else b"down")
            self.assertEqual((self.endings[-1].reason, lane.closed), (Reason.FINISHED, True))
