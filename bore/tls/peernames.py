"""The names in a client's certificate."""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import NameOID

from bore.tls.certificates import ODD


def namesIn(certificate: bytes) -> tuple[str, ...]:
    """
    Return the names of the owner of a certificate: the DNS names and e-mail addresses among the alternative names of
    its subject, or its common names if there are none of these. A certificate that cannot be read has none.

    :param certificate: in DER.
    """
    try:
        return _names(x509.load_der_x509_certificate(certificate))
    except ODD:
        return ()


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    names: list[str] = []
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [*found.get_values_for_type(x509.DNSName), *found.get_values_for_type(x509.RFC822Name)]
    except x509.ExtensionNotFound:
        pass
    if not names:
        names = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return tuple(names)
