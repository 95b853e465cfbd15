"""Keys and certificates in files."""

from __future__ import annotations

import base64
import hashlib
import warnings
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from twisted.trial.unittest import SynchronousTestCase

from bore.tls.certificates import (
    BadCredentials,
    Credentials,
    fingerprint,
    makeSelfSigned,
    readAuthorities,
    readCertificates,
    readCredentials,
)
from bore.tls.contexts import clientContext, serverContext
from bore.wire.pins import isFingerprint
from tests.certificates import Authority, selfSigned
from tests.oddcertificates import KEY, ODD, changed, forRsaPss
from tests.support import temporaryFolder
from tests.tls.test_tlsoffers import signed

#: prime256v1 as an object identifier, in DER.
P256: Final = bytes.fromhex("06082a8648ce3d030107")


def keyPem(
    key: PrivateKeyTypes,
    form: PrivateFormat = PrivateFormat.PKCS8,
    encryption: KeySerializationEncryption | None = None,
) -> bytes:
    """A private key as PEM."""
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption())


def asPem(label: str, der: bytes) -> bytes:
    """Bytes as PEM."""
    return f"-----BEGIN {label}-----\n".encode() + base64.encodebytes(der) + f"-----END {label}-----\n".encode()


class FileTestCase(SynchronousTestCase):
    """A test with files."""

    def setUp(self) -> None:
        self.folder = temporaryFolder(self)
        self.identity = selfSigned("tunnel.example")
        self.certificate = self.file(self.identity.pem, "own.crt")
        self.key = self.file(self.identity.keyPem, "own.key")

    def file(self, content: bytes, name: str = "file.pem") -> Path:
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(0o600)
        return path

    def assertBad(self, certificate: Path, key: Path, words: str) -> None:
        error = self.assertRaises(BadCredentials, readCredentials, certificate, key)
        self.assertEqual(str(error), words)


class ReadTests(FileTestCase):
    """Files that can be used."""

    def test_aCertificateAndItsKeyAreRead(self) -> None:
        credentials = readCredentials(self.certificate, self.key)
        self.assertEqual(credentials.chain, self.identity.chain)
        self.assertEqual(keyPem(credentials.key), self.identity.keyPem)
        serverContext(credentials)

    def test_everyKindOfKeyThatSignsIsRead(self) -> None:
        for key in (
            *(ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)),
            *(ed25519.Ed25519PrivateKey.generate(), ed448.Ed448PrivateKey.generate()),
        ):
            credentials = signed(key)
            certificate = self.file(credentials.chain[0].public_bytes(Encoding.PEM))
            self.assertEqual(readCredentials(certificate, self.file(keyPem(key), "its.key")).chain, credentials.chain)

    def test_theOldFormsOfKeysAreReadToo(self) -> None:
        old = self.file(keyPem(self.identity.key, PrivateFormat.TraditionalOpenSSL))
        self.assertIn(b"BEGIN EC PRIVATE KEY", old.read_bytes())
        self.assertEqual(readCredentials(self.certificate, old).chain, self.identity.chain)
        # what 'openssl ecparam -genkey' writes
        parameters = self.file(asPem("EC PARAMETERS", P256) + old.read_bytes())
        self.assertEqual(readCredentials(self.certificate, parameters).chain, self.identity.chain)

    def test_bothMayBeInOneFileInAnyOrder(self) -> None:
        for content in (self.identity.keyPem + self.identity.pem, self.identity.pem + self.identity.keyPem):
            both = self.file(content)
            self.assertEqual(readCredentials(both, both).chain, self.identity.chain)

    def test_aChainIsReadInItsOrder(self) -> None:
        identity = Authority("Below", Authority()).issue("tunnel.example")
        chain = self.file(b"some text\n" + identity.pem.replace(b"-----BEGIN", b"more\n-----BEGIN"))
        self.assertEqual(len(identity.chain), 2)
        self.assertEqual(readCertificates(chain), identity.chain)
        self.assertEqual(readCredentials(chain, self.file(identity.keyPem, "its.key")).chain, identity.chain)

    def test_aSelfSignedCertificateIsWrittenAndReadBack(self) -> None:
        pem, credentials = makeSelfSigned("bore server")
        both = self.file(pem)
        read = readCredentials(both, both)
        self.assertEqual((read.chain, read.fingerprint), (credentials.chain, credentials.fingerprint))
        self.assertTrue(pem.startswith(b"-----BEGIN PRIVATE KEY-----\n"))
        certificate = credentials.chain[0]
        self.assertEqual(certificate.subject.rfc4514_string(), "CN=bore server")
        self.assertEqual((certificate.not_valid_before_utc.year, certificate.not_valid_after_utc.year), (2000, 9999))
        certificate.verify_directly_issued_by(certificate)
        self.assertNotEqual(makeSelfSigned("bore server")[1].fingerprint, credentials.fingerprint)


class FingerprintTests(SynchronousTestCase):
    """Fingerprints, which people compare."""

    def test_itIsTheHashOfTheKeyAsSshWritesIt(self) -> None:
        for identity in (selfSigned("a"), Authority().identity):
            der = identity.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            expected = "SHA256:" + base64.b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")
            self.assertEqual(fingerprint(identity.certificate), expected)
            self.assertEqual(Credentials(identity.key, identity.chain).fingerprint, expected)
            self.assertEqual(identity.fingerprint, expected)
            self.assertTrue(isFingerprint(expected))

    def test_anotherCertificateOfTheSameKeyHasTheSame(self) -> None:
        key = ed25519.Ed25519PrivateKey.generate()
        first, second = signed(key), signed(key)
        self.assertNotEqual(first.chain, second.chain)
        self.assertEqual(first.fingerprint, second.fingerprint)

    def test_otherTextsAreNotFingerprints(self) -> None:
        right = "SHA256:" + "a" * 42 + "A"
        self.assertTrue(isFingerprint(right))
        for wrong in (
            *("", "SHA256:", right[7:], right + "=", right + "a", right[:-1], " " + right, right + "\n"),
            *(right.replace("SHA256", "sha256"), right.replace("SHA256", "MD5"), right.replace("a", "-"), right * 2),
        ):
            self.assertFalse(isFingerprint(wrong), wrong)


class OddTests(SynchronousTestCase):
    """Certificates that break today's rules."""

    def setUp(self) -> None:
        self.path = temporaryFolder(self) / "file.pem"
        self.identity = selfSigned("tunnel.example")

    def write(self, *ders: bytes) -> Path:
        self.path.write_bytes(b"".join(asPem("CERTIFICATE", each) for each in ders))
        self.path.chmod(0o600)
        return self.path

    def test_aBundleWithAMalformedCertificateIsReadWithoutAWarning(self) -> None:
        good = self.identity.certificate
        odd = [changed(self.identity, change) for change in ODD.values()]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = readAuthorities(self.write(*odd, good.public_bytes(Encoding.DER)))
            self.assertIn(good, found)
            negative = readCertificates(self.write(changed(self.identity, ODD["negative serial"])))
            clientContext(negative)

    def test_aDamagedCertificateIsAnError(self) -> None:
        good = self.identity.certificate.public_bytes(Encoding.DER)
        self.write(good, good[:-9])
        error = str(self.assertRaises(BadCredentials, readAuthorities, self.path))
        self.assertIn(f"{self.path} has a damaged certificate", error)
        whole = self.write(good, good).read_bytes()
        for size in (len(whole) - 5, len(whole) // 2 + 60, len(whole) // 2 + 30):
            self.path.write_bytes(whole[:size])
            error = str(self.assertRaises(BadCredentials, readAuthorities, self.path))
            self.assertIn(f"{self.path} ends within a certificate", error)
        self.path.write_bytes(b"")
        self.assertIn("has no certificate", str(self.assertRaises(BadCredentials, readAuthorities, self.path)))
        self.write(changed(self.identity, ODD["version 6"]))
        self.assertIn("has no certificate", str(self.assertRaises(BadCredentials, readAuthorities, self.path)))

    def test_ownCertificatesThatAreMalformedAreAnError(self) -> None:
        key = self.path.with_name("its.key")
        key.write_bytes(self.identity.keyPem)
        key.chmod(0o600)
        for name, change in ODD.items():
            path = self.write(changed(self.identity, change))
            try:
                serverContext(readCredentials(path, key))
            except BadCredentials as e:
                self.assertIn(str(path), str(e), name)

    def test_aKeyForRsaPssOnlyIsRefused(self) -> None:
        key = rsa.generate_private_key(65537, 2048)
        holder = self.path.with_name("rsa.key")
        holder.write_bytes(keyPem(key))
        holder.chmod(0o600)
        plain = signed(key).chain[0]

        def change(fields: list[bytes]) -> None:
            fields[KEY] = forRsaPss(plain)

        path = self.write(changed(self.identity, change))
        error = str(self.assertRaises(BadCredentials, readCredentials, path, holder))
        self.assertIn(f"{path} has a certificate for a key for RSASSA-PSS only: give one of ECDSA", error)
