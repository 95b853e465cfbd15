"""Trust on first use, and the file that it is written to."""

from __future__ import annotations

import os
import signal
import subprocess

from tests.certificates import selfSigned
from tests.ports import loopbackHost
from tests.processes.case import complaints, count
from tests.processes.tlscase import SECRET, TlsCase, keyOf
from tests.support import temporaryFolder


class PinTests(TlsCase):
    """A server with a self-signed certificate."""

    def setUp(self) -> None:
        super().setUp()
        self.bore, self.control = self.tlsServer()
        self.key = keyOf(self.bore)
        self.line = f"{self.host}:{self.control} {self.key}\n"

    def test_itIsTrustedOnFirstUseWhichIsSaidWithItsKeyAndKnownFromThenOn(self) -> None:
        client, port = self.tlsClient(self.control)
        self.assertServes(port)
        [said] = complaints(client)
        self.assertIn("trusted on first use", said)
        self.assertIn(self.key, said)
        self.assertIn(str(self.pins), client.waitFor("was added to"))
        self.assertEqual((self.pins.read_text(), self.pins.stat().st_mode & 0o777), (self.line, 0o600))
        client.kill()
        client, _ = self.tlsClient(self.control)
        self.assertIn(f"{self.key}, known", client.waitFor("TLS with"))
        self.assertEqual((complaints(client), self.pins.read_text()), ([], self.line))

    def test_ofManyClientsThatMeetItAtTheSameTimeOneWritesItDown(self) -> None:
        clients = [self.tlsLaunch(self.control, "--no-state") for _ in range(4)]
        for client in clients:
            self.assertServes(client.port("listening at "))
        self.assertEqual(self.pins.read_text(), self.line)
        self.assertEqual(sum(count(client, "was added to") for client in clients), 1)

    def test_aKeyThatHasChangedIsRefusedWithAllThatIsNeededToRepairIt(self) -> None:
        self.pins.parent.mkdir()
        self.pins.write_text("# remark\n\n")
        self.tlsClient(self.control)[0].kill()
        self.bore.kill()
        self.serverHome = temporaryFolder(self)
        self.bore, _ = self.tlsServer(port=self.control)
        said = self.assertRefuses(self.tlsLaunch(self.control))
        came = keyOf(self.bore)
        self.assertLess(said.index(self.key), said.index(came))
        for words in (f"expected the key {self.key}", f"received the key {came}", f"line 3 of {self.pins}"):
            self.assertIn(words, said)
        self.assertEqual(count(self.bore, "opened for"), 0)
        lines = self.pins.read_text().splitlines(keepends=True)
        self.assertEqual(lines[2], self.line)
        self.pins.write_text("".join(lines[:2]))
        self.tlsClient(self.control)

    def test_aKeyThatHasChangedWhileTheClientWasUpDoesNotEndIt(self) -> None:
        client, port = self.tlsClient(self.control)
        self.bore.kill()
        home, self.serverHome = self.serverHome, temporaryFolder(self)
        stranger, _ = self.tlsServer(port=self.control)
        said = client.waitFor("nothing proves that this is the right server")
        for text in (" error ", self.key, keyOf(stranger)):
            self.assertIn(text, said)
        stranger.kill()
        self.serverHome = home
        self.tlsServer(port=self.control)
        client.waitFor("listening at ", after=1)
        self.assertServes(port)

    def test_aRefusalOfTheSecretEndsAClientThatWasUpOnlyIfTheServerIsKnown(self) -> None:
        other = ("--secret", "another secret, and as long as that")
        server, port = self.tlsServer(*SECRET)
        client, _ = self.tlsClient(port, *SECRET)
        server.kill()
        home, self.serverHome = self.serverHome, temporaryFolder(self)
        stranger, _ = self.tlsServer(*other, port=port)
        client.waitFor("nothing proves that this is the right server")
        stranger.kill()
        self.serverHome = home
        self.tlsServer(*other, port=port)
        self.assertEqual(client.wait(), 77, client.transcript())
        self.assertIn("invalid secret", client.err[-1])

    def test_itEndsAClientThatWantsToEndAfterSoManyFailures(self) -> None:
        client, _ = self.tlsClient(self.control, "--exit-after-failures", "4")
        client.process.send_signal(signal.SIGSTOP)  # else attempts may fail before the other server is there
        self.bore.kill()
        self.serverHome = temporaryFolder(self)
        self.bore, _ = self.tlsServer(port=self.control)
        client.process.send_signal(signal.SIGCONT)
        self.assertEqual(client.wait(), 69, client.transcript())
        self.assertIn(keyOf(self.bore), client.err[-1])

    def test_ofTwoServersTheOneWhoseKeyHasChangedIsPassedOverAndBothAreTheEnd(self) -> None:
        other = loopbackHost()
        _, port = self.tlsServer(host=other)
        self.know(self.control, selfSigned().fingerprint)
        words = ("--to", f"tls://{other}:{port}", "--no-state")
        client = self.tlsLaunch(self.control, *words)
        client.waitFor(f"listening at {other}:")
        client.kill()
        self.pins.write_text(self.pins.read_text().replace(self.key, selfSigned().fingerprint))
        client = self.tlsLaunch(self.control, *words)
        self.assertEqual(client.wait(), 76, client.transcript())
        self.assertIn(f"the key of {other}:{port} has changed", client.err[-1])

    def test_theSecretDoesNotHelpAKeyThatHasChanged(self) -> None:
        server, port = self.tlsServer(*SECRET)
        expected = selfSigned().fingerprint
        self.know(port, expected)
        self.assertRefuses(self.tlsLaunch(port, *SECRET), expected, keyOf(server))
        self.assertEqual(count(server, "opened for"), 0)

    def test_aFileThatOthersMayWriteIsNotBelieved(self) -> None:
        self.know(self.control, self.key)
        self.pins.chmod(0o620)
        self.assertRefuses(self.tlsLaunch(self.control), str(self.pins), "is writable by its group", "chmod go-w")
        self.pins.chmod(0o644)
        self.tlsClient(self.control)

    def test_ourLineDamagedIsNoFirstUse(self) -> None:
        self.know(self.control, self.key)
        self.pins.write_text(self.line[:-20] + "\n")
        before = self.pins.read_text()
        self.assertRefuses(self.tlsLaunch(self.control), f"line 1 of {self.pins} is damaged", "correct or remove it")
        self.assertEqual(self.pins.read_text(), before)

    def test_anotherLineDamagedIsOfNoConcernToAServerThatIsKnown(self) -> None:
        self.know(self.control, self.key)
        self.pins.write_bytes(b"\xff\xfe somewhere:7835 SHA256:\0\n" + self.line.encode())
        client, _ = self.tlsClient(self.control)
        self.assertEqual(complaints(client), [])

    def test_anotherLineDamagedMayHaveBeenAboutAServerThatIsNot(self) -> None:
        self.know(1, self.key)
        self.pins.write_bytes(b"\xff\xfe somewhere:7835 SHA256:\0\n")
        self.assertRefuses(self.tlsLaunch(self.control), f"line 1 of {self.pins} is damaged")

    def test_aFolderInItsPlaceIsNoFirstUse(self) -> None:
        self.pins.mkdir(parents=True)
        self.assertRefuses(self.tlsLaunch(self.control), str(self.pins))

    def test_aPipeInItsPlaceIsNoFirstUse(self) -> None:
        self.pins.parent.mkdir()
        os.mkfifo(self.pins, 0o600)
        client = self.tlsLaunch(self.control)
        self.assertEqual(client.wait(10), 76)
        self.assertRefuses(client, "it is not a file")

    def test_oneThatCannotBeWrittenIsSaidAndHoldsForThisRun(self) -> None:
        self.pins.parent.mkdir()
        self.pins.touch(0o600)
        if os.geteuid() == 0:
            if subprocess.run(["chattr", "+i", str(self.pins)], capture_output=True, check=False).returncode:
                self.skipTest("root may write everything, and there is no chattr here")
            self.addCleanup(subprocess.run, ["chattr", "-i", str(self.pins)], check=True)
        else:
            self.pins.chmod(0o400)
        client, port = self.tlsClient(self.control)
        self.assertServes(port)
        said = client.waitFor("cannot be written down")
        self.assertIn(f"--tls-fingerprint {self.key}", said)
        self.bore.kill()
        self.serverHome = temporaryFolder(self)
        self.tlsServer(port=self.control)
        self.assertIn(self.key, client.waitFor("restart the client"))

    def test_clientsThatStartTogetherDoNotSpoilTheFile(self) -> None:
        clients = [self.tlsLaunch(self.control, "--no-state") for _ in range(3)]
        for client in clients:
            client.waitFor("listening at ")
        self.assertEqual(set(self.pins.read_text().splitlines(keepends=True)), {self.line})
