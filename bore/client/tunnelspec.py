"""What the user wants of one tunnel."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bore.client.reasons import ExtensionNeeded
from bore.client.target import AnyTarget, Target
from bore.relay.interface import MAX_VISITORS
from bore.wire.addressrules import NO_RULES, AddressRules
from bore.wire.proxyprotocol import Version


@dataclass(frozen=True, slots=True)
class TunnelSpec:
    """
    What the user wants of one tunnel. Equal specs ask for the same tunnel.

    :ivar target: where the local service is.
    :ivar port: the public port to ask for; 0: any.
    :ivar proxyProtocol: the version of the PROXY protocol in which the local service gets the visitors' addresses;
        None: it does not get them.
    :ivar maxVisitors: the number of visitors that are served at the same time; 0: no limit.
    :ivar name: what the user calls the tunnel, unique in a client; an only tunnel needs none.
    :ivar rules: which addresses may visit; the server applies them behind its own.
    :ivar bandwidth: bytes per second of each visitor's stream, in each direction; 0: no limit.
    """

    target: AnyTarget
    port: int = 0
    proxyProtocol: Version | None = None
    maxVisitors: int = MAX_VISITORS
    name: str = ""
    rules: AddressRules = NO_RULES
    bandwidth: int = 0

    @property
    def ownName(self) -> str:
        """The name, unless it is only another way to write the local service; empty: there is none."""
        short = str(self.target.port) if isinstance(self.target, Target) else ""
        return "" if self.name in (str(self.target), short) else self.name

    def isOpenAs(self, other: TunnelSpec) -> bool:
        """Return whether a tunnel that is open as the other one is becomes this one without the server's help."""
        asWanted = replace(
            other,
            target=self.target,
            proxyProtocol=self.proxyProtocol,
            maxVisitors=self.maxVisitors,
            bandwidth=self.bandwidth,
        )
        return self == asWanted

    def objectionToBase(self) -> ExtensionNeeded | None:
        """Return why a server of the base protocol cannot do what the user wants; None if it can."""
        if self.proxyProtocol is not None:
            return ExtensionNeeded("--proxy-protocol", "send the addresses of visitors")
        if self.rules:
            return ExtensionNeeded(
                "--allow" if self.rules.allow else "--deny", "apply rules on the addresses of visitors"
            )
        return None
