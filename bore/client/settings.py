"""What the user of a client decides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bore.relay.interface import HALF_OPEN_TIMEOUT, MAX_VISITORS
from bore.streams.addresses import hostPort
from bore.tls.settings import ClientTls
from bore.wire.limits import CONTROL_PORT
from bore.wire.proxyprotocol import Version
from bore.wire.secret import Secret


class ServerAddress(NamedTuple):
    """
    Where a server is.

    :ivar host: a name or an IP address.
    :ivar port: its control port.
    """

    host: str
    port: int = CONTROL_PORT

    def __str__(self) -> str:
        return hostPort(self.host, self.port)


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """
    How a client behaves.

    :ivar localPort: the port to show.
    :ivar servers: the servers, one of which is used at a time; the first one first.
    :ivar localHost: where the local port is: a name or an IP address.
    :ivar port: the public port to ask for; 0 for any.
    :ivar secret: what is shared with the servers, or None.
    :ivar reconnect: whether to try again when the server cannot be reached or is lost.
    :ivar maxReconnectDelay: the longest time between two attempts, in seconds.
    :ivar exitAfterFailures: how many attempts in a row may fail before the client gives up; 0: any number.
    :ivar checkEvery: how often the client visits its own public port, in seconds; 0: never.
    :ivar proxyProtocol: how the local service is told where a visitor comes from; None: not at all.
    :ivar stateFolder: where the client remembers its public port; None: nowhere.
    :ivar maxVisitors: how many visitors may be served at the same time; 0: any number.
    :ivar halfOpenTimeout: how long a visitor may be silent when the other direction has ended, in seconds.
    :ivar lanes: how many idle lanes are kept; 0: each visitor has a connection of its own.
    :ivar tls: how TLS is spoken with the servers; None: not at all.
    :ivar descriptors: how many descriptors visitors may leave in use; 0: any number.
    :ivar portableRelay: whether to do without splice.
    """

    localPort: int
    servers: tuple[ServerAddress, ...]
    localHost: str = "localhost"
    port: int = 0
    secret: Secret | None = None
    reconnect: bool = True
    maxReconnectDelay: float = 64.0
    exitAfterFailures: int = 0
    checkEvery: float = 0.0
    proxyProtocol: Version | None = None
    stateFolder: Path | None = None
    maxVisitors: int = MAX_VISITORS
    halfOpenTimeout: float = HALF_OPEN_TIMEOUT
    lanes: int = 4
    tls: ClientTls | None = None
    descriptors: int = 0
    portableRelay: bool = False

    @property
    def local(self) -> str:
        """The local service, as people write it."""
        return hostPort(self.localHost, self.localPort)
