"""What ``bore local``, ``bore up`` and the twistd plugin run: the client, and what reloads its settings file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bore.client.log import logged
from bore.client.service import ClientService
from bore.client.tunneldiff import diff
from bore.options.client import ClientCommand
from bore.startup import IProgramReactor

if TYPE_CHECKING:
    from bore.reloading import Reloading


def clientProgram(
    reactor: IProgramReactor, command: ClientCommand, load: Callable[[], ClientCommand]
) -> tuple[ClientService, ClientService | Reloading[ClientCommand]]:
    """
    Make the client.

    :param load: parses the command line again.
    :returns: the client, and the service to start, which contains it.
    """
    sink = logged(reactor, command.log.visitors)
    service = ClientService(reactor, command.settings, command.tunnels, sink)
    if command.file is None:
        return service, service
    from bore.reloading import Reloading

    def apply(new: ClientCommand) -> Sequence[str]:
        changes = diff(service.tunnels, new.tunnels)
        service.apply(new.tunnels)
        service.applySettings(new.settings)
        counts = {"added": changes.added, "changed": changes.changed, "removed": changes.removed}
        return [f"{_tunnels(len(each))} {word}" for word, each in counts.items() if each]

    return service, Reloading(reactor, sink, service, command, load, apply)


def _tunnels(count: int) -> str:
    return "1 tunnel" if count == 1 else f"{count} tunnels"
