"""What a server is behind its control ports: it starts, changes and ends what all parts of it need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError, gatherResults
from twisted.python.failure import Failure

from bore.events import Draining, NothingToReload, ShortSecret, Sink
from bore.events.server import Admission, CertificateNotRead, FarewellUnread, SecretsNotRead, SecretsRead
from bore.relay.backend import makeRelay
from bore.relay.interface import DRAIN_TIMEOUT
from bore.server.controlsockets import CannotListen, admissionOf
from bore.server.custody import Custody
from bore.server.localcustody import LocalCustody
from bore.server.log import logged
from bore.server.registry import Registry
from bore.server.server import Server
from bore.server.settings import ServerSettings
from bore.server.unclassified import UnclassifiedConnections
from bore.server.users import Authenticator
from bore.server.visitorids import markIds
from bore.streams.listener import Accepted
from bore.streams.reactor import IReactor
from bore.wire.secret import Secret
from bore.wire.workernumbers import NO_WORKER

if TYPE_CHECKING:
    from bore.tls.servercertificate import ServerCertificate

#: How long clients have to read that the server stops, in seconds.
_FAREWELL_TIMEOUT: Final = 2.0


class ServerCore(Service):
    """
    A server behind its control ports. Another object accepts the connections.

    :param sink: gets the events; None: they are logged.
    :param authenticator: identifies clients; None: they share the secret of the settings.
    :param registry: grants public ports; None: this server alone does.
    :param worker: the number of this worker of the server, which the ids of visitors of this process get, too;
        NO_WORKER: it has none.
    :param custody: has the public addresses, in the registry's place; None: this server has them.
    :param unclassified: limits the connections that have not sent their first message; None: this server alone does.
    :param whole: the custody of this server, in the registry's place; None: it makes one.
    :ivar since: when it was made, by the clock.
    :ivar nodes: serves a connection of another node of the cluster, behind its handshake; None: there is no cluster. It
        is set before :meth:`begin`.
    """

    def __init__(
        self,
        reactor: IReactor,
        settings: ServerSettings,
        sink: Sink | None = None,
        authenticator: Authenticator | None = None,
        registry: Registry | None = None,
        worker: int = NO_WORKER,
        custody: Custody | None = None,
        unclassified: UnclassifiedConnections | None = None,
        whole: LocalCustody | None = None,
    ) -> None:
        if worker != NO_WORKER:
            markIds(worker)
        self._reactor = reactor
        self.since = reactor.seconds()
        self._settings = settings
        self._sink = logged(reactor) if sink is None else sink
        self._relay = makeRelay(
            reactor, settings.halfOpenTimeout, settings.bounds.descriptors, portable=settings.portableRelay
        )
        self._asks = settings.secret is not None if authenticator is None else authenticator.asks
        self._hasUsers = authenticator is not None and authenticator.permits is not None
        #: Applies other shared secrets.
        self.applySecrets: Callable[[Sequence[Secret]], object] = lambda secrets: self._server.applySecrets(secrets)
        #: Reads the file of the shared secrets again; None: there is none.
        self.readSecrets: Callable[[], Sequence[Secret]] | None = None
        parts = authenticator, registry, worker, custody, unclassified, whole
        self._server = Server(reactor, self._sink, settings, self._relay, *parts)
        self._certificate: ServerCertificate | None = None
        self._drainsFor: float | None = None
        self._encrypted: Accepted | None = None
        self.nodes: Accepted | None = None

    @property
    def server(self) -> Server:
        """What it has behind its control ports."""
        return self._server

    @property
    def sink(self) -> Sink:
        """Gets the events."""
        return self._sink

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
        self._sink.emit(Draining(seconds))
        return self.giveTime(seconds)

    def giveTime(self, seconds: float) -> int:
        """The same, if another process has reported it."""
        self._drainsFor = seconds
        return len(self._relay)

    @property
    def settings(self) -> ServerSettings:
        """The settings in effect."""
        return self._settings

    @property
    def hasFiles(self) -> bool:
        """Whether there are files that :meth:`reload` reads."""
        return self._certificate is not None or self.readSecrets is not None

    @property
    def plain(self) -> Accepted:
        """Serves a connection that was accepted on a control port without TLS."""
        return self._server.control.accepted

    @property
    def encrypted(self) -> Accepted | None:
        """Serves a connection that was accepted on a control port with TLS; None: there is none."""
        return self._encrypted

    @property
    def fingerprint(self) -> str | None:
        """The fingerprint of the key that it shows in TLS; None: there is no TLS."""
        return None if self._certificate is None else self._certificate.fingerprint

    @property
    def controlPorts(self) -> list[tuple[str, str | None]]:
        """
        The control ports: each one's address, as ``HOST:PORT``, and the fingerprint of its key; None: no TLS. Where
        another process listens, only the key is known.
        """
        return [] if self._certificate is None else [("", self.fingerprint)]

    def begin(self) -> None:
        """
        Read the files for TLS, if it is used. The process may give up rights afterwards.

        :raises CannotListen: when a certificate cannot be used.
        """
        if self._settings.secret is not None and self._settings.secret.short:
            self._sink.emit(ShortSecret())
        if self._settings.tls is not None:
            self._encrypted = self._makeTls()

    def stopService(self) -> Deferred[None]:
        """
        Send the clients a farewell, and wait for running visitors: for DRAIN_TIMEOUT seconds at most, or for as long as
        :meth:`drain` gives them.

        :returns: fires when nothing is left.
        """
        Service.stopService(self)
        read = self._server.shutDown().addTimeout(_FAREWELL_TIMEOUT, self._reactor)
        read.addErrback(self._unread)
        seconds = DRAIN_TIMEOUT if self._drainsFor is None else self._drainsFor
        return gatherResults([read, self._relay.drain(seconds)]).addCallback(lambda _: None)

    def apply(self, settings: ServerSettings) -> None:
        """
        Apply those settings that can change while the server runs: the range of ports, the folders of Unix sockets, the
        limits, the rules on addresses, the trusted proxies, and the names of the files for TLS, which are read anew.
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
            trustedProxies=settings.trustedProxies,
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
            self._certificate = ServerCertificate(
                self._reactor, self._sink, *self._tlsFiles(), nodes=self.nodes is not None
            )
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
            self.nodes,
        ).accepted

    @property
    def admission(self) -> Admission:
        """Which clients may open tunnels."""
        return admissionOf(self._settings, self._hasUsers, self._asks)

    def _unread(self, reason: Failure) -> None:
        reason.trap(TimeoutError)
        self._sink.emit(FarewellUnread())
