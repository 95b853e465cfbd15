"""The portable body keeps the relay's promises."""

from __future__ import annotations

from bore.relay.face import Relay
from bore.relay.portable import PortableRelay
from bore.streams.reactor import IReactor
from tests.relay import contract, earlycontract


class _Portable:
    def makeRelay(self, reactor: IReactor, halfOpenTimeout: float) -> Relay:
        return PortableRelay(reactor, halfOpenTimeout)


class PortableBytesTests(_Portable, contract.BytesContract):
    """Bytes through the portable body."""


class PortableEndingTests(_Portable, contract.EndingContract):
    """Ends of streams in the portable body."""


class PortableDrainTests(_Portable, contract.DrainContract):
    """The end of the portable body itself."""


class PortableHalfOpenTests(_Portable, contract.HalfOpenContract):
    """Half-open pairs in the portable body."""


class PortableEarlyAnswerTests(_Portable, earlycontract.EarlyAnswerContract):
    """Early answers in the portable body."""


class PortableChurnTests(_Portable, contract.ChurnContract):
    """Descriptors used again in the portable body."""
