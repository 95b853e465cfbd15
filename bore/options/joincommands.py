"""The command lines of ``bore join``, ``bore servers`` and ``bore leave``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bore.client.settings import ClientSettings, ServerAddress
from bore.commandline import Command, UsageError, Values
from bore.option import INVITATION, option, switch
from bore.options.invitation import Invitation, parseInvitation
from bore.options.joined import Joined, joinedServers
from bore.options.servers import ServerWord, parseServer
from bore.system.statefolder import stateFolder
from bore.tls.settings import ClientTls
from bore.wire.secret import Secret


@dataclass(frozen=True, slots=True)
class JoinCommand:
    """
    The result of parsing ``bore join``.

    :ivar invitation: what the line has; None: the line is still to be read.
    :ivar joined: the file of the servers that were joined.
    :ivar check: whether the server is asked first.
    :ivar knownServers: the file with the keys that servers have announced; None: there is no directory for it.
    """

    invitation: Invitation | None
    joined: Joined
    check: bool
    knownServers: Path | None

    def settings(self, invitation: Invitation) -> ClientSettings:
        """Return how a client is the invited user."""
        return ClientSettings(
            (ServerAddress(invitation.host, invitation.port),),
            Secret(invitation.secret),
            tls=ClientTls(knownServers=self.knownServers, pins=invitation.pins),
            user=invitation.user,
        )


@dataclass(frozen=True, slots=True)
class LeaveCommand:
    """
    The result of parsing ``bore leave``.

    :ivar server: the server, with the user; None: the only one.
    """

    server: ServerWord | None
    joined: Joined


def _line(text: str) -> Invitation | None:
    return None if text == "-" else parseInvitation(text)


def _member(text: str) -> ServerWord:
    word = parseServer(text)
    if not word.user:
        raise ValueError("must be a user and a server, such as alice@tunnel.example.com: see 'bore servers'")
    return word


_LINE: Final = option(
    "line",
    f"Line that 'bore user add' has printed: {INVITATION}...; -: read it from standard input, so that it is not in the "
    "list of processes",
    _line,
    "LINE",
    None,
    shown="it is asked for",
)
_NO_CHECK: Final = switch("--no-check", "Do not ask the server whether the line is valid")
_SERVER: Final = option("server", "User and server: NAME@HOST", _member, "NAME@HOST", None, shown="the only one")


def joinCommand(name: str) -> Command[JoinCommand]:
    """
    Return the command line of ``bore join``.

    :param name: the program and the command, as the user writes them.
    """
    return Command(name, "Join a server as the user that a line invites.", (_LINE, _NO_CHECK), _buildJoin)


def serversCommand(name: str) -> Command[Joined]:
    """
    Return the command line of ``bore servers``, whose result is the file.

    :param name: see :func:`joinCommand`.
    """
    return Command(name, "List the servers that were joined.", (), _joined)


def leaveCommand(name: str) -> Command[LeaveCommand]:
    """
    Return the command line of ``bore leave``.

    :param name: see :func:`joinCommand`.
    """
    return Command(
        name, "Forget a server that was joined.", (_SERVER,), lambda found: LeaveCommand(found[_SERVER], _joined(found))
    )


def _buildJoin(found: Values) -> JoinCommand:
    folder = stateFolder(found.environment)
    known = None if folder is None else folder / "known_servers"
    return JoinCommand(found[_LINE], _joined(found), not found[_NO_CHECK], known)


def _joined(found: Values) -> Joined:
    joined = joinedServers(found.environment)
    if joined is None:
        raise UsageError("there is no home directory for the servers that were joined: set HOME")
    return joined
