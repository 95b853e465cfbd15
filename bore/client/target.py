"""Where the local service of a tunnel is."""

from __future__ import annotations

from collections.abc import Callable
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


@dataclass(frozen=True, slots=True)
class ProvidedTarget:
    """
    A local service that the caller of this package provides, as in its own process.

    :ivar name: what events call it, and the file that remembers its public port.
    :ivar connects: makes what connects to it.
    """

    name: str
    connects: Callable[[IReactor], Dialer]

    def __str__(self) -> str:
        return self.name

    def dialer(self, reactor: IReactor) -> Dialer:
        """Make what connects to the service."""
        return self.connects(reactor)


#: Where a local service is.
AnyTarget: TypeAlias = Target | UnixTarget | ProvidedTarget
