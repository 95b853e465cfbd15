"""A stream that uses its lane up: it goes RAW before its first byte."""

from __future__ import annotations

import socket
import sys

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there are no lanes on this system")

from bore.relay.interface import Reason
from bore.wire.lane import DATA, END_FRAME, HEADER, RAW_FRAME
from tests.relay.lanecase import OPENING, Hand, LaneCase
from tests.relay.plugs import hasEnded, take, wasReset


class LastStreamTests(LaneCase):
    """The client's side of such a stream."""

    def setUp(self) -> None:
        super().setUp()
        self.client, self.hand = self.lane(serves=False)
        self.hand.send(OPENING)
        self.turn()
        self.service, inner = self.stream()
        self.serve(inner, self.client, header=b"PROXY ", last=True)
        self.turn()

    def test_itIsRawFromItsFirstByteAndTheLaneIsClosedBehindIt(self) -> None:
        self.hand.send(HEADER.pack(DATA, 8) + b"question" + END_FRAME)
        self.service.send(b"answer")
        self.turn()
        self.assertEqual(take(self.service), b"PROXY question")
        self.service.close()
        self.turn()
        self.assertEqual(take(self.hand.socket), RAW_FRAME + b"answer")
        self.assertTrue(hasEnded(self.hand.socket))
        self.assertEqual([ending.reason for ending in self.endings], [Reason.FINISHED])
        self.assertTrue(self.client.closed)

    def test_aServiceThatCutsItResetsTheLane(self) -> None:
        self.service.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.service.close()
        self.turn()
        self.linger()
        self.assertTrue(wasReset(self.hand.socket))
        self.assertTrue(self.client.closed)

    def test_aServerThatIsGoneAlreadyIsNoFault(self) -> None:
        hand: Hand
        client, hand = self.lane(serves=False)
        hand.send(OPENING)
        self.turn()
        hand.socket.close()
        service, inner = self.stream()
        self.serve(inner, client, last=True)
        self.turn()
        service.close()
        self.turn()
        self.linger()
        self.assertTrue(client.closed)
        self.service.close()
        self.hand.socket.close()
        self.turn()
