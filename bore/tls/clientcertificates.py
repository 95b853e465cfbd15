"""Which certificates of clients a server accepts: their authorities, and the lists of those that are revoked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes
from OpenSSL.crypto import X509

from bore.system.privatefiles import SETTINGS, NotPrivate, readPrivate
from bore.tls.certificates import ODD, BadCredentials, readAuthorities, silenced

#: The longest file of lists, in bytes. OpenSSL verifies the signature of a list in each handshake: that of a list of
#: this length takes a millisecond.
_LONGEST: Final = 1 << 20

_BEGIN: Final = b"-----BEGIN X509 CRL-----"
_BLOCK: Final = re.compile(_BEGIN + b".*?-----END X509 CRL-----", re.DOTALL)

_FORM: Final = "give a PEM file with BEGIN X509 CRL in it"


class RevokedList(NamedTuple):
    """
    The certificates of one authority that are revoked.

    :ivar content: the list, as its authority has signed it.
    :ivar numbers: the serial numbers of the certificates.
    """

    content: x509.CertificateRevocationList
    numbers: frozenset[int]


class BadLists(BadCredentials):
    """Lists of revoked certificates cannot be used."""


@dataclass(frozen=True, slots=True)
class ClientCertificates:
    """
    The certificates that a server accepts.

    :ivar authorities: those that have to have signed them; none: clients need no certificate.
    :ivar revoked: lists of certificates that are revoked (CRLs, RFC 5280, section 5), each of one of the authorities.
    """

    authorities: tuple[x509.Certificate, ...] = ()
    revoked: tuple[RevokedList, ...] = ()

    @property
    def count(self) -> int:
        """The number of certificates that are revoked."""
        return sum(len(each.numbers) for each in self.revoked)

    @property
    def trusted(self) -> tuple[x509.Certificate, ...]:
        """The authorities that are not revoked themselves, by others among them."""
        return (
            tuple(each for each in self.authorities if not self._isListed(each)) if self.revoked else self.authorities
        )

    def isRevoked(self, chain: Sequence[X509]) -> bool:
        """Return whether a certificate, or one of those that were received with it, is in a list, or cannot be read."""
        if not self.revoked:
            return False
        try:
            with silenced():
                return any(self._isListed(each.to_cryptography()) for each in chain)
        except ODD:
            return True

    def isOld(self, now: datetime) -> bool:
        """Return whether a newer version of a list should be there."""
        return any(_hasExpired(each.content, now) for each in self.revoked)

    def _isListed(self, certificate: x509.Certificate) -> bool:
        try:
            number, issuer = certificate.serial_number, certificate.issuer
        except ODD:
            return True
        return any(number in each.numbers and each.content.issuer == issuer for each in self.revoked)


#: Clients need no certificate.
ANY_CLIENT: Final = ClientCertificates()


def readClientCertificates(authorities: Path | None, revoked: Path | None) -> ClientCertificates:
    """
    Read the files about the certificates of clients.

    :param authorities: a PEM file with authorities; None: clients need no certificate.
    :param revoked: a PEM file with lists of revoked certificates; None: there is none.
    :raises BadCredentials: when one of them cannot be used.
    """
    if authorities is None:
        return ANY_CLIENT
    found = readAuthorities(authorities)
    return ClientCertificates(found, () if revoked is None else readRevoked(revoked, found))


def readRevoked(
    path: Path, authorities: Sequence[x509.Certificate], now: datetime | None = None
) -> tuple[RevokedList, ...]:
    """
    Read lists of revoked certificates.

    A list from the future is accepted: the clock of its authority may be ahead of ours.

    :param path: a PEM file with lists.
    :param authorities: those that may have signed them.
    :param now: the current time; None: that of the system.
    :raises BadLists: when there is no list; when one of them is damaged, has expired, or is of another authority;
        when another user may write the file.
    """
    try:
        pem = readPrivate(path, SETTINGS, _LONGEST + 1)
    except NotPrivate as e:
        raise BadLists(f"{path} {e}") from None
    except OSError as e:
        raise BadLists(f"{path} cannot be read: {e.strerror}") from None
    if len(pem) > _LONGEST:
        raise BadLists(f"{path} has more than {_LONGEST >> 20} MiB: leave out certificates that have expired")
    blocks = _BLOCK.findall(pem)
    if pem.count(_BEGIN) > len(blocks):
        raise BadLists(f"{path} ends within a list of revoked certificates: write the file again")
    if not blocks:
        raise BadLists(f"{path} has no list of revoked certificates: {_FORM}")
    return tuple(_readList(path, block, authorities, now or datetime.now(UTC)) for block in blocks)


def _readList(path: Path, block: bytes, authorities: Sequence[x509.Certificate], now: datetime) -> RevokedList:
    try:
        with silenced():
            found = x509.load_pem_x509_crl(block)
            numbers = frozenset(each.serial_number for each in found)
            name = found.issuer.rfc4514_string()
            signed = any(_hasSigned(each, found) for each in authorities)
            partial = [each.oid.dotted_string for each in found.extensions if each.critical]
    except ODD:
        raise BadLists(f"{path} has a damaged list of revoked certificates: write the file again") from None
    if not signed:
        raise BadLists(
            f"{path} has a list of {name}, and no authority of that name in the file of --tls-client-ca has signed it: "
            "add the authority there, or leave the list out"
        )
    if partial:
        raise BadLists(
            f"{path}: the list of {name} does not have all certificates that are revoked (critical extension "
            f"{partial[0]}): give a complete one"
        )
    if _hasExpired(found, now):
        raise BadLists(
            f"{path}: the list of {name} has expired at {found.next_update_utc:%Y-%m-%d %H:%M} UTC: get a newer one of "
            "that authority"
        )
    return RevokedList(found, numbers)


def _hasSigned(authority: x509.Certificate, revoked: x509.CertificateRevocationList) -> bool:
    if authority.subject != revoked.issuer:
        return False
    try:
        return revoked.is_signature_valid(cast(CertificateIssuerPublicKeyTypes, authority.public_key()))
    except ODD:
        return False


def _hasExpired(revoked: x509.CertificateRevocationList, now: datetime) -> bool:
    end = revoked.next_update_utc
    return end is not None and end <= now
