"""
Whether a server is the one that the user means, as a function of what it shows, what is known of it, and the settings.

Nothing here reads or writes a file, or logs.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from cryptography import x509
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address

from bore.streams.addresses import asciiName, hostPort, isLiteral
from bore.tls.certificates import ODD, fingerprint, silenced
from bore.tls.errors import CertificateNotCurrent, ServerKeyChanged, ServerNotTrusted
from bore.tls.knownservers import Known
from bore.tls.settings import ClientTls
from bore.tls.tlssocket import TlsSocket
from bore.wire.pins import AUTHORITY

#: X509_STORE_CTX_get_error(3): no trusted authority has signed it.
_UNSIGNED: Final = frozenset((2, 18, 19, 20, 21))

_UNTRUSTED: Final = "the server's certificate is signed by an authority that is not trusted"

_CHAIN_ERRORS: Final = {
    7: _UNTRUSTED,
    18: "the server's certificate is self-signed, and --tls-ca requires one of an authority",
    19: _UNTRUSTED,
    20: _UNTRUSTED,
    21: _UNTRUSTED,
    26: "the server's certificate is not made for servers",
}

#: The same, where only the dates are wrong: of the certificate, or of this machine.
_DATES: Final = {
    9: "the server's certificate, or one above it, is not valid yet",
    10: "the server's certificate, or one above it, has expired",
}

_VERIFIED: Final = ", and verified by secret"

#: Names of a certificate that an error lists.
_LISTED: Final = 5


@dataclass(frozen=True, slots=True)
class Expected:
    """
    The server that the user means.

    :ivar host: a name or an IP address.
    :ivar port: its control port.
    :ivar tls: what the user has decided about TLS.
    :ivar secret: whether there is a secret, which the server will have to prove.
    """

    host: str
    port: int
    tls: ClientTls
    secret: bool

    def __str__(self) -> str:
        return hostPort(self.host, self.port)

    @property
    def name(self) -> str:
        """The host as certificates have it; empty for an IP address."""
        return "" if isLiteral(self.host) else asciiName(self.host.removesuffix("."))


@dataclass(frozen=True, slots=True)
class Presented:
    """
    What a server has presented in a handshake.

    :ivar certificate: its certificate.
    :ivar encoded: the certificate in DER, as it was received.
    :ivar key: the fingerprint of its key.
    :ivar chainErrors: the errors of the chain, as codes of X509_STORE_CTX_get_error(3).
    """

    certificate: x509.Certificate
    encoded: bytes
    key: str
    chainErrors: Sequence[int]

    @property
    def isUnsigned(self) -> bool:
        """Whether no trusted authority has signed the certificate."""
        return not _UNSIGNED.isdisjoint(self.chainErrors)


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    Why a server is trusted.

    :ivar key: the fingerprint of its key.
    :ivar why: the reason, for the log.
    :ivar new: the entry for the file of known servers, a fingerprint or :data:`~bore.wire.pins.AUTHORITY`: the
        server is new. It is to be written down once the server has proved that it knows the secret; at once where there
        is none. Empty: there is nothing to write.
    :ivar certificate: the certificate that it was given for, in DER.
    """

    key: str
    why: str
    new: str
    certificate: bytes

    @property
    def isKnown(self) -> bool:
        """Whether the server has identified itself: by a key that is known or given, or by an authority."""
        return self.new in ("", AUTHORITY)

    def accepts(self, sock: TlsSocket) -> bool:
        """Whether a further connection presents the same certificate."""
        return sock.certificateBytes == self.certificate

    def verifiedBySecret(self) -> Verdict:
        """The same, after the server has proved that it knows the secret."""
        return self if self.why.endswith(_VERIFIED) else replace(self, why=self.why + _VERIFIED)


def presentedBy(sock: TlsSocket) -> Presented:
    """
    Read what the server of a connection has presented.

    :raises ServerNotTrusted: when that cannot be read, or is nothing.
    """
    try:
        with silenced():
            certificate = sock.certificate
    except ODD:
        raise ServerNotTrusted("the server's certificate breaks the rules for certificates (RFC 5280)") from None
    if certificate is None:
        raise ServerNotTrusted("the server has presented no certificate")
    try:
        key = fingerprint(certificate)
    except ODD:
        raise ServerNotTrusted("the server's certificate has a key of an unknown kind") from None
    return Presented(certificate, sock.certificateBytes, key, sock.chainErrors)


def judge(presented: Presented, expected: Expected, known: Known) -> Verdict:
    """
    Judge the server of a control connection.

    A fingerprint that the user has given decides alone, and so do the authorities of ``--tls-ca``. Otherwise what is
    known of the server decides. A new server needs a certificate for its name by one of the system's authorities; one
    that no such authority has signed is trusted on first use.

    :param known: does not count if there are authorities, or a fingerprint that it does not come from.
    :raises ServerNotTrusted: when it is not the server that the user means; :class:`ServerKeyChanged` when its key is
        not the one that is known or given; :class:`CertificateNotCurrent` when only dates are wrong.
    """
    why, new = _decide(presented, expected, known)
    return Verdict(presented.key, why, new, presented.encoded)


def judgeAgain(presented: Presented, expected: Expected, known: Known) -> Verdict:
    """
    Judge the server of a further connection of a session, which shows another certificate than before.

    :raises ServerNotTrusted: as :func:`judge`, and when the server is new: then it is not the one of the session.
    """
    verdict = judge(presented, expected, known)
    if verdict.new:
        raise ServerNotTrusted("a connection of the session leads to another server")
    return verdict


def keyChanged(expected: Expected, known: Known, key: str) -> ServerKeyChanged:
    """
    What to raise when a server shows another key than the one that is known.

    :param key: the fingerprint of the key that it shows.
    """
    return ServerKeyChanged(
        f"the key of {expected} has changed: expected {known.what}, received the key {key}. Someone may be "
        f"intercepting the connection. If the change is intended, {known.remedy}"
    )


def _decide(presented: Presented, expected: Expected, known: Known) -> tuple[str, str]:
    """Why the server is trusted, and the entry for the file of known servers if it is new."""
    tls = expected.tls
    if tls.fingerprint is not None:
        if presented.key != tls.fingerprint and not (known.given and presented.key in known.keys):
            raise ServerKeyChanged(
                f"the server's key is {presented.key}, and --tls-fingerprint requires {tls.fingerprint}: "
                "someone may be intercepting the connection, or the server has a new key"
            )
        return "as --tls-fingerprint says", ""
    if tls.authorities is not None:
        _checkSigned(presented, expected)
        return "signed by an authority of --tls-ca", ""
    if known.servers:
        return _compare(presented, expected, known), ""
    if presented.isUnsigned:
        return "new" if expected.secret else "trusted on first use", presented.key
    _checkSigned(presented, expected)
    return "signed by a trusted authority", AUTHORITY


def _compare(presented: Presented, expected: Expected, known: Known) -> str:
    """Compare what the server presents with what is known of it, and return why it is trusted."""
    if presented.key in known.keys:
        return "as the line for joining it says" if known.given else "known"
    if AUTHORITY not in known.keys or presented.isUnsigned:
        raise keyChanged(expected, known, presented.key)
    _checkSigned(presented, expected)
    return "signed by a trusted authority"


def _checkSigned(presented: Presented, expected: Expected) -> None:
    """
    Check that an authority has signed the certificate, and for this server.

    :raises CertificateNotCurrent: when nothing but its dates is wrong.
    """
    others = [number for number in presented.chainErrors if number not in _DATES]
    if others:
        raise ServerNotTrusted(
            _CHAIN_ERRORS.get(others[0], f"OpenSSL rejects the server's certificate (error {others[0]})")
        )
    try:
        with silenced():
            if name := expected.name:
                verify_certificate_hostname(presented.certificate, name)
            else:
                verify_certificate_ip_address(presented.certificate, expected.host.partition("%")[0])
    except (VerificationError, CertificateError, *ODD):
        raise ServerNotTrusted(
            f"the server's certificate is not for {expected.host}, but for {_namesIn(presented.certificate)}: "
            "give --to the server's name"
        ) from None
    if presented.chainErrors:
        now = datetime.datetime.now(datetime.UTC)
        raise CertificateNotCurrent(
            f"{_DATES[presented.chainErrors[0]]}: renew it, or set the clock of this machine, which reads "
            f"{now:%Y-%m-%d %H:%M} UTC"
        )


def _namesIn(certificate: x509.Certificate) -> str:
    """The names and addresses that a certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, *ODD):
        return "no name"
    found = [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
    return ", ".join(found[:_LISTED]) or "no name"
