"""The command line of ``bore check``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bore.commandline import Command, UsageError, Values
from bore.option import Option, option, switch
from bore.options import values
from bore.options.client import isClientKey, upCommand
from bore.options.server import isServerKey, serverCommand


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
        serverCommand("bore server").parse(["--config", str(command.file)])
        return "a server's file"
    found = upCommand("bore up").parse([str(command.file)])
    count = len(found.tunnels)
    return f"a client's file, {count} tunnel{'s' if count != 1 else ''}"


def _isServers(file: Path) -> bool:
    """
    Return whether more keys of a file are a server's than a client's.

    :raises UsageError: if the file can be read only once, and its settings are still to be read.
    """
    from bore.config.tables import LONGEST

    if file.exists() and not file.is_file() and not file.is_dir():
        raise UsageError(f"{file} is a pipe or a device, which is read only once: give --client or --server as well")
    try:
        with open(file, "rb") as opened:
            keys = tomllib.loads(opened.read(LONGEST).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return False  # the mistake is the same in either
    return sum(map(isServerKey, keys)) > sum(map(isClientKey, keys))
