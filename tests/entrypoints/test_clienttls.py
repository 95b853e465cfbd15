"""The client's options for TLS."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from twisted.trial.unittest import SynchronousTestCase

from bore.client.settings import ClientSettings, ServerAddress
from bore.commandline import UsageError
from bore.options.client import clientCommand
from tests.certificates import Authority, selfSigned
from tests.support import temporaryFolder
from tests.tls.test_tlsoffers import signed


def local(*words: str, **environment: str) -> ClientSettings:
    return clientCommand("bore local").parse(["80", *words], environment).settings


class ClientOptionsCase(SynchronousTestCase):
    """Parses command lines of the client, and makes files for them."""

    def setUp(self) -> None:
        self.folder = temporaryFolder(self)

    def file(self, name: str, content: bytes) -> str:
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(0o600)
        return str(path)

    def assertUsageError(self, text: str, *words: str, **environment: str) -> None:
        error = str(self.assertRaises(UsageError, local, *words, **environment))
        self.assertIn(text, error)
        self.assertNotIn("\n", error)


class ServerTests(ClientOptionsCase):
    """--to and --tls."""

    def test_theSchemeOrTheFlagHasTlsSpoken(self) -> None:
        for words in (["-t", "tls://a.example"], ["-t", "a.example", "--tls"], ["-t", "tls://a.example", "--tls"]):
            settings = local(*words)
            self.assertIsNotNone(settings.tls, words)
            self.assertEqual(settings.servers, (ServerAddress("a.example", 7835),))
        self.assertIsNone(local("-t", "a.example").tls)
        self.assertIsNotNone(local(BORE_SERVER="tls://a.example").tls)

    def test_portsAndAddressesAreWrittenAsEver(self) -> None:
        for text, address in (
            ("tls://a.example:443", ServerAddress("a.example", 443)),
            ("tls://192.0.2.1", ServerAddress("192.0.2.1", 7835)),
            ("tls://[2001:db8::1]:443", ServerAddress("2001:db8::1", 443)),
            ("tls://2001:db8::1", ServerAddress("2001:db8::1", 7835)),
        ):
            self.assertEqual(local("-t", text).servers, (address,))
        self.assertEqual(local("-t", "tls://a.example", "--control-port", "443").servers[0].port, 443)

    def test_whatIsNoServerIsSaid(self) -> None:
        for text in ("https://a.example", "TLS://a.example", "tls://tls://a.example"):
            self.assertUsageError("must be a server, such as example.com or tls://example.com:7835", "-t", text)
        for text in ("tls://", "tls://:7835", "tls://a.example:", "tls://a.example:0", "tls://a.example/path"):
            self.assertUsageError("--to", "-t", text)

    def test_serversWithAndWithoutAreNotMixed(self) -> None:
        text = "--to names servers with and without tls://: add it to all of them"
        self.assertUsageError(text, "-t", "tls://a.example", "-t", "b.example")
        self.assertUsageError(text, BORE_SERVER="a.example,tls://b.example")
        both = local("-t", "tls://a.example", "-t", "b.example", "--tls")
        self.assertIsNotNone(both.tls)
        self.assertUsageError("twice", "-t", "tls://a.example", "-t", "a.example", "--tls")

    def test_whatIsForTlsNeedsIt(self) -> None:
        for name in ("--tls-ca", "--tls-fingerprint", "--tls-cert", "--tls-key"):
            value = selfSigned().fingerprint if name == "--tls-fingerprint" else self.file("any", b"")
            self.assertUsageError(
                f"{name} has no effect without TLS: add --tls or --to tls://HOST", "-t", "a", name, value
            )

    def test_nothingTurnsVerificationOff(self) -> None:
        for name in ("--insecure", "--tls-insecure", "--no-verify", "--tls-no-verify", "--no-tls-verify"):
            self.assertUsageError(name, "-t", "tls://a", name)

    def test_keysAreRememberedWhateverNoStateSays(self) -> None:
        for words in ((), ("--no-state",)):
            tls = local("-t", "tls://a.example", *words).tls
            assert tls is not None and tls.knownServers is not None
            self.assertEqual(tls.knownServers.name, "known_servers")


class TrustTests(ClientOptionsCase):
    """--tls-ca and --tls-fingerprint."""

    def test_theyAreReadAtOnce(self) -> None:
        authority, key = Authority(), selfSigned().fingerprint
        tls = local("-t", "tls://a", "--tls-ca", authority.write(self.folder)).tls
        assert tls is not None
        self.assertEqual(tls.authorities, (authority.identity.certificate,))
        tls = local("-t", "tls://a", "--tls-fingerprint", key).tls
        assert tls is not None
        self.assertEqual((tls.fingerprint, tls.authorities), (key, None))

    def test_oneOfThemIsEnough(self) -> None:
        ca = Authority().write(self.folder)
        self.assertUsageError(
            "--tls-ca and --tls-fingerprint exclude each other",
            *("-t", "tls://a", "--tls-ca", ca, "--tls-fingerprint", selfSigned().fingerprint),
        )

    def test_aFileThatIsOfNoUseIsNamed(self) -> None:
        missing = str(self.folder / "missing")
        self.assertUsageError(f"--tls-ca: {missing} cannot be read", "-t", "tls://a", "--tls-ca", missing)
        self.assertUsageError("is a directory", "-t", "tls://a", "--tls-ca", str(self.folder))
        damaged = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        for content in (b"", b"\xff\0", selfSigned().keyPem, damaged):
            path = self.file("no.crt", content)
            what = "a damaged" if content == damaged else "no"
            self.assertUsageError(f"--tls-ca: {path} has {what} certificate", "-t", "tls://a", "--tls-ca", path)
        self.assertUsageError("must be the name of a file", "-t", "tls://a", "--tls-ca", "")

    def test_aFingerprintHasOneForm(self) -> None:
        good = selfSigned().fingerprint
        for text in (good[7:], good + "=", good[:-1], good.lower(), "SHA1:" + good[7:], good[:-1] + "!", "", "ab:cd"):
            self.assertUsageError(
                "must be a fingerprint as 'bore server --tls' prints it", "-t", "tls://a", "--tls-fingerprint", text
            )


class CredentialsTests(ClientOptionsCase):
    """--tls-cert and --tls-key."""

    def assertRefused(self, text: str, certificate: str, key: str) -> None:
        self.assertUsageError(text, "-t", "tls://a", "--tls-cert", certificate, "--tls-key", key)

    def test_theyBelongTogether(self) -> None:
        certificate, key = selfSigned().write(self.folder)
        _, other = selfSigned().write(self.folder, "other")
        for words in (("--tls-cert", certificate), ("--tls-key", key)):
            self.assertUsageError(
                "--tls-cert and --tls-key need each other: give both or none", "-t", "tls://a", *words
            )
        self.assertRefused(f"{other} is not the key of the first certificate in {certificate}", certificate, other)
        tls = local("-t", "tls://a", "--tls-cert", certificate, "--tls-key", key).tls
        assert tls is not None and tls.credentials is not None

    def test_filesThatAreOfNoUseAreNamed(self) -> None:
        identity = selfSigned()
        certificate, key = identity.write(self.folder)
        missing = str(self.folder / "missing")
        self.assertRefused(f"{missing} cannot be read", missing, key)
        self.assertRefused(f"{missing} cannot be read", certificate, missing)
        self.assertRefused("has no certificate", key, key)
        self.assertRefused("has no private key", certificate, certificate)

    def test_keysThatAreOfNoUseAreSaid(self) -> None:
        identity = selfSigned()
        certificate, _ = identity.write(self.folder)
        locked = identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hush"))
        self.assertRefused("has a passphrase", certificate, self.file("locked.key", locked))
        other = x25519.X25519PrivateKey.generate()
        pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.assertRefused("cannot sign", certificate, self.file("x25519.key", pem))
        cut = identity.keyPem[:60] + b"\n-----END PRIVATE KEY-----\n"
        for content in (b"", b"\xff" * 50, identity.keyPem[:80], cut):
            path = self.file("damaged.key", content)
            self.assertRefused(f"{path} has no private key", certificate, path)

    def test_aKeyThatOpenSSLRefusesIsSaidBeforeAnythingIsTried(self) -> None:
        key = rsa.generate_private_key(65537, 1024)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        [certificate] = signed(key).chain
        path = self.file("short.pem", pem + certificate.public_bytes(Encoding.PEM))
        self.assertRefused("rejects this certificate, or its key: ee key too small: give one of", path, path)

    def test_bothMayBeInOneFile(self) -> None:
        identity = selfSigned()
        path = self.file("both.pem", identity.keyPem + identity.pem)
        tls = local("-t", "tls://a", "--tls-cert", path, "--tls-key", path).tls
        assert tls is not None and tls.credentials is not None
        self.assertEqual(tls.credentials.fingerprint, identity.fingerprint)
        self.assertTrue(Path(path).exists())
