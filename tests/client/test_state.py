"""What a client remembers when it is started again."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from bore.client.state import Remembered, StateFile
from bore.events import Sink
from bore.wire.publicaddress import UnixPath
from tests.client.case import loggingSink
from tests.fakes import FakeReactor, captureLog
from tests.support import temporaryFolder

TOKEN = "0123456789abcdef0123456789abcdef"


class StateFileTests(SynchronousTestCase):
    """A file for one server and one local port."""

    def setUp(self) -> None:
        self.folder = temporaryFolder(self) / "state" / "txbore"
        self._events = captureLog(self)

    @property
    def logged(self) -> list[str]:
        return [formatEvent(event) for event in self._events]

    def file(self, server: str = "example.com:7835", local: str = "localhost:8000", tunnel: str = "") -> StateFile:
        file = StateFile(self.folder, server, local, loggingSink(FakeReactor()), tunnel)
        self.addCleanup(file.close)
        return file

    def path(self) -> Path:
        [path] = self.folder.glob("*.json")
        return path

    def saved(self) -> Path:
        """Save something, and let go of it."""
        file = self.file()
        file.load()
        file.save(Remembered(20001, TOKEN))
        file.close()
        return self.path()

    def test_whatIsSavedIsThereAgain(self) -> None:
        for tunnel in (
            Remembered(20001, TOKEN),
            Remembered(20002, None),
            Remembered(UnixPath("/run/a"), TOKEN),
            Remembered(20003, None, TOKEN),
        ):
            file = self.file()
            file.load()
            file.save(tunnel)
            file.close()
            again = self.file()
            self.assertEqual(again.load(), tunnel)
            again.close()
        self.assertEqual(self.logged, [])

    def test_nobodyElseMayReadIt(self) -> None:
        path = self.saved()
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(path.parent.stat().st_mode), 0o700)

    def test_manyTunnelsLeaveHalfOfTheDescriptorsToConnections(self) -> None:
        import resource

        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        lowest = os.open(os.devnull, os.O_RDONLY)
        os.close(lowest)
        file = self.file()
        resource.setrlimit(resource.RLIMIT_NOFILE, (2 * lowest, limits[1]))
        self.assertIsNone(file.load())
        [line] = self.logged
        self.assertIn(os.strerror(errno.EMFILE), line)
        self.assertEqual(os.open(os.devnull, os.O_RDONLY), lowest, "the lock is closed")
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (2 * lowest + 2, limits[1]))
        file.save(Remembered(20001, TOKEN))
        file.close()
        self.assertEqual(self.file().load(), Remembered(20001, TOKEN))

    def test_eachNameOfATunnelHasItsOwn(self) -> None:
        names = ("", "web", "x" * 500, "y" * 500)
        for number, name in enumerate(names):
            file = self.file("s" * 500, "l" * 500, name)
            self.assertIsNone(file.load())
            file.save(Remembered(number + 1, TOKEN))
            file.close()
        for number, name in enumerate(names):
            self.assertEqual(self.file("s" * 500, "l" * 500, name).load(), Remembered(number + 1, TOKEN))
        self.assertEqual(self.logged, [])

    def test_whatIsForgottenIsGone(self) -> None:
        self.saved()
        file = self.file()
        file.load()
        file.forget()
        self.assertEqual(list(self.folder.glob("*.json")), [])
        file.forget()
        self.assertIsNone(self.file().load())

    def test_whatAnotherClientUsesIsNotForgotten(self) -> None:
        first, second = self.file(), self.file()
        first.load()
        first.save(Remembered(20001, TOKEN))
        second.load()
        second.forget()
        self.assertTrue(self.path().exists())

    def test_eachServerAndLocalPortHasItsOwn(self) -> None:
        self.saved()
        for server, local in (("example.com:7836", "localhost:8000"), ("example.com:7835", "localhost:8001")):
            self.assertIsNone(self.file(server, local).load())

    def test_namesThatLookAlikeAsFilesAreToldApart(self) -> None:
        file = self.file("a_b:1")
        file.load()
        file.save(Remembered(20001, TOKEN))
        file.close()
        self.assertIsNone(self.file("a:b_1").load())

    def test_eachUnixSocketHasAFileOfItsOwn(self) -> None:
        locals = ("unix:/run/a/b", "unix:/run/a_b")
        for port, local in enumerate(locals, 20001):
            file = self.file(local=local)
            file.save(Remembered(port, TOKEN))
            file.close()
        for port, local in enumerate(locals, 20001):
            self.assertEqual(self.file(local=local).load(), Remembered(port, TOKEN))

    def test_nothingIsWrittenWhenNothingHasChanged(self) -> None:
        path = self.saved()
        before = path.stat().st_ino
        file = self.file()
        file.load()
        file.save(Remembered(20001, TOKEN))
        self.assertEqual(path.stat().st_ino, before)

    def test_aDamagedFileIsIgnoredWithAWarning(self) -> None:
        path = self.saved()
        good = path.read_bytes()
        for damage in (
            b"",
            good[:-10],
            b"[]",
            b"\xff\xfe",
            b"[" * 4000,
            good.replace(b"20001", b"0"),
            good.replace(b"20001", b"70000"),
            good.replace(b"20001", b"true"),
            good.replace(b"20001", b'"20001"'),
            good.replace(TOKEN.encode(), b"short"),
            good.replace(b"8000", b"8001"),
            good + b" " * 5000,
        ):
            path.write_bytes(damage)
            self._events.clear()
            file = self.file()
            self.assertIsNone(file.load(), damage[:100])
            self.assertEqual(len(self.logged), 1, damage[:100])
            self.assertIn("is ignored", self.logged[0])
            file.close()

    def test_aDamagedFileIsReplaced(self) -> None:
        path = self.saved()
        path.write_bytes(b"junk")
        file = self.file()
        file.load()
        file.save(Remembered(20003, TOKEN))
        file.close()
        self.assertEqual(self.file().load(), Remembered(20003, TOKEN))

    def test_aForeignFileIsIgnored(self) -> None:
        path = self.saved()
        path.chmod(0o644)
        self.assertIsNone(self.file().load())
        self.assertIn("it is readable by all users of this machine", self.logged[0])

    def test_aLinkAFolderAndAPipeAreIgnored(self) -> None:
        path = self.saved()
        elsewhere = self.folder / "elsewhere"
        path.rename(elsewhere)
        for make in (lambda: path.symlink_to(elsewhere), lambda: path.mkdir(), lambda: os.mkfifo(path, 0o600)):
            make()
            file = self.file()
            self.assertIsNone(file.load())
            file.close()
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        self.assertEqual(len(self.logged), 3)

    def test_aFolderThatCannotBeMadeIsDoneWithout(self) -> None:
        self.folder.parent.parent.joinpath("state").write_text("in the way")
        file = self.file()
        self.assertIsNone(file.load())
        file.save(Remembered(20001, TOKEN))
        self.assertEqual(len(self.logged), 1)
        self.assertIn("cannot be used", self.logged[0])

    def test_nothingIsWrittenIntoAFolderThatOthersMayChange(self) -> None:
        """Whose program root has run once would find files there that only root can use."""
        self.folder.mkdir(parents=True)
        self.folder.chmod(0o777)
        file = self.file()
        self.assertIsNone(file.load())
        file.save(Remembered(20001, TOKEN))
        self.assertEqual(list(self.folder.iterdir()), [])
        self.assertEqual(len(self.logged), 1)
        self.assertIn("cannot be used: it is in the directory", self.logged[0])
        self.assertIn("chmod o-w", self.logged[0])

    def test_oneClientAtATimeUsesIt(self) -> None:
        first, second = self.file(), self.file()
        first.load()
        first.save(Remembered(20001, TOKEN))
        self.assertIsNone(second.load())
        second.save(Remembered(20002, None))
        self.assertIn("another client has a tunnel from example.com:7835 to localhost:8000", self.logged[0])
        for _ in range(3):
            self.assertIsNone(second.load())
            second.save(Remembered(20002, None))
        self.assertEqual(len(self.logged), 1)
        first.close()
        self.assertEqual(self.file().load(), Remembered(20001, TOKEN))

    def test_whoStartsWhileAnotherEndsFindsWhatThatOneHad(self) -> None:
        first, second = self.file(), self.file()
        first.save(Remembered(20001, TOKEN))
        self.assertIsNone(second.load())
        first.close()
        self.assertEqual(second.load(), Remembered(20001, TOKEN))
        self.assertIsNone(self.file().load(), "it is the second's now")

    def test_theLastOneThereHasTheFileAndItsOwnTunnelInIt(self) -> None:
        first, second = self.file(), self.file()
        first.save(Remembered(20001, TOKEN))
        self.assertIsNone(second.load())
        second.save(Remembered(20002, TOKEN))
        first.close()
        second.save(Remembered(20002, TOKEN))
        self.assertIsNone(second.load(), "what it has is newer")
        second.close()
        self.assertEqual(self.file().load(), Remembered(20002, TOKEN))

    def test_whatCannotBeWrittenIsTriedAgainAndSaidOnceEachTimeThatItBegins(self) -> None:
        file = self.file()
        for port in (20001, 20003):
            file.save(Remembered(port, TOKEN))
            self._events.clear()
            self.path().unlink()
            blocked = self.folder / "example.com_7835-localhost_8000.json"
            blocked.mkdir()
            for _ in range(3):
                file.save(Remembered(port + 1, TOKEN))
            self.assertEqual(len(self.logged), 1)
            self.assertIn("cannot be written", self.logged[0])
            blocked.rmdir()
            file.save(Remembered(port + 1, TOKEN))
            self.assertEqual(file._read(), Remembered(port + 1, TOKEN))

    def test_noTracesAreLeftWhenItCannotBeWritten(self) -> None:
        file = self.file()
        file.load()
        (self.folder / "example.com_7835-localhost_8000.json").mkdir()
        file.save(Remembered(20001, TOKEN))
        self.assertIn("cannot be written", self.logged[-1])
        self.assertEqual(sorted(p.suffix for p in self.folder.iterdir()), [".json", ".lock"])

    @given(st.binary(max_size=300))
    def test_anyContentIsReadOrIgnored(self, content: bytes) -> None:
        file = StateFile(self.folder, "a:1", "b:2", Sink())
        try:
            file._parse(content)
        except ValueError:
            return
        self.fail(f"{content!r} is taken for a tunnel")
