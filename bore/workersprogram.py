"""What ``bore server --workers`` and its twistd plugin run: the supervisor, with its admin socket and status port."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from twisted.logger import Logger
from twisted.python.failure import Failure

from bore.commandline import NotPossible
from bore.events.server import VisitorRefused
from bore.options.server import ServerCommand
from bore.startup import IProgramReactor
from bore.status.history import History
from bore.supervisorprogram import SupervisorProgram
from bore.workers.handover import VARIABLE, SupervisorState, takeState
from bore.workers.inside import CannotStart
from bore.workers.launcher import Launcher
from bore.workers.upgrade import execute

if TYPE_CHECKING:
    from bore.operated import OperatedProgram
    from bore.status.questions import Route
    from bore.status.routes import Operated
    from bore.status.settings import StatusPortSettings
    from bore.statusprogram import WithStatusPort
    from bore.workers.status import SupervisorStatus


def supervisorProgram(
    reactor: IProgramReactor,
    command: ServerCommand,
    load: Callable[[], ServerCommand],
    words: Sequence[str],
    gaveUp: Callable[[int, Sequence[str]], object],
    sockets: Sequence[socket.socket],
    log: int | None,
    copy: Callable[[str], object] | None = None,
    again: Sequence[str] = (),
) -> SupervisorProgram | WithStatusPort | OperatedProgram:
    """
    Make the supervisor of a server.

    :param load: parses the command line again.
    :param words: see :func:`wordsOf`.
    :param gaveUp: called with the exit code and the reason when no worker can start: the program has to end.
    :param sockets: listening sockets to serve as control ports.
    :param log: see :class:`bore.workers.launcher.Launcher`; so is ``copy``.
    :param again: the command line that runs this program, without the interpreter.
    """

    def failed(reason: Failure) -> None:
        error = reason.value
        assert isinstance(error, CannotStart), reason
        gaveUp(error.code, error.lines)

    found = os.environ.pop(VARIABLE, None)
    state = None if found is None else takeState(int(found))
    counters = None if state is None or state.counters < 0 else state.counters
    launcher = Launcher(reactor, words, log, copy, counters)
    made = SupervisorProgram(
        reactor, command, load, failed, sockets, launcher, state, lambda state: execute(state, again)
    )
    statusSocket = _statusSocket(state, command.statusPort)
    if command.admin is None and command.statusPort is None:
        return made
    return _observed(reactor, command, made, state, statusSocket)


def wordsOf(reactor: object, program: str, arguments: Sequence[str]) -> list[str]:
    """
    What the command lines of workers have behind their numbers: see :func:`bore.workerprogram.work`.

    :param program: the program and the command, as the user writes them.
    :param arguments: the command line of the server, which has a secret only if the user has written it there.
    """
    return [type(reactor).__module__, program, *arguments]


def _observed(
    reactor: IProgramReactor,
    command: ServerCommand,
    made: SupervisorProgram,
    state: SupervisorState | None,
    statusSocket: socket.socket | None,
) -> SupervisorProgram | WithStatusPort | OperatedProgram:
    """
    Give a supervisor an admin socket and a status port.

    :raises bore.commandline.NotPossible: if one cannot be opened; but a server that serves already goes on without it.
    """
    supervisor, sink = made.supervisor, made.sink
    history = History(sink, VisitorRefused)
    status = _status(reactor, made, history, None if state is None else state.history)
    program: SupervisorProgram | WithStatusPort = made
    if command.statusPort is not None:
        with _optional(state is not None):
            program = _withStatusPort(reactor, command.statusPort, made, status, statusSocket)
    if command.admin is None:
        return program
    from bore.operated import OperatedProgram

    def makeRoutes(operated: Operated) -> Route:
        from bore.workers.routes import adminRoutes

        return adminRoutes(status, _OperatedServer(made, operated))

    def name() -> str:
        return f"server-{supervisor.controlPort}"

    with _optional(state is not None):
        return OperatedProgram(reactor, sink, command.admin, program, made.drain, history, name, makeRoutes)
    return program


@contextmanager
def _optional(isOptional: bool) -> Iterator[None]:
    """Log what is not possible, if the server goes on without it."""
    try:
        yield
    except NotPossible as e:
        if not isOptional:
            raise
        Logger().error("{error}; the server goes on without that", error=str(e))


def _status(reactor: IProgramReactor, made: SupervisorProgram, history: History, former: object) -> SupervisorStatus:
    """What reads the status of all workers. It is made at once: what workers report at their end counts."""
    from bore.workers.status import SupervisorStatus, Unserved

    supervisor = made.supervisor

    def unserved() -> list[Unserved]:
        return [Unserved(each.address, each.user.name, each.source) for each in supervisor.custody.unserved()]

    status = SupervisorStatus(
        reactor, supervisor, history, supervisor.crew.members, unserved, lambda: supervisor.doorway.count, former
    )
    supervisor.reported = status.reports.reported
    supervisor.ended = status.reports.ended
    supervisor.history = status.forSuccessor
    return status


def _withStatusPort(
    reactor: IProgramReactor,
    settings: StatusPortSettings,
    made: SupervisorProgram,
    status: SupervisorStatus,
    sock: socket.socket | None,
) -> WithStatusPort:
    """Give a supervisor a status port."""
    from bore.status.traffic import Traffic
    from bore.statusprogram import WithStatusPort

    supervisor = made.supervisor
    traffic = Traffic(reactor, status.take)

    def makeRoutes() -> Mapping[str, Route]:
        from bore.workers.routes import portRoutes

        return portRoutes(
            reactor, status, traffic, lambda: supervisor.state, lambda: bool(supervisor.crew.ready), settings
        )

    program = WithStatusPort(reactor, made.sink, settings, made, makeRoutes, traffic, sock)
    supervisor.statusPort = lambda: program.listening.descriptor
    return program


def _statusSocket(state: SupervisorState | None, settings: StatusPortSettings | None) -> socket.socket | None:
    """The listening socket of the status port of an earlier process, if it is the one of the settings."""
    if state is None or state.statusPort < 0:
        return None
    from bore.statusprogram import inherited

    return inherited(socket.socket(fileno=state.statusPort), settings)


class _OperatedServer:
    """See :class:`bore.workers.routes.OperatedServer`."""

    def __init__(self, program: SupervisorProgram, operated: Operated) -> None:
        self.drain = operated.drain
        self.reload = program.reload
        self.kick = program.kick
        self.upgrade = program.upgrade
