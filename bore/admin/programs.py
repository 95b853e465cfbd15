"""The running programs that a command is for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Thread
from typing import Final, NamedTuple

from bore import exits
from bore.admin.answer import Part
from bore.admin.ask import NoAnswer, ask
from bore.admin.command import AdminCommand
from bore.admin.sockets import CLIENT, SERVER, AdminSocket, findSockets

_STATUS: Final = "/status"

#: The most programs that an error lists.
_MAX_LISTED: Final = 10

_WHY_NOT: Final = (
    "programs of other users, such as those of the system, are seen with sudo, and one that was started without an "
    "admin socket is not seen at all"
)


class Answer(NamedTuple):
    """
    What a program has answered.

    :ivar socket: its admin socket.
    :ivar content: the answer.
    """

    socket: AdminSocket
    content: object

    @property
    def program(self) -> str:
        """The kind of the program."""
        return Part(self.content).text("program") or self.socket.program


def askAll(command: AdminCommand) -> tuple[list[Answer], list[NoAnswer]]:
    """
    Ask the programs that a command is for what they do.

    :returns: the answers, and the errors of the programs that have not answered.
    :raises NoAnswer: if there is no answer at all.
    """
    if command.socket is not None:
        socket = AdminSocket(command.socket)
        return [Answer(socket, ask(socket.path, "GET", _STATUS))], []
    sockets, closed = findSockets(command.folders)
    wanted = [each for each in sockets if command.program in ("", each.program)]
    outcomes = _atOnce(wanted, lambda each: ask(each.path, "GET", _STATUS))
    answers = [Answer(each, found) for each, found in outcomes if not isinstance(found, NoAnswer)]
    errors = [found for _, found in outcomes if isinstance(found, NoAnswer) and not found.dead]
    errors += [
        NoAnswer(f"{each}: permission denied: its programs are seen with sudo", exits.NO_PERMISSION) for each in closed
    ]
    if answers:
        return answers, errors
    if errors:
        raise errors[0]
    what = f"bore {command.program}" if command.program else "bore"
    ended = ", and those that did have ended" if wanted else ""
    raise NoAnswer(f"no {what} is running for this user{ended}: {_WHY_NOT}", exits.UNAVAILABLE)


def only(command: AdminCommand) -> AdminSocket:
    """
    Return the only program that a command is for.

    :raises NoAnswer: if there is none, or there are several.
    """
    if command.socket is not None:
        return AdminSocket(command.socket)
    sockets, _ = findSockets(command.folders)
    wanted = [each for each in sockets if command.program in ("", each.program)]
    if len(wanted) == 1:
        return wanted[0]
    answers, errors = askAll(command)
    others = [str(each) for each in errors if each.code != exits.NO_PERMISSION]  # this user cannot mean those
    if len(answers) == 1 and not others:
        return answers[0].socket
    running = [*(f"{each.socket.path} (a {each.program})" for each in answers), *others]
    kinds = {each.program for each in answers}
    choice = " or --server or --client" if kinds == {SERVER, CLIENT} else ""
    more = ", ..." if len(running) > _MAX_LISTED else ""
    raise NoAnswer(
        f"several programs are running: choose one by --socket{choice}: {', '.join(running[:_MAX_LISTED])}{more}",
        exits.USAGE,
    )


def _atOnce(
    sockets: Sequence[AdminSocket], question: Callable[[AdminSocket], object]
) -> list[tuple[AdminSocket, object]]:
    """Ask all programs at the same time, so that the wait for those that hang is not longer than for one."""
    found: dict[AdminSocket, object] = {}

    def one(each: AdminSocket) -> None:
        try:
            found[each] = question(each)
        except NoAnswer as e:
            found[each] = e

    threads = [Thread(target=one, args=(each,), daemon=True) for each in sockets[1:]]
    for thread in threads:
        thread.start()
    for each in sockets[:1]:
        one(each)
    for thread in threads:
        thread.join()
    return [(each, found[each]) for each in sockets]
