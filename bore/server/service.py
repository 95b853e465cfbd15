"""The server as a service: it listens, and it ends in order."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.relay.body import makeRelay
from bore.relay.face import DRAIN_TIMEOUT
from bore.server.controlport import ControlFactory
from bore.server.settings import ServerSettings
from bore.streams.addresses import hostPort, socketAddress
from bore.streams.listener import Listener, bindSocket
from bore.streams.reactor import IReactor

#: How long clients have to take note that the server stops, in seconds.
_FAREWELL_TIMEOUT: Final = 2.0


class CannotListen(Exception):
    """The control port cannot be had."""


class ServerService(Service):
    """
    The whole server.

    :param sockets: listening sockets to serve as control ports, instead of one made from the settings.
    """

    _log = Logger()

    def __init__(self, reactor: IReactor, settings: ServerSettings, sockets: Sequence[socket.socket] = ()) -> None:
        self._reactor = reactor
        self._settings = settings
        self._sockets = list(sockets)
        self._relay = makeRelay(reactor, settings.halfOpenTimeout)
        self._factory = ControlFactory(reactor, settings, self._relay)
        self._listeners: list[Listener] = []

    @property
    def controlPort(self) -> int:
        """The control port that is listened on."""
        return self._listeners[0].port

    def privilegedStartService(self) -> None:
        """
        Listen, while the process may still have rights that it gives up later.

        :raises CannotListen: when the control port cannot be had.
        """
        if not self._sockets:
            self._sockets.append(self._bind())
        while self._sockets:
            factory = self._factory
            sock = self._sockets.pop(0)
            listener = Listener(self._reactor, sock, factory.accepted, factory.starvation, factory.relieve)
            self._listeners.append(listener)
            self._log.info(
                "listening on {at}, tunnels on {host} {minPort}-{maxPort}{secret}",
                announce=True,
                at=socketAddress(listener.address),
                host=self._settings.bindTunnels,
                minPort=self._settings.minPort,
                maxPort=self._settings.maxPort,
                secret="" if self._settings.secret is None else ", with a secret",
            )

    def startService(self) -> None:
        """Listen, if that has not been done yet."""
        Service.startService(self)
        if not self._listeners:
            self.privilegedStartService()

    def stopService(self) -> Deferred[None]:
        """
        Close the listeners, tell the clients, and give running visitors DRAIN_TIMEOUT seconds.

        :returns: fires when nothing is left.
        """
        Service.stopService(self)
        for listener in self._listeners:
            listener.stop()
        self._listeners.clear()
        told = self._factory.shutDown().addTimeout(_FAREWELL_TIMEOUT, self._reactor)
        told.addErrback(self._untold)
        return gatherResults([told, self._relay.drain(DRAIN_TIMEOUT)]).addCallback(lambda _: None)

    def _untold(self, reason: Failure) -> None:
        reason.trap(TimeoutError)
        self._log.warn("not every client has taken note that the server stops")

    def _bind(self) -> socket.socket:
        host, port = self._settings.bindAddr, self._settings.controlPort
        try:
            return bindSocket(host, port)
        except OSError as e:
            reason = os.strerror(e.errno) if e.errno and e.errno > 0 else str(e)
            raise CannotListen(f"cannot listen on {hostPort(host, port)}: {reason}") from e
