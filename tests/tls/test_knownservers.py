"""The file of known servers, and its errors."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.streams.addresses import hostPort, parseHostPort
from bore.tls.knownservers import KnownServer, KnownServers, KnownServersError
from bore.wire.pins import AUTHORITY
from tests.effort import examples
from tests.support import CHECKOUT, temporaryFolder

SERVER = "example.com:7835"
KEY = "SHA256:" + "k" * 43
OTHER = "SHA256:" + "o" * 43
LINE = f"{SERVER} {KEY}\n".encode()

#: Lines about others.
NEIGHBOURS = (b"# a remark\n", b"\n", f"other.example:1 {OTHER}\n".encode(), b"[2001:db8::1]:7835 authority\n")


class KnownServersCase(SynchronousTestCase):
    """A file in a folder of its own."""

    def setUp(self) -> None:
        self.path = temporaryFolder(self) / "txbore" / "known_servers"
        self.known = KnownServers(self.path)

    def write(self, content: bytes) -> None:
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_bytes(content)

    def assertIsNoFirstUse(self, content: bytes, server: str = SERVER) -> None:
        """With this content, the server is not a new one."""
        self.write(content)
        try:
            self.assertTrue(self.known.find(server), content)
        except KnownServersError as e:
            self.assertIn(str(self.path), str(e))


class BookTests(KnownServersCase):
    """Lines that are written and found."""

    def test_withoutAFileNoServerIsKnown(self) -> None:
        self.assertEqual(self.known.find(SERVER), [])
        self.assertFalse(self.path.parent.exists(), "reading makes nothing")

    def test_aLineIsFoundByNameAndPort(self) -> None:
        self.known.add(SERVER, KEY)
        self.known.add("other.example:7835", AUTHORITY)
        self.assertEqual(self.known.find(SERVER), [KnownServer(KEY, 1)])
        self.assertEqual(self.known.find("Other.EXAMPLE:7835"), [KnownServer(AUTHORITY, 2)])
        for name in ("example.com:7836", "example.com", "xample.com:7835", "sub.example.com:7835"):
            self.assertEqual(self.known.find(name), [])

    def test_upperAndLowerCaseAreTheSame(self) -> None:
        self.known.add("EXAMPLE.com:7835", KEY)
        self.assertEqual(self.known.find(SERVER), [KnownServer(KEY, 1)])
        self.write(f"Example.COM:7835 {KEY}\n".encode())
        self.assertEqual(self.known.find(SERVER), [KnownServer(KEY, 1)])

    def test_allLinesOfAServerAreFoundWithTheirNumbers(self) -> None:
        self.write(b"".join(NEIGHBOURS) + LINE + f"\t{SERVER}   {OTHER}  \r\n".encode())
        self.assertEqual(self.known.find(SERVER), [KnownServer(KEY, 5), KnownServer(OTHER, 6)])

    def test_aLineIsAddedAfterOneWithoutANewline(self) -> None:
        self.write(LINE.rstrip())
        self.known.add("other.example:1", OTHER)
        self.assertEqual(self.path.read_bytes(), LINE + f"other.example:1 {OTHER}\n".encode())

    def test_fileAndDirectoryAreForTheUserAlone(self) -> None:
        self.known.add(SERVER, KEY)
        modes = [path.stat().st_mode & 0o777 for path in (self.path.parent, self.path)]
        self.assertEqual(modes, [0o700, 0o600])

    def test_aFileThatCannotBeWrittenIsAnOsError(self) -> None:
        self.path.parent.write_text("a file where the folder should be")
        self.assertRaises(OSError, self.known.add, SERVER, KEY)
        self.assertRaises(KnownServersError, self.known.find, SERVER)


class NamesTests(KnownServersCase):
    """Names that are not written as they are."""

    def test_specialCharactersInNamesAreEscaped(self) -> None:
        for name in ("#x.example:7835", "[fe80::1%eth 0]:7835", "[fe80::1%a\\x0020b]:7835", "back\\slash:1", "##:1"):
            self.known.add(name, KEY)
            self.assertEqual([each.key for each in self.known.find(name)], [KEY], name)
        self.assertEqual(self.known.find("[fe80::1%a b]:7835"), [])
        self.assertEqual(self.known.find(SERVER), [])
        for line in self.path.read_text().splitlines():
            self.assertRegex(line, r"^[^#]\S+ SHA256:k{43}$")

    @settings(max_examples=examples(200), deadline=None)
    @given(st.text(st.characters(blacklist_categories=("C", "Z")), min_size=1, max_size=20))
    def test_everyNameIsFoundAgain(self, host: str) -> None:
        try:
            parseHostPort(host)
        except ValueError:
            return
        self.path.unlink(missing_ok=True)
        name = hostPort(host, 7835)
        self.known.add(name, KEY)
        self.assertEqual(self.known.find(name), [KnownServer(KEY, 1)])


#: Writes down a server with a key, as many clients at the same time would, and says whether it was new.
_ADD = """
import pathlib, sys
from bore.tls.knownservers import KnownServers
sys.stdin.read()
print(KnownServers(pathlib.Path(sys.argv[1])).add("example.com:7835", sys.argv[2]) == [])
"""


class TogetherTests(KnownServersCase):
    """Several clients."""

    def test_aKnownServerIsNotWrittenAgain(self) -> None:
        self.assertEqual(self.known.add(SERVER, KEY), [])
        self.assertEqual(self.known.add(SERVER, OTHER), [KnownServer(KEY, 1)])
        self.assertEqual(self.known.add("other.example:1", OTHER), [])
        self.assertEqual(len(self.path.read_text().splitlines()), 2)

    def test_aLockedFileIsNotWrittenAndNotWaitedForForLong(self) -> None:
        self.write(b"")
        with open(self.path) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            begin = time.monotonic()
            error = self.assertRaises(OSError, self.known.add, SERVER, KEY)
            self.assertIn("locked", str(error.strerror))
            self.assertLess(time.monotonic() - begin, 5.0)
        self.assertEqual(self.path.read_bytes(), b"")
        self.assertEqual(self.known.add(SERVER, KEY), [])

    def test_ofManyConcurrentClientsOneWritesTheKeyOfANewServer(self) -> None:
        children = [
            subprocess.Popen(
                [sys.executable, "-c", _ADD, str(self.path), "SHA256:" + each * 43],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=CHECKOUT,
            )
            for each in "abcdef"
        ]
        for child in children:
            assert child.stdin is not None
            child.stdin.close()
        outputs = []
        for child in children:
            assert child.stdout is not None
            outputs.append(child.stdout.read())
            child.stdout.close()
            child.wait()
        self.assertEqual(outputs.count(b"True\n"), 1, outputs)
        self.assertEqual(len(self.path.read_text().splitlines()), 1)


class RightsTests(KnownServersCase):
    """Files and directories that other users may change."""

    def test_aFileThatOthersMayWriteIsNotUsed(self) -> None:
        self.write(LINE)
        for mode in (0o620, 0o602, 0o666, 0o777):
            self.path.chmod(mode)
            error = self.assertRaises(KnownServersError, self.known.find, SERVER)
            self.assertIn("chmod go-w", str(error))
        for mode in (0o600, 0o644, 0o400):
            self.path.chmod(mode)
            self.assertEqual(len(self.known.find(SERVER)), 1, oct(mode))

    def test_aFileOfAnotherUserIsNotUsed(self) -> None:
        if os.geteuid() != 0:
            self.skipTest("only root can give a file away")
        self.write(LINE)
        os.chown(self.path, 4711, -1)
        self.assertRaises(KnownServersError, self.known.find, SERVER)

    def test_aDirectoryOfAnotherUserIsNotUsed(self) -> None:
        """Its owner can remove the file, which would make every server a new one."""
        if os.geteuid() != 0:
            self.skipTest("only root can give a folder away")
        self.write(LINE)
        os.chown(self.path.parent, 4711, -1)
        for written in (True, False):
            error = self.assertRaises(KnownServersError, self.known.find, SERVER)
            self.assertIn(f"{self.path.parent}, which belongs to user 4711", str(error))
            self.assertRaises(KnownServersError, self.known.add, SERVER, KEY)
            if written:
                self.path.unlink()

    def test_aDirectoryInItsPlaceIsAnError(self) -> None:
        self.path.mkdir(parents=True)
        error = self.assertRaises(KnownServersError, self.known.find, SERVER)
        self.assertIn(str(self.path), str(error))

    def test_aFileThatIsTooLongIsNotRead(self) -> None:
        self.write(LINE + b"#" * (1 << 20))
        self.assertIn("too long", str(self.assertRaises(KnownServersError, self.known.find, SERVER)))


class DamageTests(KnownServersCase):
    """Files that are not as they were written."""

    @settings(max_examples=examples(150), deadline=None)
    @given(st.binary(max_size=400) | st.lists(st.sampled_from([LINE, LINE[:-9], b"\n", b"\xff", b"# "])).map(b"".join))
    def test_noContentRaisesAnotherError(self, content: bytes) -> None:
        self.write(content)
        try:
            found = self.known.find(SERVER)
        except KnownServersError as e:
            self.assertIn(str(self.path), str(e))
        else:
            self.assertTrue({each.key for each in found} <= {KEY}, found)

    @settings(max_examples=examples(100), deadline=None)
    @given(st.lists(st.sampled_from(NEIGHBOURS), max_size=3), st.integers(1, len(LINE)))
    def test_aTruncatedFileDoesNotMakeAServerNew(self, before: list[bytes], kept: int) -> None:
        self.assertIsNoFirstUse(b"".join(before) + LINE[:kept])

    @settings(max_examples=examples(100), deadline=None)
    @given(st.integers(0, len(LINE) - 2), st.sampled_from([0, 1, 8, 0x7F, 0x80, 0xC3, 0xFF]))
    @example(0, 0)
    @example(len(SERVER) - 1, 0xFF)
    def test_aDamagedByteDoesNotMakeAServerNew(self, at: int, byte: int) -> None:
        content = bytearray(b"".join(NEIGHBOURS) + LINE)
        content[len(content) - len(LINE) + at] = byte
        self.assertIsNoFirstUse(bytes(content))

    @settings(max_examples=examples(100), deadline=None)
    @given(st.integers(len(SERVER) + 1, len(LINE) - 2), st.binary(max_size=3))
    def test_damageAfterItsNameDoesNotMakeAServerNew(self, at: int, bytes_: bytes) -> None:
        self.assertIsNoFirstUse(LINE[:at] + bytes_ + LINE[at + 1 :])

    def test_zerosDoNotMakeAServerNew(self) -> None:
        for content in (b"\0" * len(LINE), b"\0" * 5 + LINE[5:], LINE[:5] + b"\0" * (len(LINE) - 5)):
            self.assertIsNoFirstUse(content)

    def test_aNameWithoutAPortIsDamaged(self) -> None:
        for name in ("example.com", "example.com:", "example.com:783x", "example.com:99999", ":7835"):
            self.write(f"{name} {KEY}\n".encode())
            error = self.assertRaises(KnownServersError, self.known.find, SERVER)
            self.assertIn("line 1", str(error))

    def test_damagedNeighboursDoNotMatterToAKnownServer(self) -> None:
        self.write(b"\xff\0 damaged\n" + LINE + b"damaged as well\n")
        self.assertEqual(self.known.find(SERVER), [KnownServer(KEY, 2)])
        error = self.assertRaises(KnownServersError, self.known.find, "new.example:7835")
        self.assertIn("line 1 of", str(error))

    def test_theErrorNamesTheFirstDamagedLine(self) -> None:
        self.write(b"".join(NEIGHBOURS) + b"damaged\n\ndamaged\n")
        error = self.assertRaises(KnownServersError, self.known.find, SERVER)
        self.assertIn(f"line 5 of {self.path}", str(error))


class PathTests(SynchronousTestCase):
    """Where the file is."""

    def test_nothingIsMadeBeforeItIsNeeded(self) -> None:
        self.assertEqual(KnownServers(Path("/nonexistent/known_servers")).find(SERVER), [])
