"""What ``bore server`` and its twistd plugin run: the server, and what reloads its settings file."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from bore.commandline import NotPossible
from bore.options.server import ServerCommand
from bore.server.log import logged
from bore.server.service import ServerService
from bore.serverparts import openVisitorLog, withFiles, withVisitorLog
from bore.serversockets import keptSockets
from bore.startup import IProgramReactor

if TYPE_CHECKING:
    from bore.events import Sink
    from bore.handover.place import Belonging
    from bore.inheritance import Inheritance
    from bore.operated import OperatedProgram
    from bore.programservice import ProgramService
    from bore.server.users import Authenticator
    from bore.serverhandover import HandOver, TakingOver
    from bore.serverparts import Served
    from bore.status.clusterview import ClusterView
    from bore.status.history import History
    from bore.status.questions import Answer, Question, Route
    from bore.status.routes import Operated
    from bore.status.settings import AdminSettings, StatusPortSettings
    from bore.statusprogram import WithStatusPort

    Program: TypeAlias = Served | ProgramService | WithStatusPort


def serverProgram(
    reactor: IProgramReactor,
    command: ServerCommand,
    load: Callable[[], ServerCommand],
    sockets: Sequence[socket.socket],
    embedded: Sink | None = None,
    inheritance: Inheritance | None = None,
) -> Program | OperatedProgram:
    """
    Make the server.

    :param load: parses the command line again.
    :param sockets: listening sockets to serve as control ports.
    :param embedded: gets the events, if the server is a part of another program; None: they are logged.
    :param inheritance: what another process has given to this one, which takes over; None: there was no other one.
    :raises bore.commandline.UsageError: if the users file has mistakes, or the visitor log cannot be written.
    :raises bore.commandline.NotPossible: if its admin socket or its status port cannot be opened.
    """
    sink = logged(reactor, command.log.visitors) if embedded is None else embedded
    asked = embedded is None and (command.admin is not None or command.statusPort is not None)
    history = _history(sink) if asked else None
    log = None if command.visitorLog is None else openVisitorLog(reactor, sink, command.visitorLog)
    kept = None
    if embedded is None and command.cluster is None:
        kept = keptSockets(reactor, command.settings, inheritance is not None)
    bind = None if inheritance is None else inheritance.binder(kept)

    cluster: ClusterView | None = None

    def make(authenticator: Authenticator | None) -> ServerService:
        nonlocal cluster
        if command.cluster is not None:
            from bore.clusterprogram import NodeService, makeNode

            node = makeNode(reactor, command.cluster, command.settings.lease)
            made = NodeService(reactor, command.settings, sockets, sink, authenticator, bind, node)
            cluster = made.clusterStatus() if asked else None
            return made
        return ServerService(reactor, command.settings, sockets, sink, authenticator, kept=kept, bind=bind)

    server, served = withFiles(reactor, sink, command, load, make)
    program: Program = served if log is None else withVisitorLog(reactor, server, served, log)
    if embedded is None and "NOTIFY_SOCKET" in os.environ:
        program = _withNotices(reactor, sink, server, program)
    taking = None if inheritance is None else _takingOver(reactor, sink, server, inheritance, command.drain)
    statusPort = None
    if command.statusPort is not None and history is not None:
        statusPort = _withStatusPort(reactor, sink, command.statusPort, server, program, history, taking, cluster)
        program = statusPort
    if command.admin is None or history is None:
        return program
    return _administered(
        reactor, sink, command.admin, server, program, history, statusPort, taking, command.drain, cluster
    )


def _takingOver(
    reactor: IProgramReactor, sink: Sink, server: ServerService, inheritance: Inheritance, drain: int
) -> TakingOver:
    from bore.serverhandover import BadState, TakingOver

    try:
        inheritance.taking = taking = TakingOver(reactor, sink, server, inheritance, drain)
    except BadState as e:
        raise NotPossible(str(e)) from e
    except OSError as e:
        raise NotPossible(
            f"cannot follow the running server, process {inheritance.pid}: {(e.strerror or str(e)).lower()}"
        ) from e
    return taking


def _history(sink: Sink) -> History:
    from bore.events.server import VisitorRefused
    from bore.status.history import History

    return History(sink, VisitorRefused)


def _withStatusPort(
    reactor: IProgramReactor,
    sink: Sink,
    settings: StatusPortSettings,
    service: ServerService,
    program: Program,
    history: History,
    taking: TakingOver | None,
    cluster: ClusterView | None,
) -> WithStatusPort:
    """Give a server a status port."""
    from bore.status.server import ServerStatus
    from bore.status.traffic import Traffic
    from bore.statusprogram import WithStatusPort, inherited

    status = ServerStatus(reactor, service, history, cluster=cluster)
    traffic = Traffic(reactor, status.take)

    def makeRoutes() -> Mapping[str, Route]:
        from bore.status.portroutes import serverRoutes

        return serverRoutes(reactor, status, traffic, service, settings)

    sock = None if taking is None else inherited(taking.inheritance.status, settings)
    made = WithStatusPort(reactor, sink, settings, program, makeRoutes, traffic, sock, waits=sock is not None)
    if sock is not None and taking is not None:
        taking.belongings.append(made)
    return made


def _administered(
    reactor: IProgramReactor,
    sink: Sink,
    settings: AdminSettings,
    service: ServerService,
    program: Program,
    history: History,
    statusPort: WithStatusPort | None,
    taking: TakingOver | None,
    drain: int,
    cluster: ClusterView | None,
) -> OperatedProgram:
    """Give a server an admin socket."""
    from bore.operated import OperatedProgram

    handOver: HandOver | None = None

    def takeOver(question: Question) -> Answer:
        from bore.serverhandover import HandOver

        nonlocal handOver
        if handOver is None:
            belongings: list[Belonging] = [operated]
            if statusPort is not None:
                belongings.append(statusPort)
            predecessor = None if taking is None else taking.predecessor
            handOver = HandOver(reactor, sink, service, operated, belongings, statusPort, predecessor, drain)
        return handOver(question)

    def makeRoutes(program: Operated) -> Route:
        from bore.status.server import ServerStatus
        from bore.status.serverroutes import serverRoutes

        status = ServerStatus(reactor, service, history, cluster=cluster)
        return serverRoutes(status, service.server, program, takeOver)

    def name() -> str:
        return f"server-{service.controlPort}"

    operated = OperatedProgram(
        reactor,
        sink,
        settings,
        program,
        service.drain,
        history,
        name,
        makeRoutes,
        waits=taking is not None,
        sharesName=True,
    )
    if taking is not None:
        taking.belongings.append(operated)
    return operated


def _withNotices(reactor: IProgramReactor, sink: Sink, server: ServerService, program: Program) -> ProgramService:
    """Have the service manager that has started the program know its state."""
    from bore.status.statuslines import ServerLine
    from bore.supervised import supervised

    return supervised(reactor, sink, program, program.reload, ServerLine(server, sink), lambda: server.alive)
