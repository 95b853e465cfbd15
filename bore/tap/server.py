"""``twistd bore-server``."""

from __future__ import annotations

from typing import cast

from twisted.application.service import IService

from bore import tap
from bore.options.server import ServerCommand, serverCommand
from bore.process import inheritedSockets, onHangup, raiseDescriptorLimit, settle
from bore.server.service import ServerService
from bore.streams.reactor import IReactor


class Options(tap.Options[ServerCommand]):
    """The server's options."""

    line = serverCommand("twistd bore-server")


def makeService(options: Options) -> IService:
    """Make the server that the options describe."""
    from twisted.internet import reactor

    raiseDescriptorLimit()
    reactor.callWhenRunning(settle)
    command = options.command
    service = ServerService(cast(IReactor, reactor), command.settings, inheritedSockets())
    onHangup(reactor, service.reload)
    return tap.Daemon(service, command.log, options.parent)
