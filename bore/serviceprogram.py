"""What ``bore service`` runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bore.commandline import UsageError, unknownCommand
from bore.options.servicecommands import ACTIONS, USAGE_TEXT, serviceCommand
from bore.systemd.install import Installer


def run(arguments: Sequence[str]) -> None:
    """
    Run a command.

    :param arguments: the command line behind ``bore service``.
    :raises bore.commandline.UsageError: if the command line is invalid.
    :raises bore.systemd.install.CannotInstall: if the command fails.
    """
    if not arguments:
        raise UsageError(f"no command given; commands: {ACTIONS}")
    if arguments[0] in ("-h", "--help", "help"):
        _print([USAGE_TEXT])
        return
    line = serviceCommand(arguments[0])
    if line is None:
        raise UsageError(unknownCommand(arguments[0], ACTIONS))
    command = line.parse(arguments[1:])
    installer = Installer(command)
    if command.action == "show":
        _print(installer.show())
        return
    made = installer.install() if command.action == "install" else installer.remove()
    _print(made.done)
    _print(made.advice, error=True)


def _print(lines: Sequence[str], error: bool = False) -> None:
    for line in lines:
        print(line, file=sys.stderr if error else sys.stdout, flush=True)
