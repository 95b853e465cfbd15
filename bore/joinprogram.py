"""What ``bore join``, ``bore servers`` and ``bore leave`` run."""

from __future__ import annotations

import sys
from getpass import getpass
from typing import Final

from bore.commandline import UsageError
from bore.option import INVITATION
from bore.options.invitation import Invitation, parseInvitation
from bore.options.joincommands import LeaveCommand
from bore.options.joined import Joined

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
