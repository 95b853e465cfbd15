"""``twistd bore-client``."""

from __future__ import annotations

from typing import cast

from twisted.application.service import IService
from twisted.logger import Logger
from twisted.python.failure import Failure

from bore import exits, tap
from bore.client.reasons import describe
from bore.client.service import ClientService
from bore.options.client import ClientCommand, clientCommand
from bore.streams.reactor import IReactor


class Options(tap.Options[ClientCommand]):
    """The client's options."""

    line = clientCommand("twistd bore-client")


def makeService(options: Options) -> IService:
    """Make the client that the options describe. The process ends when it gives up, with the code that says why."""
    reactor = tap.prepare()

    def gaveUp(reason: Failure) -> None:
        Logger().critical("{error}", error=describe(reason.value))
        exits.leaveWith(exits.codeFor(reason.value))
        reactor.callWhenRunning(reactor.stop)

    command = options.command
    service = ClientService(cast(IReactor, reactor), command.settings)
    service.gaveUp.addErrback(gaveUp)
    return tap.Daemon(reactor, service, service.reload, command.log, options.parent)
