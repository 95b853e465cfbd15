"""The certificate that a server shows, in files."""
# Longer than 300 lines: which files a server has for TLS, and what it does when they change, is tested together.

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.events import Event, Sink
from bore.events.server import (
    CertificateNotRead,
    CertificateRead,
    CertificateUnchanged,
    RevocationsNotRead,
    RevocationsOld,
    RevocationsRead,
)
from bore.tls.certificates import BadCredentials, readCredentials
from bore.tls.servercertificate import ServerCertificate, ownCertificate
from tests.certificates import Authority, Identity, selfSigned
from tests.support import temporaryFolder

DAY = timedelta(days=1)


class FilesTests(SynchronousTestCase):
    """Files that change while the server runs."""

    def setUp(self) -> None:
        self.folder = temporaryFolder(self)
        self.clock = Clock()
        self.sink, self.events = Sink(), list[Event]()
        self.sink.subscribe(self.events.append)
        self.first, self.second = selfSigned(), selfSigned()
        self.write(self.first)
        paths = [Path(path) for path in self.first.write(self.folder)]
        self.files = paths[0], paths[1]
        self.certificate = ServerCertificate(self.clock, self.sink, *self.files)
        self.before = self.certificate.context

    def write(self, identity: Identity) -> None:
        identity.write(self.folder)

    def assertPresents(self, identity: Identity) -> None:
        """The next client gets this one."""
        changed = self.certificate.context is not self.before
        self.assertEqual((self.certificate.fingerprint, changed), (identity.fingerprint, identity is not self.first))

    def test_filesAreCheckedOnceASecondAndOnlyForAClient(self) -> None:
        self.write(self.second)
        self.assertPresents(self.first)
        self.clock.advance(0.9)
        self.assertPresents(self.first)
        self.clock.advance(0.2)
        self.assertEqual(self.certificate.fingerprint, self.first.fingerprint, "no client has come yet")
        self.assertPresents(self.second)
        self.assertEqual(self.events, [CertificateRead(self.second.fingerprint)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_unchangedFilesAreNotReadAgain(self) -> None:
        for _ in range(5):
            self.clock.advance(2)
            self.assertPresents(self.first)
        for path in self.files:
            os.utime(path)
        self.clock.advance(2)
        self.assertPresents(self.first)
        self.assertEqual(self.events, [])

    def test_halfWrittenFilesLeaveTheFormerCertificateUntilTheyAreWhole(self) -> None:
        self.files[0].write_bytes(self.second.pem)
        for _ in range(3):
            self.clock.advance(2)
            self.assertPresents(self.first)
        [event] = self.events
        self.assertIsInstance(event, CertificateNotRead, "emitted once")
        self.files[1].write_bytes(self.second.keyPem)
        self.clock.advance(2)
        self.assertPresents(self.second)

    def test_missingOrDamagedFilesLeaveTheFormerCertificate(self) -> None:
        for content in (None, b"", b"\xff" * 100, self.first.pem[:100]):
            for path in self.files:
                path.unlink(missing_ok=True)
                if content is not None:
                    path.write_bytes(content)
            self.clock.advance(2)
            self.assertPresents(self.first)
            self.certificate.reload()
            self.assertPresents(self.first)

    def test_aReloadReadsThemAtOnce(self) -> None:
        self.write(self.second)
        self.certificate.reload()
        self.assertPresents(self.second)
        self.certificate.reload()
        self.clock.advance(2)
        self.assertPresents(self.second)
        fingerprint = self.second.fingerprint
        self.assertEqual(self.events, [CertificateRead(fingerprint), CertificateUnchanged(fingerprint)])

    def test_whatAReloadHasReportedIsNotReportedAgain(self) -> None:
        self.files[0].write_bytes(self.second.pem)
        self.certificate.reload()
        self.clock.advance(2)
        self.assertPresents(self.first)
        self.assertEqual([type(event) for event in self.events], [CertificateNotRead])

    def test_aLinkThatPointsElsewhereIsAChange(self) -> None:
        live = self.folder / "live"
        for name, identity in (("one", self.first), ("two", self.second)):
            (self.folder / name).mkdir()
            identity.write(self.folder / name)
        live.symlink_to("one")
        certificate = ServerCertificate(self.clock, self.sink, live / "own.crt", live / "own.key")
        live.unlink()
        live.symlink_to("two")
        self.clock.advance(2)
        certificate.context  # noqa: B018
        self.assertEqual(certificate.fingerprint, self.second.fingerprint)

    def test_listsOfRevokedCertificatesChangeWhatIsAcceptedAndNothingElse(self) -> None:
        authority = Authority()
        me = authority.issue("me", forClients=True)
        revoked = self.folder / "revoked.pem"
        revoked.write_bytes(authority.revoke())
        clients = Path(authority.write(self.folder))
        certificate = ServerCertificate(self.clock, self.sink, *self.files, clients, None, revoked)
        changes: list[int] = []
        certificate.acceptedChanged = lambda: changes.append(certificate.accepted.count)
        before = certificate.context
        revoked.write_bytes(authority.revoke(me))
        certificate.reload()
        self.assertIsNot(certificate.context, before)
        self.assertEqual(
            (self.events, changes), ([CertificateUnchanged(self.first.fingerprint), RevocationsRead(1)], [1])
        )
        certificate.reload()
        self.assertEqual(changes, [1])
        self.events.clear()
        revoked.write_bytes(authority.revoke(begins=-2 * DAY, ends=-DAY))
        self.write(self.second)
        certificate.reload()
        kept, read = self.events
        assert isinstance(kept, RevocationsNotRead)
        self.assertIn("has expired", kept.error)
        self.assertEqual(read, CertificateRead(self.second.fingerprint))
        self.assertEqual((changes, certificate.accepted.count), ([1], 1))

    def test_whoIsRevokedDoesNotComeInBecauseOfAnotherFile(self) -> None:
        authority = Authority()
        me, you = (authority.issue(name, forClients=True) for name in ("me", "you"))
        revoked = self.folder / "revoked.pem"
        revoked.write_bytes(authority.revoke())
        clients = Path(authority.write(self.folder))
        certificate = ServerCertificate(self.clock, self.sink, *self.files, clients, None, revoked)
        changes: list[int] = []
        certificate.acceptedChanged = lambda: changes.append(certificate.accepted.count)
        before = certificate.context
        self.files[1].write_bytes(b"")
        revoked.write_bytes(authority.revoke(me))
        certificate.reload()
        broken, read = self.events
        self.assertIsInstance(broken, CertificateNotRead)
        self.assertEqual((read, changes), (RevocationsRead(1), [1]))
        self.assertIsNot(certificate.context, before)
        self.assertEqual(certificate.fingerprint, self.first.fingerprint)
        self.events.clear()
        clients.write_bytes(b"")  # those who have signed the lists are known
        revoked.write_bytes(authority.revoke(me, you))
        certificate.reload()
        self.assertEqual([type(each) for each in self.events], [CertificateNotRead] * 2 + [RevocationsRead])
        self.assertEqual((changes, len(certificate.accepted.authorities)), ([1, 2], 1))
        self.events.clear()
        revoked.write_bytes(b"")
        certificate.reload()
        self.assertEqual([type(each) for each in self.events],
                         [CertificateNotRead, RevocationsNotRead, CertificateNotRead])  # fmt: skip
        self.assertEqual((changes, certificate.accepted.count), ([1, 2], 2))
        self.write(self.second)
        authority.write(self.folder)
        self.events.clear()
        revoked.write_bytes(authority.revoke(me))
        certificate.reload()
        self.assertEqual(self.events, [CertificateRead(self.second.fingerprint), RevocationsRead(1)])

    def test_aListThatExpiresInUseIsWarnedOfOnce(self) -> None:
        authority = Authority()
        revoked = self.folder / "revoked.pem"
        revoked.write_bytes(authority.revoke(ends=timedelta(seconds=2)))
        clients = Path(authority.write(self.folder))
        certificate = ServerCertificate(self.clock, self.sink, *self.files, clients, None, revoked)
        now = datetime.now(UTC)
        self.patch(certificate, "_now", lambda: now)
        for step in range(4):
            self.clock.advance(1)
            now += timedelta(seconds=1)
            certificate.context  # noqa: B018
            self.assertEqual(len(self.events), step >= 1)
        self.assertEqual(self.events, [RevocationsOld()])

    def test_unusableFilesAtTheStartAreRefused(self) -> None:
        self.files[0].write_bytes(b"")
        self.assertRaises(BadCredentials, ServerCertificate, self.clock, self.sink, *self.files)


class OwnTests(SynchronousTestCase):
    """A key that the server makes itself."""

    def setUp(self) -> None:
        self.folder = temporaryFolder(self) / "state" / "txbore"
        self.path = self.folder / "tls.pem"

    def assertRefused(self, *texts: str) -> None:
        """It cannot be used, and is left as it is."""
        before = self.path.read_bytes() if self.path.is_file() else None

        def use() -> None:
            path = ownCertificate(self.folder)
            ServerCertificate(Clock(), Sink(), path, path)

        error = str(self.assertRaises(BadCredentials, use))
        for text in (str(self.path), *texts):
            self.assertIn(text, error)
        self.assertEqual(self.path.read_bytes() if self.path.is_file() else None, before)

    def test_itIsMadeOnce(self) -> None:
        self.assertEqual(ownCertificate(self.folder), self.path)
        content = self.path.read_bytes()
        self.assertEqual(ownCertificate(self.folder), self.path)
        self.assertEqual(self.path.read_bytes(), content)
        self.assertEqual(os.listdir(self.folder), ["tls.pem"])
        self.assertEqual(readCredentials(self.path, self.path).chain[0].not_valid_after_utc.year, 9999)

    def test_noOtherUserMayReadIt(self) -> None:
        previous = os.umask(0)
        self.addCleanup(os.umask, previous)
        ownCertificate(self.folder)
        self.assertEqual([path.stat().st_mode & 0o777 for path in (self.folder, self.path)], [0o700, 0o600])
        for mode in (0o640, 0o604, 0o620, 0o602, 0o777):
            self.path.chmod(mode)
            self.assertRefused(f"chmod go= {self.path}", "if no one has read it")
        self.path.chmod(0o400)
        self.assertEqual(ownCertificate(self.folder), self.path)

    def test_aDamagedOneIsRefusedAndNotReplaced(self) -> None:
        ownCertificate(self.folder)
        whole = self.path.read_bytes()
        middle = whole.index(b"-----BEGIN CERTIFICATE")
        spoilt = whole[: middle + 60] + b"A" * 20 + whole[middle + 80 :]
        mixed = selfSigned().keyPem + whole[middle:]
        for content in (b"", b"\0" * 999, whole[:100], whole[:middle], whole[middle:], mixed, spoilt):
            self.path.write_bytes(content)
            self.assertRefused()

    def test_aDirectoryIsRefused(self) -> None:
        self.path.mkdir(parents=True)
        self.assertRefused()

    def test_withoutADirectoryItIsAnError(self) -> None:
        error = self.assertRaises(BadCredentials, ownCertificate, None)
        self.assertIn("give --tls-cert and --tls-key", str(error))
        self.folder.parent.mkdir()
        self.folder.write_text("a file")
        self.assertRefused("give --tls-cert and --tls-key")

    def test_itIsMadeWithoutHardLinksToo(self) -> None:
        def refuse(*_: object) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        self.patch(os, "link", refuse)
        self.test_itIsMadeOnce()

    def test_itSurvivesAPowerFailure(self) -> None:
        synced: list[int] = []
        fsync = os.fsync

        def note(descriptor: int) -> None:
            synced.append(os.fstat(descriptor).st_ino)
            fsync(descriptor)

        self.patch(os, "fsync", note)
        ownCertificate(self.folder)
        places = [path.stat().st_ino for path in (self.path, self.folder, self.folder.parent)]
        self.assertEqual(synced, places)

    def test_aFileOrDirectoryOfAnotherUserIsRefused(self) -> None:
        if os.geteuid() != 0:
            self.skipTest("only root can give a file away")
        ownCertificate(self.folder)
        os.chown(self.path, 4711, -1)
        self.assertRefused("belongs to user 4711", "this program runs as root")
        os.chown(self.path, 0, -1)
        os.chown(self.folder, 4711, -1)
        self.assertRefused("belongs to user 4711", "XDG_STATE_HOME names another directory")
        self.path.unlink()
        self.assertRaises(BadCredentials, ownCertificate, self.folder)
        self.assertFalse(self.path.exists())


class KeyTests(SynchronousTestCase):
    """A key that the user has given."""

    def setUp(self) -> None:
        self.folder = temporaryFolder(self)
        certificate, key = selfSigned().write(self.folder)
        self.certificate, self.key = Path(certificate), Path(key)

    def assertRefused(self, text: str) -> None:
        self.assertIn(text, str(self.assertRaises(BadCredentials, readCredentials, self.certificate, self.key)))

    def test_itsGroupMayReadItAndOthersMayNot(self) -> None:
        for mode in (0o400, 0o600, 0o640):
            self.key.chmod(mode)
            readCredentials(self.certificate, self.key)
        for mode in (0o604, 0o644, 0o602):
            self.key.chmod(mode)
            self.assertRefused(f"by all users of this machine: chmod o= {self.key}")

    def test_neitherItNorItsDirectoryMayBelongToAnotherUser(self) -> None:
        if os.geteuid() != 0:
            self.skipTest("only root can give a file away")
        for each in (self.key, self.folder):
            os.chown(each, 4711, -1)
            self.assertRefused("belongs to user 4711")
            os.chown(each, 0, -1)

    def test_ofALinkTheDirectoryOfTheFileCounts(self) -> None:
        folder = self.folder / "real"
        folder.mkdir()
        self.key.rename(folder / "key")
        self.key.symlink_to(folder / "key")
        readCredentials(self.certificate, self.key)
        folder.chmod(0o707)
        self.assertRefused(f"{folder}, which is writable by all users")
