"""The client as a service: it keeps a tunnel up, and ends in order."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint

from bore.client.control import ControlFactory
from bore.client.settings import ClientSettings
from bore.client.visitors import Visitors
from bore.relay.body import makeRelay
from bore.relay.face import DRAIN_TIMEOUT
from bore.streams.addresses import hostPort, isLiteral
from bore.streams.connector import EndpointConnector
from bore.streams.dial import DIAL_TIMEOUT, Dialer
from bore.streams.reactor import IReactor


class ClientService(Service):
    """
    The whole client.

    :ivar opened: fires with the public port when the tunnel is up for the first time.
    :ivar gaveUp: fails with the reason when the client makes no further attempt: a
        :class:`bore.wire.errors.AuthenticationFailed`, or anything else that ``reconnect=False`` makes final.
    """

    def __init__(self, reactor: IReactor, settings: ClientSettings) -> None:
        self._relay = makeRelay(reactor, settings.halfOpenTimeout)
        self._visitors = Visitors(
            reactor,
            self._relay,
            Dialer(reactor, settings.localHost, settings.localPort),
            hostPort(settings.localHost, settings.localPort),
            settings.secret,
        )
        self._factory = ControlFactory(reactor, settings, self._visitors)
        self._connector = EndpointConnector(_endpoint(reactor, settings), self._factory)
        self.opened: Deferred[int] = self._factory.firstOpened
        self.gaveUp: Deferred[None] = self._factory.gaveUp

    def startService(self) -> None:
        """Start to connect."""
        Service.startService(self)
        self._connector.connect()

    def stopService(self) -> Deferred[None]:
        """
        Give the tunnel back, and give running visitors DRAIN_TIMEOUT seconds.

        :returns: fires when nothing is left.
        """
        Service.stopService(self)
        self._factory.stop()
        self._connector.disconnect()
        self._visitors.stop()
        return self._relay.drain(DRAIN_TIMEOUT)


def _endpoint(reactor: IReactor, settings: ClientSettings) -> IStreamClientEndpoint:
    """Dial both address families of a name, and the one of an address."""
    host, port = settings.server, settings.controlPort
    if not isLiteral(host):
        return HostnameEndpoint(reactor, host, port, timeout=DIAL_TIMEOUT)
    kind = TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint
    return kind(reactor, host, port, timeout=int(DIAL_TIMEOUT))
