"""The command line of ``bore check``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Final

from bore.commandline import Command, UsageError, Values
from bore.option import Option, option, switch
from bore.options import values
from bore.options.client import CLIENT_KEYS, STRAY_KEYS, upCommand
from bore.options.server import SERVER_KEYS, serverCommand


@dataclass(frozen=True, slots=True)
class CheckCommand:
    """
    The result of parsing ``bore check``.

    :ivar file: the settings file.
    :ivar server: whether it is a server's file; None: that depends on its keys.
    """

    file: Path
    server: bool | None


_FILE: Final = option("file", "Settings file (TOML)", values.path, "FILE", None)
_SERVER: Final = switch("--server", "It is a server's file, whatever its keys are")
_CLIENT: Final = switch("--client", "It is a client's file, whatever its keys are")

#: The number of keys that tell the kind of a file, and their greatest length.
_MANY: Final = 100
_LONGEST: Final = 64

_OPTIONS: Final[tuple[Option[object], ...]] = (_FILE, _SERVER, _CLIENT)


def checkCommand(name: str) -> Command[CheckCommand]:
    """
    Return the command line of the check of a file.

    :param name: the program and the command, as the user writes them.
    """
    return Command(name, "Print all mistakes in a settings file of a client or a server.", _OPTIONS, _build)


def _build(found: Values) -> CheckCommand:
    file = found[_FILE]
    if file is None:
        raise UsageError("no FILE given: name the settings file, as in 'bore check bore.toml'")
    if found[_SERVER] and found[_CLIENT]:
        raise UsageError("--server and --client exclude each other")
    return CheckCommand(file, found[_SERVER] if found[_SERVER] or found[_CLIENT] else None)


def check(command: CheckCommand) -> str:
    """
    Check a settings file, without the network.

    :returns: what it is.
    :raises bore.commandline.BadFile: with all mistakes.
    """
    server = _isServers(command.file) if command.server is None else command.server
    if server:
        users = serverCommand("bore server").parse(["--config", str(command.file)]).users
        if users is not None:
            from bore.options.users import readUsers

            readUsers(users)
        return "a server's file"
    found = upCommand("bore up").parse([str(command.file)])
    count = len(found.tunnels)
    return f"a client's file, {count} tunnel{'s' if count != 1 else ''}"


def _isServers(file: Path) -> bool:
    """
    Return whether a file is a server's, as far as its keys tell, also those that are mistyped.

    :raises UsageError: if they do not tell.
    :raises bore.commandline.BadFile: if it cannot be read, or is not TOML.
    """
    from bore.config.toml import keysOf

    keys = keysOf(file)
    if any(isinstance(value, dict) for value in keys.values()):
        return False  # a server's file has no tables
    server, client = (_likeness(keys, each) for each in (SERVER_KEYS, CLIENT_KEYS + STRAY_KEYS))
    if server == client:
        raise UsageError(
            f"the keys of {file} do not tell whether it is the file of a client or of a server: add --client or "
            "--server"
        )
    return server > client


def _likeness(keys: Iterable[str], known: Sequence[str]) -> float:
    """Return how much keys are like those of a kind of file."""
    return sum(key in known or 0.5 * bool(get_close_matches(key[:_LONGEST], known, 1)) for key in islice(keys, _MANY))
