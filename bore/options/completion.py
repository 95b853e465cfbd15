"""The command line of ``bore completion``."""

from __future__ import annotations

from typing import Final

from bore.commandline import Command, UsageError, Values
from bore.option import option
from bore.options import values

#: The shells that are known.
SHELLS: Final = ("bash", "zsh", "fish")

_SHELL: Final = option("shell", "bash, zsh or fish", values.oneOf(*SHELLS), "SHELL", None, choices=SHELLS)


def completionCommand(name: str) -> Command[str]:
    """
    Return the command line of ``bore completion``, whose result is the shell.

    :param name: the program and the command, as the user writes them.
    """
    return Command(name, "Print what completes commands and options in a shell.", (_SHELL,), _build)


def _build(found: Values) -> str:
    shell = found[_SHELL]
    if shell is None:
        raise UsageError(f"no SHELL given: name one of {', '.join(SHELLS)}, as in 'bore completion bash'")
    return shell
