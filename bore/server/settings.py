"""The settings of a server."""

from __future__ import annotations

from typing import Final

from bore.relay.interface import HALF_OPEN_TIMEOUT, MAX_VISITORS
from bore.tls.settings import ServerTls
from bore.wire.addressrules import NO_RULES, AddressRules, Network
from bore.wire.limits import CONTROL_PORT
from bore.wire.secret import Secret
from bore.wire.values import value


@value
class Bounds:
    """
    The limits of a server. 0 is no limit, except for ``waiting``.

    :ivar pending: connections to the control port that have not sent their first message yet.
    :ivar pendingPerSource: such connections from one source address without a tunnel.
    :ivar tunnels: tunnels, including those whose client is away.
    :ivar tunnelsPerSource: tunnels of one source address.
    :ivar visitors: visitors of one tunnel.
    :ivar waiting: visitors of one tunnel that wait while its client is away; 0: none may wait.
    :ivar lanes: idle lanes of one session.
    :ivar visitorRate: new visitors per second from one source address.
    :ivar wrongSecrets: wrong secrets from one source for one user that are checked at once.
    :ivar descriptors: descriptors in use up to which visitors are accepted; the rest is for clients.
    """

    pending: int = 1024
    pendingPerSource: int = 256
    tunnels: int = 4096
    tunnelsPerSource: int = 100
    visitors: int = MAX_VISITORS
    waiting: int = 128
    lanes: int = 256
    visitorRate: int = 0
    wrongSecrets: int = 10
    descriptors: int = 0


@value
class TrustedProxies:
    """
    From where connections begin with a PROXY protocol header.

    :ivar networks: the networks of the proxies.
    :ivar unix: whether the programs are proxies that connect to public addresses that are Unix sockets.
    """

    networks: tuple[Network, ...] = ()
    unix: bool = False

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.networks) or self.unix


NO_PROXIES: Final = TrustedProxies()


@value
class ServerSettings:
    """
    The settings of a server.

    :ivar minPort: the lowest port that a client may have.
    :ivar maxPort: the highest one.
    :ivar secret: the secret that clients have to prove; None: they need none.
    :ivar moreSecrets: further ones of which they may prove one instead.
    :ivar bindAddr: the IP address of the control port.
    :ivar bindTunnels: the IP address of the public ports.
    :ivar controlPort: the control port; 0: the system chooses one.
    :ivar lease: how long a port is kept for a client that was lost, in whole seconds; 0: not at all.
    :ivar bounds: the limits.
    :ivar rules: which addresses may visit the tunnels.
    :ivar halfOpenTimeout: how long a visitor may be silent when the other direction has ended, in seconds.
    :ivar tls: the settings of TLS; None: no TLS.
    :ivar portableRelay: whether to relay without splice.
    :ivar unixFolders: absolute paths of the directories in which clients may open Unix sockets; none: nowhere.
    :ivar trustedProxies: whose PROXY protocol headers are read.
    """

    minPort: int = 1024
    maxPort: int = 65535
    secret: Secret | None = None
    bindAddr: str = "0.0.0.0"
    bindTunnels: str = bindAddr
    controlPort: int = CONTROL_PORT
    lease: int = 60
    bounds: Bounds = Bounds()
    rules: AddressRules = NO_RULES
    halfOpenTimeout: float = HALF_OPEN_TIMEOUT
    tls: ServerTls | None = None
    portableRelay: bool = False
    moreSecrets: tuple[Secret, ...] = ()

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """All secrets of which clients have to prove one; none: they need none."""
        return () if self.secret is None else (self.secret, *self.moreSecrets)

    unixFolders: tuple[str, ...] = ()
    trustedProxies: TrustedProxies = NO_PROXIES
