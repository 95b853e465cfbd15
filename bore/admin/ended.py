"""What running servers end when a user is revoked, as ``bore user revoke`` prints it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bore.admin.answer import Part
from bore.admin.ask import NoAnswer, ask
from bore.admin.sockets import SERVER, findSockets
from bore.admin.units import counted

#: How long a server may take to end what a user has, in seconds: it looks at its users file twice a second.
_PATIENCE: Final = 3.0

#: How often it is asked, in seconds.
_INTERVAL: Final = 0.1

#: How long a server may take for an answer, in seconds.
_TIMEOUT: Final = 1.0

#: The most tunnels that are listed.
_MAX_LISTED: Final = 10


@dataclass(frozen=True, slots=True)
class Holdings:
    """
    What a user has at a running server.

    :ivar socket: the admin socket of the server.
    :ivar sessions: the number of sessions.
    :ivar tunnels: the public addresses of the tunnels.
    :ivar visitors: the number of visitors who are there.
    """

    socket: Path
    sessions: int
    tunnels: Sequence[str]
    visitors: int

    def __str__(self) -> str:
        listed = ", ".join(self.tunnels[:_MAX_LISTED]) + (", ..." if len(self.tunnels) > _MAX_LISTED else "")
        tunnels = f", {counted(len(self.tunnels), 'tunnel')} ({listed})" if self.tunnels else ""
        visitors = f", {counted(self.visitors, 'visitor')}" if self.visitors else ""
        return f"{counted(self.sessions, 'session')}{tunnels}{visitors}"


def holdings(folders: Sequence[Path], user: str) -> list[Holdings]:
    """
    Return what a user has at the running servers that this user may ask.

    :param folders: the runtime directories.
    """
    found = []
    for each in findSockets(folders).sockets:
        with contextlib.suppress(NoAnswer):
            if each.program == SERVER and (has := _at(each.path, user)) is not None:
                found.append(has)
    return found


def ended(before: Sequence[Holdings], user: str) -> list[str]:
    """
    Wait until servers have ended what a user has had, and return lines about it.

    :param before: what the user has had.
    """
    deadline = time.monotonic() + _PATIENCE
    waiting = list(before)
    while waiting and time.monotonic() < deadline:
        time.sleep(_INTERVAL)
        waiting = [each for each in waiting if _has(each.socket, user)]
    return [
        f"{each.socket} still has {each}: it runs with another users file, or does not answer"
        if each in waiting
        else f"{each.socket} has ended {each}."
        for each in before
    ]


def _has(socket: Path, user: str) -> bool:
    """Whether a user still has something at a server, as far as is known."""
    try:
        return _at(socket, user) is not None
    except NoAnswer as e:
        return not e.dead


def _at(socket: Path, user: str) -> Holdings | None:
    """
    Ask a server what a user has; None: nothing.

    :raises NoAnswer: if it does not answer.
    """
    status = Part(ask(socket, "GET", "/status", timeout=_TIMEOUT))
    sessions, tunnels = (
        [each for each in status.parts(key) if each.text("user") == user] for key in ("sessions", "tunnels")
    )
    if not sessions and not tunnels:
        return None
    visitors = [each.part("visitors") for each in tunnels]
    count = sum(each.count("open") + each.count("waiting") for each in visitors)
    return Holdings(socket, len(sessions), [each.text("address") for each in tunnels], count)
