"""Files that only their user may use: the policy, and each file of ours that it is for."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from bore.client.state import Remembered, StateFile
from bore.events import Sink
from bore.options.secrets import readSecret
from bore.system.atomicfiles import makeFolder
from bore.system.privatefiles import GIVEN, NotPrivate, Policy, checkFolders, openPrivate, readPrivate
from bore.tls.certificates import BadCredentials, readCredentials
from bore.tls.knownservers import KnownServer, KnownServers, KnownServersError
from bore.tls.servercertificate import ownCertificate
from tests.certificates import selfSigned
from tests.client.case import loggingSink
from tests.fakes import FakeReactor, captureLog
from tests.support import temporaryFolder

#: A user and a group that nobody has.
_STRANGER: Final = 4711

_OURS: Final = Policy(forbidden=0o077, mayBeLink=False)


class PrivateCase(SynchronousTestCase):
    """A directory below another one."""

    if os.name != "posix":
        skip = "files have no modes here"

    def setUp(self) -> None:
        self.above = temporaryFolder(self)
        self.folder = self.above / "state" / "txbore"
        makeFolder(self.folder)
        self.path = self.folder / "file"

    def giveAway(self, path: Path, group: bool = False) -> None:
        if os.geteuid() != 0:
            self.skipTest("only root can give a file away")
        os.chown(path, -1 if group else _STRANGER, _STRANGER if group else -1)


class FoldersTests(PrivateCase):
    """Directories, and those above them."""

    def assertExposed(self, *texts: str, groupMay: bool = False) -> None:
        error = str(self.assertRaises(NotPrivate, checkFolders, self.folder, groupMay))
        for text in texts:
            self.assertIn(text, error)

    def test_whatDoesNotExistYetIsLeftOut(self) -> None:
        checkFolders(self.folder / "not" / "yet")

    def test_oneThatAllUsersMayWrite(self) -> None:
        for each in (self.folder, self.folder.parent):
            each.chmod(0o707)
            self.assertExposed(f"is in the directory {each}, which is writable by all users: chmod o-w {each}")
            self.assertExposed(f"{each}, which is writable by all users", groupMay=True)
            each.chmod(0o1777)
            checkFolders(self.folder)
            each.chmod(0o755)
        checkFolders(self.folder)

    def test_aGroupThatMayWriteIsRefusedUnlessItIsTheOwnersOwn(self) -> None:
        self.folder.chmod(0o770)
        self.giveAway(self.folder, group=True)
        self.assertExposed(f"{self.folder}, which is writable by its group: chmod g-w")
        checkFolders(self.folder, groupMay=True)
        os.chown(self.folder, -1, 0)
        checkFolders(self.folder)

    def test_oneOfAnotherUser(self) -> None:
        for each in (self.folder, self.folder.parent):
            self.giveAway(each)
            self.assertExposed(f"the directory {each}, which belongs to user {_STRANGER}", "runs as root", "run it as")
            self.assertExposed(f"the directory {each}, which belongs to", groupMay=True)
            os.chown(each, 0, -1)

    def test_aLinkIsFollowed(self) -> None:
        link = self.above / "link"
        link.symlink_to(self.folder)
        self.folder.chmod(0o707)
        real, self.folder = self.folder, link
        self.assertExposed(str(real))


class FileTests(PrivateCase):
    """What is checked when a file is opened."""

    def setUp(self) -> None:
        super().setUp()
        self.path.write_bytes(b"content")
        self.path.chmod(0o600)

    def assertRefused(self, policy: Policy, text: str) -> None:
        self.assertIn(text, str(self.assertRaises(NotPrivate, openPrivate, self.path, policy)))

    def test_whatPassesIsReadUpToTheLimit(self) -> None:
        for policy in (_OURS, GIVEN):
            self.assertEqual(readPrivate(self.path, policy, 100), b"content")
            self.assertEqual(readPrivate(self.path, policy, 3), b"con")

    def test_theErrorHasTheCommandThatCorrectsTheMode(self) -> None:
        for forbidden, command in ((0o077, "go="), (0o007, "o="), (0o022, "go-w"), (0o020, "g-w")):
            self.path.chmod(0o600 | forbidden)
            self.assertRefused(Policy(forbidden), f"chmod {command} {self.path}")
            os.system(f"chmod {command} {self.path}")
            openPrivate(self.path, Policy(forbidden)).close()

    def test_theErrorNamesWhoMayDoWhat(self) -> None:
        for mode, text in (
            (0o640, "is readable by its group"),
            (0o620, "is writable by its group"),
            (0o604, "is readable by all users of this machine"),
            (0o602, "is writable by all users of this machine"),
            (0o601, "is executable by all users of this machine"),
        ):
            self.path.chmod(mode)
            self.assertRefused(_OURS, text)

    def test_aMissingFileIsAnOrdinaryError(self) -> None:
        self.path.unlink()
        self.assertRaises(FileNotFoundError, openPrivate, self.path, _OURS)

    def test_aLinkIsRefusedOrBothItsDirectoriesAreChecked(self) -> None:
        elsewhere = self.above / "elsewhere"
        makeFolder(elsewhere)
        self.path.rename(elsewhere / "file")
        self.path.symlink_to(elsewhere / "file")
        self.assertRefused(_OURS, "is a link")
        openPrivate(self.path, GIVEN).close()
        for each in (elsewhere, self.folder):
            each.chmod(0o707)
            self.assertRefused(GIVEN, f"is in the directory {each}, which is writable by all users")
            each.chmod(0o700)


class _User(NamedTuple):
    """
    One of our files.

    :ivar make: makes it, in a directory, and returns its path.
    :ivar use: reads it; returns what is wrong with it, or None.
    """

    make: Callable[[Path], Path]
    use: Callable[[Path], str | None]


def _makeKnown(folder: Path) -> Path:
    KnownServers(folder / "known_servers").add("example.com:7835", "authority")
    return folder / "known_servers"


def _useKnown(path: Path) -> str | None:
    try:
        assert KnownServers(path).find("example.com:7835") == [KnownServer("authority", 1)]
    except KnownServersError as e:
        return str(e)
    return None


def _useOwn(path: Path) -> str | None:
    try:
        ownCertificate(path.parent)
    except BadCredentials as e:
        return str(e)
    return None


def _makeKey(folder: Path) -> Path:
    return Path(selfSigned().write(folder)[1])


def _useKey(path: Path) -> str | None:
    try:
        readCredentials(path.with_suffix(".crt"), path)
    except BadCredentials as e:
        return str(e)
    return None


def _makeSecret(folder: Path) -> Path:
    path = folder / "secret"
    path.write_text("hush\n")
    path.chmod(0o600)
    return path


def _useSecret(path: Path) -> str | None:
    try:
        assert readSecret(str(path)) == "hush"
    except ValueError as e:
        return f"{path} {e}"
    return None


_TUNNEL: Final = Remembered(20001, None)


def _makeState(folder: Path) -> Path:
    file = StateFile(folder, "example.com:7835", "localhost:8000", Sink())
    file.save(_TUNNEL)
    file.close()
    [path] = folder.glob("*.json")
    return path


class UsersTests(PrivateCase):
    """A table of our files: which modes, owners and directories are accepted, and how the others are refused."""

    #: Modes of the file that are refused, and whether it may be a link, whether the group of its directory may write.
    TABLE: Final = {
        "state": ({0o640, 0o620, 0o604, 0o602}, False, False),
        "own key": ({0o640, 0o620, 0o604, 0o602}, True, False),
        "known servers": ({0o620, 0o602}, True, False),
        "given key": ({0o604, 0o602}, True, True),
        "secret": ({0o604, 0o602}, True, True),
    }

    def setUp(self) -> None:
        super().setUp()
        self.events = captureLog(self)
        self.users = {
            "state": _User(_makeState, self.useState),
            "own key": _User(ownCertificate, _useOwn),
            "known servers": _User(_makeKnown, _useKnown),
            "given key": _User(_makeKey, _useKey),
            "secret": _User(_makeSecret, _useSecret),
        }
        self.assertEqual(set(self.users), set(self.TABLE))

    def useState(self, path: Path) -> str | None:
        self.events.clear()
        file = StateFile(path.parent, "example.com:7835", "localhost:8000", loggingSink(FakeReactor()))
        loaded = file.load()
        file.close()
        complaints = [formatEvent(event) for event in self.events]
        assert (loaded == _TUNNEL) != bool(complaints)
        return complaints[0] if complaints else None

    def each(self, name: str) -> tuple[Path, Callable[[], str | None]]:
        """A fresh file of that kind, and what reads it."""
        folder = temporaryFolder(self)
        path = self.users[name].make(folder)
        return path, lambda: self.users[name].use(path)

    def assertRefused(self, complaint: str | None, path: Path, *texts: str) -> None:
        assert complaint is not None, f"{path} is accepted"
        for text in (str(path), *texts):
            self.assertIn(text, complaint)

    def test_modes(self) -> None:
        for name, (refused, _, _) in self.TABLE.items():
            path, use = self.each(name)
            for mode in (0o600, 0o400, 0o640, 0o620, 0o604, 0o602):
                with self.subTest(file=name, mode=oct(mode)):
                    path.chmod(mode)
                    if mode in refused:
                        self.assertRefused(use(), path, "chmod ")
                    else:
                        self.assertIsNone(use())

    def test_owners(self) -> None:
        for name in self.TABLE:
            path, use = self.each(name)
            for each in (path, path.parent):
                with self.subTest(file=name, of=each.name):
                    self.giveAway(each)
                    self.assertRefused(use(), path, f"belongs to user {_STRANGER}, and this program runs as root")
                    os.chown(each, 0, -1)
                    self.assertIsNone(use())

    def test_directories(self) -> None:
        for name, (_, _, groupMayReplace) in self.TABLE.items():
            path, use = self.each(name)
            with self.subTest(file=name):
                path.parent.chmod(0o707)
                self.assertRefused(use(), path, f"chmod o-w {path.parent}")
                path.parent.chmod(0o770)
                self.giveAway(path.parent, group=True)
                if groupMayReplace:
                    self.assertIsNone(use())
                else:
                    self.assertRefused(use(), path, f"chmod g-w {path.parent}")

    def test_links(self) -> None:
        for name, (_, mayBeLink, _) in self.TABLE.items():
            path, use = self.each(name)
            with self.subTest(file=name):
                path.rename(path.with_name("real"))
                path.symlink_to(path.with_name("real"))
                if mayBeLink:
                    self.assertIsNone(use())
                else:
                    self.assertRefused(use(), path, "is a link")

    def test_whatIsNotAFile(self) -> None:
        for name in self.TABLE:
            path, use = self.each(name)
            with self.subTest(file=name):
                content = path.read_bytes()
                path.unlink()
                path.mkdir()
                self.assertRefused(use(), path, "a directory")
                path.rmdir()
                os.mkfifo(path, 0o666)
                if name not in ("given key", "secret"):
                    self.assertRefused(use(), path, "is not a file")
                    continue
                writer = threading.Thread(target=path.write_bytes, args=(content,))
                writer.start()
                self.addCleanup(writer.join)
                self.assertIsNone(use())
