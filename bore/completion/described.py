"""What completion has to know of commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bore.commandline import Command
from bore.option import Option

#: The names of the program.
PROGRAMS: Final = ("bore", "txbore")

#: Values that are names of files.
_FILES: Final = ("PATH", "FILE", "DIRECTORY")

#: The command that prints the help of another one, and what it does.
HELP: Final = "help", "Print the help of a command"

#: The options of every command.
COMMON: Final = (("-h", "--help", "Print the help and exit"), ("-V", "--version", "Print the version and exit"))


def words(command: Command[object]) -> tuple[str, ...]:
    """Return the words by which a command is called, without the program."""
    return tuple(command.name.split()[1:])


def groups(commands: Sequence[Command[object]]) -> dict[str, list[Command[object]]]:
    """Return the commands by their first word, in order."""
    found: dict[str, list[Command[object]]] = {}
    for command in commands:
        found.setdefault(words(command)[0], []).append(command)
    return found


def summary(commands: Sequence[Command[object]]) -> str:
    """Return what commands with the same first word do."""
    if len(commands) == 1:
        return commands[0].summary.rstrip(".")
    return ", ".join(words(each)[1] for each in commands)


def flagged(command: Command[object]) -> list[Option[object]]:
    """Return the options that have flags."""
    return [each for each in command.options if not each.positional]


def isFile(option: Option[object]) -> bool:
    """Return whether the values of an option are names of files."""
    return option.isFile or option.metavar in _FILES
