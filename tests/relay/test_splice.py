"""The splice backend keeps the relay's promises, whatever the kernel does."""

from __future__ import annotations

import sys

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there is no splice on this system")

from typing import cast

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase

from bore.relay import backend, loop, pipes
from bore.relay.interface import Relay
from bore.relay.portable import PortableRelay
from bore.relay.splice import SpliceRelay
from bore.streams.reactor import IReactor
from tests.relay import bytescontract, earlycontract, endingcontract


class _Splice:
    def makeRelay(self, reactor: IReactor, halfOpenTimeout: float) -> Relay:
        return SpliceRelay(reactor, halfOpenTimeout)


class SpliceBytesTests(_Splice, bytescontract.BytesContract):
    """Bytes through the splice backend."""


class SpliceEndingTests(_Splice, endingcontract.EndingContract):
    """Ends of streams in the splice backend."""


class SpliceDrainTests(_Splice, endingcontract.DrainContract):
    """The end of the splice backend itself."""


class SpliceHalfOpenTests(_Splice, endingcontract.HalfOpenContract):
    """Half-open pairs in the splice backend."""


class SpliceEarlyAnswerTests(_Splice, earlycontract.EarlyAnswerContract):
    """Early answers in the splice backend."""


class SpliceChurnTests(_Splice, endingcontract.ChurnContract):
    """Descriptors used again in the splice backend."""


class WithoutPipesTests(_Splice, bytescontract.BytesContract):
    """Bytes when no pipe can be had."""

    def setUp(self) -> None:
        self.patch(pipes, "MAX_PIPES", 0)
        super().setUp()


class SmallPipesTests(_Splice, bytescontract.BytesContract):
    """Bytes through pipes of the least size."""

    def setUp(self) -> None:
        self.patch(pipes, "PIPE_SIZE", 1 << 16)
        super().setUp()


class SmallTurnsTests(_Splice, bytescontract.BytesContract):
    """Bytes when every stream has to wait for its next turn all the time."""

    def setUp(self) -> None:
        self.patch(loop, "_TURN", 1)
        self.patch(loop, "_SHARE", 1)
        self.patch(loop, "_LEAST_SHARE", 1)
        super().setUp()


class BackendTests(SynchronousTestCase):
    """Which backend there is."""

    def make(self, *, portable: bool = False) -> Relay:
        relay = backend.makeRelay(cast(IReactor, reactor), 600, portable=portable)
        relay.drain(0)
        return relay

    def test_spliceIsUsedWhereThereIsOne(self) -> None:
        self.assertIsInstance(self.make(), SpliceRelay)

    def test_theUserCanDoWithoutSplice(self) -> None:
        self.assertIsInstance(self.make(portable=True), PortableRelay)

    def test_elsewhereThePortableOneIsUsed(self) -> None:
        self.patch(sys, "platform", "darwin")
        self.assertIsInstance(self.make(), PortableRelay)
