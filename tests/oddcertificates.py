"""Certificates that OpenSSL reads and *cryptography* does not, or not without a complaint."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import Certificate
from OpenSSL import crypto

from tests.certificates import Identity

#: ecdsa-with-SHA256 (RFC 5758).
_SIGNED_WITH = bytes.fromhex("300a06082a8648ce3d040302")

_SEQUENCE, _BIT_STRING, _OCTET_STRING, _EXTENSIONS = 0x30, 0x03, 0x04, 0xA3

#: id-RSASSA-PSS without parameters, as an AlgorithmIdentifier (RFC 4055).
RSA_PSS = bytes.fromhex("300b06092a864886f70d01010a")

#: The fields of a TBSCertificate (RFC 5280, section 4.1).
VERSION, SERIAL, KEY, EXTENSIONS = 0, 1, 6, 7


def der(tag: int, content: bytes) -> bytes:
    """One value in DER."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def parts(value: bytes) -> Iterator[bytes]:
    """The values within a constructed value."""
    rest = content(value)
    while rest:
        size = len(rest) - len(_behind(rest))
        yield rest[:size]
        rest = rest[size:]


def content(value: bytes) -> bytes:
    """The content of a value."""
    head = 2 + (value[1] & 0x7F if value[1] & 0x80 else 0)
    return value[head : len(value) - len(_behind(value))]


def _behind(data: bytes) -> bytes:
    if data[1] & 0x80:
        count = data[1] & 0x7F
        return data[2 + count + int.from_bytes(data[2 : 2 + count], "big") :]
    return data[2 + data[1] :]


def changed(identity: Identity, change: Callable[[list[bytes]], None], signer: Identity | None = None) -> bytes:
    """
    A certificate in DER, changed and signed again.

    :param change: is given the fields of its TBSCertificate.
    :param signer: the key that signs it; None: its own.
    """
    fields = list(parts(identity.certificate.tbs_certificate_bytes))
    change(fields)
    return signed(der(_SEQUENCE, b"".join(fields)), (signer or identity).key)


def signed(tbs: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """A certificate in DER."""
    signature = key.sign(tbs, ec.ECDSA(hashes.SHA256()))
    return der(_SEQUENCE, tbs + _SIGNED_WITH + der(_BIT_STRING, b"\0" + signature))


def withVersion(number: int) -> Callable[[list[bytes]], None]:
    """Another version than 1 to 3."""

    def change(fields: list[bytes]) -> None:
        fields[VERSION] = der(0xA0, der(0x02, bytes([number])))

    return change


def withNegativeSerial(fields: list[bytes]) -> None:
    """A serial number that is below zero."""
    fields[SERIAL] = der(0x02, b"\x83\xe8")


def withTwice(fields: list[bytes]) -> None:
    """An extension that is there twice."""
    extensions = content(next(parts(fields[EXTENSIONS])))
    fields[EXTENSIONS] = der(_EXTENSIONS, der(_SEQUENCE, extensions * 2))


def withStrangeName(fields: list[bytes]) -> None:
    """A subjectAltName of an unused kind: ediPartyName."""
    names = der(_SEQUENCE, der(0xA5, der(0xA1, der(0x0C, b"x"))))
    extension = der(_SEQUENCE, bytes.fromhex("0603551d11") + der(_OCTET_STRING, names))
    fields[EXTENSIONS] = der(_EXTENSIONS, der(_SEQUENCE, extension))


def withGarbageNames(fields: list[bytes]) -> None:
    """A subjectAltName that is none."""
    extension = der(_SEQUENCE, bytes.fromhex("0603551d11") + der(_OCTET_STRING, b"\x01\x02"))
    fields[EXTENSIONS] = der(_EXTENSIONS, der(_SEQUENCE, extension))


def withUnknownKey(fields: list[bytes]) -> None:
    """A key of an unknown kind."""
    fields[KEY] = der(_SEQUENCE, bytes.fromhex("3005060355047f") + der(_BIT_STRING, b"\0\1\2\3"))


def forRsaPss(certificate: Certificate) -> bytes:
    """The SubjectPublicKeyInfo of a certificate's RSA key, as one that makes RSASSA-PSS signatures alone."""
    info = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    _, key = parts(info)
    return der(_SEQUENCE, RSA_PSS + key)


def readByOpenSSL(data: bytes) -> crypto.X509:
    """The certificate as OpenSSL reads it."""
    return crypto.load_certificate(crypto.FILETYPE_ASN1, data)


#: All of the kinds.
ODD = {
    "version 6": withVersion(5),
    "negative serial": withNegativeSerial,
    "an extension twice": withTwice,
    "a strange name": withStrangeName,
    "garbage names": withGarbageNames,
    "an unknown key": withUnknownKey,
}
