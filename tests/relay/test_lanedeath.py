"""Lanes that die: when what they carried goes on elsewhere, and when it is cut."""

from __future__ import annotations

import contextlib
import socket
import sys
import time

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there are no lanes on this system")

from bore.relay.interface import Reason
from bore.streams.tcpinfo import unacknowledged
from bore.wire.lane import DATA, END, END_FRAME, OPEN, RESET, RESET_FRAME
from tests.relay.lanecase import OPENING, Hand, LaneCase, data, pairOn
from tests.relay.plugs import TINY, reset, take, wasReset
from tests.support import pattern


def end(sock: socket.socket) -> None:
    """Close a socket in order."""
    take(sock)
    sock.close()


class IdleTests(LaneCase):
    """Lanes with nothing on them."""

    def test_anIdleLaneThatEndsIsGone(self) -> None:
        for serves in (True, False):
            for how in (end, reset):
                lane, hand = self.lane(serves)
                self.turn(1)
                how(hand.socket)
                self.turn()
                self.assertTrue(lane.closed)
                self.assertEqual(self.user.log, ["gone"])
                self.user.log.clear()

    def test_aLaneThatWaitsForItsServiceIsGoneWhenItIsReset(self) -> None:
        lane, hand = self.lane(False)
        hand.send(OPENING)
        self.turn()
        reset(hand.socket)
        self.turn()
        self.assertEqual((lane.closed, self.user.log), (True, ["opened", "gone"]))

    def test_aLaneThatEndsWhileItWaitsForItsServiceCutsTheServiceLater(self) -> None:
        lane, hand = self.lane(False)
        hand.send(OPENING)
        end(hand.socket)
        self.turn()
        self.assertFalse(lane.closed)
        service, inner = self.stream()
        self.serve(inner, lane)
        self.turn()
        self.assertTrue(wasReset(service))
        self.assertEqual([ending.reason for ending in self.endings], [Reason.LEFT_CUT])


class UnprovedTests(LaneCase):
    """Lanes that have not shown yet that they are alive, and to which nothing has come."""

    def setUp(self) -> None:
        super().setUp()
        self.unacknowledged()

    def _again(self, visitor: socket.socket, inner: socket.socket, message: bytes) -> None:
        """The visitor goes on on another lane, and nothing of it is lost or sent twice."""
        [(early, silent)] = self.given
        self.assertFalse(silent)
        self.assertEqual((self.endings, len(self.relay)), ([], 0))
        lane, hand = self.lane()
        self.join(inner, lane, early)
        self.turn()
        visitor.send(b", and goes on")
        self.turn()
        frames = hand.receive()
        self.assertEqual([kind for kind, _ in frames], [OPEN, DATA])
        self.assertEqual(frames[1][1], message + b", and goes on")
        hand.send(data(b"an answer"), END_FRAME)
        self.turn()
        self.assertEqual(take(visitor), b"an answer")
        visitor.shutdown(socket.SHUT_WR)
        self.turn()
        self.assertEqual(hand.receiveKinds(), [END])
        self.assertEqual([ending.reason for ending in self.endings], [Reason.FINISHED])
        self.assertEqual(self.endings[0].toRight, len(message) + 13)

    def test_aVisitorThatHasSentNothingIsGivenBack(self) -> None:
        for how in (end, reset):
            visitor, lane, hand = self.visit()
            inner = pairOn(lane).plain.socket
            how(hand.socket)
            self.turn()
            self._again(visitor, inner, b"")
            self.given.clear()
            self.endings.clear()

    def test_whatWasReadIsGivenBackOnce(self) -> None:
        for how in (end, reset):
            visitor, lane, hand = self.visit()
            inner = pairOn(lane).plain.socket
            for word in (b"says", b" this", b" first"):
                visitor.send(word)
                self.turn(2)
            how(hand.socket)
            self.turn()
            self._again(visitor, inner, b"says this first")
            self.given.clear()
            self.endings.clear()

    def test_whatWasReadBeforeTheVisitorWasJoinedIsGivenBack(self) -> None:
        visitor, inner = self.stream()
        visitor.send(b" later")
        lane, hand = self.lane()
        self.join(inner, lane, b"early")
        self.turn()
        reset(hand.socket)
        self.turn()
        self._again(visitor, inner, b"early later")

    def test_aLaneThatWasDeadBeforeItGotItsVisitorGivesItBackAtOnce(self) -> None:
        visitor, inner = self.stream()
        visitor.send(b"hello")
        lane, hand = self.lane()
        reset(hand.socket)
        self.join(inner, lane)
        self.turn()
        self._again(visitor, inner, b"hello")

    def test_whatTheLaneHasNotTakenIsGivenBackToo(self) -> None:
        visitor, inner = self.stream()
        lane, hand = self.lane(size=TINY)
        message = pattern(1, 50_000)
        visitor.send(message)
        self.join(inner, lane)
        self.turn()
        self.assertGreater(len(pairOn(lane).plain.unsent), 0)
        reset(hand.socket)
        self.turn()
        self._again(visitor, inner, message)

    def test_theEndOfAVisitorIsNotLost(self) -> None:
        visitor, lane, hand = self.visit()
        inner = pairOn(lane).plain.socket
        visitor.send(b"all")
        visitor.shutdown(socket.SHUT_WR)
        self.turn()
        self.assertEqual(hand.receiveKinds(), [DATA, END])
        reset(hand.socket)
        self.turn()
        [(early, _)] = self.given
        lane, hand = self.lane()
        self.join(inner, lane, early)
        self.turn()
        self.assertEqual(hand.receive()[1:], [(DATA, b"all"), (END, b"")])

    def test_aViolationInsteadOfAProofGivesTheVisitorBack(self) -> None:
        visitor, lane, hand = self.visit()
        inner = pairOn(lane).plain.socket
        visitor.send(b"hello")
        hand.send(b"HTTP/1.1 400 Bad Request")
        self.turn()
        self.assertTrue(lane.closed)
        self._again(visitor, inner, b"hello")

    def test_whoSendsALotIsHeldBackAndNotLost(self) -> None:
        visitor, inner = self.stream()
        message = pattern(1, 1_000_000)
        sent = visitor.send(message)
        lane, hand = self.lane()
        self.join(inner, lane)
        self.turn()
        self.assertEqual(pairOn(lane).plain.received, 1 << 16)
        visitor.setblocking(False)
        sent += visitor.send(message[sent:]) if sent < len(message) else 0
        self.turn()
        self.assertEqual(pairOn(lane).plain.received, 1 << 16)
        got = hand.receive()[1][1]
        hand.send(data(b"go on"))
        for _ in range(50):
            self.turn(2)
            got += b"".join(payload for _, payload in hand.receive())
        self.assertEqual(len(got), sent)
        self.assertEqual(got, message[:sent])

    def test_whoIsCutWhileItsLaneIsUnprovedIsNotGivenBack(self) -> None:
        for much, log in ((b"", ["idle"]), (b"x" * 5000, ["gone"])):
            visitor, _, hand = self.visit()
            visitor.send(much)
            self.turn()
            reset(visitor)
            self.turn()
            self.assertEqual((self.given, [e.reason for e in self.endings]), ([], [Reason.LEFT_CUT]))
            self.assertEqual(hand.receiveKinds()[-1], RESET)
            hand.send(RESET_FRAME)
            self.turn()
            self.assertEqual(self.user.log, log)  # nothing is acknowledged here: no visitor waits behind much of it
            self.endings.clear()
            self.user.log.clear()


class ProvedTests(LaneCase):
    """Lanes that were alive, and die."""

    def _proved(self) -> tuple[socket.socket, Hand]:
        visitor, _, hand = self.visit()
        hand.send(data(b"x"))
        self.turn()
        self.assertEqual(take(visitor), b"x")
        return visitor, hand

    def test_theVisitorIsReset(self) -> None:
        for how in (end, reset):
            visitor, hand = self._proved()
            how(hand.socket)
            self.turn()
            self.assertTrue(wasReset(visitor))
            self.assertEqual(([e.reason for e in self.endings], self.given), ([Reason.RIGHT_CUT], []))
            self.endings.clear()

    def test_theVisitorIsResetInTheMiddleOfAFrame(self) -> None:
        visitor, hand = self._proved()
        hand.send(data(b"half of this is missing")[:12])
        end(hand.socket)
        self.turn()
        self.assertEqual([e.reason for e in self.endings], [Reason.RIGHT_CUT])
        with self.assertRaises(ConnectionResetError):
            take(visitor)
            take(visitor)

    def test_theVisitorThatTakesNothingIsResetWhenItHasTakenAll(self) -> None:
        visitor, hand = self._proved()
        size = 0
        while not self._stalled():
            hand.send(data(bytes(10_000)))
            size += 10_000
            self.turn(1)
        while unacknowledged(hand.socket.fileno()):
            time.sleep(0.001)
        reset(hand.socket)
        self.turn()
        self.assertEqual(self.endings, [])
        got = 0
        with self.assertRaises(ConnectionResetError):
            while True:
                with contextlib.suppress(BlockingIOError):
                    while part := visitor.recv(1 << 18):
                        got += len(part)
                self.turn(1)
                self.linger()
        self.assertEqual(got, size)
        self.assertEqual([e.reason for e in self.endings], [Reason.RIGHT_CUT])

    def _stalled(self) -> bool:
        [pair] = list(self.relay._pairs)
        return bool(pair.lane.unsent)  # type: ignore[attr-defined]

    def test_theServiceIsResetWhateverTheLaneDiesOf(self) -> None:
        for how in (end, reset):
            service, _, hand = self.served()
            hand.send(data(b"x"))
            self.turn()
            how(hand.socket)
            self.turn()
            self.assertTrue(wasReset(service))
            self.assertEqual([e.reason for e in self.endings], [Reason.LEFT_CUT])
            self.endings.clear()
