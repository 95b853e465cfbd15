"""What ``bore server`` and its twistd plugin run: the server, and what reloads its settings file."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bore.commandline import UsageError
from bore.options.server import ServerCommand
from bore.server.log import logged
from bore.server.service import ServerService
from bore.startup import IProgramReactor
from bore.wire.secret import Secret

if TYPE_CHECKING:
    from bore.events import Sink
    from bore.reloading import Reloading
    from bore.usersreloading import UsersReloading


def serverProgram(
    reactor: IProgramReactor,
    command: ServerCommand,
    load: Callable[[], ServerCommand],
    sockets: Sequence[socket.socket],
) -> ServerService | Reloading[ServerCommand] | UsersReloading:
    """
    Make the server.

    :param load: parses the command line again.
    :param sockets: listening sockets to serve as control ports.
    :raises bore.commandline.BadFile: if the users file has mistakes.
    """
    sink = logged(reactor, command.log.visitors)
    if command.users is not None:
        return _withUsers(reactor, sink, command, command.users, load, sockets)
    return _withFile(reactor, sink, command, load, ServerService(reactor, command.settings, sockets, sink))


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
) -> UsersReloading:
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
    service = ServerService(reactor, command.settings, sockets, sink, known)
    enforcement = Enforcement(reactor, sink, service.server, known)
    service.applySecrets = enforcement.applySecrets
    inner = _withFile(reactor, sink, command, load, service)
    return UsersReloading(reactor, sink, inner, users, enforcement, inner.reload)
