"""``twistd bore-server``."""

from __future__ import annotations

import sys
from typing import Final

from twisted.application.service import IService
from twisted.internet import reactor as untyped

from bore import tap
from bore.commandline import NotPossible, UsageError
from bore.options.server import ServerCommand, serverCommand
from bore.server.controlsockets import CannotListen
from bore.serversockets import passedSockets
from bore.startup import prepare

_PROGRAM: Final = "twistd bore-server"


class Options(tap.Options[ServerCommand]):
    """The server's options."""

    line = serverCommand(_PROGRAM, forSupervisor=True)


def makeService(options: Options) -> IService:
    """
    Return the server for the options.

    :raises SystemExit: if systemd has passed something other than listening TCP sockets.
    """
    reactor = prepare(untyped)
    command = options.command
    if command.takeOver:
        sys.exit("twistd bore-server: --take-over is an option of 'bore server'")
    try:
        sockets = passedSockets()
    except NotPossible as e:
        sys.exit(f"twistd bore-server: {e}")
    if command.workers is not None:
        from bore.tap.workers import makeSupervisor

        return makeSupervisor(reactor, _PROGRAM, options, sockets)
    from bore.serverprogram import serverProgram

    try:
        service = serverProgram(reactor, command, options.parseAgain, sockets)
    except UsageError as e:
        sys.exit("\n".join(f"twistd bore-server: {line}" for line in str(e).splitlines()))
    except NotPossible as e:
        sys.exit(f"twistd bore-server: {e}")
    return tap.Daemon(reactor, service, service.reload, command.log, options.parent, (CannotListen,))
