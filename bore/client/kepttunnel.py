"""A tunnel of a link, the control connection as it sees it, and the event that it was lost."""

from __future__ import annotations

from typing import Protocol as Interface

from twisted.internet.interfaces import IDelayedCall

from bore.client.advice import Advice
from bore.client.reasons import describe
from bore.client.retry import Failed, RetryPolicy
from bore.client.tunnel import Tunnel
from bore.events.client import ServerLost, Stage, Verdict
from bore.wire.addressrules import AddressRules
from bore.wire.errors import Refusal
from bore.wire.publicaddress import PublicAddress


class Control(Interface):
    """The control connection of a session."""

    @property
    def inCluster(self) -> bool:
        """Whether the server is a node of a cluster."""

    def open(
        self, number: int, address: PublicAddress, resume: str | None, rules: AddressRules, key: str | None = None
    ) -> None:
        """Ask for one more tunnel."""

    def close(self, number: int) -> None:
        """Give a tunnel back."""

    def end(self, why: Exception) -> None:
        """Cut the connection, for this reason."""


class KeptTunnel:
    """
    A tunnel, as its link sees it.

    :param policy: decides when the tunnel is asked for again while the session goes on.
    :ivar number: its number in the current session, from the request until the tunnel is closed; 0: it has none.
    :ivar up: whether it is open in the current session.
    :ivar address: the public address at which it was up last; empty: it was never up.
    :ivar retrying: asks for it again.
    """

    def __init__(self, tunnel: Tunnel, policy: RetryPolicy, address: str = "") -> None:
        self.tunnel = tunnel
        self.policy = policy
        self.number = 0
        self.up = False
        self.address = address
        self.retrying: IDelayedCall | None = None

    def reset(self) -> None:
        """It is in no session, and nothing waits to ask for it."""
        self.number = 0
        if self.up:
            self.up = False
            self.tunnel.away()
        if self.retrying is not None and self.retrying.active():
            self.retrying.cancel()
        self.retrying = None


def failedAt(server: str, stage: Stage, why: BaseException | None, verdict: Verdict, advice: Advice) -> Failed:
    """Return what a failure at a server is, for the policy that decides what follows."""
    parts = f"{stage.value} {server}", describe(why), advice.text
    return Failed(why, verdict, ": ".join(filter(None, parts)), stage is Stage.TUNNEL, advice)


def lostEvent(
    server: str, stage: Stage, failed: Failed, delay: float, early: int, kept: KeptTunnel | None
) -> ServerLost:
    """
    Return the event that a server, or one of its tunnels, was lost.

    :param delay: seconds until the next attempt.
    :param early: see :class:`bore.events.client.ServerLost`.
    :param kept: the only tunnel that it concerns, if it concerns one.
    """
    why, advice = failed.why, failed.advice
    code = why.code if isinstance(why, Refusal) else ""
    label = "" if kept is None else kept.tunnel.label
    return ServerLost(
        server, stage, describe(why), code, failed.verdict, delay, label, advice.text, advice.mends, early
    )
