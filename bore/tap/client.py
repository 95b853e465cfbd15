"""``twistd bore-client``."""

from __future__ import annotations

import sys

from twisted.application.service import IService
from twisted.internet import reactor as untyped
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore import exits, tap
from bore.client.reasons import describe
from bore.clientprogram import clientProgram
from bore.commandline import NotPossible
from bore.options.client import ClientCommand, clientCommand
from bore.startup import prepare
from bore.tap.exiting import exitWith


class Options(tap.Options[ClientCommand]):
    """The client's options."""

    line = clientCommand("twistd bore-client")


def makeService(options: Options) -> IService:
    """Return the client for the options. When it gives up, the process ends with the exit code for the reason."""
    reactor = prepare(untyped)

    def gaveUp(reason: Failure) -> None:
        Logger().critical("{error}", error=describe(reason.value))
        exitWith(exits.codeFor(reason.value))
        reactor.callWhenRunning(reactor.stop)

    command = options.command
    try:
        client, service = clientProgram(reactor, command, options.parseAgain)
    except NotPossible as e:
        sys.exit(f"twistd bore-client: {e}")
    client.whenGaveUp().addErrback(gaveUp)
    return tap.Daemon(reactor, service, service.reload, command.log, options.parent)
