"""A program with a status port."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred

from bore.commandline import NotPossible
from bore.events import Sink
from bore.handover.place import Listening
from bore.options.statustokens import Tokens
from bore.startup import Program
from bore.status.settings import StatusPortSettings
from bore.status.statusport import StatusPort
from bore.streams.addresses import hostPort, localAddress
from bore.streams.listener import bindSocket
from bore.streams.reactor import IReactor

if TYPE_CHECKING:
    from bore.status.questions import Route
    from bore.status.traffic import Traffic


def addressOf(settings: StatusPortSettings) -> str:
    """Return where a status port listens, as its user has written it."""
    return hostPort(settings.host, settings.port)


def inherited(sock: socket.socket | None, settings: StatusPortSettings | None) -> socket.socket | None:
    """
    Return the listening socket of another process's status port, if this one's is there; close it otherwise.

    :param settings: those of this process; None: it has no status port.
    """
    if sock is None:
        return None
    host, port = localAddress(sock)[:2]
    if settings is not None and hostPort(settings.host, settings.port or port) == hostPort(host, port):
        return sock
    sock.close()
    return None


class WithStatusPort(Service):
    """
    A program with a status port, which answers until the last visitor has left.

    :param program: the program.
    :param makeRoutes: makes what answers requests, when the first one comes.
    :param sock: the listening socket; None: it is opened.
    :param waits: whether another process accepts its connections, before :meth:`take`.
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
        sock: socket.socket | None = None,
        waits: bool = False,
    ) -> None:
        self._waits = waits
        self._program = program
        self._traffic = traffic
        tokens = None if settings.tokenFile is None else Tokens(sink, settings.tokenFile)
        self._address = addressOf(settings)
        try:
            sock = sock or bindSocket(settings.host, settings.port)
        except OSError as e:
            raise NotPossible(f"cannot listen on {self._address}: {e.strerror or e}") from e
        self._descriptor = sock.fileno()
        self._port = StatusPort(reactor, sink, sock, tokens, makeRoutes)

    def privilegedStartService(self) -> None:
        """Start what needs privileges."""
        self._program.privilegedStartService()

    def startService(self) -> None:
        """Start."""
        Service.startService(self)
        self._program.startService()
        self._traffic.start()
        if not self._waits:
            self._port.startService()

    def stopService(self) -> Deferred[object]:
        """Stop the program, and then the status port."""
        Service.stopService(self)
        self._traffic.stop()
        return maybeDeferred(self._program.stopService).addBoth(self._stopped)

    def reload(self) -> None:
        """Read the files of the program again."""
        self._program.reload()

    @property
    def listening(self) -> Listening:
        """Where it listens."""
        return Listening(self._address, self._descriptor)

    def hold(self) -> None:
        """See :class:`bore.handover.place.Belonging`."""

    def keep(self) -> None:
        """See :class:`bore.handover.place.Belonging`."""

    def give(self, pid: int) -> bool:
        """See :class:`bore.handover.place.Belonging`. The other process has inherited the socket."""
        self._port.stopService()
        return True

    def take(self) -> None:
        """See :class:`bore.handover.place.Belonging`."""
        self._port.startService()

    def _stopped(self, result: object) -> object:
        self._port.stopService()
        return result
