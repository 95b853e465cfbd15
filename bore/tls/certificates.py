"""Keys, certificates, and their files."""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID
from OpenSSL.crypto import FILETYPE_PEM, Error, load_certificate

from bore.system.namedfiles import openNamed, readNamed
from bore.system.privatefiles import GIVEN, SETTINGS, NotPrivate, readPrivate

#: More than any file of certificates, in bytes.
_LONGEST: Final = 1 << 20

#: The kinds of keys that are accepted, for errors.
KINDS: Final = "give one of ECDSA (P-256, P-384 or P-521), Ed25519, Ed448 or RSA (2048 bits or more)"

#: A key for RSASSA-PSS only (RFC 8017, appendix C). *cryptography* cannot hand one to OpenSSL.
_RSA_PSS: Final = x509.ObjectIdentifier("1.2.840.113549.1.1.10")

_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_BLOCK: Final = re.compile(_BEGIN + b".*?-----END CERTIFICATE-----", re.DOTALL)

#: What *cryptography* may raise for a certificate that OpenSSL has read without an error.
ODD: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)

#: The end of a certificate that has no well-defined end (RFC 5280, section 4.1.2.5).
_FOR_EVER: Final = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)

#: The begin of a certificate that is valid whatever the clocks of both ends say.
_FROM_EVER: Final = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)

Key: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey


class BadCredentials(Exception):
    """A key or a certificate cannot be used. The text says what would be right."""


class Credentials(NamedTuple):
    """
    The certificate of one end, and its key.

    :ivar key: the private key.
    :ivar chain: the certificate, and those above it.
    """

    key: Key
    chain: tuple[x509.Certificate, ...]

    @property
    def fingerprint(self) -> str:
        """See :func:`fingerprint`."""
        return fingerprint(self.chain[0])


def fingerprint(certificate: x509.Certificate) -> str:
    """The fingerprint of a certificate's key: SHA-256 of its SubjectPublicKeyInfo, in the form of ssh."""
    key = _public(certificate)
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def readCertificates(path: Path) -> tuple[x509.Certificate, ...]:
    """
    Read the certificates in a PEM file.

    :raises BadCredentials: when there are none.
    """
    try:
        with silenced():
            return tuple(x509.load_pem_x509_certificates(_read(path)))
    except ODD:
        raise BadCredentials(f"{path} has no certificate: give a PEM file with BEGIN CERTIFICATE in it") from None


def readAuthorities(path: Path) -> tuple[x509.Certificate, ...]:
    """
    Read the certificates of authorities in a PEM file, which may be the system's bundle.

    Certificates that OpenSSL can read and *cryptography* cannot are left out, if there are others: many bundles have
    one that is older than today's rules.

    :raises BadCredentials: when there are none, or one is damaged, or another user may write the file.
    """
    found = []
    try:
        pem = readPrivate(path, SETTINGS, _LONGEST)
    except NotPrivate as e:
        raise BadCredentials(f"{path} {e}") from None
    except OSError as e:
        raise BadCredentials(f"{path} cannot be read: {e.strerror}") from None
    for block in _BLOCK.findall(pem):
        try:
            with silenced():
                found.append(x509.load_pem_x509_certificate(block))
        except ODD:
            try:
                load_certificate(FILETYPE_PEM, block)
            except Error:
                raise BadCredentials(f"{path} has a damaged certificate: write the file again") from None
    if not found:
        raise BadCredentials(f"{path} has no certificate: give a PEM file with BEGIN CERTIFICATE in it")
    if pem.count(_BEGIN) > len(_BLOCK.findall(pem)):
        raise BadCredentials(f"{path} ends within a certificate: write the file again")
    return tuple(found)


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Read certificates without *cryptography*'s warnings about future releases: the user cannot change them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        yield


def readCredentials(certificates: Path, key: Path) -> Credentials:
    """
    Read a certificate, those above it, and its key.

    :param certificates: a PEM file; the end's own certificate is the first one.
    :param key: a PEM file.
    :raises BadCredentials: when there is no certificate, or no key without a passphrase; when they do not belong
        together; when another user may read or replace the key.
    """
    chain = readCertificates(certificates)
    try:
        presented = _public(chain[0])
        kind = chain[0].public_key_algorithm_oid
    except ODD:
        raise BadCredentials(f"{certificates} has a certificate for a key of an unknown kind: {KINDS}") from None
    if kind == _RSA_PSS:
        raise BadCredentials(f"{certificates} has a certificate for a key for RSASSA-PSS only: {KINDS}")
    try:
        private = load_pem_private_key(_readKey(key), None)
    except UnsupportedAlgorithm:
        raise BadCredentials(f"{key} has a key of an unknown kind: {KINDS}") from None
    except TypeError:
        raise BadCredentials(f"{key} has a passphrase, which no one can enter at a start: store it without") from None
    except ValueError:
        raise BadCredentials(f"{key} has no private key: give a PEM file with BEGIN PRIVATE KEY in it") from None
    if not isinstance(private, Key):
        raise BadCredentials(f"{key} has a key that cannot sign: {KINDS}")
    if private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != presented:
        raise BadCredentials(f"{key} is not the key of the first certificate in {certificates}: give its key")
    return Credentials(private, chain)


def makeSelfSigned(name: str) -> tuple[bytes, Credentials]:
    """
    Make a key (P-256) and a self-signed certificate.

    :param name: the common name in the certificate; it proves nothing.
    :returns: both as PEM, the key first; and as credentials.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM_EVER)
        .not_valid_after(_FOR_EVER)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem + certificate.public_bytes(Encoding.PEM), Credentials(key, (certificate,))


def _public(certificate: x509.Certificate) -> bytes:
    """The SubjectPublicKeyInfo of a certificate, in DER."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _read(path: Path) -> bytes:
    try:
        with openNamed(path) as file:
            return readNamed(path, file, _LONGEST)
    except OSError as e:
        raise BadCredentials(f"{path} cannot be read: {e.strerror}") from None


def _readKey(path: Path) -> bytes:
    try:
        return readPrivate(path, GIVEN, _LONGEST)
    except NotPrivate as e:
        if b"PRIVATE KEY" not in _read(path):
            return b""  # the wrong file was named: its mode does not matter
        raise BadCredentials(f"{path} {e}") from None
    except OSError as e:
        raise BadCredentials(f"{path} cannot be read: {e.strerror}") from None
