"""Keys that a server announces before it uses them, and pins that the user has given."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.events import Event, Sink
from bore.events.client import NextKeyLearned, ServerNotRemembered
from bore.events.server import CertificateNotRead, CertificateRead, NextKeyAnnounced
from bore.tls.certificates import BadCredentials, makeSelfSigned, readCredentials
from bore.tls.errors import ServerKeyChanged
from bore.tls.knownservers import KnownServer
from bore.tls.nextkey import TooYoung, keyIn, rotateKey
from bore.tls.servercertificate import ServerCertificate, nextFile, ownCertificate
from bore.tls.serverpins import serverPins
from bore.tls.settings import ClientTls
from bore.tls.trust import Trust
from bore.wire.limits import CONTROL_PORT
from bore.wire.pins import AUTHORITY
from tests.certificates import Authority, Identity, selfSigned
from tests.support import temporaryFolder
from tests.tls.test_knownservers import KEY, LINE, OTHER, SERVER, KnownServersCase
from tests.tls.trustcase import HOST, TrustCase, presenting

THIRD: Final = "SHA256:" + "t" * 43


class SuccessorsTests(KnownServersCase):
    """The lines with two keys."""

    def test_theSuccessorsOfAKeyAreKnownAsWell(self) -> None:
        self.known.add(SERVER, KEY)
        self.assertTrue(self.known.learn(KEY, OTHER))
        self.assertTrue(self.known.learn(OTHER, THIRD))
        self.assertEqual(self.known.find(SERVER), [KnownServer(KEY, 1), KnownServer(OTHER, 2), KnownServer(THIRD, 3)])
        self.assertEqual(self.known.find(KEY), [KnownServer(OTHER, 2), KnownServer(THIRD, 3)])
        self.assertEqual(self.known.find(OTHER), [KnownServer(THIRD, 3)])
        self.assertEqual(self.known.find("other.example:7835"), [])

    def test_aSuccessorIsWrittenOnceAndKeysDifferByCase(self) -> None:
        self.known.learn(KEY, OTHER)
        self.assertFalse(self.known.learn(KEY, OTHER))
        self.assertEqual(self.path.read_text(), f"{KEY} {OTHER}\n")
        self.assertEqual(self.known.find(KEY.upper()), [])

    def test_aServerCannotFillTheFile(self) -> None:
        for number in range(20):
            self.known.learn(KEY, f"SHA256:{number:043}")
        self.assertEqual(len(self.path.read_text().splitlines()), 8)

    def test_aDamagedLineMayBeAboutAnyKey(self) -> None:
        self.write(LINE + f"{KEY} {OTHER[:-1]}\n".encode())
        self.assertEqual(self.known.find(SERVER), [KnownServer(KEY, 1)])


class PinsTests(TrustCase):
    """What a client accepts that has the line of an invitation, or knows the server by its key."""

    def setUp(self) -> None:
        super().setUp()
        self.now, self.following, self.stranger = (selfSigned(HOST) for _ in range(3))

    def assertTrusted(self, identity: Identity, *pins: str, why: str = "as the line for joining it says") -> None:
        verdict = self.trust(True, pins=pins).judge(presenting(identity, [18]))
        self.assertEqual((verdict.why, verdict.isKnown, verdict.new), (why, True, ""))

    def assertRefused(self, identity: Identity, *pins: str) -> str:
        trust = self.trust(True, pins=pins)
        return str(self.assertRaises(ServerKeyChanged, trust.judge, presenting(identity, [18])))

    def test_thePinsOfTheLineCountAndNothingElse(self) -> None:
        pin = self.now.fingerprint
        self.know(self.stranger.fingerprint)
        self.assertTrusted(self.now, pin)
        self.assertTrusted(self.now, self.following.fingerprint, pin)
        error = self.assertRefused(self.stranger, pin)
        self.assertIn("ask for a new line", error)
        self.assertNotIn(str(self.path), error)

    def test_theFileIsOnlyReadForAnotherKey(self) -> None:
        self.path.write_text("damaged\n")
        self.path.chmod(0o600)
        self.assertTrusted(self.now, self.now.fingerprint)

    def learnFrom(self, *pins: str) -> None:
        trust = self.trust(True, pins=pins)
        trust.learn(trust.judge(presenting(self.now, [18])), self.following.fingerprint)

    def test_aServerThatAnnouncesAgainAndAgainCostsNoFurtherLookAtTheFile(self) -> None:
        """The file is locked, read and written to the disk each time."""
        trust = self.trust(True, pins=(self.now.fingerprint,))
        verdict = trust.judge(presenting(self.now, [18]))
        trust.learn(verdict, self.following.fingerprint)
        self.path.write_text("damaged\n")
        trust.learn(verdict, self.following.fingerprint)
        self.assertEqual(len(self.events), 1)
        for number in range(200):
            trust.learn(verdict, f"SHA256:{number:043}")
        self.assertEqual(sum(isinstance(event, ServerNotRemembered) for event in self.events), 63)

    def test_aKeyThatWasAnnouncedIsAcceptedForTheLine(self) -> None:
        pin = self.now.fingerprint
        self.assertRefused(self.following, pin)
        self.learnFrom(pin)
        self.assertEqual(self.events, [NextKeyLearned("example.com:7835", self.following.fingerprint)])
        self.assertTrusted(self.following, pin)
        self.assertTrusted(self.now, pin)
        self.assertRefused(self.stranger, pin)
        self.learnFrom(pin)
        self.assertEqual(len(self.events), 1)

    def test_soItIsForAKnownServerAndForAFingerprint(self) -> None:
        self.know(self.now.fingerprint)
        self.learnFrom()
        self.assertTrusted(self.following, why="known")
        self.assertRefused(self.stranger)
        trust = self.trust(fingerprint=self.now.fingerprint)
        self.assertEqual(trust.judge(presenting(self.following, [18])).why, "as --tls-fingerprint says")
        self.assertRaises(ServerKeyChanged, trust.judge, presenting(self.stranger, [18]))

    def test_whatCannotBeWrittenIsReported(self) -> None:
        self.path.mkdir()
        self.learnFrom(self.now.fingerprint)
        (event,) = self.events
        self.assertIsInstance(event, ServerNotRemembered)

    def test_whereNothingCanBeWrittenItIsKnownForTheRun(self) -> None:
        for pins in ((), (self.now.fingerprint,)):
            trust = Trust(HOST, CONTROL_PORT, ClientTls(knownServers=None, pins=pins), True, self.sink)
            verdict = trust.proven(trust.judge(presenting(self.now, [18])))
            for _ in range(20):
                trust.learn(verdict, self.following.fingerprint)
            for identity in (self.now, self.following):
                self.assertTrue(trust.judge(presenting(identity, [18])).isKnown)
            self.assertRaises(ServerKeyChanged, trust.judge, presenting(self.stranger, [18]))

    def test_anAuthorityInTheLineIsOneOfTheSystem(self) -> None:
        identity = Authority().issue(HOST)
        trust = self.trust(True, pins=(AUTHORITY,))
        self.assertEqual(trust.judge(presenting(identity)).why, "signed by a trusted authority")
        self.assertRefused(self.now, AUTHORITY)


class ServerKeyTests(SynchronousTestCase):
    """The files of a server, and who changes them."""

    def setUp(self) -> None:
        self.folder = temporaryFolder(self) / "txbore"
        self.own = ownCertificate(self.folder)
        self.key = keyIn(self.own)
        self.clock, self.sink, self.events = Clock(), Sink(), list[Event]()
        self.sink.subscribe(self.events.append)
        self.announced: list[str] = []

    def server(self) -> ServerCertificate:
        certificate = ServerCertificate(self.clock, self.sink, self.own, self.own, None, nextFile(self.folder))
        certificate.announce(self.announced.append)
        return certificate

    def following(self) -> str:
        """Make the next key."""
        key, following = rotateKey(self.folder)
        self.assertEqual(key, self.key)
        self.assertNotIn(following, ("", key))
        return following

    def test_theNextKeyIsMadeAndThenUsed(self) -> None:
        following = self.following()
        self.assertEqual(stat.S_IMODE(nextFile(self.folder).stat().st_mode), 0o600)
        error = self.assertRaises(TooYoung, rotateKey, self.folder)
        self.assertIn("0 h old", str(error))
        os.utime(nextFile(self.folder), (1, 1))
        self.assertEqual(rotateKey(self.folder), (following, ""))
        self.assertEqual(readCredentials(self.own, self.own).fingerprint, following)
        self.assertEqual(os.listdir(self.folder), ["tls.pem"], "the former key is gone")

    def test_itMayBeUsedAtOnce(self) -> None:
        following = self.following()
        self.assertEqual(rotateKey(self.folder, now=True), (following, ""))

    def test_theServersUserCanReadItIfRootHasMadeIt(self) -> None:
        os.chown(self.own, 4711, 4711)
        self.following()
        self.assertEqual(nextFile(self.folder).stat().st_uid, 4711)

    if os.name != "posix" or os.geteuid() != 0:
        test_theServersUserCanReadItIfRootHasMadeIt.skip = "only root can"  # type: ignore[attr-defined]

    def test_aRunningServerAnnouncesItAndUsesItWhenItsTimeHasCome(self) -> None:
        certificate = self.server()
        self.assertEqual((self.announced, self.events), ([], []))
        following = self.following()
        self.clock.advance(2)
        certificate.context  # noqa: B018  # a client comes
        self.assertEqual((self.announced, self.events), ([following], [NextKeyAnnounced(following)]))
        certificate.reload(asked=False)
        self.assertEqual(self.announced, [following], "once")
        rotateKey(self.folder, now=True)
        self.clock.advance(2)
        certificate.context  # noqa: B018
        self.assertEqual((self.announced, certificate.fingerprint), ([following, ""], following))
        self.assertEqual(self.events[1:], [CertificateRead(following)])

    def test_oneThatStartsAnnouncesItAtOnce(self) -> None:
        following = self.following()
        self.server()
        self.assertEqual(self.announced, [following])

    def test_anUnusableFileIsReportedAndNothingElse(self) -> None:
        nextFile(self.folder).write_text("damaged")
        certificate = self.server()
        self.assertEqual((self.announced, certificate.fingerprint), ([], self.key))
        (event,) = self.events
        self.assertIsInstance(event, CertificateNotRead)

    def test_aLineHasBothKeys(self) -> None:
        self.assertEqual(serverPins(None, self.folder, HOST), (self.key,))
        following = self.following()
        self.assertEqual(serverPins(None, self.folder, HOST), (self.key, following))

    def test_withoutAKeyOneIsMade(self) -> None:
        folder = self.folder / "new"
        (pin,) = serverPins(None, folder, HOST)
        self.assertEqual(pin, keyIn(folder / "tls.pem"))
        self.assertRaises(BadCredentials, serverPins, None, None, HOST)

    def test_aCertificateInAFileIsKnownByItsKeyUnlessAnAuthorityOfTheSystemHasSignedIt(self) -> None:
        authority = Authority()
        identity = authority.issue(HOST)
        file = Path(identity.write(self.folder)[0])
        self.assertEqual(serverPins(file, None, HOST), (identity.fingerprint,))
        self.addCleanup(os.environ.pop, "SSL_CERT_FILE", None)
        os.environ["SSL_CERT_FILE"] = authority.write(self.folder)
        self.assertEqual(serverPins(file, None, HOST), (AUTHORITY,))
        self.assertEqual(serverPins(file, None, "other.example"), (identity.fingerprint,))

    def test_aDamagedKeyIsNotReplaced(self) -> None:
        self.own.write_text("damaged")
        self.assertRaises(BadCredentials, serverPins, None, self.folder, HOST)
        self.assertRaises(BadCredentials, rotateKey, self.folder)
        pem, _ = makeSelfSigned("x")
        self.own.write_bytes(pem)
        self.assertEqual(serverPins(None, self.folder, HOST)[0], keyIn(self.own))
