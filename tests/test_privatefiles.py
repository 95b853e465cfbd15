"""Each of our private files: which modes, owners and directories are accepted, and how the others are refused."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from twisted.logger import formatEvent

from bore.client.state import Remembered, StateFile
from bore.commandline import BadFile
from bore.events import Sink
from bore.options.client import upCommand
from bore.options.secrets import readSecrets
from bore.tls.certificates import BadCredentials, readAuthorities, readCredentials
from bore.tls.knownservers import KnownServer, KnownServers, KnownServersError
from bore.tls.servercertificate import ownCertificate
from tests.certificates import selfSigned
from tests.client.case import loggingSink
from tests.fakes import FakeReactor, captureLog
from tests.support import temporaryFolder
from tests.system.test_privatefiles import STRANGER, PrivateCase


class _User(NamedTuple):
    """
    One of our files.

    :ivar make: makes it, in a directory, and returns its path.
    :ivar use: reads it; returns the error, or None.
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
        assert readSecrets(str(path)) == ["hush"]
    except ValueError as e:
        return f"{path} {e}"
    return None


def _makeAuthorities(folder: Path) -> Path:
    return Path(selfSigned().write(folder)[0])


def _useAuthorities(path: Path) -> str | None:
    try:
        assert readAuthorities(path)
    except BadCredentials as e:
        return str(e)
    return None


def _makeSettings(folder: Path) -> Path:
    path = folder / "settings"
    path.write_text(f"server = 'tls://x'\ntls-fingerprint = 'SHA256:{'A' * 43}'\n[tunnel.a]\nlocal = 1\n")
    return path


def _useSettings(path: Path) -> str | None:
    try:
        upCommand("bore up").parse([str(path)], {})
    except BadFile as e:
        return str(e)
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
        "authorities": ({0o602}, True, True),
        "settings": ({0o602}, True, True),
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
            "authorities": _User(_makeAuthorities, _useAuthorities),
            "settings": _User(_makeSettings, _useSettings),
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
        """Make a file of that kind; return it, and a function that reads it."""
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
                    self.assertRefused(use(), path, f"belongs to user {STRANGER}, and this program runs as root")
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
                if name not in ("given key", "secret", "authorities", "settings"):
                    self.assertRefused(use(), path, "is not a file")
                    continue
                writer = threading.Thread(target=path.write_bytes, args=(content,))
                writer.start()
                self.addCleanup(writer.join)
                self.assertIsNone(use())
