"""The admin socket: where it is, who may use it, and what is in its way."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from bore.events import AdminSocketFailed, AdminSocketOpen, Event, Sink
from bore.status.adminsocket import AdminSocket, AdminSocketError
from bore.status.settings import AdminSettings
from bore.streams.reactor import IReactor
from bore.system.statefolder import runtimeFolder
from tests.fakes import FakeReactor
from tests.support import temporaryFolder


class Host:
    """Serves nothing."""

    def __init__(self) -> None:
        self.served: list[socket.socket] = []

    def serve(self, sock: socket.socket, done: Callable[[], None]) -> None:
        self.served.append(sock)

    def relieve(self) -> None:
        """It has one connection."""

    def close(self) -> None:
        for sock in self.served:
            sock.close()


class AdminSocketCase(SynchronousTestCase):
    """A runtime directory."""

    def setUp(self) -> None:
        self.folder = temporaryFolder(self)
        self.reactor = FakeReactor()
        self.events: list[Event] = []
        self.hosts: list[Host] = []

    def makeHost(self) -> Host:
        self.hosts.append(Host())
        return self.hosts[-1]

    def make(
        self, path: Path | None = None, name: str = "server-7835", folder: Path | None = None, group: int | None = None
    ) -> AdminSocket:
        sink = Sink()
        sink.subscribe(self.events.append)
        settings = AdminSettings(path, folder or self.folder / "txbore", group)
        made = AdminSocket(cast(IReactor, self.reactor), sink, settings, lambda: name, self.makeHost)
        self.addCleanup(made.stopService)
        return made

    def started(self, name: str = "server-7835", group: int | None = None) -> Path:
        """The path of a socket in the runtime directory."""
        made = self.make(name=name, group=group)
        made.startService()
        assert made.path is not None, self.events
        return Path(made.path)

    def foreign(self, path: Path, listens: bool = True) -> socket.socket:
        """A socket of another program."""
        path.parent.mkdir(exist_ok=True)
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        sock.bind(str(path))
        if listens:
            sock.listen()
        return sock

    def refusal(self, path: Path) -> str:
        """Why a socket that the user has given cannot be opened."""
        return str(self.assertRaises(AdminSocketError, self.make(path).open))


class OwnTests(AdminSocketCase):
    """In the runtime directory."""

    def test_onlyTheUserMayUseIt(self) -> None:
        path = self.started()
        self.assertEqual(path, self.folder / "txbore" / "server-7835.sock")
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(self.events, [AdminSocketOpen(str(path))])

    def test_aGroupMayBeAllowedTo(self) -> None:
        group = os.getgroups()[-1] if os.getgroups() else os.getgid()
        found = self.started(group=group).stat()
        self.assertEqual((stat.S_IMODE(found.st_mode), found.st_gid), (0o660, group))

    def test_itIsGoneBehindTheProgram(self) -> None:
        made = self.make()
        made.startService()
        self.assertTrue(Path(str(made.path)).exists())
        made.stopService()
        self.assertEqual(list((self.folder / "txbore").iterdir()), [])
        self.assertEqual(self.reactor.getReaders(), [])
        made.stopService()

    def test_whatServesIsMadeForTheFirstConnection(self) -> None:
        path = self.started()
        self.assertEqual(self.hosts, [])
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            for each in self.reactor.getReaders():
                each.doRead()
        self.assertEqual(len(self.hosts[0].served), 1)

    def test_oneThatWasLeftBehindIsReplaced(self) -> None:
        self.foreign(self.folder / "txbore" / "server-7835.sock").close()
        self.started()
        self.assertEqual(len(self.events), 1)

    def test_aSecondServerWithTheSamePortHasAnotherName(self) -> None:
        self.foreign(self.folder / "txbore" / "server-7835.sock")
        self.assertEqual(self.started().name, f"server-7835-{os.getpid()}.sock")

    def test_socketsOfClientsThatWereKilledAreRemoved(self) -> None:
        dead = self.folder / "txbore" / "client-4194304.sock"
        alive = self.folder / "txbore" / f"client-{os.getppid()}.sock"
        elsewhere = self.folder / "txbore" / "client-4194303.sock"
        for path in (dead, alive):
            self.foreign(path, listens=False)
        self.foreign(elsewhere)
        self.started(f"client-{os.getpid()}")
        self.assertEqual((dead.exists(), alive.exists(), elsewhere.exists()), (False, True, True))

    def test_whereThereIsNoRuntimeDirectoryThereIsNone(self) -> None:
        for folder in (self.folder / "no" / "txbore", Path("/proc/txbore")):
            made = self.make(folder=folder)
            made.startService()
            self.assertIsNone(made.path)
        self.assertEqual(self.events, [])

    def test_aFileInItsPlaceStays(self) -> None:
        place = self.folder / "txbore" / "server-7835.sock"
        place.parent.mkdir()
        for make in (place.touch, lambda: place.symlink_to("/etc/passwd")):
            make()
            made = self.make()
            made.startService()
            self.assertIsNone(made.path)
            [event] = self.events
            assert isinstance(event, AdminSocketFailed)
            self.assertIn("a file that is not a socket", event.error)
            self.events.clear()
            place.unlink()

    def test_aPathThatIsTooLongIsReported(self) -> None:
        folder = self.folder / ("x" * 90)
        folder.mkdir()
        self.make(folder=folder).startService()
        [event] = self.events
        assert isinstance(event, AdminSocketFailed)
        self.assertIn("has more than 107 bytes", event.error)

    def test_aSocketThatCannotBeChangedIsRemovedAgain(self) -> None:
        def refuse(*arguments: object) -> None:
            raise PermissionError(errno.EPERM, "not permitted")

        self.patch(os, "chown", refuse)
        made = self.make(group=0)
        made.startService()
        [event] = self.events
        assert isinstance(event, AdminSocketFailed)
        self.assertIn("has to be a member", event.error)
        self.assertEqual(list((self.folder / "txbore").iterdir()), [])


class GivenTests(AdminSocketCase):
    """The user has given its path."""

    def test_itIsOpenBeforeTheProgramStarts(self) -> None:
        made = self.make(self.folder / "a.sock")
        made.open()
        self.assertEqual(made.path, str(self.folder / "a.sock"))
        self.assertEqual(self.events, [])
        made.startService()
        self.assertEqual(self.events, [AdminSocketOpen(str(self.folder / "a.sock"))])

    def test_aProgramThatDoesNotStartRemovesIt(self) -> None:
        made = self.make(self.folder / "a.sock")
        made.open()
        made.stopService()
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_whatIsInItsWayIsAnError(self) -> None:
        place = self.folder / "a.sock"
        self.assertIn(f"there is no directory {self.folder / 'no'}", self.refusal(self.folder / "no" / "a.sock"))
        place.touch()
        self.assertIn("a file that is not a socket", self.refusal(place))
        place.unlink()
        self.foreign(place)
        self.assertIn("another program listens there", self.refusal(place))
        self.assertIn("more than 107 bytes", self.refusal(self.folder / ("x" * 100)))


class FolderTests(SynchronousTestCase):
    """Which directory it is."""

    def test_itIsSystemdsOrRootsOrTheUsers(self) -> None:
        user = 1000
        self.patch(os, "geteuid", lambda: user)
        self.assertEqual(runtimeFolder({"RUNTIME_DIRECTORY": "/run/a:/run/b", "XDG_RUNTIME_DIR": "/c"}), Path("/run/a"))
        self.assertEqual(runtimeFolder({"XDG_RUNTIME_DIR": "/run/user/1000"}), Path("/run/user/1000/txbore"))
        self.assertIsNone(runtimeFolder({"XDG_RUNTIME_DIR": "relative"}))
        self.assertIsNone(runtimeFolder({}))
        user = 0
        self.assertEqual(runtimeFolder({"XDG_RUNTIME_DIR": "/run/user/0"}), Path("/run/txbore"))
