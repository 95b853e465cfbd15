"""What ``bore server`` and its twistd plugin run: the server, and what reloads its settings file."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bore.options.server import ServerCommand
from bore.server.log import logged
from bore.server.service import ServerService
from bore.startup import IProgramReactor

if TYPE_CHECKING:
    from bore.reloading import Reloading


def serverProgram(
    reactor: IProgramReactor,
    command: ServerCommand,
    load: Callable[[], ServerCommand],
    sockets: Sequence[socket.socket],
) -> ServerService | Reloading[ServerCommand]:
    """
    Make the server.

    :param load: parses the command line again.
    :param sockets: listening sockets to serve as control ports.
    """
    sink = logged(reactor, command.log.visitors)
    service = ServerService(reactor, command.settings, sockets, sink)
    if command.file is None:
        return service
    from bore.reloading import Reloading

    def apply(new: ServerCommand) -> Sequence[str]:
        service.apply(new.settings)
        return ()

    return Reloading(reactor, sink, service, command, load, apply)
