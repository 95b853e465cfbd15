"""What the user of a client decides."""

from __future__ import annotations

from dataclasses import dataclass

from bore.relay.face import HALF_OPEN_TIMEOUT
from bore.wire.limits import CONTROL_PORT
from bore.wire.secret import Secret


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """
    How a client behaves.

    :ivar localPort: the port to show.
    :ivar server: the server's name or IP address.
    :ivar localHost: where the local port is: a name or an IP address.
    :ivar port: the public port to ask for; 0 for any.
    :ivar secret: what is shared with the server, or None.
    :ivar controlPort: the server's control port.
    :ivar reconnect: whether to try again when the server cannot be reached or is lost.
    :ivar maxReconnectDelay: the longest time between two attempts, in seconds.
    :ivar halfOpenTimeout: how long a visitor may be silent when the other direction has ended, in seconds.
    """

    localPort: int
    server: str
    localHost: str = "localhost"
    port: int = 0
    secret: Secret | None = None
    controlPort: int = CONTROL_PORT
    reconnect: bool = True
    maxReconnectDelay: float = 64.0
    halfOpenTimeout: float = HALF_OPEN_TIMEOUT
