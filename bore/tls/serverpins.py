"""What clients can know a server by, from its files, while the server may not run."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509StoreContext, X509StoreContextError
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address

from bore.streams.addresses import asciiName, isLiteral
from bore.tls.certificates import ODD, BadCredentials, fingerprint, readCertificates, silenced
from bore.tls.servercertificate import nextFile, ownCertificate, ownFile
from bore.wire.pins import AUTHORITY


def serverPins(certificate: Path | None, folder: Path | None, host: str) -> tuple[str, ...]:
    """
    Return the pins of a server, with that of its next key. One with a certificate by an authority of the system is
    known by that, as a renewal changes the key of many.

    :param certificate: the file with its certificate; None: it has its own, which is made if there is none.
    :param folder: the server's state directory; None: there is none.
    :param host: the server's name.
    :raises BadCredentials: when the files cannot be used.
    """
    if certificate is not None:
        chain = readCertificates(certificate)
        return (AUTHORITY if _isPublic(chain, host) else _fingerprint(chain[0], certificate),)
    own = None if folder is None else ownFile(folder)
    if own is None or not own.exists():
        own = ownCertificate(folder)
    following = nextFile(own.parent)
    return tuple(_fingerprint(readCertificates(each)[0], each) for each in (own, following) if each.exists())


def _fingerprint(certificate: x509.Certificate, path: Path) -> str:
    try:
        return fingerprint(certificate)
    except ODD:
        raise BadCredentials(f"{path} has a certificate for a key of an unknown kind") from None


def _isPublic(chain: tuple[x509.Certificate, ...], host: str) -> bool:
    """Whether an authority of the system has signed a certificate, for this name."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_default_verify_paths()
    store = context.get_cert_store()
    assert store is not None
    try:
        with silenced():
            certificates = [X509.from_cryptography(each) for each in chain]
            X509StoreContext(store, certificates[0], certificates[1:]).verify_certificate()
            if isLiteral(host):
                verify_certificate_ip_address(chain[0], host.partition("%")[0])
            else:
                verify_certificate_hostname(chain[0], asciiName(host.removesuffix(".")))
    except (X509StoreContextError, VerificationError, CertificateError, *ODD):
        return False
    return True
