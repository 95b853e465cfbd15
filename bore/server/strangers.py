"""What the log says of connections that are refused: anybody can cause that, as often as they like."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from bore.timing.tally import Tally
from bore.wire.errors import InvalidSecret, ProtocolViolation, ProxyHeader, Refusal


class Strangers:
    """
    Logs refusals and violations, once for each network and kind, and then sums.

    A wrong secret is ``wrong secret from ADDRESS``, in every line about it: what fail2ban can be told to look for.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._tally = Tally(clock)
        self._guesses = Tally(clock)  # apart, so that no other noise keeps an address out of it

    def refused(self, network: str, peer: str, error: Refusal) -> None:
        """A connection is closed, and its client is told why."""
        if isinstance(error, InvalidSecret):
            address = peer.rpartition(":")[0].strip("[]")
            self._guesses.happened(network, "wrong secret from {address}", True, address=address)
            return
        kind = (network, type(error), error.code)
        warn = isinstance(error, ProxyHeader)
        self._tally.happened(kind, "{peer} refused: {error}", warn, peer=peer, error=error)

    def closed(self, network: str, peer: str, error: ProtocolViolation) -> None:
        """A connection is closed without a word."""
        self._tally.happened((network, type(error)), "{peer} closed: {error}", peer=peer, error=error)

    def noTls(self, network: str, peer: str, error: str) -> None:
        """A TLS handshake has failed."""
        self._tally.happened((network, "tls"), "{peer}: no TLS: {error}", peer=peer, error=error)

    def stop(self) -> None:
        """Log what has not been logged yet."""
        self._tally.stop()
        self._guesses.stop()
