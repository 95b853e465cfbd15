"""A tunnel that a link keeps open."""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall

from bore.client.retry import RetryPolicy
from bore.client.tunnel import Tunnel


class KeptTunnel:
    """
    A tunnel, as its link sees it.

    :param policy: decides when the tunnel is asked for again while the session goes on.
    :ivar number: its number in the current session, from the request until the tunnel is closed; 0: it has none.
    :ivar up: whether it is open in the current session.
    :ivar address: the public address at which it was up last; empty: it was never up.
    """

    def __init__(self, tunnel: Tunnel, policy: RetryPolicy) -> None:
        self.tunnel = tunnel
        self.policy = policy
        self.number = 0
        self.up = False
        self.address = ""
        self.retrying: IDelayedCall | None = None

    def reset(self) -> None:
        """It is in no session, and nothing waits to ask for it."""
        self.number = 0
        self.up = False
        if self.retrying is not None and self.retrying.active():
            self.retrying.cancel()
        self.retrying = None
