"""What the user wants of one tunnel."""

from __future__ import annotations

from dataclasses import dataclass

from bore.client.target import AnyTarget
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
    """

    target: AnyTarget
    port: int = 0
    proxyProtocol: Version | None = None
    maxVisitors: int = MAX_VISITORS
    name: str = ""
    rules: AddressRules = NO_RULES
