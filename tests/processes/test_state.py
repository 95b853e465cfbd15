"""What a client remembers when it is started again, and where."""

from __future__ import annotations

import json
import os
import signal
import stat
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.processes.case import ProcessCase
from tests.support import LocalService, Program, echo, eventually, isOpen, temporaryFolder


class StateCase(ProcessCase):
    """A server, and a folder for the state of its clients."""

    def setUp(self) -> None:
        super().setUp()
        self.home = temporaryFolder(self)
        self.bore, self.control = self.server()
        self.to = f"{self.host}:{self.control}"
        self.local = f"127.0.0.1:{self.service.port}"
        self.folder = self.home / "txbore"
        self.file = self.folder / f"{self.host}_{self.control}-127.0.0.1_{self.service.port}.json"

    def leave(self, client: Program) -> None:
        """Have a client end."""
        client.process.send_signal(signal.SIGTERM)
        self.assertEqual(client.wait(), 0, client.transcript())

    def assertRemembers(self, port: int, file: Path | None = None) -> None:
        """The file is there, for its owner alone, and has the port."""
        file = file or self.file
        self.assertEqual(stat.S_IMODE(file.lstat().st_mode), 0o600)
        self.assertEqual(json.loads(file.read_text())["port"], port)


class FileTests(StateCase):
    """The file."""

    def test_itIsForItsOwnersEyesOnlyAndHasThePortAndTheToken(self) -> None:
        _, port = self.client(self.control, home=self.home)
        self.assertEqual(stat.S_IMODE(self.folder.stat().st_mode), 0o700)
        self.assertRemembers(port)
        content = json.loads(self.file.read_text())
        self.assertRegex(content.pop("resume"), "^[0-9A-Za-z_-]{22,}$")
        self.assertEqual(content, {"server": self.to, "local": self.local, "port": port})

    def test_nothingElseIsLeftInTheFolder(self) -> None:
        client, _ = self.client(self.control, home=self.home)
        self.leave(client)
        names = [self.file.name, self.file.with_suffix(".lock").name]
        self.assertEqual(sorted(os.listdir(self.folder)), sorted(names))

    def test_theTokenIsInNoLog(self) -> None:
        client, port = self.client(self.control, "--log-level", "debug", home=self.home)
        self.assertServes(port)
        token = json.loads(self.file.read_text())["resume"]
        self.leave(client)
        for program in (client, self.bore):
            self.assertNotIn(token, program.transcript())


class TroubleTests(StateCase):
    """A file that is of no use: it is ignored with one line, the tunnel comes up, and the file is as it should be."""

    def setUp(self) -> None:
        super().setUp()
        client, self.port = self.client(self.control, home=self.home)
        client.kill()
        self.bore.waitFor("kept for")

    def assertIgnored(self, why: str) -> None:
        client, port = self.client(self.control, home=self.home)
        self.assertServes(port)
        self.assertComplains(client, f"{self.file} is ignored: {why}")
        self.assertNotEqual(port, self.port)
        self.assertRemembers(port)
        client.kill()

    def test_damagedOnesAreIgnored(self) -> None:
        for content in (b"", b"{", b"\xff\0", b"[" * 100_000):
            self.file.write_bytes(content)
            self.assertIgnored("it is damaged")

    def test_theFileOfAnotherTunnelIsIgnored(self) -> None:
        content = json.loads(self.file.read_text())
        self.file.write_text(json.dumps(content | {"server": "elsewhere:7835"}))
        self.assertIgnored("it is damaged, or of another server or service")

    def test_aPortThatIsNoneIsIgnored(self) -> None:
        content = json.loads(self.file.read_text())
        for port in (0, 65536, "80", 80.0, True, None):
            self.file.write_text(json.dumps(content | {"port": port}))
            self.assertIgnored("it is damaged, or of another server or service")

    def test_oneThatOthersMayReadIsIgnored(self) -> None:
        self.file.chmod(0o640)
        self.assertIgnored(f"it is readable by its group: chmod go= {self.file}")

    def test_oneOfAnotherUserIsIgnored(self) -> None:
        if os.geteuid() != 0:
            raise SkipTest("ONLY ROOT CAN GIVE A FILE AWAY")
        os.chown(self.file, 65534, 65534)
        change = f"run it as nobody, or chown root {self.file}"
        self.assertIgnored(f"it belongs to nobody, and this program runs as root: {change}")

    def test_aSymbolicLinkIsIgnoredAndWhereItLeadsToIsUntouched(self) -> None:
        elsewhere = self.home / "elsewhere"
        self.file.rename(elsewhere)
        before = elsewhere.read_bytes()
        self.file.symlink_to(elsewhere)
        self.assertIgnored("it is a link: replace it with a file")
        self.assertEqual(elsewhere.read_bytes(), before)

    def test_aPipeIsIgnored(self) -> None:
        self.file.unlink()
        os.mkfifo(self.file, 0o600)
        self.assertIgnored("it is not a file: move it away")


class PlaceTests(StateCase):
    """Where the file is."""

    def assertUnusable(self, folder: Path, why: str) -> None:
        client, port = self.client(self.control, home=folder)
        self.assertServes(port)
        path = folder / "txbore" / self.file.name
        self.assertComplains(client, f"{path} cannot be used: {why}")
        self.leave(client)

    def test_aFolderThatCannotBeWrittenIsDoneWithout(self) -> None:
        file = self.home / "file"
        file.touch()
        self.assertUnusable(file, "Not a directory")
        self.assertUnusable(Path("/proc"), "No such file or directory")

    def test_aLockThatIsASymbolicLinkIsNotFollowed(self) -> None:
        self.folder.mkdir()
        self.file.with_suffix(".lock").symlink_to(self.home / "elsewhere")
        self.assertUnusable(self.home, "it is a link")
        self.assertFalse((self.home / "elsewhere").exists())

    def test_whatSystemdGivesGoesFirst(self) -> None:
        given = self.home / "given"
        client = self.launch(self.to, home=self.home, STATE_DIRECTORY=f"{given}:{self.home / 'other'}")
        self.assertRemembers(client.port("listening at "), given / self.file.name)
        self.assertEqual(os.listdir(self.home), ["given"])

    def test_withoutAWordItIsInTheHome(self) -> None:
        for other in ("", "relative/path"):
            client = self.launch(self.to, HOME=str(self.home), XDG_STATE_HOME=other)
            port = client.port("listening at ")
            self.assertRemembers(port, self.home / ".local" / "state" / "txbore" / self.file.name)
            client.kill()


class TwoClientsTests(StateCase):
    """Two clients that show the same local port through the same server, and keep their state in the same folder."""

    def test_theSecondGetsAPortOfItsOwnAndSaysSo(self) -> None:
        first, port = self.client(self.control, home=self.home)
        second, other = self.client(self.control, home=self.home)
        self.assertNotEqual(other, port)
        second.waitFor(
            f"another client has a tunnel from {self.to} to {self.local}: this client starts without its saved port"
        )
        for one in (port, other):
            self.assertServes(one)
        self.bore.kill()
        for client in (first, second):
            client.waitFor("lost ")
        self.server(port=self.control)
        eventually(lambda: isOpen(self.host, port) and isOpen(self.host, other), "both are back")
        second.kill()
        self.assertServes(port)
        first.kill()
        self.assertEqual(self.client(self.control, home=self.home)[1], port)

    def test_clientsOfDifferentLocalPortsDoNotMeet(self) -> None:
        first, _ = self.client(self.control, home=self.home)
        self.service = LocalService(echo)
        self.addCleanup(self.service.close)
        second, _ = self.client(self.control, home=self.home)
        self.assertEqual((first.err, second.err), ([], []))


class NoStateTests(StateCase):
    """--no-state."""

    def test_nothingIsWritten(self) -> None:
        client, port = self.client(self.control, "--no-state", home=self.home)
        self.assertServes(port)
        client.process.send_signal(signal.SIGTERM)
        self.assertEqual(client.wait(), 0)
        self.assertEqual(os.listdir(self.home), [])
