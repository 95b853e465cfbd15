"""Whether a program does its work: what /healthz and /readyz answer."""

from __future__ import annotations

from bore.status.questions import TEXT, Answer, Question


def healthy(question: Question) -> Answer:
    """Answer /healthz: the reactor has got round to it, which is all."""
    return Answer(b"ok\n", TEXT)


def serverReadiness(state: str, listens: bool, joined: bool = True) -> Answer:
    """
    Answer /readyz for a server, which is ready while it takes clients.

    :param state: see :class:`bore.status.report.ServerReport`.
    :param listens: whether it has a control port.
    :param joined: whether it has joined its cluster, if it has one. Later it stays ready when the engine is away: it is
        the same for all nodes, and visitors are to wait, not to be refused by a balancer.
    """
    if state != "running":
        return _readiness(f"the server is {state}")
    if not joined:
        return _readiness("the server has not joined its cluster yet")
    return _readiness("" if listens else "the server does not listen yet")


def clientReadiness(state: str, hasTunnels: bool) -> Answer:
    """
    Answer /readyz for a client, which is ready while it has at least one tunnel.

    :param state: see :class:`bore.status.report.ClientReport`.
    :param hasTunnels: whether it is to have tunnels.
    """
    if state in ("up", "partly"):
        return _readiness("")
    return _readiness(f"no tunnel is up: the client is {state}" if hasTunnels else "there are no tunnels")


def _readiness(objection: str) -> Answer:
    return Answer(f"{objection}\n".encode(), TEXT, 503) if objection else Answer(b"ready\n", TEXT)
