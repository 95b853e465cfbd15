"""Whether a server that speaks TLS is the one that is meant."""

from __future__ import annotations

import datetime
from typing import Final

from cryptography import x509
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address
from twisted.logger import Logger

from bore.streams.addresses import asciiName, hostPort, isLiteral
from bore.tls.certificates import ODD, fingerprint, silenced
from bore.tls.contexts import clientContext, repeatedContext
from bore.tls.errors import CertificateNotCurrent, ServerKeyChanged, ServerNotTrusted
from bore.tls.knownservers import AUTHORITY, KnownServer, KnownServers, KnownServersError
from bore.tls.settings import ClientTls
from bore.tls.tlssocket import TlsSocket

#: X509_STORE_CTX_get_error(3): nobody who is trusted has signed it.
_UNSIGNED: Final = frozenset((2, 18, 19, 20, 21))

_COMPLAINTS: Final = {
    7: "its certificate is signed by an authority that is not trusted",
    18: "its certificate is signed by itself, and --tls-ca demands an authority",
    19: "its certificate is signed by an authority that is not trusted",
    20: "its certificate is signed by an authority that is not trusted",
    21: "its certificate is signed by an authority that is not trusted",
    26: "its certificate is not made for servers",
}

#: The same, where only the dates are wrong: of the certificate, or of this machine.
_DATES: Final = {
    9: "its certificate, or one above it, is not valid yet",
    10: "its certificate, or one above it, has expired",
}


class Trust:
    """
    Judges what one server shows.

    In this order: a fingerprint that the user has given decides alone, and so do the authorities that the user has
    named. Else what is known of the server decides. A server that is new has to show a certificate that one of the
    system's authorities has signed, for its name; or it is trusted on first use: where there is a secret, once it has
    proved that it knows the secret. Either is written down, and nothing less will do from then on.

    :param host: where it is: a name or an IP address.
    :param port: its control port.
    :param secret: whether there is a secret, which the server will have to prove.
    :ivar context: what it is offered in the handshake.
    :ivar repeated: the same, where it is expected to show the same certificate: that is not checked again.
    :ivar name: what it is called in the handshake; empty: nothing.
    """

    _log = Logger()

    def __init__(self, host: str, port: int, settings: ClientTls, secret: bool) -> None:
        self._host = host.removesuffix(".")
        self._server = hostPort(host, port)
        self._settings = settings
        self._secret = secret
        self._known = None if settings.knownServers is None else KnownServers(settings.knownServers)
        self._accepted = b""
        self._unwritten: list[KnownServer] = []
        self._new = ""
        self._key = self._why = self._said = ""
        self.context = clientContext(settings.authorities, settings.credentials)
        self.repeated = repeatedContext(settings.credentials)
        self.name = "" if isLiteral(host) else asciiName(self._host)

    def judge(self, sock: TlsSocket) -> None:
        """
        Judge the server at the other end of a control connection.

        :raises ServerNotTrusted: when it is not the one that is meant, :class:`ServerKeyChanged` if it was known.
        """
        self._accepted = b""
        certificate = self._shown(sock)
        self._key = fingerprint(certificate)
        self._new = ""
        self._why = self._decide(certificate, sock.complaints)
        self._accepted = sock.certificateBytes
        if self._new and not self._secret:
            self._why = "trusted on first use" if self._new != AUTHORITY else self._why
            self._remember()

    def isSame(self, sock: TlsSocket) -> bool:
        """Whether a further connection shows the certificate that was found good already."""
        return sock.certificateBytes == self._accepted

    def judgeAgain(self, sock: TlsSocket) -> None:
        """
        Judge the server at the other end of a further connection.

        :raises ServerNotTrusted: when it is not the one that the control connection leads to.
        """
        if self.isSame(sock):
            return
        certificate = self._shown(sock)
        new, self._new = self._new, ""
        try:
            self._decide(certificate, sock.complaints)
            if self._new:
                raise ServerNotTrusted("a connection of the session leads to another server")
            self._accepted = sock.certificateBytes
        finally:
            self._new = new

    @property
    def known(self) -> bool:
        """Whether what the server has shown last was not new: it is the one that was meant, whatever it says."""
        return bool(self._accepted) and self._new in ("", AUTHORITY)

    def proven(self) -> None:
        """The server has proved that it knows the secret."""
        if self._new:
            self._remember()
        if not self._why.endswith("secret"):
            self._why += ", and verified by secret"

    def tell(self) -> None:
        """Log why the server is trusted, when that was not said before."""
        said = f"{self._key} {self._why}"
        if said != self._said:
            self._said = said
            self._log.info("TLS with {server}: key {key}, {why}", server=self._server, key=self._key, why=self._why)

    def _shown(self, sock: TlsSocket) -> x509.Certificate:
        try:
            with silenced():
                certificate = sock.certificate
        except ODD:
            raise ServerNotTrusted("its certificate breaks the rules for certificates (RFC 5280)") from None
        if certificate is None:
            raise ServerNotTrusted("it has shown no certificate")
        try:
            fingerprint(certificate)
        except ODD:
            raise ServerNotTrusted("its certificate has a key of an unknown kind") from None
        return certificate

    def _decide(self, certificate: x509.Certificate, complaints: list[int]) -> str:
        """Why it is trusted."""
        key = fingerprint(certificate)
        if self._settings.fingerprint is not None:
            if key != self._settings.fingerprint:
                raise ServerKeyChanged(
                    f"its key is {key}, and --tls-fingerprint says {self._settings.fingerprint}: "
                    "somebody may stand in between, or the server has a new key"
                )
            return "as --tls-fingerprint says"
        unsigned = _UNSIGNED.intersection(complaints)
        if self._settings.authorities is not None:
            self._check(certificate, complaints)
            return "signed by an authority of --tls-ca"
        known = self._find()
        if known:
            return self._compare(certificate, key, complaints, known)
        if unsigned:
            self._new = key
            return "new"
        self._check(certificate, complaints)
        self._new = AUTHORITY
        return "signed by a trusted authority"

    def _compare(self, certificate: x509.Certificate, key: str, complaints: list[int], known: list[KnownServer]) -> str:
        """Compare what it shows with what is known of it."""
        if any(each.key == key for each in known):
            return "known"
        if any(each.key == AUTHORITY for each in known):
            try:
                self._check(certificate, complaints)
            except ServerNotTrusted as e:
                if not _UNSIGNED.intersection(complaints):
                    raise
                expected = "a certificate that a trusted authority has signed"
                raise ServerKeyChanged(self._changed(expected, key, known)) from e
            return "signed by a trusted authority"
        raise ServerKeyChanged(self._changed(f"the key {known[0].key}", key, known))

    def _changed(self, expected: str, key: str, known: list[KnownServer]) -> str:
        lines = " and ".join(str(each.line) for each in known if each.line)
        remedy = f"remove line {lines} of {self._known.path}" if self._known and lines else "start the client anew"
        return (
            f"the key of {self._server} has changed: expected was {expected}, what came is the key {key}. Somebody may "
            f"stand in between. If it is right that it has changed, {remedy}"
        )

    def _check(self, certificate: x509.Certificate, complaints: list[int]) -> None:
        """
        See that the certificate is one for this server, by an authority.

        :raises CertificateNotCurrent: when nothing but its dates is wrong.
        """
        others = [number for number in complaints if number not in _DATES]
        if others:
            text = _COMPLAINTS.get(others[0], f"OpenSSL will not have its certificate (error {others[0]})")
            raise ServerNotTrusted(text)
        try:
            with silenced():
                if self.name:
                    verify_certificate_hostname(certificate, self.name)
                else:
                    verify_certificate_ip_address(certificate, self._host.partition("%")[0])
        except (VerificationError, CertificateError, *ODD):
            raise ServerNotTrusted(
                f"its certificate is not for {self._host}, but for {_names(certificate)}: give --to the server's name"
            ) from None
        if complaints:
            now = datetime.datetime.now(datetime.UTC)
            raise CertificateNotCurrent(
                f"{_DATES[complaints[0]]}: it needs to be renewed, or this machine's clock is wrong, which says "
                f"{now:%Y-%m-%d %H:%M} UTC"
            )

    def _find(self) -> list[KnownServer]:
        if self._known is None or self._unwritten:
            return self._unwritten
        try:
            return self._known.find(self._server)
        except KnownServersError as e:
            raise ServerNotTrusted(str(e)) from e

    def _remember(self) -> None:
        """Write down that the server is trusted."""
        new, self._new = self._new, ""
        try:
            known = self._writeDown(new)
        except OSError as e:
            known = []
            self._unwritten = [KnownServer(new, 0)]
            self._log.warn(
                "what {server} has shown cannot be written down ({error}): give --tls-fingerprint {key}",
                server=self._server,
                error=e.strerror,
                key=self._key,
            )
        if any(each.key == new for each in known):
            return  # by another client, meanwhile
        if known:
            raise ServerKeyChanged(self._changed(f"the key {known[0].key}", new, known))
        if new != AUTHORITY and not self._secret:
            self._log.warn(
                "the server {server} is new, and trusted on first use: see that its key is {key}, as it has printed",
                server=self._server,
                key=new,
            )
        if new != AUTHORITY and not self._unwritten:
            self._log.info("written down in {path}", path=str(self._settings.knownServers))

    def _writeDown(self, new: str) -> list[KnownServer]:
        """Write down what is new, unless something is known of the server after all: that is given."""
        if self._known is None:
            raise OSError(0, "there is no directory for it")
        try:
            return self._known.addNew(self._server, new)
        except KnownServersError as e:
            raise ServerNotTrusted(str(e)) from e


def _names(certificate: x509.Certificate) -> str:
    """Whom a certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, *ODD):
        return "nobody"
    found = [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
    return ", ".join(found[:5]) or "nobody"
