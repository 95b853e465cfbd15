"""Commands that ask running programs, in the process of the test: they wait for nothing but the answers."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bore import cli
from tests.support import temporaryFolder


class CommandCase(SynchronousTestCase):
    """
    Runs commands.

    :ivar folder: the runtime directory.
    """

    def setUp(self) -> None:
        self.folder = temporaryFolder(self)
        for name, value in (("RUNTIME_DIRECTORY", str(self.folder)), ("COLUMNS", "80")):
            self.addCleanup(self._restore, name, os.environ.get(name))
            os.environ[name] = value

    def bore(self, *words: str) -> tuple[int, str, str]:
        """The exit code of a command, and what it prints on both outputs."""
        out, error = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            code = cli.main(words)
        return code, out.getvalue(), error.getvalue()

    def path(self, name: str) -> Path:
        """The path of a socket."""
        return self.folder / f"{name}.sock"

    def _restore(self, name: str, value: str | None) -> None:
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
