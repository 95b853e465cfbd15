"""Settings files: their values, and all their mistakes at once."""

from __future__ import annotations

import os
from pathlib import Path
from time import process_time

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.commandline import BadFile, UsageError
from bore.config.mistakes import SHOWN
from bore.config.tables import SettingsFile, Vocabulary, readFile
from bore.option import option, repeated, switch
from tests.support import temporaryFolder


def number(text: str) -> int:
    if text.isdigit():
        return int(text)
    raise ValueError("must be a number")


COUNT = option("-c --max-count", "a count", number, "NUMBER", 3)
NAMES = repeated("--name", "", str, "NAME", keyed="names")
LOUD = switch("--loud", "")
SECRET = option("--secret-file", "", Path, "PATH", None, isFile=True)
LOCAL = option("local", "the local service", number, "PORT", None, unquoted=True)

LINE = "each line is KEY = VALUE or [TABLE]"
QUOTES = 'a text needs straight quotes, as in server = "example.com"'

KEYS = "max-count, names, loud, secret-file"

VOCABULARY = Vocabulary(
    (COUNT, NAMES, LOUD, SECRET), (LOCAL, COUNT), (LOCAL,), private=(SECRET,), refused={"secret": "use secret-file"}
)


class TablesCase(SynchronousTestCase):
    """Has a file."""

    def setUp(self) -> None:
        self.path = temporaryFolder(self) / "a.toml"

    def read(self, text: str) -> SettingsFile:
        self.path.write_text(text)
        file = readFile(self.path, VOCABULARY)
        file.checked(lambda: None)
        return file

    def mistakes(self, text: str | bytes) -> list[str]:
        """Return the mistakes in a file, each without the name of the file."""
        self.path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with self.assertRaises(BadFile) as caught:
            readFile(self.path, VOCABULARY).checked(lambda: None)
        return [line.removeprefix(str(self.path)) for line in caught.exception.lines]


class ValuesTests(TablesCase):
    """Values."""

    def test_theyAreThoseOfTheOptions(self) -> None:
        file = self.read(
            'max-count = 5\nnames = ["a", "b"]\nloud = true\nsecret-file = "s"\n'
            '[tunnel.web]\nlocal = "80"\nmax-count = 6\n[tunnel.db]\nlocal = 81'
        )
        secret = self.path.parent / "s"
        self.assertEqual(file.keys, {COUNT: 5, NAMES: ("a", "b"), LOUD: True, SECRET: secret})
        self.assertEqual(list(file.tunnels.items()), [("web", {LOCAL: 80, COUNT: 6}), ("db", {LOCAL: 81})])

    def test_oneOfAListNeedsNoBrackets(self) -> None:
        self.assertEqual(self.read('names = "a,b"').keys, {NAMES: ("a,b",)})

    def test_aSwitchThatIsOffIsLikeNone(self) -> None:
        self.assertEqual(self.read("loud = false").keys, {})

    def test_namesOfFilesAreRelativeToTheFile(self) -> None:
        self.patch(os, "environ", {**os.environ, "HOME": "/home/a"})
        for text, expected in (
            ("s", self.path.parent / "s"),
            ("../s", self.path.parent / "../s"),
            ("/s", Path("/s")),
            ("~/s", Path("/home/a/s")),
        ):
            self.assertEqual(self.read(f"secret-file = '{text}'").keys, {SECRET: expected})


class MistakesTests(TablesCase):
    """Mistakes."""

    def test_allAreNamedAtOnceInTheOrderOfTheFile(self) -> None:
        found = self.mistakes(
            'max-cuont = 5\nnames = 3.5\nloud = 1\nsecret = "x"\n\n'
            '[tunnel.web]\nlocal = "x"\nmax-count = true\nloud = true\n[tunnel.db]\n'
        )
        self.assertEqual(
            found,
            [
                ":1: max-cuont: unknown key; did you mean 'max-count'?",
                ":2: names: 3.5 must be a text in quotes",
                ":3: loud: 1 must be true or false",
                ":4: secret: use secret-file",
                ":7: tunnel.web.local: 'x' must be a number",
                ":8: tunnel.web.max-count: true must be a number",
                ":9: tunnel.web.loud: belongs at the top of the file, before the first [table]",
                ":10: tunnel.db.local: missing: the local service",
            ],
        )

    def test_whatAKeyMustBeIsSaidForEachTypeOfTOML(self) -> None:
        for value, shown in (
            ("true", "true"),
            ("1.5", "1.5"),
            ("-1", "-1"),
            ("[1]", "a list"),
            ("{ a = 1 }", "a table"),
            ("1979-05-27", "1979-05-27"),
            ("'x'", "'x'"),
        ):
            self.assertEqual(self.mistakes(f"max-count = {value}"), [f":1: max-count: {shown} must be a number"])
        self.assertEqual(self.mistakes("secret-file = []"), [":1: secret-file: a list must be a text in quotes"])
        self.assertEqual(self.mistakes("names = [[]]"), [":1: names: a list must be a text in quotes"])
        self.assertEqual(self.mistakes("names = []"), [":1: names: must not be empty: leave it out"])

    def test_tunnelsAreTablesWithPlainNames(self) -> None:
        for text, mistake in (
            ("tunnel = 1", ":1: tunnel: must be tables with names: write [tunnel.web], for instance"),
            ("[[tunnel]]\nlocal = 1", ":1: tunnel: must be tables with names: write [tunnel.web], for instance"),
            ("[tunnel]\nlocal = 1", ":1: tunnel: needs a name: write [tunnel.web], for instance, and the keys below"),
            ("[tunnel]\nx = 1", ":2: tunnel.x: must be a table: write [tunnel.x], and its keys below"),
            (
                "[tunnel.a.b]\nlocal = 1",
                ':1: tunnel.a.b: must not be a table; a name with a dot needs quotes: [tunnel."a.b"]',
            ),
            ("[web]\nlocal = 1", ":1: web: unknown table; did you mean [tunnel.web]?"),
            ("[Tunnel.a]\nlocal = 1", ":1: Tunnel: unknown key; did you mean 'tunnel'?"),
        ):
            self.assertEqual(self.mistakes(text), [mistake])
        for name in ("a b", "", "x" * 65, "é"):
            self.assertIn("a name must have 1 to 64 letters", self.mistakes(f'[tunnel."{name}"]\nlocal = 1')[0])

    def test_aKeyWithoutANearOneIsAnsweredWithAll(self) -> None:
        self.assertEqual(
            self.mistakes("[tunnel.a]\nlocal=1\nxyz=1"), [":3: tunnel.a.xyz: unknown key; keys: local, max-count"]
        )
        self.assertEqual(self.mistakes("local = 1"), [":1: local: belongs into a [tunnel.NAME] table"])

    def test_aContradictionIsAMistakeAsWell(self) -> None:
        def make() -> None:
            raise UsageError("a contradicts b")

        self.path.write_text("[tunnel.a]")
        for text, expected in (("[tunnel.a]", 2), ("max-count = 'x'\n[tunnel.a]", 2)):
            self.path.write_text(text)
            with self.assertRaises(BadFile) as caught:
                readFile(self.path, VOCABULARY).checked(make)
            self.assertEqual(len(caught.exception.lines), expected)
        self.assertNotIn("contradicts", str(caught.exception), "it may follow from the other mistake")

    def test_aFileThatIsNotTOMLIsRefusedWithTheLine(self) -> None:
        for text, mistake in (
            ("a = 1\nb", f":2: not valid TOML: Expected '=' after a key in a key/value pair ({LINE})"),
            ("a = [\n1,\n", f":3: not valid TOML: Invalid value ({QUOTES})"),
            ("a = 1\n\na = 2", ":3: not valid TOML: Cannot overwrite a value (a key is there twice)"),
            (
                "[tunnel.a]\n[tunnel.a]",
                ":2: not valid TOML: [tunnel.a] is there twice: give each table a name of its own",
            ),
            (b"a = 1\nb = '\xff'", ":2: is not UTF-8 text"),
            (b"\xef\xbb\xbfa = 1\nb = '\xff'", ":2: is not UTF-8 text"),
            ("#" * (1 << 20) + "#", ": has more than 1048576 bytes: a settings file has fewer"),
            ("a = " + "[" * 9999, ": has brackets nested too deeply: no key needs more than one pair"),
            ("b = 1\n" + "a." * 99 + "a = 1", ":2: has a key with dozens of dots: no key has more than two"),
            ("a = " + "9" * 9999, ": has a number with thousands of digits: no key needs more than 8"),
        ):
            self.assertEqual(self.mistakes(text), [mistake])

    def test_theFirstOfManyAreNamed(self) -> None:
        found = self.mistakes("".join(f"key{n} = 1\n" for n in range(SHOWN + 7)))
        self.assertEqual(len(found), SHOWN + 1)
        self.assertEqual(found[-2:], [f":{SHOWN}: key99: unknown key; keys: {KEYS}", ": and 7 more mistakes"])

    def test_longNamesAndValuesAreCut(self) -> None:
        long = "x" * 9999
        for text in (f"{long} = 1", f'"{long}ä" = 1', f"max-count = '{long}'", f"[tunnel.{long}]\nlocal=1"):
            (mistake,) = self.mistakes(text)
            self.assertLess(len(mistake), 400)
            self.assertIn("xxx...", mistake.replace("'", "").replace('"', ""))

    def test_aFileThatIsWrongThroughoutIsSoonRefused(self) -> None:
        """Each of these took seconds, and more with the square of its length."""
        keys = "".join(f"key{n} = 1\n" for n in range(12_000))
        inline = ", ".join(f"k{n} = 1" for n in range(12_000))
        begun = process_time()
        for text in (
            keys,
            f"[tunnel.a]\n{keys}",
            f"{keys}[tunnel]\na = {{ {inline} }}",
            "".join(f"[tunnel.t{n}]\nlocla = 1\n" for n in range(8_000)),
            ".".join("a" * 30_000) + " = 1",
        ):
            self.mistakes(text)
        self.assertLess(process_time() - begun, 20)

    def test_aByteOrderMarkIsIgnored(self) -> None:
        self.assertEqual(self.read("\ufeffnames = 'a'").keys, {NAMES: ("a",)})

    def test_aFileThatCannotBeReadIsRefused(self) -> None:
        for path, reason in ((self.path, "No such file or directory"), (self.path.parent, "Is a directory")):
            with self.assertRaises(BadFile) as caught:
                readFile(path, VOCABULARY)
            self.assertEqual(caught.exception.lines, [f"{path}: cannot be read ({reason})"])

    @given(st.binary(max_size=40) | st.text("max-count=[]tunel.a\n1'\"{}#", max_size=40).map(str.encode))
    def test_anyBytesAreReadOrRefused(self, data: bytes) -> None:
        self.path.write_bytes(data)
        try:
            readFile(self.path, VOCABULARY).checked(lambda: None)
        except BadFile as e:
            self.assertTrue(e.lines)
            for line in e.lines:
                self.assertTrue(line.startswith(str(self.path)))


class RightsTests(TablesCase):
    """Who may write a file."""

    if os.name != "posix":
        skip = "files have no modes here"

    def test_othersMayNotWriteAFileThatNamesSecrets(self) -> None:
        self.path.touch()
        self.path.chmod(0o666)
        self.assertEqual(
            self.mistakes("names = 'a'\nsecret-file = 's'"),
            [
                ":2: secret-file: names a secret, or whom to trust, and the file is writable by all users of this "
                "machine: "
                f"chmod o-w {self.path}"
            ],
        )
        self.assertEqual(self.read("names = 'a'").keys, {NAMES: ("a",)})

    def test_othersMayReadIt(self) -> None:
        self.path.touch()
        self.path.chmod(0o664)
        self.assertEqual(list(self.read("secret-file = 's'").keys), [SECRET])
