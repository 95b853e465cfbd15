"""A long upload: its lane has the next visitor when the local service has taken all of it, and not before."""

from __future__ import annotations

import socket
import sys

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there are no lanes on this system")

from bore.relay.flow import BUFFER_SIZE
from bore.relay.interface import Reason
from bore.wire.lane import DATA, DONE, DONE_FRAME, END, END_FRAME, LONG, RESET, RESET_FRAME, RESET_TIMEOUT
from tests.relay.encrypted import tlsPair
from tests.relay.lanecase import Hand, LaneCase, data
from tests.relay.plugs import hasEnded, reset, take, wasReset
from tests.support import pattern


class ServerTests(LaneCase):
    """The server's side waits for DONE."""

    def _upload(self, size: int, serviceFirst: bool) -> Hand:
        """A visitor has sent this much, and both directions have ended."""
        visitor, self.ours, hand = self.visit(proved=True)
        if serviceFirst:
            hand.send(END_FRAME)
            self.turn()
        visitor.send(pattern(size, size))
        visitor.shutdown(socket.SHUT_WR)
        self.turn()
        if not serviceFirst:
            hand.send(END_FRAME)
            self.turn()
        (_, uploaded), (last, _) = hand.receive()
        self.assertEqual((uploaded, last), (pattern(size, size), END))
        self.assertEqual([ending.reason for ending in self.endings], [Reason.FINISHED])
        return hand

    def test_aLongUploadsLaneIsIdleWhenDoneHasCome(self) -> None:
        for serviceFirst in (True, False):
            hand = self._upload(LONG + 1, serviceFirst)
            self.assertEqual(self.user.log, [])
            hand.send(DONE_FRAME)
            self.turn()
            self.assertEqual(self.user.log, ["idle"])
            self.user.log.clear()
            self.endings.clear()

    def test_aShortOnesIsIdleAtOnce(self) -> None:
        for serviceFirst in (True, False):
            self._upload(LONG, serviceFirst)
            self.assertEqual(self.user.log, ["idle"])
            self.user.log.clear()
            self.endings.clear()

    def test_theNextVisitorOnTheLaneIsServed(self) -> None:
        hand = self._upload(LONG + 1, True)
        hand.send(DONE_FRAME)
        self.turn()
        self.user.ready.clear()
        visitor, inner = self.stream()
        self.join(inner, self.ours, proved=True)
        visitor.send(b"question")
        self.turn()
        self.assertEqual(hand.receive()[1], (DATA, b"question"))
        hand.send(data(b"answer"), END_FRAME)
        visitor.shutdown(socket.SHUT_WR)
        self.turn()
        self.assertEqual(take(visitor), b"answer")
        self.assertEqual(self.user.log, ["idle", "idle"])

    def test_doneThatIsThereAlreadyWhenTheStreamEndsIsRead(self) -> None:
        """The read of the end has filled the buffer, and left DONE in the kernel, which reports nothing further."""
        visitor, _, hand = self.visit(proved=True)
        visitor.send(pattern(1, LONG + 1))
        visitor.shutdown(socket.SHUT_WR)
        self.turn()
        answer = pattern(2, BUFFER_SIZE - len(data(b"")) - len(END_FRAME))
        hand.send(data(answer), END_FRAME, DONE_FRAME)
        self.turn()
        self.assertEqual(self.user.log, ["idle"])
        self.assertEqual(take(visitor), answer)

    def test_soIsItInsideTls(self) -> None:
        """A read takes one record there: DONE is in the next one."""
        server, client = tlsPair()
        self.keep(client)
        lane = self.relay.adopt(server, b"", True, self.user)
        visitor, inner = self.stream()
        self.join(inner, lane, proved=True)
        visitor.send(pattern(1, LONG + 1))
        visitor.shutdown(socket.SHUT_WR)
        self.turn()
        for frame in (data(b"answer"), END_FRAME, DONE_FRAME):
            client.send(frame)
        self.turn()
        self.assertEqual(self.user.log, ["idle"])
        self.assertEqual(take(visitor), b"answer")

    def test_withoutDoneTheLaneIsClosedAndNothingOfTheUploadIsLost(self) -> None:
        hand = self._upload(LONG + 1, True)
        self.reactor.advance(RESET_TIMEOUT)
        self.turn()
        self.assertEqual(self.user.log, ["gone"])
        self.assertTrue(hasEnded(hand.socket))

    def test_aRelayThatStopsLosesNothingOfTheUploadEither(self) -> None:
        visitor, _, hand = self.visit(proved=True)
        hand.send(END_FRAME)
        self.turn()
        visitor.send(pattern(1, LONG + 1))
        visitor.shutdown(socket.SHUT_WR)
        self.turn()
        self.relay.drain(60)
        self.assertEqual(hand.receive(), [(DATA, pattern(1, LONG + 1)), (END, b"")])
        self.assertTrue(hasEnded(hand.socket))

    def test_aClientThatClosesTheLaneInsteadIsNoFault(self) -> None:
        hand = self._upload(LONG + 1, True)
        hand.socket.close()
        self.turn()
        self.assertEqual(self.user.log, ["gone"])

    def test_doneBeforeTheEndIsAViolation(self) -> None:
        _, _, hand = self.visit(proved=True)
        hand.send(END_FRAME, DONE_FRAME)
        self.turn()
        self.assertEqual(self.user.log, ["gone"])
        self.assertTrue(wasReset(hand.socket))
        self.linger()
        self.assertEqual([ending.reason for ending in self.endings], [Reason.RIGHT_CUT])

    def test_behindAResetNoDoneIsWaitedFor(self) -> None:
        visitor, _, hand = self.visit(proved=True)
        visitor.send(pattern(1, LONG + 1))
        self.turn()
        visitor.shutdown(socket.SHUT_WR)
        self.turn()
        hand.send(RESET_FRAME)
        self.turn()
        self.linger()
        self.assertEqual(self.user.log, ["idle"])


class ClientTests(LaneCase):
    """The client's side sends DONE when nothing of the upload is left on the lane."""

    def test_doneIsSentBehindALongUpload(self) -> None:
        for size, expected in ((LONG + 1, [END, DONE]), (LONG, [END])):
            for serviceFirst in (True, False):
                service, lane, hand = self.served()
                if serviceFirst:
                    service.shutdown(socket.SHUT_WR)
                    self.turn()
                hand.send(data(pattern(1, size)), END_FRAME)
                self.turn()
                self.assertEqual(take(service), pattern(1, size))
                if not serviceFirst:
                    service.shutdown(socket.SHUT_WR)
                    self.turn()
                self.assertEqual(hand.receiveKinds(), expected, (size, serviceFirst))
                self.assertTrue(lane.session.idle)
        self.assertEqual(self.user.log, ["opened", "idle"] * 4)

    def test_itIsNotSentWhileTheServiceDoesNotRead(self) -> None:
        service, lane, hand = self.served()
        service.shutdown(socket.SHUT_WR)
        sent = 0
        while not lane.unsent:
            hand.send(data(bytes(30_000)))
            sent += 30_000
            self.turn()
        hand.send(END_FRAME)
        self.turn()
        self.assertEqual(hand.receiveKinds(), [END])
        self.assertEqual(self.user.log, ["opened"])
        left = sent
        for _ in range(1000):
            left -= len(take(service))
            self.turn()
            if not left:
                break
        self.assertEqual(left, 0)
        self.assertEqual(hand.receiveKinds(), [DONE])
        self.assertEqual(self.user.log, ["opened", "idle"])

    def test_aServiceThatRefusesTheRestCostsTheLane(self) -> None:
        service, lane, hand = self.served()
        service.shutdown(socket.SHUT_WR)
        while not lane.unsent:
            hand.send(data(bytes(30_000)))
            self.turn()
        hand.send(END_FRAME)
        self.turn()
        reset(service)
        self.turn()
        self.linger()
        self.assertTrue(wasReset(hand.socket))
        self.assertEqual(self.user.log, ["opened", "gone"])

    def test_behindAResetItIsNot(self) -> None:
        service, _, hand = self.served()
        hand.send(data(pattern(1, LONG + 1)))
        self.turn()
        take(service)
        reset(service)
        self.turn()
        self.linger()
        hand.send(END_FRAME)
        self.turn()
        self.assertEqual(hand.receiveKinds(), [RESET])
        self.assertEqual(self.user.log, ["opened", "idle"])
