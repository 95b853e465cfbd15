"""What ``bore join``, ``bore servers`` and ``bore leave`` run."""

from __future__ import annotations

import sys
from getpass import getpass
from typing import Final

from twisted.internet.error import ConnectionClosed, TimeoutError
from twisted.python.failure import Failure

from bore import exits
from bore.client.log import logged
from bore.client.membership import askServer
from bore.client.reasons import describe
from bore.client.settings import ClientSettings
from bore.commandline import UsageError, printable
from bore.option import INVITATION
from bore.options.invitation import Invitation, parseInvitation
from bore.options.joincommands import LeaveCommand
from bore.options.joined import Joined
from bore.startup import IProgramReactor
from bore.wire.errors import AuthenticationFailed
from bore.wire.sessionevents import SessionOpened

#: More than any line, in characters.
_LONGEST: Final = 4096


def readInvitation() -> Invitation:
    """
    Read the line from standard input; on a terminal, ask for it, and do not show it.

    :raises UsageError: when it is not valid.
    """
    if sys.stdin.isatty():
        text = getpass(f"Line that 'bore user add' has printed ({INVITATION}..., not shown here): ")
    else:
        text = sys.stdin.read(_LONGEST)
    if not text.strip():
        raise UsageError("there is no line on standard input: give the one that 'bore user add' has printed")
    try:
        return parseInvitation(text)
    except ValueError as e:
        raise UsageError(f"the line {e}") from None


def check(reactor: IProgramReactor, settings: ClientSettings) -> tuple[int, str]:
    """
    Ask a server who it takes us for.

    :returns: the exit code, and what to print.
    """
    result: list[tuple[int, str]] = []

    def answered(opened: SessionOpened) -> None:
        result.append((exits.OK, f"{opened.user} may use: {printable(opened.rights) or 'any port of the server'}"))

    def failed(reason: Failure) -> None:
        result.append((_codeFor(reason.value), _reason(reason.value, settings)))

    def ask() -> None:
        asking = askServer(reactor, settings, logged(reactor))
        asking.addCallbacks(answered, failed).addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(ask)
    reactor.run()
    return result[0] if result else (exits.FAILURE, "stopped")


def _codeFor(why: BaseException | None) -> int:
    code = exits.codeFor(why)
    return (
        exits.UNAVAILABLE
        if code == exits.FAILURE and isinstance(why, OSError | ConnectionClosed | TimeoutError)
        else code
    )


def _reason(why: BaseException | None, settings: ClientSettings) -> str:
    server = settings.servers[0]
    if isinstance(why, AuthenticationFailed):
        return (
            f"{server} does not accept {settings.user} with this line: it was revoked or replaced, or it has expired. "
            "Ask for a new one"
        )
    return f"{server}: {describe(why)}"


def listed(joined: Joined) -> list[str]:
    """Return what ``bore servers`` prints."""
    found = joined.read()
    if not found:
        return ["no server was joined: 'bore join LINE' joins one"]
    *others, default = map(str, found)
    return [f"{default} (default)", *reversed(others)]


def leave(command: LeaveCommand) -> str:
    """
    Forget a server, and return what ``bore leave`` prints.

    :raises UsageError: when it was not joined, or none is named and there are several.
    :raises OSError: when the file cannot be written.
    """
    joined, word = command.joined, command.server
    known = joined.read()
    if word is not None:
        found = joined.find(word.user, word.host, word.port)
        if found is None:
            raise UsageError(joined.unknown(f"{word.user}@{word.host}"))
    elif len(known) == 1:
        found = known[0]
    else:
        raise UsageError(f"name one of {', '.join(map(str, known))}" if known else "no server was joined")
    joined.remove(found)
    return (
        f"left {found}: its line is not on this machine any more. The server accepts it until 'bore user revoke "
        f"{found.user}' there"
    )
