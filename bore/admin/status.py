"""What ``bore status`` prints: pages for people, or the answers of the programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from bore import exits
from bore.admin.answer import Part
from bore.admin.ask import NoAnswer, ask
from bore.admin.clientpage import clientPage
from bore.admin.command import AdminCommand
from bore.admin.layout import HEADING, WARNING, Line
from bore.admin.page import View
from bore.admin.programs import Answer, askAll
from bore.admin.serverpage import serverPage
from bore.admin.sockets import CLIENT, SERVER
from bore.admin.tunnelpage import tunnelPage
from bore.commandline import printable

#: The lists in the answer of a server that belong to users, and the keys with their names.
_OF_USERS: Final = (("sessions", "user"), ("tunnels", "user"), ("users", "name"))

#: The most tunnels and users that an error lists.
_MAX_LISTED: Final = 10


def status(command: AdminCommand, width: int) -> list[Line]:
    """
    Ask the programs that a command is for, and return what to print.

    :param width: of the terminal, in columns.
    :raises NoAnswer: if there is no answer, or none has what the command asks for.
    """
    answers, errors = askAll(command)
    view = View(width, datetime.now(UTC))
    if command.subject:
        found = [part for each in answers for part in _about(command, each, view)]
        if not found:
            raise NoAnswer(_unknown(command.subject, answers), exits.FAILURE)
        parts = found
    else:
        parts = [(each, [_raw(each.content)] if command.json else _page(each, view)) for each in answers]
    pages = [line for _, lines in parts for line in lines] if command.json else _withHeadings(parts)
    return [*pages, *failures(errors, command.json)]


def failures(errors: Sequence[NoAnswer], asJson: bool) -> list[Line]:
    """Return a line for each program that has not answered."""
    if asJson:
        return [_raw({"error": str(each)}) for each in errors]
    return [Line(f"! {printable(str(each))}", WARNING) for each in errors]


def _page(answer: Answer, view: View) -> list[Line]:
    make = clientPage if answer.program == CLIENT else serverPage
    return make(Part(answer.content), view)


def _about(command: AdminCommand, answer: Answer, view: View) -> list[tuple[Answer, list[Line]]]:
    """Return what a program knows of the tunnel or the user that is asked for."""
    word, content = command.subject, Part(answer.content)
    isClient = answer.program == CLIENT
    for each in (*content.parts("tunnels"), *content.parts("forwards")):
        if word in (_names(each) if isClient else (each.text("address"),)):
            target = f"/tunnels/{quote(_addressOf(each, isClient), safe='')}"
            tunnel = ask(answer.socket.path, "GET", target)
            return [(answer, [_raw(tunnel)] if command.json else tunnelPage(answer.program, Part(tunnel), view))]
    if isClient or not any(each.text(key) == word for name, key in _OF_USERS for each in content.parts(name)):
        return []
    user = View(view.width, view.now, word)
    return [(answer, [_raw(_ofUser(answer.content, word))] if command.json else _page(answer, user))]


def _names(tunnel: Part) -> tuple[str, ...]:
    """Return the words by which a user may mean a tunnel of a client."""
    public = tunnel.text("public")
    return tunnel.text("name"), tunnel.text("local"), public, public.rpartition(":")[2]


def _addressOf(tunnel: Part, isClient: bool) -> str:
    return (tunnel.text("name") or tunnel.text("local")) if isClient else tunnel.text("address")


def _ofUser(content: object, user: str) -> object:
    """Return the answer of a server without what belongs to other users."""
    assert isinstance(content, dict)
    own: dict[str, object] = {}
    for name, key in _OF_USERS:
        found = content.get(name)
        own[name] = [each for each in found if Part(each).text(key) == user] if isinstance(found, list) else []
    return {**content, **own}


def _raw(content: object) -> Line:
    return Line(json.dumps(content))


def _unknown(word: str, answers: Sequence[Answer]) -> str:
    """Return the error for a word that no program knows."""
    contents = [Part(each.content) for each in answers]
    parts = [each for part in contents for each in (*part.parts("tunnels"), *part.parts("forwards"))]
    tunnels = [each.text("address") or each.text("name") for each in parts]
    listed = ", ".join(tunnels[:_MAX_LISTED]) + (", ..." if len(tunnels) > _MAX_LISTED else "")
    users = " and no user" if any(each.program == SERVER for each in answers) else ""
    nodes = [each.text("name") for part in contents for each in part.part("cluster").parts("nodes")][:_MAX_LISTED]
    others = f"; users of other nodes are known there alone: {', '.join(nodes)}" if nodes else ""
    return f"there is no tunnel{users} {word!r}; {f'tunnels: {listed}' if tunnels else 'there are no tunnels'}{others}"


def _withHeadings(parts: Sequence[tuple[Answer, list[Line]]]) -> list[Line]:
    """Join the pages, each under the name of its program if there are several."""
    if len(parts) == 1:
        return parts[0][1]
    lines: list[Line] = []
    for answer, page in parts:
        lines += [*([Line("")] if lines else []), Line(f"== {printable(str(answer.socket.path))}", HEADING), *page]
    return lines
