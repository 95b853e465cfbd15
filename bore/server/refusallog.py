"""The log of what is refused at the control ports. Anyone on the network can cause it, any number of times."""

from __future__ import annotations

from typing import TypeAlias

from twisted.internet.interfaces import IReactorTime

from bore.events import entryOf
from bore.events.server import (
    ConnectionClosed,
    ConnectionRefused,
    HandshakeFailed,
    ProxyHeaderMissing,
    SessionClosed,
    TunnelRefused,
)
from bore.streams.addresses import hostOf
from bore.timing.tally import Tally
from bore.wire.errors import InvalidSecret, ProtocolViolation, ProxyHeader, Refusal

#: Events with a refusal that the client was sent.
Refused: TypeAlias = ConnectionRefused | TunnelRefused | SessionClosed


class RefusalLog:
    """
    Logs each kind of refusal of each network once, and then sums.

    A wrong secret is logged as ``wrong secret from ADDRESS``, in its sums, too: fail2ban can look for that
    (docs/security.rst).
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._tally = Tally(clock)
        self._wrongSecrets = Tally(clock)  # apart: no other refusals keep an address from having its line there

    def refused(self, event: Refused, error: Refusal) -> None:
        """A client was sent why it is refused."""
        fields = entryOf(event)
        if isinstance(error, InvalidSecret):
            fields["address"] = hostOf(event.peer)
            self._wrongSecrets.happened(event.network, "wrong secret from {address}", True, **fields)
            return
        kind = (event.network, type(error), error.code, event.user)
        who = "{user} at {peer}" if event.user else "{peer}"
        self._tally.happened(kind, who + " refused: {error}", isinstance(error, ProxyHeader), **fields)

    def closed(self, event: ConnectionClosed | SessionClosed, error: ProtocolViolation) -> None:
        """A connection was closed without an answer."""
        self._tally.happened((event.network, type(error)), "{peer} closed: {error}", False, **entryOf(event))

    def handshakeFailed(self, event: HandshakeFailed) -> None:
        """A TLS handshake has failed."""
        text = "{peer}: TLS handshake failed: {error}"
        self._tally.happened((event.network, "tls"), text, False, **entryOf(event))

    def withoutHeader(self, event: ProxyHeaderMissing) -> None:
        """A trusted proxy was closed: it is not set up as the server is."""
        text = "trusted proxy {peer} closed: {error}"
        self._tally.happened((event.network, "proxy"), text, True, **entryOf(event))

    def stop(self) -> None:
        """Log the sums that were not logged yet."""
        self._tally.stop()
        self._wrongSecrets.stop()
