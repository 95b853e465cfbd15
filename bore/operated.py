"""A program with an admin socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import deferLater

from bore.commandline import NotPossible
from bore.events import Event, Sink
from bore.startup import IProgramReactor, Program
from bore.status.adminsocket import AdminSocket, AdminSocketError
from bore.status.door import Host
from bore.status.history import History
from bore.status.settings import AdminSettings
from bore.system.signals import stop

if TYPE_CHECKING:
    from bore.status.questions import Route
    from bore.status.routes import Operated

#: How long there is to send the answer to what ends the program, in seconds.
_ANSWER_TIME: Final = 0.1


class OperatedProgram(Service):
    """
    A program with an admin socket, which is there until the last visitor has left.

    :param program: the program.
    :param drain: sets how long visitors have to finish, in seconds, and returns how many there are.
    :param history: what has happened.
    :param name: returns the name of its socket in the runtime directory.
    :param makeRoutes: makes what answers, when the first question comes.
    :param waits: whether another process has the socket that the user has given, before :meth:`take`.
    :param sharesName: see :class:`bore.status.adminsocket.AdminSocket`.
    :raises bore.commandline.NotPossible: if the socket that the user has given cannot be opened.
    """

    def __init__(
        self,
        reactor: IProgramReactor,
        sink: Sink,
        settings: AdminSettings,
        program: Program,
        drain: Callable[[float], int],
        history: History,
        name: Callable[[], str],
        makeRoutes: Callable[[Operated], Route],
        waits: bool = False,
        sharesName: bool = False,
    ) -> None:
        self._reactor = reactor
        self._program = program
        self._drain = drain
        self._history = history
        self._makeRoutes = makeRoutes
        self._draining = False
        self._admin = AdminSocket(reactor, sink, settings, name, self._host, sharesName, waits)
        if waits:
            return
        try:
            self._admin.open()
        except AdminSocketError as e:
            raise NotPossible(str(e)) from e

    def privilegedStartService(self) -> None:
        """Start what needs privileges."""
        self._program.privilegedStartService()
        self._admin.privilegedStartService()

    def startService(self) -> None:
        """Start."""
        Service.startService(self)
        self._program.startService()
        self._admin.startService()

    def stopService(self) -> Deferred[object]:
        """Stop the program, and then the admin socket."""
        Service.stopService(self)
        return maybeDeferred(self._program.stopService).addBoth(self._stopped)

    def reload(self) -> list[Event]:
        """See :class:`bore.status.routes.Operated`."""
        return self._history.during(self._program.reload)

    def drain(self, seconds: float) -> int:
        """See :class:`bore.status.routes.Operated`."""
        from bore.status.questions import Refused

        if self._draining or not self.running:
            raise Refused(409, "the program is stopping already; a second SIGTERM ends it at once")
        self._draining = True
        count = self._drain(seconds)
        self._reactor.callLater(_ANSWER_TIME, self._stop)
        return count

    def hold(self) -> None:
        """See :class:`bore.handover.place.Belonging`."""

    def keep(self) -> None:
        """See :class:`bore.handover.place.Belonging`."""

    def give(self, pid: int) -> bool:
        """See :class:`bore.handover.place.Belonging`. A client's socket may have a name of its own."""
        self._admin.give()
        return True

    def take(self) -> None:
        """See :class:`bore.handover.place.Belonging`."""
        self._admin.take()

    def _stop(self) -> None:
        stop(self._reactor)

    def _stopped(self, result: object) -> object:
        """The last visitor has left. If a kick has ended it, that is not answered yet."""
        if self._admin.busy:
            return deferLater(self._reactor, _ANSWER_TIME, self._close, result)
        return self._close(result)

    def _close(self, result: object) -> object:
        self._admin.stopService()
        return result

    def _host(self) -> Host:
        from bore.status.site import Site

        return Site(self._reactor, self._makeRoutes(self))
