"""The exit code of a process that twistd runs."""

from __future__ import annotations

import atexit
import os
import sys

from bore.logs import outlet


def exitWith(code: int) -> None:
    """Set the exit code of the process. twistd exits with 0 after the reactor has stopped, and has no option for it."""

    def exit() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        outlet.finish()
        os._exit(code)

    atexit.register(exit)
