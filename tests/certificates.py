"""Certificates for tests, self-signed and by authorities."""

from __future__ import annotations

import base64
import datetime
import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY: Final = datetime.timedelta(days=1)

_Extensions: TypeAlias = Sequence[tuple[x509.ExtensionType, bool]]


@dataclass(frozen=True)
class Identity:
    """
    A key, and its certificates.

    :ivar key: the private key.
    :ivar chain: its certificate, and those above it.
    """

    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...]

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate of the key."""
        return self.chain[0]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the SubjectPublicKeyInfo, as ssh writes it."""
        public = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return "SHA256:" + base64.b64encode(hashlib.sha256(public).digest()).decode().rstrip("=")

    @property
    def pem(self) -> bytes:
        """The chain."""
        return b"".join(each.public_bytes(Encoding.PEM) for each in self.chain)

    @property
    def keyPem(self) -> bytes:
        """The private key, without a passphrase."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def write(self, folder: Path, name: str = "own") -> tuple[str, str]:
        """
        Write both to files.

        :returns: the path of the certificates, and that of the key.
        """
        certificates, key = folder / f"{name}.crt", folder / f"{name}.key"
        certificates.write_bytes(self.pem)
        key.write_bytes(self.keyPem)
        key.chmod(0o600)
        return str(certificates), str(key)

    def options(self, folder: Path, name: str = "own") -> list[str]:
        """Write both to files, and name them on a command line."""
        certificates, key = self.write(folder, name)
        return ["--tls-cert", certificates, "--tls-key", key]


class Authority:
    """
    Signs certificates.

    :param above: the authority that signs its certificate; None: itself.
    """

    def __init__(self, name: str = "Test Authority", above: Authority | None = None) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        extensions = [(x509.BasicConstraints(ca=True, path_length=None), True)]
        if above is None:
            certificate = _sign(key, name, key, name, extensions=extensions)
            self.identity = Identity(key, (certificate,))
        else:
            self.identity = Identity(key, above._issue(key, name, extensions, -_DAY, _DAY))
        self._name = name
        self._above = above

    def issue(
        self,
        *names: str,
        begins: datetime.timedelta = -_DAY,
        ends: datetime.timedelta = _DAY,
        forClients: bool = False,
        forBoth: bool = False,
        named: bool = True,
    ) -> Identity:
        """
        Make a key, and sign its certificate.

        :param names: names and IP addresses that it is for.
        :param begins: from when it is valid, counted from now.
        :param ends: how long.
        :param forClients: whether it is for a client, and not for a server.
        :param forBoth: whether it is for either.
        :param named: whether its subject has a common name.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH] if forClients else [ExtendedKeyUsageOID.SERVER_AUTH]
        if forBoth:
            usages.append(ExtendedKeyUsageOID.CLIENT_AUTH)
        extensions: list[tuple[x509.ExtensionType, bool]] = [(x509.ExtendedKeyUsage(usages), False)]
        if names:
            extensions.append((x509.SubjectAlternativeName([_name(each) for each in names]), False))
        name = (names[0] if names else "nobody") if named else ""
        return Identity(key, self._issue(key, name, extensions, begins, ends))

    def revoke(
        self,
        *revoked: Identity,
        begins: datetime.timedelta = -_DAY,
        ends: datetime.timedelta = _DAY,
        extensions: _Extensions = (),
    ) -> bytes:
        """
        Sign a list of certificates that are revoked, and return it in PEM.

        :param begins: when it was made, counted from now.
        :param ends: when a newer one is to be there.
        """
        now = datetime.datetime.now(datetime.UTC)
        name = self.identity.certificate.subject
        builder = x509.CertificateRevocationListBuilder(name, now + begins, now + ends)
        for each in revoked:
            number = each.certificate.serial_number
            entry = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now + begins)
            builder = builder.add_revoked_certificate(entry.build())
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.identity.key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def write(self, folder: Path, name: str = "ca.crt") -> str:
        """Write the certificate to a file."""
        path = folder / name
        path.write_bytes(self.identity.certificate.public_bytes(Encoding.PEM))
        return str(path)

    def _issue(
        self,
        key: ec.EllipticCurvePrivateKey,
        name: str,
        extensions: _Extensions,
        begins: datetime.timedelta,
        ends: datetime.timedelta,
    ) -> tuple[x509.Certificate, ...]:
        certificate = _sign(key, name, self.identity.key, self._name, begins, ends, extensions)
        return certificate, *(() if self._above is None else self.identity.chain)


def selfSigned(*names: str) -> Identity:
    """A key with a self-signed certificate, as a server makes it."""
    key = ec.generate_private_key(ec.SECP256R1())
    extensions = [(x509.SubjectAlternativeName([_name(each) for each in names]), False)] if names else []
    return Identity(key, (_sign(key, "alone", key, "alone", extensions=extensions),))


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _sign(
    key: ec.EllipticCurvePrivateKey,
    subject: str,
    signer: ec.EllipticCurvePrivateKey,
    issuer: str,
    begins: datetime.timedelta = -_DAY,
    ends: datetime.timedelta = _DAY,
    extensions: _Extensions = (),
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    name = [x509.NameAttribute(NameOID.COMMON_NAME, subject)] if subject else []
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(name))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(signer, hashes.SHA256())
