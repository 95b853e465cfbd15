"""The client as a service: it keeps its tunnels up, and ends in order."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError, gatherResults, succeed

from bore.client.link import ServerLink
from bore.client.log import logged
from bore.client.retry import RetryPolicy
from bore.client.servers import Servers
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.state import Memory, NoMemory, StateFile
from bore.client.tunnel import Tunnel
from bore.client.tunnelspec import TunnelSpec
from bore.client.visitors import Visitors
from bore.events import NothingToReload, ShortSecret, Sink, Stopped
from bore.relay.backend import makeRelay
from bore.relay.interface import DRAIN_TIMEOUT
from bore.streams.reactor import IReactor

#: How long the server has to read that the client stops, in seconds.
_FAREWELL_TIMEOUT: Final = 2.0


class ClientService(Service):
    """
    The whole client. It can be started again after it was stopped.

    :param tunnels: what the user wants; exactly one tunnel so far.
    :param sink: gets the events; None: they are logged.
    """

    def __init__(
        self, reactor: IReactor, settings: ClientSettings, tunnels: Sequence[TunnelSpec], sink: Sink | None = None
    ) -> None:
        (self._spec,) = tunnels
        self._reactor = reactor
        self._settings = settings
        self._sink = logged(reactor) if sink is None else sink
        self._tunnel = Tunnel(reactor, self._spec, self._memory, self._sink)
        self._link: ServerLink | None = None
        self._visitors: Visitors | None = None

    def whenOpened(self) -> Deferred[int]:
        """
        Wait until the tunnel is up for the first time since the start.

        :returns: fires with the public port; fails with the reason when the client gives up before, and with
            CancelledError when it is stopped before.
        """
        return self._tunnel.whenOpened()

    def whenGaveUp(self) -> Deferred[None]:
        """
        Wait until the client makes no further attempt.

        :returns: fails with the reason then: an :class:`bore.wire.errors.AuthenticationFailed`, or anything else that
            is final.
        """
        return self._tunnel.whenGaveUp()

    def startService(self) -> None:
        """Start to connect."""
        Service.startService(self)
        settings = self._settings
        if settings.secret is not None and settings.secret.short:
            self._sink.emit(ShortSecret())
        relay = makeRelay(
            self._reactor, settings.halfOpenTimeout, settings.descriptors, portable=settings.portableRelay
        )
        visitors = Visitors(self._reactor, relay, settings.descriptors, self._sink)
        policy = RetryPolicy(
            self._reactor,
            random.Random(),
            settings.maxReconnectDelay,
            settings.exitAfterFailures,
            settings.reconnect,
        )
        servers = Servers(self._reactor, settings, self._sink)
        self._visitors = visitors
        self._link = ServerLink(self._reactor, settings, servers, visitors, self._tunnel, policy)
        self._link.start()

    def reload(self) -> None:
        """Report that a client has no files that it would read again."""
        self._sink.emit(NothingToReload())

    def stopService(self) -> Deferred[None]:
        """
        Give the tunnel back, and give running visitors DRAIN_TIMEOUT seconds.

        :returns: fires when nothing is left.
        """
        Service.stopService(self)
        if self._link is None or self._visitors is None:
            return succeed(None)
        left = self._link.stop().addTimeout(_FAREWELL_TIMEOUT, self._reactor)
        left.addErrback(lambda reason: reason.trap(TimeoutError))
        self._visitors.stop()
        self._tunnel.stopped()
        self._sink.emit(Stopped())
        drained = self._visitors.relay.drain(DRAIN_TIMEOUT)
        self._link = self._visitors = None
        return gatherResults([left, drained]).addCallback(lambda _: None)

    def _memory(self, server: ServerAddress) -> Memory:
        folder = self._settings.stateFolder
        if folder is None:
            return NoMemory()
        return StateFile(folder, str(server), str(self._spec.target), self._sink)
