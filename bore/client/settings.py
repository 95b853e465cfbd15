"""What the user of a client decides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bore.relay.interface import HALF_OPEN_TIMEOUT
from bore.streams.addresses import hostPort
from bore.tls.settings import ClientTls
from bore.wire.limits import CONTROL_PORT
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

    def nameFor(self, user: str) -> str:
        """Return the server as events name it, and files about it: with the user, if there is one."""
        return f"{user}@{self}" if user else str(self)


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """
    How a client behaves, whichever tunnels it has.

    :ivar servers: the servers, one of which is used at a time; the first one first.
    :ivar secret: the secret that is shared with the servers, or None.
    :ivar user: the user whose secret it is; empty: it is a shared one.
    :ivar reconnect: whether to try again when the server cannot be reached or is lost.
    :ivar maxReconnectDelay: the longest time between two attempts, in seconds.
    :ivar exitAfterFailures: the number of failed attempts in a row after which the client gives up; 0: never.
    :ivar checkEvery: the interval at which the client visits its own public port, in seconds; 0: never.
    :ivar stateFolder: where the client remembers its public port; None: nowhere.
    :ivar halfOpenTimeout: how long a visitor may be silent when the other direction has ended, in seconds.
    :ivar lanes: the number of idle lanes that are kept; 0: each visitor has a connection of its own.
    :ivar tls: how TLS is used with the servers; None: not at all.
    :ivar descriptors: visitors are not accepted beyond this number of open descriptors; 0: no limit.
    :ivar portableRelay: whether to do without splice.
    :ivar nodes: with how many nodes of a cluster there are sessions.
    :ivar failFast: whether a failure before the first success that waiting cannot mend is final.
    """

    servers: tuple[ServerAddress, ...]
    secret: Secret | None = None
    reconnect: bool = True
    maxReconnectDelay: float = 64.0
    exitAfterFailures: int = 0
    checkEvery: float = 0.0
    stateFolder: Path | None = None
    halfOpenTimeout: float = HALF_OPEN_TIMEOUT
    lanes: int = 4
    tls: ClientTls | None = None
    descriptors: int = 0
    portableRelay: bool = False
    user: str = ""
    failFast: bool = False
    nodes: int = 2
