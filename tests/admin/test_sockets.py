"""Where admin sockets are."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bore.admin.sockets import CLIENT, SERVER, AdminSocket, findSockets, runtimeFolders
from tests.support import temporaryFolder


class SocketsTests(SynchronousTestCase):
    """Runtime directories."""

    def test_theDirectoriesAreThoseOfTheUserAndOfTheSystem(self) -> None:
        for environment, expected in (
            ({}, ["/run/user/1000/txbore", "/run/txbore"]),
            ({"XDG_RUNTIME_DIR": "/tmp/mine"}, ["/tmp/mine/txbore", "/run/txbore"]),
            ({"XDG_RUNTIME_DIR": "mine"}, ["/run/user/1000/txbore", "/run/txbore"]),
            ({"XDG_RUNTIME_DIR": "/tmp/mine", "RUNTIME_DIRECTORY": "/run/a:/run/b"}, ["/run/a", "/run/b"]),
        ):
            self.assertEqual([str(each) for each in runtimeFolders(environment, 1000)], expected)

    def test_theirSocketsAreFoundAndThoseOfUnitsBelow(self) -> None:
        folder = temporaryFolder(self)
        (folder / "unit").mkdir()
        for name in ("server-7835.sock", "client-4711.sock", "other.txt", "unit/client-1.sock", "mine.sock"):
            (folder / name).touch()
        (folder / "loop").symlink_to(folder)
        found = findSockets([folder, folder / "missing", folder])
        names = [each.path.relative_to(folder).as_posix() for each in found.sockets]
        self.assertEqual(names, ["client-4711.sock", "mine.sock", "server-7835.sock", "unit/client-1.sock"])
        self.assertEqual([each.program for each in found.sockets], [CLIENT, "", SERVER, CLIENT])
        self.assertEqual(found.closed, [])

    def test_aDirectoryOfAnotherUserIsNamed(self) -> None:
        folder = temporaryFolder(self)
        closed = folder / "closed"
        closed.mkdir()

        def listdir(path: Path) -> list[str]:
            if path == closed:
                raise PermissionError
            return []

        self.patch(os, "listdir", listdir)
        self.assertEqual(findSockets([folder]).closed, [closed])

    def test_theNameTellsTheProgram(self) -> None:
        self.assertEqual(AdminSocket(Path("/a/server-1.sock")).program, SERVER)
        self.assertEqual(AdminSocket(Path("/a/serverless.sock")).program, "")
