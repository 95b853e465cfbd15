"""The documents agree with the program."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from bore import exits
from bore.commandline import Command, UsageError
from bore.commands import allCommands
from bore.options import tunnels, usercommands, users
from bore.options.check import checkCommand
from bore.options.client import upCommand
from bore.options.demo import demoCommand
from bore.options.server import serverCommand
from bore.relay.interface import DRAIN_TIMEOUT
from bore.status import report
from bore.streams.socketoptions import BASE_TIMEOUT
from bore.wire import limits, refusals
from bore.wire.secret import Secret
from tests import eventspage
from tests.support import CHECKOUT, temporaryFolder

C = TypeVar("C")

#: What users read, by file.
PAGES = {
    path.stem: path.read_text(encoding="utf-8")
    for path in (
        CHECKOUT / "README.rst",
        *(
            CHECKOUT / "docs" / f"{name}.rst"
            for name in (
                "commands differences doctor metrics network people protocol status systemd tls tunnels "
                "visitorlog".split()
            )
        ),
    )
}

COMMANDS_PAGE = PAGES["commands"]

#: Every document that is not generated.
DOCUMENTS = [
    path
    for path in (CHECKOUT / "README.rst", CHECKOUT / "CONTRIBUTING.rst", *sorted((CHECKOUT / "docs").rglob("*.rst")))
    if path.name != "reliability.rst"
]

#: Folders of the repository, as the documents write them.
FOLDERS = "bore|benchmarks|docs|examples|fuzz|laboratory|newsfragments|tests"

DECISIONS = CHECKOUT / "docs" / "decisions"

#: The sections of a decision, in their order; others may stand between them.
SECTIONS = ["Context", "Decision", "Consequences", "What would change it", "Tests"]

#: All of it as one line of words, independent of line breaks.
WORDS = " ".join(" ".join(PAGES.values()).split())


#: What makes the tables of options.
generated = runpy.run_path(str(CHECKOUT / ".ci" / "generated.py"))

#: All command lines.
COMMANDS: Final = allCommands()


class OptionsTests(SynchronousTestCase):
    """The tables of options in docs/commands.rst."""

    def test_theyAreMadeFromTheOptions(self) -> None:
        """``make generated`` writes them, and the manual pages."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = generated["main"](["--check"])
        self.assertEqual((code, printed.getvalue()), (0, ""))

    def test_theOptionsOfOtherCommandsAreNamed(self) -> None:
        for option in (*demoCommand("x").options, *checkCommand("x").options[1:]):
            self.assertIn(f"``{option.flags[0]}``", WORDS)

    def test_noOptionIsThereThatDoesNotExist(self) -> None:
        ours = {flag for command in COMMANDS for option in command.options for flag in option.flags}
        others = {
            "--help", "-h", "--version", "-V", "--reactor",
            "--nodaemon", "--pidfile", "--logfile", "--logger", "--syslog",  # twistd's
            "--strict",  # mypy's
            "--unix-socket",  # curl's
        }  # fmt: skip
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", WORDS))
        self.assertEqual(named - ours - others, set())


class FilesTests(SynchronousTestCase):
    """The settings files in docs/tunnels.rst and docs/people.rst."""

    def parsed(self, first: str, command: Command[C], *words: str) -> C:
        """Parse the file that begins with a line."""
        folder = temporaryFolder(self)
        page = PAGES["tunnels"]
        lines = page[page.index(f"\n    {first}\n") :].split("\n\n\n")[0].splitlines()[1:]
        inside = list(itertools.takewhile(lambda line: not line or line.startswith("    "), lines))
        secret = folder / "secret"
        secret.write_text("hush")
        secret.chmod(0o600)
        text = "\n".join(line.removeprefix("    ") for line in inside).replace("/etc/txbore/", f"{folder}/")
        (folder / "a.toml").write_text(text)
        return command.parse([*words, str(folder / "a.toml")], {})

    def test_theClientsIsValidAndHasEveryKeyOfATunnel(self) -> None:
        found = self.parsed('server = "tls://tunnel.example.com"', upCommand("x"))
        self.assertEqual(
            [(each.name, str(each.target), each.public) for each in found.tunnels],
            [
                ("home", "ha.lan:8123", 8123),
                ("postgres", "nas.lan:5432", 20432),
                *((f"game-{n}", f"localhost:{27015 + n}", 27015 + n) for n in range(6)),
            ],
        )
        section = PAGES["tunnels"].split("\nSeveral tunnels\n====")[1].split("\n\n\n")[0]
        for key in tunnels.KEYS:
            self.assertIn(f"``{key.key}``", section)

    def test_theServersIsValid(self) -> None:
        found = self.parsed("min-port = 20000", serverCommand("x"), "--config")
        self.assertEqual(found.settings.minPort, 20000)

    def test_theUsersFileIsValidAndHasEveryRight(self) -> None:
        section = PAGES["people"]
        begin = section.index("    address = ")
        lines = itertools.takewhile(lambda line: not line or line.startswith("    "), section[begin:].splitlines())
        path = temporaryFolder(self) / "users.toml"
        path.write_text("\n".join(line.removeprefix("    ") for line in lines))
        path.chmod(0o600)
        found = users.readUsers(path)
        self.assertEqual((set(found.entries), len(found.shared.ports)), ({"alice"}, 1000))
        self.assertEqual(found.entries["alice"].keys[0].secret, Secret(section.split("bore://alice:")[1].split("@")[0]))
        for action in usercommands.ACTIONS.split(", "):
            self.assertIn(f"``bore user {action}", section)


class ExamplesTests(SynchronousTestCase):
    """The command lines in the documents."""

    #: What begins like a command and is the program's output, or needs what the test has not.
    NOT_COMMANDS: Final = ("bore check: ", "bore join bore://alice:...")

    #: Errors of command lines that name files of the reader's machine.
    NEED_FILES: Final = ("No such file", "directory that exists")

    def commandLines(self, text: str) -> Iterator[list[str]]:
        """Return the command lines of ``bore`` in literal blocks, as words without the program."""
        whole = text.replace("\\\n", " ")
        for line in re.findall(r"(?m)^ {2,}(?:\$ |sudo |bore-env/bin/|/opt/txbore/bin/)*bore (.*)$", whole):
            if not f"bore {line}".startswith(self.NOT_COMMANDS):
                yield shlex.split(re.split(r" [|>#] ", line)[0])

    def test_theyAreValid(self) -> None:
        folder = temporaryFolder(self)
        for name, content in (
            ("secret.txt", "a shared secret that is long enough"),
            ("bore.toml", 'server = "example.com"\n[tunnel.web]\nlocal = 8000\n'),
            ("tunnels.toml", 'server = "example.com"\n[tunnel.web]\nlocal = 8000\n'),
        ):
            (folder / name).write_text(content)
            (folder / name).chmod(0o600)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder)
        commands = {each.name: each for each in COMMANDS}
        joined = {"HOME": str(folder), "BORE_SERVER": "example.com"}
        count = 0
        for document in DOCUMENTS:
            for words in self.commandLines(document.read_text(encoding="utf-8")):
                long = f"bore {' '.join(words[:2])}"
                command = commands.get(long) or commands[f"bore {words[0]}"]
                given = words[2 if command.name == long else 1 :]
                try:
                    command.parse(given, joined)
                except UsageError as e:
                    if not any(text in str(e) for text in self.NEED_FILES):
                        raise AssertionError(f"{document}: bore {' '.join(words)}: {e}") from e
                count += 1
        self.assertGreater(count, 25)


class FactsTests(SynchronousTestCase):
    """Numbers, texts and names in the documents."""

    def test_everyExitCodeIsThere(self) -> None:
        codes = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
        section = COMMANDS_PAGE.split("\nOutput and exit codes\n")[1].split("\n\nA server that is stopped")[0]
        self.assertEqual({int(code) for code in re.findall(r"^(\d+) ", section, re.MULTILINE)}, codes)

    def test_everyKeyOfAnAnswerIsThere(self) -> None:
        ends = ("Report", "Totals", "Counts", "Bytes")
        kinds = [each for each in vars(report).values() if isinstance(each, type) and each.__name__.endswith(ends)]
        for kind in kinds:
            for name in kind.__match_args__:  # type: ignore[attr-defined]
                self.assertIn(f"``{name.rstrip('_')}``", PAGES["status"], kind.__name__)
        self.assertGreater(len(kinds), 15)

    def test_everyRefusalIsThere(self) -> None:
        said = {kind.text for kind in refusals.BY_TEXT.values()}
        for text in said:
            self.assertIn(f"``{text}``", WORDS)

    def test_everyCodeOfTheExtensionIsThereAndNoOther(self) -> None:
        source = (CHECKOUT / "bore" / "wire" / "serversession.py").read_text()
        codes = set(refusals.BY_CODE) | set(re.findall(r'BrokenRule\("([a-z-]+)"', source))
        table = PAGES["protocol"].split("\ncode                              case\n", 1)[1].split("\n\n", 1)[0]
        self.assertEqual(set(re.findall(r"^``([a-z-]+)``", table, re.MULTILINE)), codes)

    def test_theLimitsAreThere(self) -> None:
        for text in (
            f"control port, {limits.CONTROL_PORT}.",
            f"at most {limits.MAX_FRAME} bytes",
            f"every {limits.HEARTBEAT_INTERVAL * 1000:.0f} ms",
            f"nothing for {limits.FIRST_MESSAGE_TIMEOUT:.0f} seconds",
            f"within {limits.ACCEPT_TIMEOUT:.0f} seconds",
            f"{limits.PORT_TRIES} random ones",
            f"sent nothing for {limits.SILENCE_TIMEOUT:.0f} seconds",
            f"at most {limits.MAX_EXTENDED_FRAME} bytes",
            f"nothing has come for {limits.BUSY_SILENCE:.0f} seconds, or {limits.IDLE_SILENCE:.0f} without visitors",
            f"every {limits.HEARTBEAT_INTERVAL} seconds while there are visitors",
            f"and for {limits.BUSY_TIME:.0f} seconds afterwards",
            f"every {limits.IDLE_HEARTBEAT_INTERVAL:.0f} seconds otherwise",
            f"acknowledged nothing for {limits.DOUBT_TIMEOUT:.0f} seconds",
            f"within {({120: 'two'})[BASE_TIMEOUT]} minutes",
            f"for a challenge for {limits.CHALLENGE_PATIENCE} seconds",
            f"continue for {DRAIN_TIMEOUT:.0f} seconds",
        ):
            self.assertIn(text, WORDS)

    def test_everyFileThatIsNamedExists(self) -> None:
        for document in DOCUMENTS:
            text = document.read_text(encoding="utf-8")
            for name in re.findall(rf"``((?:{FOLDERS})/[\w./@-]*|LICENSE)``", text):
                self.assertTrue((CHECKOUT / name).exists(), f"{document}: {name}")
            for name in re.findall(r"<([\w./-]+\.rst)(?:#[\w-]+)?>`_", text):
                self.assertTrue((document.parent / name).exists(), f"{document}: {name}")

    def test_everyModuleInTheArchitectureExists(self) -> None:
        text = (CHECKOUT / "docs" / "architecture.rst").read_text(encoding="utf-8")
        names = set(re.findall(r"``(?!tests/)(\w+/\w+\.py)``", text))
        self.assertGreater(len(names), 50)
        self.assertEqual([name for name in sorted(names) if not (CHECKOUT / "bore" / name).exists()], [])

    def test_everyTestThatIsNamedExists(self) -> None:
        tests = {path.relative_to(CHECKOUT / "tests").as_posix(): path for path in (CHECKOUT / "tests").rglob("*.py")}
        defined = {name for path in tests.values() for name in re.findall(r"(?:def|class) (\w+)", path.read_text())}
        for document in DOCUMENTS:
            text = document.read_text(encoding="utf-8")
            for name in re.findall(r"``(test_\w+|\w+Tests)``", text):
                self.assertIn(name, defined, str(document))
            for name in re.findall(r"``((?!tests/)\w+/test_\w+\.py)``", text):
                self.assertIn(name, tests, str(document))


class EventsTests(SynchronousTestCase):
    """docs/events.rst."""

    def test_itIsDrawnFromTheClasses(self) -> None:
        page = (CHECKOUT / "docs" / "events.rst").read_text(encoding="utf-8")
        self.assertEqual(page, eventspage.page() + "\n", "draw it again: python -m tests.eventspage > docs/events.rst")


class DecisionsTests(SynchronousTestCase):
    """The pages in docs/decisions."""

    def pages(self) -> list[Path]:
        return [path for path in DECISIONS.glob("*.rst") if path.name != "README.rst"]

    def test_everyPageIsInTheList(self) -> None:
        listed = re.findall(r"<([\w-]+\.rst)>", (DECISIONS / "README.rst").read_text(encoding="utf-8"))
        self.assertEqual(sorted(listed), sorted(path.name for path in self.pages()))

    def test_everyPageHasTheSameSections(self) -> None:
        for path in self.pages():
            found = re.findall(r"\n\n\n([^\n]+)\n=+\n", path.read_text(encoding="utf-8"))
            self.assertEqual([title for title in found if title in SECTIONS], SECTIONS, str(path))


class GlossaryTests(SynchronousTestCase):
    """docs/glossary.rst."""

    def test_itIsInTheOrderOfTheAlphabet(self) -> None:
        text = (CHECKOUT / "docs" / "glossary.rst").read_text(encoding="utf-8")
        terms = re.findall(r"\n\n(\w[^\n]*)\n    ", text)
        self.assertEqual(terms, sorted(terms, key=str.lower))
