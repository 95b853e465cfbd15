"""The command lines of ``bore status``, ``bore kick``, ``bore drain``, ``bore reload`` and ``bore upgrade``."""

from __future__ import annotations

from typing import Final

from bore.admin.command import AdminCommand
from bore.admin.sockets import CLIENT, SERVER, runtimeFolders
from bore.commandline import Command, UsageError, Values
from bore.option import Option, option, switch
from bore.options import values
from bore.wire.publicaddress import UNIX, parseUnixPath


def _word(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return str(parseUnixPath(text.removeprefix(UNIX))) if text.startswith(UNIX) else text


_SOCKET: Final = option(
    "--socket",
    "Admin socket of the program",
    values.path,
    "PATH",
    None,
    shown="found in the runtime directories",
)
_SERVER: Final = switch("--server", "Only servers")
_CLIENT: Final = switch("--client", "Only clients")
_TUNNEL: Final = option(
    "tunnel",
    "Public port of a tunnel, unix:PATH, or its name at the client: show its visitors. Name of a user: show the user's "
    "tunnels and sessions",
    _word,
    "PORT|NAME",
    None,
    shown="everything",
)
_JSON: Final = switch("--json", "Print the answer as JSON, a line for each program")
_WATCH: Final = switch("--watch", "Ask again every second, until Ctrl-C")
_TARGET: Final = option(
    "target", "User whose sessions are ended, or public port (or unix:PATH) of the tunnel", _word, "USER|PORT", None
)
_WITHIN: Final = option(
    "--within",
    "How long its visitors may stay, such as 90s, 30m or 1h",
    values.duration,
    "DURATION",
    None,
    shown="5m",
)

#: The commands, what they do, and their options.
_ACTIONS: Final[dict[str, tuple[str, tuple[Option[object], ...]]]] = {
    "status": (
        "Show what running servers and clients do.",
        (_TUNNEL, _JSON, _WATCH, _SERVER, _CLIENT, _SOCKET),
    ),
    "kick": ("End the sessions of a user, or close a tunnel, at a running server.", (_TARGET, _SOCKET)),
    "drain": (
        "Have a running program end when its visitors have left; it accepts no new ones.",
        (_WITHIN, _SERVER, _CLIENT, _SOCKET),
    ),
    "reload": ("Have a running program read its files again.", (_SERVER, _CLIENT, _SOCKET)),
    "upgrade": (
        "Have a running server with worker processes go on with the code that is installed now. No visitor is refused, "
        "and no stream is cut.",
        (_SOCKET,),
    ),
}

#: The words of the commands.
ACTIONS: Final = tuple(_ACTIONS)


def adminCommand(action: str) -> Command[AdminCommand]:
    """Return the command line of one of :data:`ACTIONS`."""
    summary, options = _ACTIONS[action]
    return Command(f"bore {action}", summary, options, lambda found: _build(action, options, found))


def _build(action: str, options: tuple[Option[object], ...], found: Values) -> AdminCommand:
    def has(each: Option[bool]) -> bool:
        return each in options and found[each]

    if has(_SERVER) and has(_CLIENT):
        raise UsageError(f"{_SERVER.name} and {_CLIENT.name} exclude each other: without them, both are asked")
    if found[_SOCKET] is not None and (has(_SERVER) or has(_CLIENT)):
        raise UsageError(f"{_SOCKET.name} names the program: leave out {_SERVER.name} and {_CLIENT.name}")
    subject = found[_TUNNEL] if _TUNNEL in options else found[_TARGET] if _TARGET in options else None
    if action == "kick" and subject is None:
        raise UsageError("no USER or PORT given: name one, as in 'bore kick alice' or 'bore kick 20080'")
    program = SERVER if has(_SERVER) or action in ("kick", "upgrade") else CLIENT if has(_CLIENT) else ""
    return AdminCommand(
        action,
        found[_SOCKET],
        program,
        runtimeFolders(found.environment),
        subject or "",
        has(_JSON),
        has(_WATCH),
        found[_WITHIN] if _WITHIN in options else None,
    )
