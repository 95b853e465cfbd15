"""The lanes keep the relay's promises."""

from __future__ import annotations

import sys

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there are no lanes on this system")

from bore.relay.interface import Relay
from bore.streams.reactor import IReactor
from tests.relay import bytescontract, earlycontract, endingcontract
from tests.relay.lanedrelay import LanedRelay


class _Laned:
    def makeRelay(self, reactor: IReactor, halfOpenTimeout: float) -> Relay:
        return LanedRelay(reactor, halfOpenTimeout)


class LaneBytesTests(_Laned, bytescontract.BytesContract):
    """Bytes over lanes."""


class LaneEndingTests(_Laned, endingcontract.EndingContract):
    """Ends of streams over lanes."""


class LaneDrainTests(_Laned, endingcontract.DrainContract):
    """The end of a relay with lanes."""


class LaneHalfOpenTests(_Laned, endingcontract.HalfOpenContract):
    """Half-open streams over lanes."""


class LaneEarlyAnswerTests(_Laned, earlycontract.EarlyAnswerContract):
    """Early answers over lanes."""


class LaneChurnTests(_Laned, endingcontract.ChurnContract):
    """Descriptors used again, and lanes."""
