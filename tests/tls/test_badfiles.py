"""Files of keys and certificates that cannot be used; the errors say what would be right."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric import dsa, x448, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from bore.tls.certificates import (
    BadCredentials,
    readCertificates,
    readCredentials,
)
from tests.certificates import Authority, selfSigned
from tests.tls.test_certificates import FileTestCase, asPem, keyPem
from tests.wire.strategies import UNHURRIED

#: prime256v1 as an object identifier, in DER, and one that no curve has.
P256: Final = bytes.fromhex("06082a8648ce3d030107")
NOWHERE: Final = bytes.fromhex("06082a8648ce3d03017f")


class BadTests(FileTestCase):
    """Each mistake has a text."""

    def test_aFileThatCannotBeRead(self) -> None:
        missing = self.folder / "missing"
        self.assertBad(missing, self.key, f"{missing} cannot be read: No such file or directory")
        self.assertBad(self.certificate, missing, f"{missing} cannot be read: No such file or directory")
        self.assertBad(self.folder, self.key, f"{self.folder} cannot be read: Is a directory")

    def test_aFileWithoutACertificate(self) -> None:
        der = self.identity.certificate.public_bytes(Encoding.DER)
        for content in (b"", b"junk", self.identity.keyPem, der, asPem("CERTIFICATE", der[:-1]), b"\xff\0" * 99):
            path = self.file(content)
            words = f"{path} has no certificate: give a PEM file with BEGIN CERTIFICATE in it"
            self.assertBad(path, self.key, words)
            self.assertEqual(str(self.assertRaises(BadCredentials, readCertificates, path)), words)

    def test_aFileWithoutAKey(self) -> None:
        public = self.identity.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        for content in (b"", b"junk", self.identity.pem, public, asPem("PRIVATE KEY", b"junk"), b"\xff\0" * 99):
            path = self.file(content)
            words = f"{path} has no private key: give a PEM file with BEGIN PRIVATE KEY in it"
            self.assertBad(self.certificate, path, words)

    def test_aKeyWithAPassphrase(self) -> None:
        for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
            path = self.file(keyPem(self.identity.key, form, BestAvailableEncryption(b"word")))
            words = f"{path} has a passphrase, which no one can enter at a start: store it without"
            self.assertBad(self.certificate, path, words)

    def test_aKeyThatCannotSign(self) -> None:
        keys = (x25519.X25519PrivateKey.generate(), x448.X448PrivateKey.generate(), dsa.generate_private_key(2048))
        for key in keys:
            path = self.file(keyPem(key))
            kinds = "give one of ECDSA (P-256, P-384 or P-521), Ed25519, Ed448 or RSA (2048 bits or more)"
            words = f"{path} has a key that cannot sign: {kinds}"
            self.assertBad(self.certificate, path, words)

    def test_aKeyOfAnotherCertificate(self) -> None:
        path = self.file(selfSigned("tunnel.example").keyPem)
        words = f"{path} is not the key of the first certificate in {self.certificate}: give its key"
        self.assertBad(self.certificate, path, words)

    def test_aChainThatBeginsWithAnotherCertificate(self) -> None:
        identity = Authority().issue("tunnel.example")
        authority = Authority().identity.pem
        chain = self.file(authority + identity.pem)
        key = self.file(identity.keyPem, "its.key")
        self.assertBad(chain, key, f"{key} is not the key of the first certificate in {chain}: give its key")

    def test_aCertificateOnAnUnknownCurve(self) -> None:
        der = self.identity.certificate.public_bytes(Encoding.DER).replace(P256, NOWHERE)
        path = self.file(asPem("CERTIFICATE", der))
        self.assertRaises(BadCredentials, readCredentials, path, self.key)

    def test_aCertificateWithAnInvalidKey(self) -> None:
        point = self.identity.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        der = self.identity.certificate.public_bytes(Encoding.DER).replace(point, b"\4" + b"\1" * 64)
        path = self.file(asPem("CERTIFICATE", der))
        self.assertRaises(BadCredentials, readCredentials, path, self.key)

    def test_aKeyOnAnUnknownCurve(self) -> None:
        der = self.identity.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        path = self.file(asPem("PRIVATE KEY", der.replace(P256, NOWHERE)))
        self.assertRaises(BadCredentials, readCredentials, self.certificate, path)

    @UNHURRIED
    @given(st.booleans(), st.lists(st.tuples(st.integers(0), st.binary(max_size=3)), min_size=1, max_size=3))
    def test_aDamagedFileIsRefusedOrStillGood(self, ofKey: bool, damages: list[tuple[int, bytes]]) -> None:
        der = (
            self.identity.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
            if ofKey
            else self.identity.certificate.public_bytes(Encoding.DER)
        )
        for at, damage in damages:
            at %= len(der)
            der = der[:at] + damage + der[at + len(damage) :]
        damaged = self.file(asPem("PRIVATE KEY" if ofKey else "CERTIFICATE", der))
        try:
            read = readCredentials(*((self.certificate, damaged) if ofKey else (damaged, self.key)))
        except BadCredentials:
            return
        self.assertEqual(read.fingerprint, self.identity.fingerprint)
