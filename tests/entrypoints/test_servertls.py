"""The server's options for TLS."""

from __future__ import annotations

import datetime

from twisted.trial.unittest import SynchronousTestCase

from bore.commandline import UsageError
from bore.events import Event
from bore.options.server import serverCommand
from bore.tls.settings import ServerTls
from tests.certificates import Authority, selfSigned
from tests.support import temporaryFolder

DAY = datetime.timedelta(days=1)


def tls(*words: str) -> ServerTls | None:
    return serverCommand("bore server").parse(list(words), {}).settings.tls


class ServerOptionsTests(SynchronousTestCase):
    """--tls, --tls-port, --tls-cert, --tls-key, --tls-client-ca, --tls-crl."""

    def setUp(self) -> None:
        self.folder = temporaryFolder(self)

    def assertUsageError(self, text: str, *words: str) -> None:
        error = str(self.assertRaises(UsageError, tls, *words))
        self.assertIn(text, error)
        self.assertNotIn("\n", error)

    def test_settingsCostNoMemoryForMethodsOfTheirOwn(self) -> None:
        command = serverCommand("bore server").parse(["--tls", "--workers", "1"], {})
        settings = command.settings
        assert settings.tls is not None and command.workers is not None
        values = command, settings, settings.bounds, settings.tls, command.log, command.workers
        self.assertEqual({vars(type(each))["__init__"] for each in values}, {vars(Event)["__init__"]})

    def test_withoutThemThereIsNone(self) -> None:
        self.assertIsNone(tls())

    def test_itIsOnTheControlPortOrOnOneOfItsOwn(self) -> None:
        first, second = tls("--tls"), tls("--tls-port", "7836")
        assert first is not None and second is not None
        self.assertEqual((first.port, second.port), (None, 7836))
        self.assertEqual((first.certificate, first.key, first.clients), (None, None, None))

    def test_whatIsWrongWithPortsIsSaid(self) -> None:
        self.assertUsageError("--tls and --tls-port exclude each other", "--tls", "--tls-port", "1")
        self.assertUsageError("--tls-port 7835 is the control port", "--tls-port", "7835")
        self.assertUsageError("--tls-port 9 is the control port", "--control-port", "9", "--tls-port", "9")
        self.assertIsNotNone(tls("--control-port", "0", "--tls-port", "0"))
        for text in ("65536", "-1", "x", ""):
            self.assertUsageError("--tls-port", "--tls-port", text)

    def test_whatIsForTlsNeedsIt(self) -> None:
        for name in ("--tls-cert", "--tls-key", "--tls-client-ca", "--tls-crl"):
            self.assertUsageError(f"{name} has no effect without TLS: add --tls or --tls-port", name, "any")

    def test_certificateAndKeyBelongTogether(self) -> None:
        certificate, key = selfSigned().write(self.folder)
        _, other = selfSigned().write(self.folder, "other")
        for words in (("--tls-cert", certificate), ("--tls-key", key)):
            self.assertUsageError("--tls-cert and --tls-key need each other: give both or none", "--tls", *words)
        self.assertUsageError(
            f"{other} is not the key of the first", "--tls", "--tls-cert", certificate, "--tls-key", other
        )
        settings = tls("--tls-port", "0", "--tls-cert", certificate, "--tls-key", key)
        assert settings is not None
        self.assertEqual((str(settings.certificate), str(settings.key)), (certificate, key))

    def test_filesThatAreOfNoUseAreNamed(self) -> None:
        certificate, key = selfSigned().write(self.folder)
        missing = str(self.folder / "missing")
        self.assertUsageError(f"{missing} cannot be read", "--tls", "--tls-cert", missing, "--tls-key", key)
        self.assertUsageError(f"{missing} cannot be read", "--tls", "--tls-cert", certificate, "--tls-key", missing)
        self.assertUsageError("has no certificate", "--tls", "--tls-cert", key, "--tls-key", key)
        self.assertUsageError(f"--tls-client-ca: {missing} cannot be read", "--tls", "--tls-client-ca", missing)
        self.assertUsageError(f"--tls-client-ca: {key} has no certificate", "--tls", "--tls-client-ca", key)
        settings = tls("--tls", "--tls-client-ca", Authority().write(self.folder))
        assert settings is not None and settings.clients is not None

    def test_listsOfRevokedCertificatesNeedTheAuthoritiesThatHaveSignedThem(self) -> None:
        authority, revoked = Authority(), self.folder / "revoked.pem"
        words: tuple[str, ...] = ("--tls", "--tls-crl", str(revoked))
        self.assertUsageError("--tls-crl has no effect without --tls-client-ca", *words)
        words += "--tls-client-ca", authority.write(self.folder)
        self.assertUsageError(f"--tls-crl: {revoked} cannot be read", *words)
        revoked.write_bytes(Authority("Other").revoke())
        self.assertUsageError(f"--tls-crl: {revoked} has a list of CN=Other, and no authority", *words)
        revoked.write_bytes(authority.revoke(begins=-2 * DAY, ends=-DAY))
        self.assertUsageError(f"--tls-crl: {revoked}: the list of CN=Test Authority has expired at", *words)
        revoked.write_bytes(authority.revoke())
        settings = tls(*words)
        assert settings is not None
        self.assertEqual(settings.revoked, revoked)
