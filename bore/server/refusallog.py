"""The log of what is refused at the control ports. Anyone on the network can cause it, any number of times."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from bore.streams.addresses import hostOf
from bore.timing.tally import Tally
from bore.wire.errors import InvalidSecret, ProtocolViolation, ProxyHeader, Refusal


class RefusalLog:
    """
    Logs each kind of refusal of each network once, and then sums.

    A wrong secret is logged as ``wrong secret from ADDRESS``, in its sums, too: fail2ban can look for that
    (docs/security.rst).
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._tally = Tally(clock)
        self._wrongSecrets = Tally(clock)  # apart: no other refusals keep an address from having its line there

    def refused(self, network: str, peer: str, error: Refusal, user: str = "") -> None:
        """A client was sent why it is refused."""
        if isinstance(error, InvalidSecret):
            address = hostOf(peer)
            self._wrongSecrets.happened(network, "wrong secret from {address}", True, address=address)
            return
        kind = (network, type(error), error.code, user)
        warn = isinstance(error, ProxyHeader)
        if user:
            self._tally.happened(kind, "{user} at {peer} refused: {error}", warn, peer=peer, error=error, user=user)
        else:
            self._tally.happened(kind, "{peer} refused: {error}", warn, peer=peer, error=error)

    def closed(self, network: str, peer: str, error: ProtocolViolation) -> None:
        """A connection was closed without an answer."""
        self._tally.happened((network, type(error)), "{peer} closed: {error}", peer=peer, error=error)

    def handshakeFailed(self, network: str, peer: str, error: str) -> None:
        """A TLS handshake has failed."""
        self._tally.happened((network, "tls"), "{peer}: TLS handshake failed: {error}", peer=peer, error=error)

    def stop(self) -> None:
        """Log the sums that were not logged yet."""
        self._tally.stop()
        self._wrongSecrets.stop()
