"""TLS between two relays keeps the relay's promises, on connections of their own and on lanes."""

from __future__ import annotations

import sys

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there are no lanes on this system")

from bore.relay.face import Relay
from bore.relay.portable import PortableRelay
from bore.streams.reactor import IReactor
from tests.relay import contract
from tests.relay.laned import LanedRelay
from tests.relay.sealed import SealedRelay, tlsPair


class _Sealed:
    def makeRelay(self, reactor: IReactor, halfOpenTimeout: float) -> Relay:
        return SealedRelay(reactor, halfOpenTimeout)


class SealedBytesTests(_Sealed, contract.BytesContract):
    """Bytes through TLS."""


class SealedEndingTests(_Sealed, contract.EndingContract):
    """Ends of streams through TLS."""


class SealedDrainTests(_Sealed, contract.DrainContract):
    """The end of a relay with TLS."""


class SealedHalfOpenTests(_Sealed, contract.HalfOpenContract):
    """Half-open streams through TLS."""


class SealedChurnTests(_Sealed, contract.ChurnContract):
    """Descriptors used again, and TLS."""


class _SealedPortable:
    def makeRelay(self, reactor: IReactor, halfOpenTimeout: float) -> Relay:
        return SealedRelay(reactor, halfOpenTimeout, PortableRelay)


class SealedPortableBytesTests(_SealedPortable, contract.BytesContract):
    """Bytes through TLS, by the portable body."""


class SealedPortableEndingTests(_SealedPortable, contract.EndingContract):
    """Ends of streams through TLS, by the portable body."""


class SealedPortableDrainTests(_SealedPortable, contract.DrainContract):
    """The end of a portable relay with TLS."""


class _SealedLanes:
    def makeRelay(self, reactor: IReactor, halfOpenTimeout: float) -> Relay:
        return LanedRelay(reactor, halfOpenTimeout, tlsPair)


class SealedLaneBytesTests(_SealedLanes, contract.BytesContract):
    """Bytes over lanes inside TLS."""


class SealedLaneEndingTests(_SealedLanes, contract.EndingContract):
    """Ends of streams over lanes inside TLS."""


class SealedLaneDrainTests(_SealedLanes, contract.DrainContract):
    """The end of a relay with lanes inside TLS."""


class SealedLaneHalfOpenTests(_SealedLanes, contract.HalfOpenContract):
    """Half-open streams over lanes inside TLS."""


class SealedLaneChurnTests(_SealedLanes, contract.ChurnContract):
    """Descriptors used again, and lanes inside TLS."""
