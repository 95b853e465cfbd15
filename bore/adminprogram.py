"""
What ``bore status``, ``bore kick``, ``bore drain``, ``bore reload`` and ``bore upgrade`` run: questions to running
programs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from time import monotonic, sleep
from typing import Final

from bore.admin.answer import Part
from bore.admin.ask import NoAnswer, ask
from bore.admin.command import AdminCommand
from bore.admin.programs import only
from bore.admin.screen import Screen
from bore.admin.status import failures, status
from bore.admin.units import counted, duration
from bore.options.admincommands import adminCommand

#: How often ``--watch`` asks, in seconds.
_INTERVAL: Final = 1.0

#: How long a server may take to try new code out, and then to start with it and to start its workers, in seconds.
_TRIAL: Final = 40.0
_UPGRADE: Final = 75.0

#: How often it is asked what has become of that, in seconds.
_LOOK: Final = 0.25

#: The events that an upgrade has succeeded, and that it has failed.
_UPGRADED: Final = "upgraded"
_FAILED: Final = "upgrade-failed"


def run(program: str, arguments: Sequence[str]) -> None:
    """
    Run a command.

    :param program: the program and the command, as the user writes them.
    :raises bore.commandline.UsageError: if the command line is invalid.
    :raises NoAnswer: if no program does what it is asked for.
    """
    command = adminCommand(program.rpartition(" ")[2]).parse(arguments)
    try:
        if command.action == "status":
            _status(command)
        elif command.action == "upgrade":
            _upgrade(command)
        else:
            _order(command)
    except KeyboardInterrupt:
        if sys.stdout.isatty():
            print()  # noqa: T201  # ends the line with ^C


def _status(command: AdminCommand) -> None:
    """Show the status, again and again if that is wanted: a program that is away may come back."""
    screen = Screen(sys.stdout, redraws=command.watch, separates=not command.json)
    screen.show(status(command, screen.width))  # the first one has to come
    while command.watch:
        sleep(_INTERVAL)
        try:
            lines = status(command, screen.width)
        except NoAnswer as e:
            lines = failures([e], command.json)
        screen.show(lines)


def _order(command: AdminCommand) -> None:
    """Have one program do something, and print what it has done."""
    socket = only(command)
    answer = Part(ask(socket.path, "POST", f"/{command.action}", _body(command)))
    print(_done(command, answer))  # noqa: T201


def _upgrade(command: AdminCommand) -> None:
    """Have a server go on with the code that is installed now, and print what has become of that."""
    path = only(command).path
    status = Part(ask(path, "GET", "/status"))
    if why := _noUpgrade(status):
        raise NoAnswer(why)
    upgraded, failed = _upgrades(status)
    ask(path, "POST", "/upgrade", {}, _TRIAL)
    deadline = monotonic() + _UPGRADE
    while monotonic() < deadline:
        sleep(_LOOK)
        try:
            status = Part(ask(path, "GET", "/status"))
        except NoAnswer:
            continue  # the supervisor starts again
        found = _upgrades(status)
        if found[1] > failed:
            raise NoAnswer(_whyNot(status) or "no upgrade, the server goes on as before: its log has the reason")
        if found[0] > upgraded:
            generation = max((each.count("generation") for each in status.parts("workers")), default=0)
            print(f"upgraded: generation {generation}, version {status.text('version')}")  # noqa: T201
            return
    raise NoAnswer(f"the server has not said within {_UPGRADE:g} s what has become of the upgrade: its log may")


def _noUpgrade(status: Part) -> str:
    """Say why this program has no upgrade; empty: it has one."""
    if status.text("program") == "client":
        return "a client has no upgrade: SIGUSR2 has a new process take over from it"
    if status.part("cluster").text("node"):
        return "a node of a cluster has no upgrade: stop it and start the new one, one node after the other"
    if not status.parts("workers"):
        return (
            "this server has no workers, and so no upgrade: start the new one with --take-over beside it, or restart "
            "the server, with --workers 1 for upgrades from then on"
        )
    return ""


def _upgrades(status: Part) -> tuple[int, int]:
    """How many upgrades of a server have succeeded, and how many have failed, since its start."""
    events = status.part("totals").part("events")
    return events.count(_UPGRADED), events.count(_FAILED)


def _whyNot(status: Part) -> str:
    """Say why the last upgrade has failed; empty: that is not among the last events any more."""
    return next((each.text("text") for each in reversed(status.parts("recent")) if each.text("event") == _FAILED), "")


def _body(command: AdminCommand) -> Mapping[str, object]:
    word = command.subject
    match command.action:
        case "kick" if word.isdigit():
            return {"address": int(word)}
        case "kick" if word.startswith("unix:"):
            return {"address": word}
        case "kick":
            return {"user": word}
        case "drain" if command.within is not None:
            return {"within": command.within.total_seconds()}
        case _:
            return {}


def _done(command: AdminCommand, answer: Part) -> str:
    """Return what a program has done, in words."""
    match command.action:
        case "kick":
            counts = [
                counted(answer.count(each), each.removesuffix("s")) for each in ("sessions", "tunnels", "visitors")
            ]
            lines = [f"ended: {', '.join(counts)}"]
            if nodes := ", ".join(answer.texts("nodes")):
                what = "the user may be" if "user" in _body(command) else "the tunnel is"
                lines.append(f"{what} at other nodes, too, and has to be kicked there: {nodes}")
            return "\n".join(lines)
        case "drain":
            within = duration(answer.number("within"))
            limit = f" within {within}" if within else ""
            visitors = answer.count("visitors")
            if not visitors:
                return "the program has no visitors, and ends"
            left = f"{counted(visitors, 'visitor')} {'has' if visitors == 1 else 'have'} left"
            return f"the program accepts no new visitors, and ends when {left}{limit}"
        case _:
            return _reloaded(answer)


def _reloaded(answer: Part) -> str:
    """Return what has changed at a reload, a line for each file."""
    restart = answer.text("restart")
    lines = [*answer.texts("changes"), *([f"a restart is needed for: {restart}"] if restart else [])]
    return "\n".join(lines) or "there is nothing to reload"
