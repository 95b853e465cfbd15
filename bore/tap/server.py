"""``twistd bore-server``."""

from __future__ import annotations

import sys
from typing import cast

from twisted.application.service import IService

from bore import tap
from bore.options.server import ServerCommand, serverCommand
from bore.server.service import CannotListen, ServerService
from bore.streams.reactor import IReactor
from bore.system.activation import BadSocket, inheritedSockets


class Options(tap.Options[ServerCommand]):
    """The server's options."""

    line = serverCommand("twistd bore-server")


def makeService(options: Options) -> IService:
    """
    Make the server that the options describe.

    :raises SystemExit: when systemd has passed what is no listening socket.
    """
    reactor = tap.prepare()
    command = options.command
    try:
        sockets = inheritedSockets()
    except BadSocket as e:
        sys.exit(f"twistd bore-server: {e}")
    service = ServerService(cast(IReactor, reactor), command.settings, sockets)
    return tap.Daemon(reactor, service, service.reload, command.log, options.parent, (CannotListen,))
