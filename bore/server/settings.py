"""What the operator of a server decides."""

from __future__ import annotations

from dataclasses import dataclass, field

from bore.relay.interface import HALF_OPEN_TIMEOUT, MAX_VISITORS
from bore.tls.settings import ServerTls
from bore.wire.limits import CONTROL_PORT
from bore.wire.secret import Secret


@dataclass(frozen=True, slots=True)
class Bounds:
    """
    How much a server takes on. A bound of 0 is none, except for ``waiting``.

    :ivar pending: connections to the control port that have not said yet what they want.
    :ivar pendingPerSource: the same from one source address, as long as it has no tunnel.
    :ivar tunnels: tunnels, those included whose client is away.
    :ivar tunnelsPerSource: the same from one source address.
    :ivar visitors: visitors of one tunnel.
    :ivar waiting: visitors of one tunnel that wait while its client is away; 0: nobody may.
    :ivar lanes: idle lanes of one session.
    :ivar visitorRate: new visitors per second from one source address.
    :ivar descriptors: the first descriptor that no visitor may have: those from there on are for clients. The system
        always gives the lowest one that is free, so that its number says how many are in use.
    """

    pending: int = 1024
    pendingPerSource: int = 256
    tunnels: int = 4096
    tunnelsPerSource: int = 100
    visitors: int = MAX_VISITORS
    waiting: int = 128
    lanes: int = 256
    visitorRate: int = 0
    descriptors: int = 0


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
    :ivar lease: how long a port is kept for a client that was lost, in whole seconds; 0: not at all.
    :ivar bounds: how much it takes on.
    :ivar halfOpenTimeout: how long a visitor may be silent when the other direction has ended, in seconds.
    :ivar tls: how it speaks TLS; None: not at all.
    :ivar portableRelay: whether to do without splice.
    """

    minPort: int = 1024
    maxPort: int = 65535
    secret: Secret | None = None
    bindAddr: str = "0.0.0.0"
    bindTunnels: str = bindAddr
    controlPort: int = CONTROL_PORT
    lease: int = 60
    bounds: Bounds = field(default_factory=Bounds)
    halfOpenTimeout: float = HALF_OPEN_TIMEOUT
    tls: ServerTls | None = None
    portableRelay: bool = False
