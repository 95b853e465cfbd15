"""A program with a status port."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred

from bore.commandline import NotPossible
from bore.events import Sink
from bore.options.statustokens import Tokens
from bore.startup import Program
from bore.status.settings import StatusPortSettings
from bore.status.statusport import StatusPort
from bore.streams.addresses import hostPort
from bore.streams.listener import bindSocket
from bore.streams.reactor import IReactor

if TYPE_CHECKING:
    from bore.status.questions import Route
    from bore.status.traffic import Traffic


class WithStatusPort(Service):
    """
    A program with a status port, which answers until the last visitor has left.

    :param program: the program.
    :param makeRoutes: makes what answers requests, when the first one comes.
    :param traffic: has samples taken while the program runs.
    :raises bore.commandline.NotPossible: if the port cannot be opened, or the file with the tokens cannot be used.
    """

    def __init__(
        self,
        reactor: IReactor,
        sink: Sink,
        settings: StatusPortSettings,
        program: Program,
        makeRoutes: Callable[[], Mapping[str, Route]],
        traffic: Traffic,
    ) -> None:
        self._program = program
        self._traffic = traffic
        tokens = None if settings.tokenFile is None else Tokens(sink, settings.tokenFile)
        try:
            sock = bindSocket(settings.host, settings.port)
        except OSError as e:
            raise NotPossible(f"cannot listen on {hostPort(settings.host, settings.port)}: {e.strerror or e}") from e
        self._port = StatusPort(reactor, sink, sock, tokens, makeRoutes)

    def privilegedStartService(self) -> None:
        """Start what needs privileges."""
        self._program.privilegedStartService()

    def startService(self) -> None:
        """Start."""
        Service.startService(self)
        self._program.startService()
        self._traffic.start()
        self._port.startService()

    def stopService(self) -> Deferred[object]:
        """Stop the program, and then the status port."""
        Service.stopService(self)
        self._traffic.stop()
        return maybeDeferred(self._program.stopService).addBoth(self._stopped)

    def reload(self) -> None:
        """Read the files of the program again."""
        self._program.reload()

    def _stopped(self, result: object) -> object:
        self._port.stopService()
        return result
