"""Secret files."""

from __future__ import annotations

import os
import shlex
import threading
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bore.commandline import UsageError
from bore.options.client import clientCommand
from bore.options.secrets import MAX_SECRETS, readSecrets, writeSecret
from bore.options.server import serverCommand
from bore.wire.secret import LEAST_LENGTH, Secret, newSecret
from tests.support import temporaryFolder


class SecretFileCase(SynchronousTestCase):
    """Has a folder with a secret file."""

    def setUp(self) -> None:
        self.path = temporaryFolder(self) / "the secret"

    def write(self, content: str = "hush\n", mode: int = 0o600) -> Path:
        self.path.unlink(missing_ok=True)  # its user may not write it any more
        self.path.write_text(content)
        self.path.chmod(mode)
        return self.path

    def assertRefused(self, text: str) -> None:
        with self.assertRaises(ValueError) as caught:
            readSecrets(str(self.path))
        self.assertEqual(str(caught.exception), text)


class ReadSecretTests(SecretFileCase):
    """Reading a secret file, and its permissions."""

    if os.name != "posix":
        skip = "files have no modes here"

    def test_aFileForItsUserOrItsGroupIsTaken(self) -> None:
        for mode in (0o400, 0o600, 0o440, 0o640, 0o660):
            self.assertEqual(readSecrets(str(self.write(mode=mode))), ["hush"], oct(mode))

    def test_aFileForEverybodyIsRefusedWithTheCommandThatMendsIt(self) -> None:
        for mode, access in ((0o644, "read"), (0o666, "read"), (0o604, "read"), (0o602, "writ"), (0o444, "read")):
            self.write(mode=mode)
            command = f"chmod o= {shlex.quote(str(self.path))}"
            self.assertRefused(f"is {access}able by all users of this machine: {command}")
        self.path.chmod(0o644 & ~0o007)
        self.assertEqual(readSecrets(str(self.path)), ["hush"])

    def test_aFileOfAnotherUserIsRefused(self) -> None:
        self.write()
        os.chown(self.path, 4711, -1)
        command = f"run it as user 4711, or chown root {shlex.quote(str(self.path))}"
        self.assertRefused(f"belongs to user 4711, and this program runs as root: {command}")

    if os.name == "posix" and os.geteuid() != 0:
        test_aFileOfAnotherUserIsRefused.skip = "only root can give a file away"  # type: ignore[attr-defined]

    def test_aPipeIsItsProcesssOwn(self) -> None:
        os.mkfifo(self.path, 0o666)
        self.path.chmod(0o666)
        writer = threading.Thread(target=lambda: self.path.write_text("hush\n"))
        writer.start()
        self.addCleanup(writer.join)
        self.assertEqual(readSecrets(str(self.path)), ["hush"])


class WriteSecretTests(SecretFileCase):
    """bore secret --write."""

    def test_whatWasWrittenIsReadAndOnlyByItsUser(self) -> None:
        umask = os.umask(0o000)
        self.addCleanup(os.umask, umask)
        writeSecret(self.path, "hush")
        self.assertEqual(readSecrets(str(self.path)), ["hush"])
        if os.name == "posix":
            self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_aFileThatExistsIsNotTouchedAndNeitherIsALink(self) -> None:
        self.write("the other end's\n")
        self.assertRaises(FileExistsError, writeSecret, self.path, ["hush"])
        self.assertEqual(readSecrets(str(self.path)), ["the other end's"])
        link = self.path.with_name("link")
        link.symlink_to(self.path.with_name("nothing"))
        self.assertRaises(FileExistsError, writeSecret, link, ["hush"])

    def test_aFileThatCannotBeWrittenWholeIsGone(self) -> None:
        self.assertRaises(UnicodeEncodeError, writeSecret, self.path, "\udcff")
        self.assertFalse(self.path.exists())


class NewSecretTests(SynchronousTestCase):
    """New secrets."""

    def test_theyAreLongAndNeverTakenForAnOption(self) -> None:
        secrets = [newSecret() for _ in range(2000)]  # one in 64 would begin with a dash
        self.assertEqual([secret for secret in secrets if secret.startswith("-")], [])
        self.assertEqual(len(set(secrets)), 2000)
        self.assertGreaterEqual(min(map(len, secrets)), 2 * LEAST_LENGTH)


class SeveralTests(SecretFileCase):
    """A file with several secrets, one in each line."""

    def test_eachLineIsASecret(self) -> None:
        for text in ("a\nb c\n", "a\nb c", "a\r\nb c\r\n"):
            self.write(text)
            self.assertEqual(readSecrets(str(self.path)), ["a", "b c"])

    def test_noLineIsEmpty(self) -> None:
        self.write("a\n\nb\n")
        self.assertRefused("has an empty line 2: each line is a secret")
        self.write("a\n\n")
        self.assertRefused("ends with an empty line: it must end with at most one newline")

    def test_theyAreFew(self) -> None:
        self.write("".join(f"secret {n}\n" for n in range(MAX_SECRETS + 1)))
        self.assertRefused("has 17 lines, and each line is a secret: at most 16 are tried")

    def test_aServerHasAllAndAClientOne(self) -> None:
        self.write("a\nb\n")
        words = ["--secret-file", str(self.path)]
        self.assertEqual(serverCommand("x").parse(words, {}).settings.secrets, (Secret("a"), Secret("b")))
        with self.assertRaisesRegex(UsageError, "--secret-file has 2 lines: a client has one secret, in one line"):
            clientCommand("x").parse(["1", "--to", "x", *words], {})
