"""The command line of ``bore doctor``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bore.commandline import Command, Values
from bore.option import switch
from bore.options import tunnels
from bore.options.client import GROUPS, LOCAL_OPTIONS, ClientCommand, commandOf


@dataclass(frozen=True, slots=True)
class DoctorCommand:
    """
    The result of parsing ``bore doctor``.

    :ivar client: the client whose needs are examined.
    :ivar hasServices: whether its local services are named.
    :ivar json: whether the result is printed for programs.
    """

    client: ClientCommand
    hasServices: bool
    json: bool


_JSON: Final = switch("--json", "Print the result as JSON")


def doctorCommand(name: str) -> Command[DoctorCommand]:
    """
    Return the command line of the examination. It has the options of ``bore local``.

    :param name: the program and the command, as the user writes them.
    """
    summary = "Examine what 'bore local' with the same options needs, from the server's name to a visit."
    examples = ("doctor --to tls://tunnel.example.com", "doctor 8000 --port 20080 --to tls://tunnel.example.com")
    return Command(name, summary, (*LOCAL_OPTIONS, _JSON), _build, {**GROUPS, "output": (_JSON,)}, examples)


def _build(found: Values) -> DoctorCommand:
    command = commandOf(found, bare=True)
    return DoctorCommand(command, command.file is not None or bool(found[tunnels.LOCAL]), found[_JSON])
