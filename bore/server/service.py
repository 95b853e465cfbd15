"""The server as a service: it listens, and it ends in order."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.relay.backend import makeRelay
from bore.relay.interface import DRAIN_TIMEOUT
from bore.server.controlport import ControlFactory
from bore.server.settings import ServerSettings
from bore.streams.addresses import hostPort, socketAddress
from bore.streams.listener import Accepted, Listener, bindSocket
from bore.streams.reactor import IReactor
from bore.wire.secret import SHORT_SECRET

if TYPE_CHECKING:
    from bore.tls.servercertificate import ServerCertificate

#: How long clients have to take note that the server stops, in seconds.
_FAREWELL_TIMEOUT: Final = 2.0


class CannotListen(Exception):
    """A port for clients cannot be had, or what belongs to it."""


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
        self._relay = makeRelay(
            reactor, settings.halfOpenTimeout, settings.bounds.descriptors, portable=settings.portableRelay
        )
        self._factory = ControlFactory(reactor, settings, self._relay)
        self._certificate: ServerCertificate | None = None
        self._listeners: list[Listener] = []

    @property
    def controlPort(self) -> int:
        """The control port that is listened on."""
        return self._listeners[0].port

    @property
    def tlsPort(self) -> int:
        """The port for TLS that is listened on."""
        return self._listeners[-1].port

    def privilegedStartService(self) -> None:
        """
        Listen, while the process may still have rights that it gives up later.

        :raises CannotListen: when a port cannot be had, or there is no certificate.
        """
        tls = self._settings.tls
        if self._settings.secret is not None and self._settings.secret.short:
            self._log.warn(SHORT_SECRET)
        plain: Accepted = self._factory.accepted
        encrypted = plain if tls is None else self._makeTls()
        if not self._sockets:
            self._sockets.append(self._bind(self._settings.controlPort))
        while self._sockets:
            self._listen(self._sockets.pop(0), encrypted if tls is not None and tls.port is None else plain)
        if tls is not None and tls.port is not None:
            self._listen(self._bind(tls.port), encrypted)

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

    def reload(self) -> None:
        """Read the TLS certificate anew, if there is one."""
        if self._certificate is None:
            self._log.info("nothing to read again: this server has no TLS certificate")
        else:
            self._certificate.reload()

    def _makeTls(self) -> Accepted:
        """What serves the connections to a port that speaks TLS. OpenSSL is loaded here, and not before."""
        from bore.tls.certificates import BadCredentials
        from bore.tls.port import TlsPort
        from bore.tls.servercertificate import ServerCertificate, ownCertificate

        tls = self._settings.tls
        assert tls is not None
        try:
            certificate = tls.certificate or ownCertificate(tls.folder)
            self._certificate = ServerCertificate(self._reactor, certificate, tls.key or certificate, tls.clients)
        except BadCredentials as e:
            raise CannotListen(str(e)) from e
        factory = self._factory
        return TlsPort(
            self._reactor,
            self._certificate,
            factory.unclassified,
            factory.strangers,
            factory.accepted,
            factory.endSessions,
        ).accepted

    def _listen(self, sock: socket.socket, accepted: Accepted) -> None:
        factory = self._factory
        listener = Listener(
            self._reactor, sock, accepted, factory.starvation, factory.relieve, descriptors=factory.descriptors
        )
        self._listeners.append(listener)
        certificate = None if accepted == factory.accepted else self._certificate
        self._log.info(
            "listening on {at}{tls}, tunnels on {host} {minPort}-{maxPort}{secret}",
            announce=True,
            at=socketAddress(listener.address),
            tls="" if certificate is None else f" with TLS, key {certificate.fingerprint}",
            host=self._settings.bindTunnels,
            minPort=self._settings.minPort,
            maxPort=self._settings.maxPort,
            secret=self._admission,
        )

    @property
    def _admission(self) -> str:
        """Which clients are let in, for the log."""
        settings = self._settings
        if settings.secret is not None:
            return ", with a secret"
        if settings.tls is not None and settings.tls.clients is not None:
            return ", without a secret: anyone with a certificate may open tunnels"
        return ", without a secret: anyone may open tunnels"

    def _untold(self, reason: Failure) -> None:
        reason.trap(TimeoutError)
        self._log.warn("not every client has taken note that the server stops")

    def _bind(self, port: int) -> socket.socket:
        host = self._settings.bindAddr
        try:
            return bindSocket(host, port)
        except OSError as e:
            reason = os.strerror(e.errno) if e.errno and e.errno > 0 else str(e)
            raise CannotListen(f"cannot listen on {hostPort(host, port)}: {reason}") from e
