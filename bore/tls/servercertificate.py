"""The certificate of a server: in files that may change, or one of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from OpenSSL import SSL
from twisted.internet.interfaces import IReactorTime

from bore.events import Sink
from bore.events.server import (
    AuthoritiesRead,
    CertificateNotRead,
    CertificateRead,
    CertificateUnchanged,
    NextKeyAnnounced,
    RevocationsNotRead,
    RevocationsOld,
    RevocationsRead,
)
from bore.system.atomicfiles import writeUnlessThere
from bore.system.filestamps import stampOf
from bore.system.privatefiles import NotPrivate, Policy, checkFolders, openPrivate
from bore.tls.certificates import BadCredentials, Credentials, makeSelfSigned, readCredentials
from bore.tls.clientcertificates import BadLists, ClientCertificates, readClientCertificates, readRevoked
from bore.tls.contexts import isSigned, serverContext
from bore.tls.tlssocket import TlsSocket

#: The file with the server's own key and certificate, in its state directory.
_OWN: Final = "tls.pem"

#: The file with the key that the server will have next.
_NEXT: Final = "tls-next.pem"

#: Anyone who has the key of the server can impersonate it to every client.
_OWN_KEY: Final = Policy(forbidden=0o077, caution="if no one has read it, ")

#: The shortest time between two checks whether the files have changed, in seconds. They are checked when a client
#: comes.
_INTERVAL: Final = 1.0


class ServerCertificate:
    """
    A certificate in files. When the files change, later clients get the new one.

    :param sink: gets the events.
    :param certificate: a PEM file with the certificate, followed by those above it.
    :param key: a PEM file with its key.
    :param clients: a PEM file with the authorities for the certificates that clients need; None: they need none.
    :param revoked: a PEM file with lists of certificates of clients that are revoked; None: there is none.
    :param nextKey: a PEM file with the next key and its certificate, which need not exist; None: there is none.
    :param nodes: see :func:`bore.tls.contexts.serverContext`.
    :ivar accepted: the certificates of clients that are accepted.
    :ivar acceptedChanged: called when others are accepted than before.
    :ivar fingerprint: the fingerprint of the key.
    :raises BadCredentials: when the files cannot be used.
    """

    def __init__(
        self,
        clock: IReactorTime,
        sink: Sink,
        certificate: Path,
        key: Path,
        clients: Path | None = None,
        nextKey: Path | None = None,
        revoked: Path | None = None,
        nodes: bool = False,
    ) -> None:
        self._clock = clock
        self._nodes = nodes
        # The lists have times of day, which the clock of the reactor does not know.
        self._now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._sink = sink
        self._files = certificate, key
        self._clients = clients, revoked
        self._next = nextKey
        self._isOld = False
        self._announced = ""
        self._announce: Callable[[str], object] = lambda _: None
        self._checkedAt = clock.seconds()
        self._stamp = self._readStamp()
        self.acceptedChanged: Callable[[], object] = lambda: None
        self._use(readCredentials(certificate, key), readClientCertificates(*self._clients))

    @property
    def context(self) -> SSL.Context:
        """The context for the next client."""
        if self._clock.seconds() - self._checkedAt >= _INTERVAL:
            self._checkedAt = self._clock.seconds()
            if self._readStamp() != self._stamp:
                self.reload(asked=False)
            self._noteAge()
        return self._context

    def announce(self, announce: Callable[[str], object]) -> None:
        """Call a function with the fingerprint of the next key, now if there is one, and whenever that changes."""
        self._announce = announce
        self._readNext()

    def use(
        self, certificate: Path, key: Path, clients: Path | None, nextKey: Path | None, revoked: Path | None
    ) -> None:
        """Read other files, or the same again; the parameters are those of the class."""
        self._files = certificate, key
        self._clients = clients, revoked
        self._next = nextKey
        self.reload()

    def reload(self, asked: bool = True) -> None:
        """
        Read the files again. If those of the certificate cannot be used, the former one stays, and what is in the files
        about clients counts all the same: who is revoked must not come in because of another file.

        :param asked: whether an event is emitted even if nothing has changed.
        """
        self._stamp = self._readStamp()  # before the files: what changes meanwhile is read again
        self._readNext()
        former, before = self._credentials, self.accepted
        accepted, whole = self._readClients()
        try:
            credentials = readCredentials(*self._files)
            if credentials.chain != former.chain or accepted != before:
                self._use(credentials, accepted)
        except BadCredentials as e:
            self._sink.emit(CertificateNotRead(str(e)))
            whole = False
            if accepted != before:
                self._use(former, accepted)
        if self._credentials.chain != former.chain or (whole and accepted.authorities != before.authorities):
            self._sink.emit(CertificateRead(self.fingerprint))
        elif asked and whole:
            self._sink.emit(CertificateUnchanged(self.fingerprint))
        if accepted.authorities != before.authorities:
            self._sink.emit(AuthoritiesRead(len(accepted.authorities)))
        if accepted.revoked != before.revoked:
            self._sink.emit(RevocationsRead(accepted.count))
        if accepted != before:
            self.acceptedChanged()

    def accepts(self, sock: TlsSocket) -> bool:
        """Whether the certificate of a client would be accepted now, apart from its dates."""
        if not self.accepted.authorities:
            return True
        presented = sock.chain
        if not presented or self.accepted.isRevoked(presented):
            return False
        return isSigned(presented[0], presented[1:], self.accepted.trusted)

    def _readNext(self) -> None:
        try:
            found = "" if self._next is None else nextFingerprint(self._next)
        except BadCredentials as e:
            self._sink.emit(CertificateNotRead(str(e)))
            return
        if found != self._announced:
            self._announced = found
            if found:
                self._sink.emit(NextKeyAnnounced(found))
            self._announce(found)

    def _readClients(self) -> tuple[ClientCertificates, bool]:
        """
        Read the files about clients. If the lists cannot be used, nothing changes for clients. If the authorities
        cannot, the former ones stay, and lists of theirs are read.

        :returns: what is in the files, and whether the authorities could be used.
        """
        try:
            return readClientCertificates(*self._clients), True
        except BadLists as e:
            self._sink.emit(RevocationsNotRead(str(e)))
            return self.accepted, True
        except BadCredentials as e:
            self._sink.emit(CertificateNotRead(str(e)))
        try:
            lists = self._clients[1]
            found = self.accepted.revoked if lists is None else readRevoked(lists, self.accepted.authorities)
        except BadLists as e:
            self._sink.emit(RevocationsNotRead(str(e)))
            return self.accepted, False
        return replace(self.accepted, revoked=found), False

    def _noteAge(self) -> None:
        """Emit an event when a list in use becomes too old."""
        if not self._isOld and self.accepted.isOld(self._now()):
            self._isOld = True
            self._sink.emit(RevocationsOld())

    def _use(self, credentials: Credentials, accepted: ClientCertificates) -> None:
        self._context = serverContext(credentials, accepted, self._nodes)
        self.accepted = accepted
        self._isOld = False
        self._credentials = credentials
        self.fingerprint = credentials.fingerprint

    def _readStamp(self) -> tuple[object, ...]:
        """A value that changes when the files do."""
        return tuple(stampOf(path) for path in filter(None, (*self._files, *self._clients, self._next)))


def ownFile(folder: Path) -> Path:
    """Return the file with the own key and certificate of a server with this state directory."""
    return folder / _OWN


def nextFile(folder: Path) -> Path:
    """Return the file with the next key of such a server."""
    return folder / _NEXT


def nextFingerprint(path: Path) -> str:
    """
    Return the fingerprint of the next key; empty if there is none.

    :param path: see :func:`nextFile`.
    :raises BadCredentials: when the file cannot be used.
    """
    return readCredentials(path, path).fingerprint if path.exists() else ""


def ownCertificate(folder: Path | None) -> Path:
    """
    The file with the server's own key and certificate, which are made if there are none.

    :param folder: the server's state directory; None: there is none.
    :returns: a PEM file with both.
    :raises BadCredentials: when it cannot be made, or others may have read it.
    """
    if folder is None:
        raise BadCredentials("there is no directory for the server's key: set HOME, or give --tls-cert and --tls-key")
    path = ownFile(folder)
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
