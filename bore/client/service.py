"""The client as a service: it keeps a tunnel up, and ends in order."""

from __future__ import annotations

from typing import Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError, gatherResults
from twisted.logger import Logger

from bore.client.reconnecting import ControlFactory
from bore.client.servers import Servers
from bore.client.settings import ClientSettings
from bore.client.visitors import Visitors
from bore.relay.backend import makeRelay
from bore.relay.interface import DRAIN_TIMEOUT
from bore.streams.connector import EndpointConnector
from bore.streams.reactor import IReactor
from bore.wire.secret import SHORT_SECRET

#: How long the server has to take note that the client stops, in seconds.
_FAREWELL_TIMEOUT: Final = 2.0


class ClientService(Service):
    """
    The whole client.

    :ivar opened: fires with the public port when the tunnel is up for the first time.
    :ivar gaveUp: fails with the reason when the client makes no further attempt: a
        :class:`bore.wire.errors.AuthenticationFailed`, or anything else that is final.
    """

    _log = Logger()

    def __init__(self, reactor: IReactor, settings: ClientSettings) -> None:
        self._reactor = reactor
        self._warns = settings.secret is not None and settings.secret.short
        self._relay = makeRelay(
            reactor, settings.halfOpenTimeout, settings.descriptors, portable=settings.portableRelay
        )
        self._visitors = Visitors(reactor, self._relay, settings)
        servers = Servers(reactor, settings)
        self._factory = ControlFactory(reactor, settings, servers, self._visitors)
        self._connector = EndpointConnector(servers, self._factory)
        self.opened: Deferred[int] = self._factory.firstOpened
        self.gaveUp: Deferred[None] = self._factory.gaveUp

    def startService(self) -> None:
        """Start to connect."""
        Service.startService(self)
        if self._warns:
            self._log.warn(SHORT_SECRET)
        self._connector.connect()

    def reload(self) -> None:
        """Say that a client has no files that it would read again."""
        self._log.info("nothing to read again: restart the client for other options")

    def stopService(self) -> Deferred[None]:
        """
        Give the tunnel back, and give running visitors DRAIN_TIMEOUT seconds.

        :returns: fires when nothing is left.
        """
        Service.stopService(self)
        told = self._factory.stop().addTimeout(_FAREWELL_TIMEOUT, self._reactor)
        told.addErrback(lambda reason: reason.trap(TimeoutError))
        self._connector.disconnect()
        self._visitors.stop()
        return gatherResults([told, self._relay.drain(DRAIN_TIMEOUT)]).addCallback(lambda _: None)
