"""Where the local service of a tunnel is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from bore.streams.addresses import hostPort
from bore.streams.dial import Dialer, TcpDialer
from bore.streams.reactor import IReactor
from bore.streams.unixdial import UnixDialer


@dataclass(frozen=True, slots=True)
class Target:
    """
    The TCP address of a local service.

    :ivar port: its port.
    :ivar host: a name or an IP address.
    """

    port: int
    host: str = "localhost"

    def __str__(self) -> str:
        return hostPort(self.host, self.port)

    def dialer(self, reactor: IReactor) -> Dialer:
        """Make what connects to the service."""
        return TcpDialer(reactor, self.host, self.port)


@dataclass(frozen=True, slots=True)
class UnixTarget:
    """
    The Unix socket of a local service.

    :ivar path: its path.
    """

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"

    def dialer(self, reactor: IReactor) -> Dialer:
        """Make what connects to the service."""
        return UnixDialer(reactor, self.path)


#: Where a local service is.
AnyTarget: TypeAlias = Target | UnixTarget
