"""The splice body keeps the relay's promises."""

from __future__ import annotations

import sys

from bore.relay.face import Relay
from bore.streams.reactor import IReactor
from tests.relay import contract


class _Splice:
    if sys.platform != "linux":
        skip = "there is no splice on this system"

    def makeRelay(self, reactor: IReactor) -> Relay:
        from bore.relay.splice import SpliceRelay

        return SpliceRelay(reactor, 600)


class SpliceBytesTests(_Splice, contract.BytesContract):
    """Bytes through the splice body."""


class SpliceEndingTests(_Splice, contract.EndingContract):
    """Ends of streams in the splice body."""


class SpliceDrainTests(_Splice, contract.DrainContract):
    """The end of the splice body itself."""
