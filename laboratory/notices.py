"""What the programs of a laboratory have reported, and when."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from laboratory.fault import Outcome
from laboratory.measure import secondsUntil
from laboratory.pairings import Site, lines, ports
from tests.support import Program

#: What the server writes when a client no longer answers.
_SERVER_NOTICES = r"does not answer|is gone"

#: What the client writes when its session is lost.
_CLIENT_NOTICES = r"lost "


class Watched(NamedTuple):
    """Lines that a program writes from some line on."""

    program: Program
    pattern: str
    start: int

    @classmethod
    def server(cls, site: Site) -> Watched:
        """What the server writes from now on about clients that it has lost."""
        return cls(site.server, _SERVER_NOTICES, len(site.server.err))

    @classmethod
    def client(cls, site: Site) -> Watched:
        """What the client writes from now on about sessions that it has lost."""
        return cls(site.client, _CLIENT_NOTICES, len(site.client.err))

    def lines(self) -> list[str]:
        """The lines so far."""
        return lines(self.program, self.pattern, self.start)


def noticed(since: float, until: float, *watched: Watched) -> list[float | None]:
    """
    Wait for the first line of each.

    :param since: a moment.
    :param until: another one, at which to give up.
    :returns: how long after the first moment each line came, in seconds; None for those that did not.
    """
    found: list[float | None] = [None] * len(watched)

    def look() -> bool:
        for n, one in enumerate(watched):
            if found[n] is None and one.lines():
                found[n] = time.monotonic() - since
        return None not in found

    secondsUntil(look, until - time.monotonic())
    return found


def sessionKept(outcome: Outcome, *watched: Watched) -> None:
    """Record whether the session was kept: none of these lines was written."""
    lost = any(one.lines() for one in watched)
    outcome.holds("session lost" if lost else "session kept", not lost)


def portAfterwards(site: Site, outcome: Outcome, port: int) -> None:
    """Record whether the tunnel came back at its port."""
    now = ports(site.client)[-1]
    outcome.holds("same port" if now == port else "another port", now == port)


def moments(crowd: Program, what: str, since: float) -> list[float]:
    """When something happened to any of many clients (``laboratory.manyclients``), since a moment."""
    return [at for at, words in _happened(crowd, since) if words[0] == what]


def planned(crowd: Program, since: float) -> list[float]:
    """
    The moments for which many clients have planned the attempts that they have begun since a moment.

    A machine that is busy may have an attempt begin later, together with others.
    """
    return [float(words[2]) for _, words in _happened(crowd, since) if words[0] == "attempt"]


def events(crowd: Program, what: str, since: float) -> dict[int, float]:
    """When something happened for the first time since a moment, by the client's port."""
    return {int(words[2]): at for at, words in _happened(crowd, since) if words[0] == what}


def _happened(crowd: Program, since: float) -> Iterator[tuple[float, list[str]]]:
    """What many clients have reported since a moment, the last first."""
    for line in reversed(crowd.out):
        words = line.split()
        if (at := float(words[1])) < since:
            return
        yield at, words
