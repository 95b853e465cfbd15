"""TLS between two relays keeps the relay's promises, on connections of their own and on lanes."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
from typing import cast
from uuid import uuid4

from twisted.trial.unittest import SynchronousTestCase

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there are no lanes on this system")

from bore.relay.interface import Ending, Reason, Relay, Stream
from bore.relay.lanes import LaneRelay
from bore.relay.portable import PortableRelay
from bore.relay.splice import SpliceRelay
from bore.streams.encryption import STUCK_TIMEOUT
from bore.streams.reactor import IReactor
from bore.timing.turns import MIN_COST
from bore.tls.contexts import clientContext
from bore.wire.laneopen import openFrame
from tests.fakes import FakeReactor
from tests.relay import bytescontract, earlycontract, endingcontract
from tests.relay.encrypted import EncryptedRelay, tlsPair, withoutRoomForEnds
from tests.relay.lanedrelay import LanedRelay
from tests.relay.laneusers import LaneSide
from tests.relay.plugs import tcpPair
from tests.support import eventually, receiveAll
from tests.tls.rekeying import Rekeying
from tests.tls.tlscase import TlsCase


class _Encrypted:
    def makeRelay(self, reactor: IReactor, halfOpenTimeout: float) -> Relay:
        return EncryptedRelay(reactor, halfOpenTimeout)


class EncryptedBytesTests(_Encrypted, bytescontract.BytesContract):
    """Bytes through TLS."""


class EncryptedEndingTests(_Encrypted, endingcontract.EndingContract):
    """Ends of streams through TLS."""


class EncryptedDrainTests(_Encrypted, endingcontract.DrainContract):
    """The end of a relay with TLS."""


class EncryptedHalfOpenTests(_Encrypted, endingcontract.HalfOpenContract):
    """Half-open streams through TLS."""


class EncryptedEarlyAnswerTests(_Encrypted, earlycontract.EarlyAnswerContract):
    """Early answers through TLS."""


class EncryptedChurnTests(_Encrypted, endingcontract.ChurnContract):
    """Descriptors used again, and TLS."""


class _EncryptedPortable:
    def makeRelay(self, reactor: IReactor, halfOpenTimeout: float) -> Relay:
        return EncryptedRelay(reactor, halfOpenTimeout, PortableRelay)


class EncryptedPortableBytesTests(_EncryptedPortable, bytescontract.BytesContract):
    """Bytes through TLS, by the portable backend."""


class EncryptedPortableEndingTests(_EncryptedPortable, endingcontract.EndingContract):
    """Ends of streams through TLS, by the portable backend."""


class EncryptedPortableDrainTests(_EncryptedPortable, endingcontract.DrainContract):
    """The end of a portable relay with TLS."""


class EncryptedPortableEarlyAnswerTests(_EncryptedPortable, earlycontract.EarlyAnswerContract):
    """Early answers through TLS, by the portable backend."""


class _EncryptedLanes:
    def makeRelay(self, reactor: IReactor, halfOpenTimeout: float) -> Relay:
        return LanedRelay(reactor, halfOpenTimeout, tlsPair)


class EncryptedLaneBytesTests(_EncryptedLanes, bytescontract.BytesContract):
    """Bytes over lanes inside TLS."""


class EncryptedLaneEndingTests(_EncryptedLanes, endingcontract.EndingContract):
    """Ends of streams over lanes inside TLS."""


class EncryptedLaneDrainTests(_EncryptedLanes, endingcontract.DrainContract):
    """The end of a relay with lanes inside TLS."""


class EncryptedLaneHalfOpenTests(_EncryptedLanes, endingcontract.HalfOpenContract):
    """Half-open streams over lanes inside TLS."""


class EncryptedLaneEarlyAnswerTests(_EncryptedLanes, earlycontract.EarlyAnswerContract):
    """Early answers over lanes inside TLS."""


class EncryptedLaneChurnTests(_EncryptedLanes, endingcontract.ChurnContract):
    """Descriptors used again, and lanes inside TLS."""


class EncryptedPairTests(SynchronousTestCase):
    """What is special about TLS."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.relay = SpliceRelay(cast(IReactor, self.reactor), 600)
        self.server, self.client = tlsPair()
        self.visitor, self.inner = tcpPair()
        self.endings: list[Ending] = []
        self.relay.join(Stream(self.inner), Stream(self.server), self.endings.append)
        self.addCleanup(self.relay.close)
        self.addCleanup(self.visitor.close)
        self.addCleanup(self.client.close)

    def test_tinyRecordsDoNotStopTheOthers(self) -> None:
        """Each costs as much as a large one, and the bytes that a stream may move in a turn do not bound them."""
        reads = self.relay.loop.share // MIN_COST
        for _ in range(4 * reads):
            self.client.send(b"x")
        (pair,) = self.relay._pairs
        self.relay.loop.doRead()
        self.assertTrue(reads // 2 < pair.moved <= reads, pair.moved)
        self.reactor.advance(0)
        self.assertEqual(pair.moved, 4 * reads)

    def test_anEndWithoutAWordIsACut(self) -> None:
        """What was cut short on the way must not look complete to the visitor."""
        self.client.send(b"half of it")
        socket.socket.shutdown(self.client, socket.SHUT_WR)
        self.relay.loop.doRead()
        self.assertEqual(self.endings[0].reason, Reason.RIGHT_CUT)
        with self.assertRaises(ConnectionResetError):
            while self.visitor.recv(100):
                pass

    def test_anEndWithAWordIsAnEnd(self) -> None:
        self.client.send(b"all of it")
        self.client.shutdown(socket.SHUT_WR)
        self.relay.loop.doRead()
        self.assertEqual(receiveAll(self.visitor), b"all of it")
        self.visitor.sendall(b"and the answer")
        self.relay.loop.doRead()
        self.assertEqual(self.client.recv(100), b"and the answer")
        self.assertEqual(self.endings, [])

    def test_garbageIsACut(self) -> None:
        os.write(self.client.fileno(), b"\x17\x03\x03\x00\x20" + bytes(32))
        self.relay.loop.doRead()
        self.assertEqual(self.endings[0].reason, Reason.RIGHT_CUT)

    def test_anEndThatFindsNoRoomIsSentLater(self) -> None:
        """The kernel may take all bytes, and then not ``close_notify``."""
        full = withoutRoomForEnds(self)
        self.visitor.shutdown(socket.SHUT_WR)
        self.relay.loop.doRead()
        with self.assertRaises(BlockingIOError):
            self.client.recv(100)
        full.clear()
        for end in list(self.relay.loop._halves.values()):
            end.serve(select.EPOLLOUT)
        self.assertEqual(self.client.recv(100), b"")

    def test_whatComesBehindARecordWithoutBytesIsNotForgotten(self) -> None:
        """No edge reports it, as it was there already when the read blocked."""
        server, client = tlsPair(drained=False)  # OpenSSL's server has sent something already that is not for us
        visitor, inner = tcpPair()
        self.addCleanup(server.close)
        self.addCleanup(visitor.close)
        server.send(b"behind it")
        self.relay.join(Stream(inner), Stream(client), self.endings.append)
        self.relay.loop.doRead()
        self.reactor.advance(0)
        self.assertEqual(visitor.recv(100), b"behind it")

    def test_aCutBehindARecordWithoutBytesIsNotForgotten(self) -> None:
        """As when a visitor is gone at once: the event that reported the cut was the one of the record, too."""
        server, client = tlsPair(drained=False)
        visitor, inner = tcpPair()
        self.addCleanup(server.close)
        self.addCleanup(visitor.close)
        socket.socket.shutdown(server, socket.SHUT_WR)
        self.relay.join(Stream(inner), Stream(client), self.endings.append)
        self.relay.loop.doRead()
        self.reactor.pump([0] * 5)
        self.assertEqual([ending.reason for ending in self.endings], [Reason.RIGHT_CUT])
        self.assertRaises(ConnectionResetError, visitor.recv, 1)


class NewKeysTests(TlsCase):
    """A peer inside TLS that asks for new keys, and reads no answer."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.relay = LaneRelay(cast(IReactor, self.reactor), 600)
        self.addCleanup(self.relay.close)
        context = clientContext(())
        self.rekeying = Rekeying(context, "CLIENT")
        self.client, self.server = self.pair(client=context, buffer=4096)
        self.stuck: set[int] = set()

    def turn(self) -> None:
        self.relay.loop.doRead()
        self.reactor.advance(0)
        if self.server.stuck:
            self.stuck.add(self.server.stuck)

    def getStuck(self) -> None:
        """
        Until the other side can read no more before it has written.

        What is under way on the loopback device is waited for: it may let the other side write, and be stuck anew.
        """
        self.stuck.clear()
        while not self.server.stuck:
            self.rekeying.requestUntilStuck(self.client, self.server, self.turn)
            self.assertComesToRest()
        if len(self.stuck) > 1:
            self.reactor.advance(STUCK_TIMEOUT)  # the time of the first one is over, and that of the last one begins

    def assertComesToRest(self) -> None:
        """The relay does nothing more when nothing happens."""
        eventually(self.rests, "the relay rests")

    def rests(self) -> bool:
        """Whether the relay has nothing to do after a turn."""
        self.turn()
        return not self.relay.loop.ready and not select.select([self.relay.loop], [], [], 0)[0]

    def join(self) -> list[Ending]:
        visitor, inner = tcpPair()
        self.addCleanup(visitor.close)
        endings: list[Ending] = []
        self.relay.join(Stream(inner), Stream(self.server), endings.append)
        return endings

    def test_aStreamDoesNotKeepTheRelayBusyAndIsCutInTime(self) -> None:
        endings = self.join()
        self.getStuck()
        self.reactor.advance(STUCK_TIMEOUT - 0.1)
        self.assertEqual(endings, [])
        self.reactor.advance(0.1)
        self.assertEqual([ending.reason for ending in endings], [Reason.RIGHT_CUT])
        self.assertEqual(self.server.fileno(), -1)

    def test_aStreamWhosePeerReadsAfterAllGoesOn(self) -> None:
        endings = self.join()
        self.getStuck()
        self.reactor.advance(STUCK_TIMEOUT / 2)
        while self.server.stuck:
            with contextlib.suppress(BlockingIOError):
                self.client.recv(1)
            self.turn()
        self.getStuck()
        self.reactor.advance(STUCK_TIMEOUT / 2)  # the first time is over, and it was stuck again since
        self.assertEqual(endings, [])
        self.reactor.advance(STUCK_TIMEOUT)
        self.assertEqual([ending.reason for ending in endings], [Reason.RIGHT_CUT])

    def test_anIdleLaneDoesNotKeepTheRelayBusyAndIsClosedInTime(self) -> None:
        side = LaneSide()
        self.relay.adopt(self.server, b"", True, side)
        self.getStuck()
        self.assertEqual(side.lost, 0)
        self.reactor.advance(STUCK_TIMEOUT)
        self.assertEqual((side.lost, self.server.fileno()), (1, -1))

    def test_aLaneWithAVisitorIsAsStreamsAre(self) -> None:
        visitor, inner = tcpPair()
        self.addCleanup(visitor.close)
        lane = self.relay.adopt(self.server, b"", True, LaneSide())
        endings: list[Ending] = []
        self.relay.joinWithLane(Stream(inner), lane, endings.append, openFrame(1, uuid4(), None))
        self.getStuck()
        self.reactor.advance(STUCK_TIMEOUT)
        self.assertEqual([ending.reason for ending in endings], [Reason.RIGHT_CUT])
        self.assertEqual(self.server.fileno(), -1)
