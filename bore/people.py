"""The commands about users: ``bore user`` at the server, and ``bore join``, ``servers`` and ``leave`` of its users."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from bore import exits
from bore.commandline import UsageError, unknownCommand

if TYPE_CHECKING:
    from bore.options.joined import Joined
    from bore.startup import IProgramReactor


_NEXT_MADE: Final = (
    "A running server announces the next key when the next client connects, or on a reload (SIGHUP). When all clients "
    "have been connected since, after a week for instance, run 'bore server-key rotate' again: then it is used."
)
_NEXT_USED: Final = (
    "A server that runs uses this key from the next connection on. Clients that have not learned it refuse it: 'bore "
    "user rotate NAME' makes a new line for them."
)


class Failed(Exception):
    """
    A command has failed.

    :ivar code: the exit code.
    """

    def __init__(self, text: str, code: int = exits.FAILURE) -> None:
        Exception.__init__(self, text)
        self.code = code


def run(program: str, arguments: Sequence[str], begin: Callable[[], IProgramReactor]) -> None:
    """
    Run a command.

    :param program: the program and the command, as the user writes them.
    :param begin: prepares the process, and begins to log.
    :raises bore.commandline.UsageError: if the command line, or a file, is invalid.
    :raises Failed: if the command fails.
    """
    match program.rpartition(" ")[2]:
        case "user":
            _user(arguments)
        case "server-key":
            _serverKey(arguments)
        case "join":
            _join(program, arguments, begin)
        case "servers":
            _servers(program, arguments)
        case _:
            _leave(program, arguments)


def _user(arguments: Sequence[str]) -> None:
    from bore.options.usercommands import ACTIONS, USAGE_TEXT, userCommand

    if not arguments:
        raise UsageError(f"no command given; commands: {ACTIONS}")
    if arguments[0] in ("-h", "--help", "help"):
        _print([USAGE_TEXT.rstrip()])
        return
    line = userCommand(arguments[0])
    if line is None:
        raise UsageError(unknownCommand(arguments[0], ACTIONS))
    command = line.parse(arguments[1:])
    from bore.userprogram import CannotDo
    from bore.userprogram import run as runUser

    try:
        printed = runUser(command)
    except CannotDo as e:
        raise Failed(str(e)) from None
    _print(printed.before, error=True)
    _print(printed.lines)
    _print(printed.after, error=True)


def _serverKey(arguments: Sequence[str]) -> None:
    from bore.options.serverkey import ACTIONS, USAGE_TEXT, serverKeyCommand

    if not arguments:
        raise UsageError(f"no command given; commands: {ACTIONS}")
    if arguments[0] in ("-h", "--help", "help"):
        _print([USAGE_TEXT])
        return
    line = serverKeyCommand(arguments[0])
    if line is None:
        raise UsageError(unknownCommand(arguments[0], ACTIONS))
    command = line.parse(arguments[1:])
    from bore.tls.certificates import BadCredentials
    from bore.tls.nextkey import TooYoung, keyIn, rotateKey
    from bore.tls.servercertificate import nextFile, ownFile

    try:
        if command.action == "show":
            key, following = keyIn(ownFile(command.folder)), keyIn(nextFile(command.folder))
        else:
            key, following = rotateKey(command.folder, command.now)
    except TooYoung as e:
        raise Failed(
            f"{e}: clients that were not connected since it was made do not know it, and would refuse the server. Wait "
            "until all have been there, or add --now"
        ) from None
    except BadCredentials as e:
        raise Failed(str(e)) from None
    except OSError as e:
        raise Failed(f"the key in {command.folder} cannot be changed: {e.strerror}") from e
    _print([f"key:  {key}", *([f"next: {following}"] if following else [])])
    if command.action == "rotate":
        _print([_NEXT_MADE if following else _NEXT_USED], error=True)


def _join(program: str, arguments: Sequence[str], begin: Callable[[], IProgramReactor]) -> None:
    from bore.options.joincommands import joinCommand

    # A line that was pasted with a line break, or behind another 'bore join', comes in several words.
    parts = [each for each in arguments if not each.startswith("--")]
    options = [each for each in arguments if each.startswith("--")]
    command = joinCommand(program).parse([*options, " ".join(parts)] if len(parts) > 1 else arguments)
    from bore.joinprogram import readInvitation

    try:
        invitation = command.invitation or readInvitation()
    except (KeyboardInterrupt, EOFError):
        _print([""], error=True)  # ends the line of the question
        raise Failed("stopped: no server was joined") from None
    if command.check:
        from bore.joincheck import check

        code, text = check(begin(), command.settings(invitation))
        if code != exits.OK:
            raise Failed(text, code)
        if text:
            _print([text])
    _changing(command.joined, lambda: command.joined.add(invitation))
    _print([f"joined {invitation}: 'bore local PORT' now shows a local port there"])


def _servers(program: str, arguments: Sequence[str]) -> None:
    from bore.joinprogram import listed
    from bore.options.joincommands import serversCommand

    _print(listed(serversCommand(program).parse(arguments)))


def _leave(program: str, arguments: Sequence[str]) -> None:
    from bore.joinprogram import leave
    from bore.options.joincommands import leaveCommand

    command = leaveCommand(program).parse(arguments)
    left: list[str] = []
    _changing(command.joined, lambda: left.append(leave(command)))
    _print(left)


def _changing(joined: Joined, change: Callable[[], None]) -> None:
    try:
        change()
    except OSError as e:
        raise Failed(f"cannot write {joined.path}: {e.strerror}") from e


def _print(lines: Sequence[str], error: bool = False) -> None:
    for line in lines:
        print(line, file=sys.stderr if error else sys.stdout, flush=True)
