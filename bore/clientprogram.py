"""What ``bore local``, ``bore up`` and the twistd plugin run: the client, and what reloads its settings file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bore.client.log import logged
from bore.client.service import ClientService
from bore.client.tunneldiff import diff
from bore.options.client import ClientCommand
from bore.startup import IProgramReactor

if TYPE_CHECKING:
    from bore.events import Sink
    from bore.programservice import ProgramService
    from bore.reloading import Reloading


def clientProgram(
    reactor: IProgramReactor, command: ClientCommand, load: Callable[[], ClientCommand]
) -> tuple[ClientService, ClientService | Reloading[ClientCommand] | ProgramService]:
    """
    Make the client.

    :param load: parses the command line again.
    :returns: the client, and the service to start, which contains it.
    """
    sink = logged(reactor, command.log.visitors)
    service = ClientService(reactor, command.settings, command.tunnels, sink)
    program: ClientService | Reloading[ClientCommand]
    program = service if command.file is None else _withFile(reactor, sink, command, load, service)
    if "NOTIFY_SOCKET" not in os.environ:
        return service, program
    from bore.status.statuslines import ClientLine
    from bore.supervised import supervised

    line = ClientLine(service, sink)
    return service, supervised(reactor, sink, program, program.reload, line, lambda: service.alive)


def _withFile(
    reactor: IProgramReactor,
    sink: Sink,
    command: ClientCommand,
    load: Callable[[], ClientCommand],
    service: ClientService,
) -> Reloading[ClientCommand]:
    """Have a client read its settings file again."""
    from bore.reloading import Reloading

    def apply(new: ClientCommand) -> Sequence[str]:
        changes = diff(service.tunnels, new.tunnels)
        service.apply(new.tunnels)
        service.applySettings(new.settings)
        counts = {"added": changes.added, "changed": changes.changed, "removed": changes.removed}
        return [f"{_tunnels(len(each))} {word}" for word, each in counts.items() if each]

    return Reloading(reactor, sink, service, command, load, apply)


def _tunnels(count: int) -> str:
    return "1 tunnel" if count == 1 else f"{count} tunnels"
