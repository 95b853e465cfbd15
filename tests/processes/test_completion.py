"""What completes commands and options, in the shells themselves; and what prints, as through a pipe."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from bore.commands import allCommands
from bore.completion import script
from tests.support import temporaryFolder

#: Words of a command line, of which the last one is to be completed, and what has to be among the proposals, or not.
CASES = (
    (["bore", "serv"], "server", "local"),
    (["bore", "server", "--min"], "--min-port", "--max-port"),
    (["bore", "server", "--log-level", ""], "debug", "--tls"),
    (["bore", "hel"], "help", "local"),
    (["bore", "help", "st"], "status", "server"),
    (["bore", "user", ""], "revoke", "server"),
    (["bore", "user", "add", "--po"], "--ports", "--unset"),
    (["txbore", "completion", ""], "fish", "local"),
    (["bore", "check", "some"], "some file.toml", "--server"),
    (["bore", "server", "--config", "some"], "some file.toml", "--server"),
)


class CompletionTests(SynchronousTestCase):
    """``bore completion``"""

    def run_(self, shell: str, *words: str, folder: str) -> str:
        found = shutil.which(shell)
        if found is None:
            raise SkipTest(f"there is no {shell}")
        done = subprocess.run([found, *words], capture_output=True, text=True, timeout=60, cwd=folder, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def check(self, shell: str, program: str, *words: str) -> None:
        """Run a program that prints the proposals for each case, one a line, behind a line ``== N``."""
        folder = temporaryFolder(self)
        (folder / "script").write_text(script(shell))
        (folder / "some file.toml").touch()
        text = program + "".join(
            f"echo == {number}; t {' '.join(repr(word) for word in case)}\n"
            for number, (case, _, _) in enumerate(CASES)
        )
        (folder / "program").write_text(text)
        printed = self.run_(shell, *words, "program", folder=str(folder)).split("== ")[1:]
        for (case, wanted, unwanted), proposals in zip(CASES, printed, strict=True):
            lines = [line.partition("\t")[0].strip() for line in proposals.splitlines()[1:]]
            self.assertIn(wanted, lines, f"{shell}: {case}")
            self.assertNotIn(unwanted, lines, f"{shell}: {case}")

    def test_bash(self) -> None:
        self.check(
            "bash",
            'source ./script\nt() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _txbore; '
            'printf "%s\\n" "${COMPREPLY[@]}"; }\n',
        )

    def test_fish(self) -> None:
        self.check("fish", "source script\nfunction t; complete -C (string join ' ' -- $argv); end\n", "--no-config")

    def test_zshReadsIt(self) -> None:
        folder = temporaryFolder(self)
        (folder / "script").write_text(script("zsh"))
        words = ("-f", "-c", "autoload -Uz compinit && compinit -u -D && source ./script && echo $_comps[txbore]")
        self.assertEqual(self.run_("zsh", *words, folder=str(folder)), "_txbore\n")

    def test_allCommandsOfTheProgramAreThere(self) -> None:
        done = subprocess.run([sys.executable, "-m", "bore", "--help"], capture_output=True, text=True, check=True)
        listed = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ") and line[2] != " "}
        self.assertEqual({each.name.split()[1] for each in allCommands()}, listed)


class OutputTests(SynchronousTestCase):
    """What the commands print."""

    def test_aReaderThatHasSeenEnoughIsNoError(self) -> None:
        # Some of it is written at once, and the rest when Python exits.
        for words in (["completion", "zsh"], ["--help"], ["local", "--help"], ["secret"]):
            reader, writer = os.pipe()
            os.close(reader)
            done = subprocess.run(
                [sys.executable, "-m", "bore", *words], stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False
            )
            os.close(writer)
            self.assertEqual((done.returncode, done.stderr), (0, b""), words)
