"""The options of the admin socket."""

from __future__ import annotations

import grp
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bore.commandline import UsageError
from bore.options.client import clientCommand
from bore.options.server import serverCommand
from bore.status.settings import AdminSettings
from tests.support import temporaryFolder


class AdminOptionsTests(SynchronousTestCase):
    """Where it is, and who may use it."""

    def server(self, *words: str, **environment: str) -> AdminSettings | None:
        return serverCommand("x").parse(words, environment).admin

    def client(self, *words: str, **environment: str) -> AdminSettings | None:
        return clientCommand("x").parse(("1", "--to", "h", *words), environment).admin

    def test_byDefaultItIsInTheRuntimeDirectory(self) -> None:
        for parse in (self.server, self.client):
            self.assertEqual(parse(RUNTIME_DIRECTORY="/run/a"), AdminSettings(None, Path("/run/a")))
        self.patch(os, "geteuid", lambda: 1000)
        self.assertIsNone(self.server())

    def test_thePathAndTheGroupCanBeGiven(self) -> None:
        group = grp.getgrgid(os.getgid())
        expected = AdminSettings(Path("/run/b/a.sock"), Path("/run/b"), group.gr_gid)
        for name in (group.gr_name, str(group.gr_gid)):
            for parse in (self.server, self.client):
                self.assertEqual(parse("--admin-socket", "/run/b/a.sock", "--admin-group", name), expected)
        self.assertEqual(self.server(BORE_ADMIN_SOCKET="a.sock"), AdminSettings(Path.cwd() / "a.sock", Path.cwd()))

    def test_thereMayBeNone(self) -> None:
        self.assertIsNone(self.server("--no-admin-socket", RUNTIME_DIRECTORY="/run/a"))
        self.assertIsNone(self.client("--no-admin-socket", BORE_ADMIN_SOCKET="/run/a/b.sock"))

    def test_mistakes(self) -> None:
        for words, text in (
            (("--no-admin-socket", "--admin-socket", "a"), "--admin-socket and --no-admin-socket exclude each other"),
            (("--no-admin-socket", "--admin-group", "0"), "--admin-group and --no-admin-socket exclude each other"),
            (("--admin-group", "no such group"), "must be a group of this machine"),
            (("--admin-socket", "x" * 108), "must have at most 107 bytes"),
            (("--admin-socket", "a/"), "must be the path of a socket"),
        ):
            for parse in (self.server, self.client):
                self.assertIn(text, str(self.assertRaises(UsageError, parse, *words)))

    def test_aFileMayHaveThem(self) -> None:
        file = temporaryFolder(self) / "server.toml"
        file.write_text('admin-socket = "a.sock"\nadmin-group = "0"\n')
        self.assertEqual(self.server("--config", str(file)), AdminSettings(file.parent / "a.sock", file.parent, 0))
        file.write_text("no-admin-socket = true\n")
        self.assertIsNone(self.server("--config", str(file)))
