"""Keys and certificates, and what is offered and accepted in a TLS handshake."""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import os
import re
import stat
import warnings
from collections.abc import Iterator, Sequence
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
from OpenSSL import SSL
from OpenSSL.crypto import (
    FILETYPE_PEM,
    X509,
    Error,
    X509Store,
    X509StoreContext,
    X509StoreContextError,
    X509StoreFlags,
    load_certificate,
)

from bore.streams.files import Exposed, checkFolders, checkOwner

#: What is agreed on by ALPN (RFC 7301).
PROTOCOL: Final = b"bore/1"

#: More than any file of certificates.
_LONGEST: Final = 1 << 20

#: RFC 8446, section 4.2.3: the curves that have a signature scheme.
_CURVES: Final = ("secp256r1", "secp384r1", "secp521r1")

#: So much of what a client wants is worth a line in the log.
_MENTIONED: Final = 100

_KINDS: Final = "give one of ECDSA (P-256, P-384 or P-521), Ed25519, Ed448 or RSA (2048 bits or more)"

#: RFC 8017, appendix C: a key that makes no other signatures. *cryptography* has no way to hand one to OpenSSL.
_RSA_PSS: Final = x509.ObjectIdentifier("1.2.840.113549.1.1.10")

#: X509_VERIFY_PARAM_set_flags(3), X509_V_FLAG_NO_CHECK_TIME, for which pyOpenSSL has no name.
_NO_CHECK_TIME: Final = 0x200000

_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_BLOCK: Final = re.compile(_BEGIN + b".*?-----END CERTIFICATE-----", re.DOTALL)

#: What reading a certificate may raise that OpenSSL has read without a complaint.
ODD: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)

_FINGERPRINT: Final = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")

#: RFC 5280, section 4.1.2.5: a certificate without a well-defined end.
_FOR_EVER: Final = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)


Key: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey


class BadCredentials(Exception):
    """A key, or a certificate, that cannot be used. The text says what would be right."""


class WrongProtocol(Exception):
    """The client wants to speak something else inside TLS."""


class Credentials(NamedTuple):
    """
    What one end shows the other.

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
    """The key of a certificate, in short: SHA-256 of its SubjectPublicKeyInfo, in the form that ssh gives to keys."""
    key = _public(certificate)
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def isFingerprint(text: str) -> bool:
    """Whether a text has the form of a fingerprint."""
    return _FINGERPRINT.fullmatch(text) is not None


def readCertificates(path: Path) -> tuple[x509.Certificate, ...]:
    """
    Read the certificates in a PEM file.

    :raises BadCredentials: when there are none.
    """
    try:
        with silenced():
            return tuple(x509.load_pem_x509_certificates(_read(path)))
    except ODD:
        raise BadCredentials(f"{path} holds no certificate: give a PEM file with BEGIN CERTIFICATE in it") from None


def readAuthorities(path: Path) -> tuple[x509.Certificate, ...]:
    """
    Read the certificates of authorities in a PEM file, which may be the system's bundle.

    What OpenSSL can read and *cryptography* cannot is left out, if there are others: many bundles have one that is
    older than today's rules.

    :raises BadCredentials: when there are none, or one is damaged.
    """
    found = []
    pem = _read(path)
    for block in _BLOCK.findall(pem):
        try:
            with silenced():
                found.append(x509.load_pem_x509_certificate(block))
        except ODD:
            try:
                load_certificate(FILETYPE_PEM, block)
            except Error:
                raise BadCredentials(f"{path} holds a damaged certificate: write it anew") from None
    if not found:
        raise BadCredentials(f"{path} holds no certificate: give a PEM file with BEGIN CERTIFICATE in it")
    if pem.count(_BEGIN) > len(_BLOCK.findall(pem)):
        raise BadCredentials(f"{path} ends within a certificate: write it anew")
    return tuple(found)


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Read certificates without *cryptography*'s warnings of future releases: they are not ours to change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        yield


def readCredentials(certificates: Path, key: Path) -> Credentials:
    """
    Read a certificate, those above it, and its key.

    :param certificates: a PEM file; the end's own certificate is the first one.
    :param key: a PEM file.
    :raises BadCredentials: when there is no key without a passphrase, or no certificate, or they do not belong
        together; or when somebody else may read the key, or replace it.
    """
    chain = readCertificates(certificates)
    try:
        shown = _public(chain[0])
        kind = chain[0].public_key_algorithm_oid
    except ODD:
        raise BadCredentials(f"{certificates} has a certificate for a key of an unknown kind: {_KINDS}") from None
    if kind == _RSA_PSS:
        raise BadCredentials(f"{certificates} has a certificate for a key for RSASSA-PSS alone: {_KINDS}")
    try:
        private = load_pem_private_key(_read(key), None)
    except UnsupportedAlgorithm:
        raise BadCredentials(f"{key} holds a key of an unknown kind: {_KINDS}") from None
    except TypeError:
        raise BadCredentials(f"{key} has a passphrase, which nobody could give at a start: store it without") from None
    except ValueError:
        raise BadCredentials(f"{key} holds no private key: give a PEM file with BEGIN PRIVATE KEY in it") from None
    if not isinstance(private, Key):
        raise BadCredentials(f"{key} holds a key that signs nothing: {_KINDS}")
    if private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != shown:
        raise BadCredentials(f"{key} is not the key of the first certificate in {certificates}: give files of one pair")
    _checkSecret(key)
    return Credentials(private, chain)


def makeSelfSigned(name: str) -> tuple[bytes, Credentials]:
    """
    Make a key (P-256) and a certificate that nobody else has signed.

    :param name: what the certificate calls its holder; nobody should rely on it.
    :returns: both as PEM, the key first; and ready for use.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC))  # whatever the clock of either end says
        .not_valid_after(_FOR_EVER)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem + certificate.public_bytes(Encoding.PEM), Credentials(key, (certificate,))


def serverContext(credentials: Credentials, clients: Sequence[x509.Certificate] = ()) -> SSL.Context:
    """
    What a server offers and accepts: TLS 1.3, and by ALPN nothing but ours, if the client asks for anything.

    :param clients: who signs the certificates that clients have to show; nobody: they need none.
    :raises BadCredentials: when OpenSSL will not have them.
    """
    context = _newContext(credentials)
    context.set_alpn_select_callback(_choose)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET)  # to resume a session costs as much as to begin one
    if clients:
        _trust(context, clients)
        for authority in clients:
            context.add_client_ca(authority)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda _c, _x, _e, _d, ok: bool(ok))
    return context


def repeatedContext(credentials: Credentials | None = None) -> SSL.Context:
    """
    What a client offers to a server whose certificate it knows already. The handshake accepts every certificate, and
    does not look at it: to see that it is the same is left to the client.

    :param credentials: what is shown to a server that demands it.
    """
    context = _newContext(credentials)
    context.set_alpn_protos([PROTOCOL])
    context.set_verify(SSL.VERIFY_NONE)
    return context


def clientContext(
    authorities: Sequence[x509.Certificate] | None,
    credentials: Credentials | None = None,
) -> SSL.Context:
    """
    What a client offers. The handshake accepts every certificate, and notes what is wrong with the chain in the list
    that the connection has as its application data: to judge it is left to the client.

    :param authorities: who is trusted to sign certificates; None: those of the system.
    :param credentials: what is shown to a server that demands it.
    """
    context = repeatedContext(credentials)
    if authorities is None:
        context.set_default_verify_paths()
    else:
        _trust(context, authorities)

    def note(connection: SSL.Connection, _certificate: X509, error: int, _depth: int, ok: int) -> bool:
        if not ok:
            connection.get_app_data().append(error)
        return True

    context.set_verify(SSL.VERIFY_PEER, note)
    return context


def _newContext(credentials: Credentials | None) -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # an idle connection needs none
    if credentials is not None:
        if isinstance(credentials.key, ec.EllipticCurvePrivateKey) and credentials.key.curve.name not in _CURVES:
            raise BadCredentials(f"the certificate's key is of a curve that TLS 1.3 does not know: {_KINDS}")
        try:
            context.use_certificate(credentials.chain[0])
            for certificate in credentials.chain[1:]:
                context.add_extra_chain_cert(certificate)
            context.use_privatekey(credentials.key)
        except SSL.Error as e:
            why = ", ".join(detail[-1] for detail in e.args[0]) if e.args else "it does not say why"
            raise BadCredentials(f"OpenSSL refuses this certificate, or its key: {why}: {_KINDS}") from None
    return context


def _trust(context: SSL.Context, certificates: Sequence[x509.Certificate]) -> None:
    store = context.get_cert_store()
    assert store is not None
    store.set_flags(X509StoreFlags.PARTIAL_CHAIN)  # an authority need not be the highest one
    for certificate in certificates:
        store.add_cert(X509.from_cryptography(certificate))


def isSigned(certificate: X509, others: Sequence[X509], authorities: Sequence[x509.Certificate]) -> bool:
    """
    Whether one of these authorities has signed a certificate. Its dates are left out: they were looked at when it was
    shown.

    :param others: those that were shown with it.
    """
    store = X509Store()
    store.set_flags(X509StoreFlags.PARTIAL_CHAIN | _NO_CHECK_TIME)
    for authority in authorities:
        store.add_cert(X509.from_cryptography(authority))
    try:
        X509StoreContext(store, certificate, others).verify_certificate()
    except X509StoreContextError:
        return False
    return True


def _choose(_connection: SSL.Connection, offered: list[bytes]) -> bytes:
    """Agree on our own protocol: a client that wants another one is at the wrong port, or was led there."""
    if PROTOCOL in offered:
        return PROTOCOL
    wanted = b" ".join(offered)[:_MENTIONED].decode("ascii", "replace")
    raise WrongProtocol(f"the client wants {wanted!r}, and not bore/1")


def _public(certificate: x509.Certificate) -> bytes:
    """The SubjectPublicKeyInfo of a certificate, in DER."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST)
    except OSError as e:
        raise BadCredentials(f"{path} cannot be read: {e.strerror}") from None


def _checkSecret(path: Path) -> None:
    """Check who may read and replace a key. What its group may do is its owner's decision (ssl-cert, for instance)."""
    try:
        status = os.stat(path)
        if os.name == "posix" and stat.S_ISREG(status.st_mode):
            checkOwner(path, status)
            if status.st_mode & stat.S_IRWXO:
                raise BadCredentials(f"{path} holds a key, and every user of this machine may use it: chmod o= {path}")
            checkFolders(Path(os.path.realpath(path)).parent, groupMay=True)
    except Exposed as e:
        raise BadCredentials(str(e)) from None
    except OSError as e:
        raise BadCredentials(f"{path} cannot be read: {e.strerror}") from None
