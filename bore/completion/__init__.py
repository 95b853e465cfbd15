"""
Scripts that complete commands and options in a shell, made from the options' descriptions.

:func:`script` makes one; the shells have a module each.
"""

from __future__ import annotations

from bore.commands import allCommands
from bore.completion import bash, fish, zsh


def script(shell: str) -> str:
    """
    Return the script.

    :param shell: one of :data:`bore.options.completion.SHELLS`.
    """
    make = {"bash": bash.script, "zsh": zsh.script, "fish": fish.script}[shell]
    return make(allCommands())
