"""Both backends, and lanes, keep the relay's promises where the local service has a Unix socket."""

from __future__ import annotations

import sys

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there is no splice on this system, and there are no lanes")

from bore.relay.interface import Relay
from bore.relay.portable import PortableRelay
from bore.relay.splice import SpliceRelay
from bore.streams.reactor import IReactor
from tests.relay import bytescontract, descriptorscontract, earlycontract, endingcontract
from tests.relay.lanedrelay import LanedRelay
from tests.relay.plugs import unixPair


class _Splice:
    rightPair = staticmethod(unixPair)
    rightResets = False

    def makeRelay(self, reactor: IReactor, halfOpenTimeout: float) -> Relay:
        return SpliceRelay(reactor, halfOpenTimeout)


class _Portable:
    rightPair = staticmethod(unixPair)
    rightResets = False

    def makeRelay(self, reactor: IReactor, halfOpenTimeout: float) -> Relay:
        return PortableRelay(reactor, halfOpenTimeout)


class _Laned:
    rightPair = staticmethod(unixPair)
    rightResets = False

    def makeRelay(self, reactor: IReactor, halfOpenTimeout: float) -> Relay:
        return LanedRelay(reactor, halfOpenTimeout)


class SpliceBytesTests(_Splice, bytescontract.BytesContract):
    """Bytes through the splice backend."""


class SpliceEndingTests(_Splice, endingcontract.EndingContract):
    """Ends of streams in the splice backend."""


class SpliceDescriptorTests(_Splice, descriptorscontract.DescriptorsContract):
    """Descriptors that are sent to the splice backend."""


class SpliceDrainTests(_Splice, endingcontract.DrainContract):
    """The end of the splice backend itself."""


class SpliceHalfOpenTests(_Splice, endingcontract.HalfOpenContract):
    """Half-open pairs in the splice backend."""


class SpliceEarlyAnswerTests(_Splice, earlycontract.EarlyAnswerContract):
    """Early answers in the splice backend."""


class PortableBytesTests(_Portable, bytescontract.BytesContract):
    """Bytes through the portable backend."""


class PortableEndingTests(_Portable, endingcontract.EndingContract):
    """Ends of streams in the portable backend."""


class PortableHalfOpenTests(_Portable, endingcontract.HalfOpenContract):
    """Half-open pairs in the portable backend."""


class PortableEarlyAnswerTests(_Portable, earlycontract.EarlyAnswerContract):
    """Early answers in the portable backend."""


class LaneBytesTests(_Laned, bytescontract.BytesContract):
    """Bytes on lanes."""


class LaneDescriptorTests(_Laned, descriptorscontract.DescriptorsContract):
    """Descriptors that are sent to lanes."""


class LaneEndingTests(_Laned, endingcontract.EndingContract):
    """Ends of streams on lanes."""


class LaneHalfOpenTests(_Laned, endingcontract.HalfOpenContract):
    """Half-open pairs on lanes."""


class LaneEarlyAnswerTests(_Laned, earlycontract.EarlyAnswerContract):
    """Early answers on lanes."""
