"""The server as a service: it starts and stops what all parts of it need."""
# Longer than 300 lines: how the service starts, changes and ends is read together.

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError, gatherResults
from twisted.python.failure import Failure

from bore.events import Draining, NothingToReload, ShortSecret, Sink
from bore.events.server import (
    Admission,
    CertificateNotRead,
    FarewellUnread,
    Listening,
    SecretsNotRead,
    SecretsRead,
)
from bore.relay.backend import makeRelay
from bore.relay.interface import DRAIN_TIMEOUT
from bore.server.log import logged
from bore.server.registry import Registry
from bore.server.server import Server
from bore.server.settings import ServerSettings
from bore.server.users import Authenticator
from bore.streams.addresses import hostPort, socketAddress
from bore.streams.listener import Accepted, Listener, bindSocket
from bore.streams.reactor import IReactor
from bore.wire.secret import Secret

if TYPE_CHECKING:
    from bore.tls.servercertificate import ServerCertificate

#: How long clients have to read that the server stops, in seconds.
_FAREWELL_TIMEOUT: Final = 2.0


class CannotListen(Exception):
    """A control port, or its certificate, cannot be used."""


class ServerService(Service):
    """
    The whole server.

    :param sockets: listening sockets to serve as control ports, instead of one made from the settings.
    :param sink: gets the events; None: they are logged.
    :param authenticator: identifies clients; None: they share the secret of the settings.
    :param registry: grants public ports; None: this server alone does.
    :ivar since: when it was made, by the clock.
    """

    def __init__(
        self,
        reactor: IReactor,
        settings: ServerSettings,
        sockets: Sequence[socket.socket] = (),
        sink: Sink | None = None,
        authenticator: Authenticator | None = None,
        registry: Registry | None = None,
    ) -> None:
        self._reactor = reactor
        self.since = reactor.seconds()
        self._settings = settings
        self._sink = logged(reactor) if sink is None else sink
        self._sockets = list(sockets)
        self._relay = makeRelay(
            reactor, settings.halfOpenTimeout, settings.bounds.descriptors, portable=settings.portableRelay
        )
        self._asks = settings.secret is not None if authenticator is None else authenticator.asks
        self._hasUsers = authenticator is not None and authenticator.permits is not None
        #: Applies other shared secrets.
        self.applySecrets: Callable[[Sequence[Secret]], object] = lambda secrets: self._server.applySecrets(secrets)
        #: Reads the file of the shared secrets again; None: there is none.
        self.readSecrets: Callable[[], Sequence[Secret]] | None = None
        self._server = Server(reactor, self._sink, settings, self._relay, authenticator, registry)
        self._certificate: ServerCertificate | None = None
        self._listeners: list[Listener] = []
        self._drainsFor: float | None = None
        self._encrypted: set[Listener] = set()  # those of them that speak TLS

    @property
    def server(self) -> Server:
        """What it has behind its control ports."""
        return self._server

    @property
    def state(self) -> str:
        """``running``, ``draining`` or ``stopping``."""
        if self._drainsFor is not None:
            return "draining"
        return "running" if self.running else "stopping"

    def drain(self, seconds: float) -> int:
        """
        Give running visitors this many seconds when the service is stopped, which has to follow.

        :returns: how many there are.
        """
        self._drainsFor = seconds
        self._sink.emit(Draining(seconds))
        return len(self._relay)

    @property
    def settings(self) -> ServerSettings:
        """The settings in effect."""
        return self._settings

    @property
    def controlPorts(self) -> list[tuple[str, str | None]]:
        """The control ports: each one's address, as ``HOST:PORT``, and the fingerprint of its key; None: no TLS."""
        return [(socketAddress(each.address), self._fingerprint(each)) for each in self._listeners]

    @property
    def controlPort(self) -> int:
        """The number of the control port."""
        return self._listeners[0].port

    @property
    def alive(self) -> bool:
        """Whether it listens on its control ports, unless it was stopped."""
        return not self.running or all(each.alive for each in self._listeners)

    @property
    def hasFiles(self) -> bool:
        """Whether there are files that :meth:`reload` reads."""
        return self._certificate is not None or self.readSecrets is not None

    def privilegedStartService(self) -> None:
        """
        Listen. The process may give up rights afterwards.

        :raises CannotListen: when a port or a certificate cannot be used.
        """
        tls = self._settings.tls
        if self._settings.secret is not None and self._settings.secret.short:
            self._sink.emit(ShortSecret())
        plain: Accepted = self._server.control.accepted
        encrypted = plain if tls is None else self._makeTls()
        if not self._sockets:
            self._sockets.append(self._bind(self._settings.controlPort, "--control-port"))
        while self._sockets:
            self._listen(self._sockets.pop(0), encrypted if tls is not None and tls.port is None else plain)
        if tls is not None and tls.port is not None:
            self._listen(self._bind(tls.port, "--tls-port"), encrypted)

    def startService(self) -> None:
        """Listen, if that has not been done yet."""
        Service.startService(self)
        if not self._listeners:
            self.privilegedStartService()

    def stopService(self) -> Deferred[None]:
        """
        Stop listening, send the clients a farewell, and wait for running visitors: for DRAIN_TIMEOUT seconds at most,
        or for as long as :meth:`drain` gives them.

        :returns: fires when nothing is left.
        """
        Service.stopService(self)
        for listener in self._listeners:
            listener.stop()
        self._listeners.clear()
        read = self._server.shutDown().addTimeout(_FAREWELL_TIMEOUT, self._reactor)
        read.addErrback(self._unread)
        seconds = DRAIN_TIMEOUT if self._drainsFor is None else self._drainsFor
        return gatherResults([read, self._relay.drain(seconds)]).addCallback(lambda _: None)

    def apply(self, settings: ServerSettings) -> None:
        """
        Apply those settings that can change while the server runs: the range of ports, the folders of Unix sockets, the
        limits, the rules on addresses, and the names of the files for TLS, which are read anew.
        """
        if settings.secrets != self._settings.secrets:
            self.applySecrets(settings.secrets)
        tls = self._settings.tls
        if tls is not None and settings.tls is not None:
            others = settings.tls
            tls = replace(
                tls, certificate=others.certificate, key=others.key, clients=others.clients, revoked=others.revoked
            )
        self._settings = replace(
            self._settings,
            minPort=settings.minPort,
            maxPort=settings.maxPort,
            unixFolders=settings.unixFolders,
            bounds=settings.bounds,
            rules=settings.rules,
            secret=settings.secret,
            moreSecrets=settings.moreSecrets,
            halfOpenTimeout=settings.halfOpenTimeout,
            tls=tls,
        )
        self._relay.halfOpenTimeout = settings.halfOpenTimeout
        self._server.apply(self._settings)
        if self._certificate is not None:
            self._readFiles(self._certificate)

    def moveSessions(self, to: str | None = None) -> int:
        """Give all sessions away: see :meth:`bore.server.server.Server.moveSessions`."""
        return self._server.moveSessions(to)

    def reload(self) -> None:
        """Read the TLS certificate and the shared secrets anew, if there are files with them."""
        if not self.hasFiles:
            self._sink.emit(NothingToReload())
        if self._certificate is not None:
            self._certificate.reload()
        if self.readSecrets is not None:
            self._reloadSecrets(self.readSecrets)

    def _reloadSecrets(self, read: Callable[[], Sequence[Secret]]) -> None:
        try:
            secrets = read()
        except ValueError as e:
            self._sink.emit(SecretsNotRead(str(e)))
            return
        self.applySecrets(secrets)
        self._sink.emit(SecretsRead(len(secrets)))

    def _readFiles(self, used: ServerCertificate) -> None:
        """Read the files for TLS, which may be others than before."""
        from bore.tls.certificates import BadCredentials

        try:
            files = self._tlsFiles()
        except BadCredentials as e:
            self._sink.emit(CertificateNotRead(str(e)))
        else:
            used.use(*files)

    def _tlsFiles(self) -> tuple[Path, Path, Path | None, Path | None, Path | None]:
        """
        Return the files for TLS: the certificate, its key, the authorities for clients, the next key, and the lists of
        revoked certificates.

        :raises bore.tls.certificates.BadCredentials: if the server's own certificate cannot be made.
        """
        from bore.tls.servercertificate import nextFile, ownCertificate

        tls = self._settings.tls
        assert tls is not None
        certificate = tls.certificate or ownCertificate(tls.folder)
        nextKey = None if tls.certificate or tls.folder is None else nextFile(tls.folder)
        return certificate, tls.key or certificate, tls.clients, nextKey, tls.revoked

    def _makeTls(self) -> Accepted:
        """What serves the connections to a port with TLS. OpenSSL is imported here, and not before."""
        from bore.tls.certificates import BadCredentials
        from bore.tls.port import TlsPort
        from bore.tls.servercertificate import ServerCertificate

        try:
            self._certificate = ServerCertificate(self._reactor, self._sink, *self._tlsFiles())
        except BadCredentials as e:
            raise CannotListen(str(e)) from e
        server = self._server
        self._certificate.announce(server.sessions.announceKey)
        return TlsPort(
            self._reactor,
            self._sink,
            self._certificate,
            server.unclassified,
            server.control.accepted,
            server.sessions.endOn,
        ).accepted

    def _listen(self, sock: socket.socket, accepted: Accepted) -> None:
        server = self._server
        listener = Listener(self._reactor, sock, accepted, server.group, server.relieve, descriptors=server.descriptors)
        self._listeners.append(listener)
        if accepted != server.control.accepted:
            self._encrypted.add(listener)
        settings = self._settings
        self._sink.emit(
            Listening(
                socketAddress(listener.address),
                self._fingerprint(listener),
                settings.bindTunnels,
                settings.minPort,
                settings.maxPort,
                self.admission,
            )
        )

    def _fingerprint(self, listener: Listener) -> str | None:
        certificate = self._certificate if listener in self._encrypted else None
        return None if certificate is None else certificate.fingerprint

    @property
    def admission(self) -> Admission:
        """Which clients may open tunnels."""
        settings = self._settings
        if self._hasUsers:
            return Admission.USERS if settings.secret is None else Admission.USERS_AND_SECRET
        if self._asks:
            return Admission.SECRET
        if settings.tls is not None and settings.tls.clients is not None:
            return Admission.CERTIFICATE
        return Admission.ANYONE

    def _unread(self, reason: Failure) -> None:
        reason.trap(TimeoutError)
        self._sink.emit(FarewellUnread())

    def _bind(self, port: int, option: str) -> socket.socket:
        host = self._settings.bindAddr
        try:
            return bindSocket(host, port)
        except OSError as e:
            reason = os.strerror(e.errno) if e.errno and e.errno > 0 else str(e)
            hint = _hint(e.errno, port, option)
            raise CannotListen(f"cannot listen on {hostPort(host, port)}: {reason}{hint}") from e


def _hint(number: int | None, port: int, option: str) -> str:
    """What would be right where a port cannot be used."""
    match number:
        case errno.EADDRINUSE:
            from bore.system.portowner import ownerOf

            owner = ownerOf(port)
            return f"{f' by {owner}' if owner else ''}: stop that program, or choose another port with {option}"
        case errno.EACCES:
            return f": choose a port from 1024 on with {option}, or give the program CAP_NET_BIND_SERVICE"
        case errno.EADDRNOTAVAIL:
            return ": give an address of this machine with --bind-addr"
    return ""
