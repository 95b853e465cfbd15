"""What the operator of a server decides."""

from __future__ import annotations

from dataclasses import dataclass

from bore.relay.face import HALF_OPEN_TIMEOUT
from bore.wire.limits import CONTROL_PORT
from bore.wire.secret import Secret


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """
    How a server behaves.

    :ivar minPort: the lowest port that a client may have.
    :ivar maxPort: the highest one.
    :ivar secret: what a client has to know, or None if everybody may come.
    :ivar bindAddr: the IP address of the control port.
    :ivar bindTunnels: the IP address of the clients' ports.
    :ivar controlPort: the control port; 0 lets the system choose.
    :ivar halfOpenTimeout: how long a visitor may be silent when the other direction has ended, in seconds.
    """

    minPort: int = 1024
    maxPort: int = 65535
    secret: Secret | None = None
    bindAddr: str = "0.0.0.0"
    bindTunnels: str = "0.0.0.0"
    controlPort: int = CONTROL_PORT
    halfOpenTimeout: float = HALF_OPEN_TIMEOUT
