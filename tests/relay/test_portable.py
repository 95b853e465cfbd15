"""The portable body keeps the relay's promises."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from bore.relay.face import Relay
from bore.relay.portable import PortableRelay
from bore.streams.reactor import IReactor
from tests.relay.contract import BytesContract, DrainContract, EndingContract


class _Portable:
    def makeRelay(self, reactor: IReactor) -> Relay:
        return PortableRelay(reactor)


class PortableBytesTests(_Portable, BytesContract, TestCase):
    """Bytes through the portable body."""


class PortableEndingTests(_Portable, EndingContract, TestCase):
    """Ends of streams in the portable body."""


class PortableDrainTests(_Portable, DrainContract, TestCase):
    """The end of the portable body itself."""
