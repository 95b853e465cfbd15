"""What the user wants of one tunnel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bore.client.reasons import ExtensionNeeded
from bore.client.target import AnyTarget, ProvidedTarget, Target
from bore.relay.interface import MAX_VISITORS
from bore.wire.addressrules import NO_RULES, AddressRules
from bore.wire.errors import PortNotAllowed
from bore.wire.proxyprotocol import Version
from bore.wire.publicaddress import ANY_PORT, PublicAddress


@dataclass(frozen=True, slots=True)
class TunnelSpec:
    """
    What the user wants of one tunnel. Equal specs ask for the same tunnel.

    :ivar target: where the local service is.
    :ivar public: the public address to ask for; 0: any port.
    :ivar proxyProtocol: the version of the PROXY protocol in which the local service gets the visitors' addresses;
        None: it does not get them.
    :ivar maxVisitors: the number of visitors that are served at the same time; 0: no limit.
    :ivar name: what the user calls the tunnel, unique in a client; an only tunnel needs none.
    :ivar rules: which addresses may visit; the server applies them behind its own.
    :ivar bandwidth: bytes per second of each visitor's stream, in each direction; 0: no limit.
    :ivar errorPage: whether visitors that speak HTTP get an error page when the local service cannot be reached.
    :ivar probe: whether the client connects to the local service to find out whether it answers.
    :ivar written: how the user has written options that errors name, by flag: a key of a settings file, for instance.
    """

    target: AnyTarget
    public: PublicAddress = ANY_PORT
    proxyProtocol: Version | None = None
    maxVisitors: int = MAX_VISITORS
    name: str = ""
    rules: AddressRules = NO_RULES
    bandwidth: int = 0
    errorPage: bool = True
    probe: bool = True
    written: Mapping[str, str] = field(default_factory=dict, compare=False)

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
            errorPage=self.errorPage,
            probe=self.probe,
        )
        return self == asWanted

    def objectionToBase(self) -> ExtensionNeeded | None:
        """Return why a server of the base protocol cannot do what the user wants; None if it can."""
        if not isinstance(self.public, int):
            return ExtensionNeeded(self.nameOf("--port"), "open Unix sockets")
        if self.proxyProtocol is not None and not isinstance(self.target, ProvidedTarget):
            return ExtensionNeeded(self.nameOf("--proxy-protocol"), "send the addresses of visitors")
        if self.rules:
            option = self.nameOf("--allow" if self.rules.allow else "--deny")
            return ExtensionNeeded(option, "apply rules on the addresses of visitors")
        return None

    def explain(self, why: Exception) -> Exception:
        """Return why the tunnel is refused, with what would be right where the user has written it."""
        if not isinstance(why, PortNotAllowed) or why.range is None:
            return why
        if not self.public or not isinstance(self.public, int):
            return why
        lowest, highest = why.range
        better = PortNotAllowed.outside(self.public, lowest, highest)
        better.args = (f"{better}: choose one of these as {self.nameOf('--port')}, or omit it",)
        return better

    def nameOf(self, flag: str) -> str:
        """Return what errors call an option: as the user has written it."""
        return self.written.get(flag, flag)
