"""The key and the certificate that a server shows."""

from __future__ import annotations

import os
import signal
import ssl
import stat
import subprocess
import time
from pathlib import Path

from cryptography import x509

from tests.certificates import Authority, Identity
from tests.processes.case import count
from tests.processes.tlscase import TlsCase, hello, keyOf
from tests.support import Program, bore, eventually, temporaryFolder


class OwnKeyTests(TlsCase):
    """The key that the server makes itself."""

    def setUp(self) -> None:
        super().setUp()
        self.file = self.serverHome / "txbore" / "tls.pem"

    def failing(self, home: Path | None = None) -> str:
        """The error of a server that does not start."""
        environment = {"XDG_STATE_HOME": str(home or self.serverHome)}
        words = ("--bind-addr", self.host, "--control-port", "0", "--tls")
        server = self.start(bore("server", *words, environment=environment))
        self.assertEqual(server.wait(), 1, server.transcript())
        self.assertEqual((server.out, len(server.err)), ([], 1), server.transcript())
        return server.err[0]

    def test_itIsMadeOnceForTheUsersEyesOnlyAndPrintedAtEveryStart(self) -> None:
        first, port = self.tlsServer()
        with hello(self.host, port) as peer:
            shown = peer.getpeercert(binary_form=True)
        assert shown is not None
        certificate = x509.load_der_x509_certificate(shown)
        self.assertIn(keyOf(first), first.out[0])
        self.assertEqual(stat.S_IMODE(self.file.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.file.parent.stat().st_mode), 0o700)
        self.assertEqual(os.listdir(self.file.parent), ["tls.pem"])
        content = self.file.read_bytes()
        self.assertEqual(x509.load_pem_x509_certificate(content), certificate)
        first.kill()
        second, _ = self.tlsServer()
        self.assertEqual((keyOf(second), self.file.read_bytes()), (keyOf(first), content))

    def test_serversThatStartTogetherHaveOneKey(self) -> None:
        words = ("server", "--bind-addr", self.host, "--control-port", "0", "--tls")
        environment = {"XDG_STATE_HOME": str(self.serverHome)}
        servers = [self.start(bore(*words, environment=environment)) for _ in range(3)]
        self.assertEqual(len({keyOf(server) for server in servers}), 1)
        self.assertEqual(os.listdir(self.file.parent), ["tls.pem"])

    def test_aDamagedOneIsNotReplaced(self) -> None:
        self.tlsServer()[0].kill()
        whole = self.file.read_bytes()
        self.file.write_bytes(whole[: len(whole) // 3])
        self.assertIn(str(self.file), self.failing())
        self.assertEqual(self.file.read_bytes(), whole[: len(whole) // 3])

    def test_oneThatOthersMayReadIsNotUsed(self) -> None:
        self.tlsServer()[0].kill()
        self.file.chmod(0o640)
        said = self.failing()
        self.assertIn("is readable by its group", said)
        self.assertIn(f"chmod go= {self.file}", said)

    def test_withoutAPlaceForItTheServerDoesNotStart(self) -> None:
        home = temporaryFolder(self)
        (home / "txbore").write_text("a file")
        said = self.failing(home)
        self.assertIn(str(home / "txbore" / "tls.pem"), said)
        self.assertIn("give --tls-cert and --tls-key", said)

    def test_aFolderInItsPlaceIsNotUsed(self) -> None:
        self.file.mkdir(parents=True)
        said = self.failing()
        self.assertIn(str(self.file), said)
        self.assertNotIn("chmod", said, "a folder has nothing to do with rights")

    def test_aFolderThatCannotBeWrittenIsSaid(self) -> None:
        folder = self.serverHome / "txbore"
        folder.mkdir()
        if os.geteuid() == 0:
            if subprocess.run(["chattr", "+i", str(folder)], capture_output=True, check=False).returncode:
                self.skipTest("root may write everywhere, and there is no chattr here")
            self.addCleanup(subprocess.run, ["chattr", "-i", str(folder)], check=True)
        else:
            folder.chmod(0o500)
            self.addCleanup(folder.chmod, 0o700)
        said = self.failing()
        self.assertIn(str(self.file), said)
        self.assertIn("give --tls-cert and --tls-key", said)


class GivenCertificateTests(TlsCase):
    """--tls-cert and --tls-key."""

    def setUp(self) -> None:
        super().setUp()
        self.authority = Authority()
        self.ca = ("--tls-ca", self.authority.write(self.home))

    def shown(self, port: int) -> bytes:
        """The certificate that newcomers are shown."""
        with hello(self.host, port) as peer:
            return peer.getpeercert(binary_form=True) or b""

    def showsSoon(self, port: int, identity: Identity) -> None:
        """Newcomers are shown this certificate, or will be."""
        der = ssl.PEM_cert_to_DER_cert(identity.pem.decode())
        eventually(lambda: self.shown(port) == der, "the new certificate is shown")

    def renewable(self) -> tuple[Program, int]:
        return self.tlsServer(*self.authority.issue(self.host).options(self.serverHome))

    def test_aChainIsShownAsAWhole(self) -> None:
        between = Authority("In Between", above=self.authority)
        server, port = self.tlsServer(*between.issue(self.host).options(self.serverHome))
        client, public = self.tlsClient(port, *self.ca)
        self.assertServes(public)
        self.assertIn("signed by an authority of --tls-ca", client.waitFor("TLS with"))
        self.assertIn(keyOf(server), client.waitFor("TLS with"))
        self.assertFalse(self.pins.exists())
        self.assertFalse((self.serverHome / "txbore").exists(), "no key of its own")

    def test_newFilesAreTakenUpAndRunningSessionsGoOn(self) -> None:
        server, port = self.renewable()
        client, public = self.tlsClient(port, *self.ca)
        visitor = self.visitor(public)
        self.assertEchoes(visitor)
        renewed = self.authority.issue(self.host)
        renewed.write(self.serverHome)
        self.showsSoon(port, renewed)
        self.assertIn(renewed.fingerprint, server.waitFor("new TLS certificate"))
        self.assertEchoes(visitor)
        for waiting in [self.visitor(public) for _ in range(10)]:
            self.assertEchoes(waiting)
        self.assertEqual((count(client, "warn"), count(server, "is gone")), (0, 0))

    def test_sighupHasThemReadAtOnce(self) -> None:
        server, port = self.renewable()
        _, public = self.tlsClient(port, *self.ca)
        visitor = self.visitor(public)
        self.assertEchoes(visitor)
        renewed = self.authority.issue(self.host)
        renewed.write(self.serverHome)
        server.process.send_signal(signal.SIGHUP)
        self.assertIn(renewed.fingerprint, server.waitFor("new TLS certificate"))
        self.showsSoon(port, renewed)
        self.assertEchoes(visitor)
        server.process.send_signal(signal.SIGHUP)
        time.sleep(0.1)
        self.assertEqual(count(server, "new TLS certificate"), 1)

    def test_uselessNewFilesLeaveTheOldCertificateInUse(self) -> None:
        server, port = self.renewable()
        before = self.shown(port)
        stranger = self.authority.issue(self.host)
        (self.serverHome / "own.key").write_bytes(stranger.keyPem)
        server.process.send_signal(signal.SIGHUP)
        self.assertIn("is not the key of the first certificate", server.waitFor("stays as it was"))
        (self.serverHome / "own.crt").unlink()
        server.process.send_signal(signal.SIGHUP)
        self.assertIn("cannot be read", server.waitFor("stays as it was", after=1))
        self.assertEqual(self.shown(port), before)
        stranger.write(self.serverHome)
        self.showsSoon(port, stranger)

    def test_filesThatDoNotBelongTogetherAreWrongUsage(self) -> None:
        certificate, _ = self.authority.issue(self.host).write(self.serverHome)
        _, key = self.authority.issue(self.host).write(self.serverHome, "other")
        server = self.start(bore("server", "--tls", "--tls-cert", certificate, "--tls-key", key))
        self.assertEqual(server.wait(), 2)
        self.assertIn(f"{key} is not the key of the first certificate in {certificate}", server.err[0])
