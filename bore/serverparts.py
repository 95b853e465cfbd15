"""What a server has around it in one process and in a worker: users, files that are read again, the visitor log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from bore.commandline import UsageError
from bore.options.server import ServerCommand
from bore.server.core import ServerCore
from bore.startup import IProgramReactor
from bore.wire.secret import Secret

if TYPE_CHECKING:
    from bore.events import Sink
    from bore.programservice import ProgramService
    from bore.reloading import Reloading
    from bore.server.users import Authenticator
    from bore.status.visitorlog import VisitorLog
    from bore.usersreloading import UsersReloading

    #: A server, and what reads its files again.
    Served: TypeAlias = ServerCore | Reloading[ServerCommand] | UsersReloading

S = TypeVar("S", bound=ServerCore)


def withFiles(
    reactor: IProgramReactor,
    sink: Sink,
    command: ServerCommand,
    load: Callable[[], ServerCommand],
    make: Callable[[Authenticator | None], S],
    ofSettings: Sink | None = None,
) -> tuple[S, Served]:
    """
    Make a server whose files are read again.

    :param load: parses the command line again.
    :param make: makes the server, with what identifies its users; None: they share the secret of the settings.
    :param ofSettings: gets the events of the settings file; None: as all others.
    :returns: the server itself, and the service to start.
    :raises bore.commandline.UsageError: if the users file has mistakes.
    """
    if command.users is not None:
        return _withUsers(reactor, sink, command, command.users, load, make, ofSettings or sink)
    server = make(None)
    return server, _withFile(reactor, ofSettings or sink, command, load, server)


def _withFile(
    reactor: IProgramReactor,
    sink: Sink,
    command: ServerCommand,
    load: Callable[[], ServerCommand],
    service: ServerCore,
) -> ServerCore | Reloading[ServerCommand]:
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
    make: Callable[[Authenticator | None], S],
    ofSettings: Sink,
) -> tuple[S, Served]:
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
    service = make(known)
    enforcement = Enforcement(reactor, sink, service.server, known)
    service.applySecrets = enforcement.applySecrets
    inner = _withFile(reactor, ofSettings, command, load, service)
    return service, UsersReloading(reactor, sink, inner, users, enforcement, inner.reload)


def openVisitorLog(reactor: IProgramReactor, sink: Sink, path: Path) -> VisitorLog:
    """
    Open the visitor log.

    :raises bore.commandline.UsageError: if it cannot be written.
    """
    from bore.status.visitorlog import CannotLog, VisitorLog

    try:
        return VisitorLog(reactor, sink, path)
    except CannotLog as e:
        raise UsageError(str(e)) from None


def withVisitorLog(
    reactor: IProgramReactor, server: ServerCore, program: Served, log: VisitorLog, rotates: bool = True
) -> ProgramService:
    """
    Have the visitor log opened again when the files are read, and written to the end when the server has stopped.

    :param rotates: whether SIGUSR1 has it opened again, too.
    """
    from bore.programservice import ProgramService
    from bore.system.signals import handleRotation

    def reload() -> None:
        log.reopen()
        if program is not server or server.hasFiles:
            program.reload()

    if rotates:  # twistd sets handlers of its own before the reactor runs
        reactor.callWhenRunning(handleRotation, reactor, log.reopen)
    reactor.addSystemEventTrigger("after", "shutdown", log.close)
    return ProgramService(program, reload)
