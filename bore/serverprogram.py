"""What ``bore server`` and its twistd plugin run: the server, and what reloads its settings file."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bore.commandline import UsageError
from bore.options.server import ServerCommand
from bore.server.log import logged
from bore.server.service import ServerService
from bore.startup import IProgramReactor
from bore.system.activation import storedDescriptors
from bore.wire.secret import Secret

if TYPE_CHECKING:
    from bore.events import Sink
    from bore.operated import OperatedProgram
    from bore.programservice import ProgramService
    from bore.reloading import Reloading
    from bore.server.keptsockets import KeptSockets
    from bore.server.settings import ServerSettings
    from bore.status.history import History
    from bore.status.questions import Route
    from bore.status.routes import Operated
    from bore.status.settings import AdminSettings, StatusPortSettings
    from bore.status.visitorlog import VisitorLog
    from bore.statusprogram import WithStatusPort
    from bore.usersreloading import UsersReloading

    Program: TypeAlias = ServerService | Reloading[ServerCommand] | UsersReloading | ProgramService | WithStatusPort


def serverProgram(
    reactor: IProgramReactor,
    command: ServerCommand,
    load: Callable[[], ServerCommand],
    sockets: Sequence[socket.socket],
    embedded: Sink | None = None,
) -> Program | OperatedProgram:
    """
    Make the server.

    :param load: parses the command line again.
    :param sockets: listening sockets to serve as control ports.
    :param embedded: gets the events, if the server is a part of another program; None: they are logged.
    :raises bore.commandline.UsageError: if the users file has mistakes, or the visitor log cannot be written.
    :raises bore.commandline.NotPossible: if its admin socket or its status port cannot be opened.
    """
    sink = logged(reactor, command.log.visitors) if embedded is None else embedded
    asked = embedded is None and (command.admin is not None or command.statusPort is not None)
    history = _history(sink) if asked else None
    log = None if command.visitorLog is None else _visitorLog(reactor, sink, command.visitorLog)
    kept = None if embedded is not None else keptSockets(reactor, command.settings)
    program: Program
    if command.users is not None:
        server, program = _withUsers(reactor, sink, command, command.users, load, sockets, kept)
    else:
        server = ServerService(reactor, command.settings, sockets, sink, kept=kept)
        program = _withFile(reactor, sink, command, load, server)
    if log is not None:
        program = _withLog(reactor, server, program, log)
    if embedded is None and "NOTIFY_SOCKET" in os.environ:
        program = _withNotices(reactor, sink, server, program)
    if command.statusPort is not None and history is not None:
        program = _withStatusPort(reactor, sink, command.statusPort, server, program, history)
    if command.admin is None or history is None:
        return program
    return _administered(reactor, sink, command.admin, server, program, history)


def keptSockets(reactor: IProgramReactor, settings: ServerSettings) -> KeptSockets | None:
    """Return the listening sockets that the service manager keeps for this server; None: it keeps none."""
    stored = storedDescriptors()
    if "NOTIFY_SOCKET" not in os.environ or not ("FDSTORE" in os.environ or stored):
        return None
    from bore.server.keptsockets import KeptSockets
    from bore.system.descriptorstore import DescriptorStore, storeSize
    from bore.system.notify import Notifier

    store = DescriptorStore(reactor, Notifier(os.environ["NOTIFY_SOCKET"]), storeSize(os.environ), stored)
    return KeptSockets(reactor, store, settings)


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
) -> WithStatusPort:
    """Give a server a status port."""
    from bore.status.server import ServerStatus
    from bore.status.traffic import Traffic
    from bore.statusprogram import WithStatusPort

    status = ServerStatus(reactor, service, history)
    traffic = Traffic(reactor, status.take)

    def makeRoutes() -> Mapping[str, Route]:
        from bore.status.portroutes import serverRoutes

        return serverRoutes(reactor, status, traffic, service, settings)

    return WithStatusPort(reactor, sink, settings, program, makeRoutes, traffic)


def _administered(
    reactor: IProgramReactor,
    sink: Sink,
    settings: AdminSettings,
    service: ServerService,
    program: Program,
    history: History,
) -> OperatedProgram:
    """Give a server an admin socket."""
    from bore.operated import OperatedProgram

    def makeRoutes(operated: Operated) -> Route:
        from bore.status.server import ServerStatus
        from bore.status.serverroutes import serverRoutes

        return serverRoutes(ServerStatus(reactor, service, history), service.server, operated)

    def name() -> str:
        return f"server-{service.controlPort}"

    return OperatedProgram(reactor, sink, settings, program, service.drain, history, name, makeRoutes)


def _withFile(
    reactor: IProgramReactor,
    sink: Sink,
    command: ServerCommand,
    load: Callable[[], ServerCommand],
    service: ServerService,
) -> ServerService | Reloading[ServerCommand]:
    """Have a server read its settings file again, if it has one."""
    if command.file is None:
        if command.secretsInFile:
            service.readSecrets = partial(_secretsIn, load)
        return service
    from bore.reloading import Reloading

    def apply(new: ServerCommand) -> Sequence[str]:
        service.apply(new.settings)
        return ()

    return Reloading(reactor, sink, service, command, load, apply)


def _secretsIn(load: Callable[[], ServerCommand]) -> Sequence[Secret]:
    """
    Read the file of the shared secrets again.

    :raises ValueError: if it cannot be used.
    """
    try:
        return load().settings.secrets
    except UsageError as e:
        raise ValueError(str(e)) from None


def _withUsers(
    reactor: IProgramReactor,
    sink: Sink,
    command: ServerCommand,
    users: Path,
    load: Callable[[], ServerCommand],
    sockets: Sequence[socket.socket],
    kept: KeptSockets | None,
) -> tuple[ServerService, Program]:
    """Make a server with a users file."""
    from bore.events.server import UsersNeedTls
    from bore.options.users import readUsers
    from bore.server.enforcement import Enforcement
    from bore.server.userlist import UserList
    from bore.usersreloading import UsersReloading

    found = readUsers(users)
    if command.settings.tls is None and not any(entry.rights.original for entry in found.entries.values()):
        sink.emit(UsersNeedTls())
    known = UserList(found, command.settings.secrets)
    service = ServerService(reactor, command.settings, sockets, sink, known, kept=kept)
    enforcement = Enforcement(reactor, sink, service.server, known)
    service.applySecrets = enforcement.applySecrets
    inner = _withFile(reactor, sink, command, load, service)
    return service, UsersReloading(reactor, sink, inner, users, enforcement, inner.reload)


def _visitorLog(reactor: IProgramReactor, sink: Sink, path: Path) -> VisitorLog:
    from bore.status.visitorlog import CannotLog, VisitorLog

    try:
        return VisitorLog(reactor, sink, path)
    except CannotLog as e:
        raise UsageError(str(e)) from None


def _withLog(reactor: IProgramReactor, server: ServerService, program: Program, log: VisitorLog) -> ProgramService:
    """Have the visitor log opened again when the files are read, and written to the end when the server has stopped."""
    from bore.programservice import ProgramService
    from bore.system.signals import handleRotation

    def reload() -> None:
        log.reopen()
        if program is not server or server.hasFiles:
            program.reload()

    # twistd sets handlers of its own before the reactor runs.
    reactor.callWhenRunning(handleRotation, reactor, log.reopen)
    reactor.addSystemEventTrigger("after", "shutdown", log.close)
    return ProgramService(program, reload)


def _withNotices(reactor: IProgramReactor, sink: Sink, server: ServerService, program: Program) -> ProgramService:
    """Have the service manager that has started the program know its state."""
    from bore.status.statuslines import ServerLine
    from bore.supervised import supervised

    return supervised(reactor, sink, program, program.reload, ServerLine(server, sink), lambda: server.alive)
