"""What the server shows to its clients."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography import x509
from OpenSSL import SSL
from twisted.internet.interfaces import IReactorTime

from bore.events import Sink
from bore.events.server import AuthoritiesRead, CertificateNotRead, CertificateRead, CertificateUnchanged
from bore.system.atomicfiles import writeUnlessThere
from bore.system.privatefiles import NotPrivate, Policy, checkFolders, openPrivate
from bore.tls.certificates import BadCredentials, Credentials, makeSelfSigned, readAuthorities, readCredentials
from bore.tls.contexts import isSigned, serverContext
from bore.tls.tlssocket import TlsSocket

#: Where in its state directory the server keeps the key and the certificate that it has made itself.
_OWN: Final = "tls.pem"

#: The key of the server is for its user alone: who has it can play the server for every client.
_OWN_KEY: Final = Policy(forbidden=0o077, caution="if no one has read it, ")

#: Files are looked at for changes at most so often, in seconds, and only when a client comes.
_LOOK: Final = 1.0


class ServerCertificate:
    """
    A certificate in files. When they change, those who come later are shown the new one.

    :param certificate: a PEM file with the certificate, and those above it behind it.
    :param key: a PEM file with its key.
    :param clients: a PEM file with those who sign the certificates that clients have to show; None: they need none.
    :ivar authorities: those; nobody: clients need no certificate.
    :ivar authoritiesChanged: called when clients have to be signed by others from now on.
    :raises BadCredentials: when the files are of no use.
    """

    def __init__(
        self, clock: IReactorTime, sink: Sink, certificate: Path, key: Path, clients: Path | None = None
    ) -> None:
        self._clock = clock
        self._sink = sink
        self._files = certificate, key
        self._clients = clients
        self._looked = clock.seconds()
        self._stamp = self._look()
        self.authoritiesChanged: Callable[[], object] = lambda: None
        self.authorities = self._readAuthorities()
        self._use(readCredentials(certificate, key))

    @property
    def context(self) -> SSL.Context:
        """What the next client is shown."""
        if self._clock.seconds() - self._looked >= _LOOK:
            self._looked = self._clock.seconds()
            stamp = self._look()
            if stamp != self._stamp:
                self._stamp = stamp
                self.reload(asked=False)
        return self._context

    def reload(self, asked: bool = True) -> None:
        """
        Read the files again; if they cannot be used, the former certificate stays.

        :param asked: whether an event is emitted even if nothing has changed.
        """
        try:
            credentials, authorities = readCredentials(*self._files), self._readAuthorities()
            others = authorities != self.authorities
            if credentials.chain != self._chain or others:
                before, self.authorities = self.authorities, authorities
                try:
                    self._use(credentials)
                except BadCredentials:
                    self.authorities = before
                    raise
                self._sink.emit(CertificateRead(self.fingerprint))
            elif asked:
                self._sink.emit(CertificateUnchanged(self.fingerprint))
        except BadCredentials as e:
            self._sink.emit(CertificateNotRead(str(e)))
            return
        if others:
            self._sink.emit(AuthoritiesRead(len(authorities)))
            self.authoritiesChanged()

    def accepts(self, sock: TlsSocket) -> bool:
        """Whether the certificate that a client has shown would be accepted today, but for its dates."""
        if self._clients is None:
            return True
        shown = sock.chain
        return bool(shown) and isSigned(shown[0], shown[1:], self.authorities)

    def _readAuthorities(self) -> tuple[x509.Certificate, ...]:
        return () if self._clients is None else readAuthorities(self._clients)

    def _use(self, credentials: Credentials) -> None:
        self._context = serverContext(credentials, self.authorities)
        self._chain = credentials.chain
        self.fingerprint = credentials.fingerprint

    def _look(self) -> tuple[object, ...]:
        """What changes when the files do."""
        stamps: list[object] = []
        for path in (*self._files, *([] if self._clients is None else [self._clients])):
            try:
                status = os.stat(path)
            except OSError:
                stamps.append(None)
            else:
                stamps.append((status.st_mtime_ns, status.st_ino, status.st_size))
        return tuple(stamps)


def ownCertificate(folder: Path | None) -> Path:
    """
    The server's own key and certificate, made when there are none yet.

    :param folder: the server's state directory.
    :returns: a PEM file with both.
    :raises BadCredentials: when there can be none, or others may have read it.
    """
    if folder is None:
        raise BadCredentials("there is no directory to keep a key in: set HOME, or give --tls-cert and --tls-key")
    path = folder / _OWN
    try:
        checkFolders(folder)
        if not path.exists():
            writeUnlessThere(path, makeSelfSigned("txbore")[0])
        openPrivate(path, _OWN_KEY).close()
    except NotPrivate as e:
        raise BadCredentials(
            f"{path} cannot be relied on: it {e}. XDG_STATE_HOME names another directory, --tls-cert and --tls-key "
            "other files"
        ) from None
    except OSError as e:
        raise BadCredentials(f"{path} cannot be made: {e.strerror}: give --tls-cert and --tls-key") from None
    return path
