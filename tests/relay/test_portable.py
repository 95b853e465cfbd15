"""The portable backend keeps the relay's promises."""

from __future__ import annotations

from typing import cast

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from bore.relay.interface import Ending, Reason, Relay, Stream
from bore.relay.lingering import TAKE_TIMEOUT
from bore.relay.portable import PortableRelay
from bore.relay.readout import ReadOutTransport
from bore.streams.reactor import IReactor
from tests.fakes import FakeReactor
from tests.relay import bytescontract, earlycontract, endingcontract
from tests.relay.plugs import reset, tcpPair
from tests.support import receiveExactly


class _Portable:
    def makeRelay(self, reactor: IReactor, halfOpenTimeout: float) -> Relay:
        return PortableRelay(reactor, halfOpenTimeout)


class PortableBytesTests(_Portable, bytescontract.BytesContract):
    """Bytes through the portable backend."""


class PortableEndingTests(_Portable, endingcontract.EndingContract):
    """Ends of streams in the portable backend."""


class PortableDrainTests(_Portable, endingcontract.DrainContract):
    """The end of the portable backend itself."""


class PortableHalfOpenTests(_Portable, endingcontract.HalfOpenContract):
    """Half-open pairs in the portable backend."""


class PortableEarlyAnswerTests(_Portable, earlycontract.EarlyAnswerContract):
    """Early answers in the portable backend."""


class PortableChurnTests(_Portable, endingcontract.ChurnContract):
    """Descriptors used again in the portable backend."""


class ResetTests(SynchronousTestCase):
    """What the reactor makes of a reset."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.relay = PortableRelay(cast(IReactor, self.reactor), 600)
        self.left, inner = tcpPair()
        self.right, other = tcpPair()
        for sock in (self.left, self.right, inner, other):
            self.addCleanup(sock.close)
        self.endings: list[Ending] = []
        self.relay.join(Stream(inner), Stream(other), self.endings.append)
        [self.stream, _] = [cast(ReadOutTransport, reader) for reader in self.reactor.getReaders()]
        if self.stream.getHandle() is not inner:
            self.stream = cast(ReadOutTransport, self.reactor.getReaders()[1])

    def settle(self) -> None:
        for _ in range(100):
            for writer in self.reactor.getWriters():
                writer.doWrite()
            self.reactor.advance(0.01)

    def test_aPollThatTellsOfAnErrorAloneHasNotSeenAnEnd(self) -> None:
        """The kernel sets the two one after the other; the reactor takes the first for an end in order."""
        self.left.sendall(b"half of it")
        reset(self.left)
        self.stream.readConnectionLost(Failure(ConnectionDone()))
        self.settle()
        with self.assertRaises(ConnectionResetError):
            self.assertEqual(self.right.recv(100), b"half of it")
            self.right.recv(100)
        self.assertEqual([ending.reason for ending in self.endings], [Reason.LEFT_CUT])

    def test_anErrorWhileItsReaderIsPausedCostsNothing(self) -> None:
        self.left.sendall(b"all of it")
        self.left.sendall(b", to the last byte")
        self.stream.pauseProducing()
        reset(self.left)
        self.stream.connectionLost(Failure(ConnectionLost()))
        self.settle()
        self.assertEqual(self.endings, [])
        self.stream.resumeProducing()
        self.settle()
        self.assertEqual(receiveExactly(self.right, 27), b"all of it, to the last byte")
        self.assertRaises(ConnectionResetError, self.right.recv, 1)

    def test_whatIsNotReadIsGivenUp(self) -> None:
        self.left.sendall(b"not read")
        self.stream.pauseProducing()
        reset(self.left)
        self.stream.connectionLost(Failure(ConnectionLost()))
        self.reactor.advance(TAKE_TIMEOUT - 0.1)
        self.assertEqual(self.endings, [])
        self.reactor.advance(0.1)
        self.reactor.advance(0)
        self.assertEqual([ending.reason for ending in self.endings], [Reason.LEFT_CUT])
        self.assertEqual((self.reactor.getDelayedCalls(), self.reactor.getReaders()), ([], []))
