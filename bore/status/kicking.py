"""Sessions and tunnels that the operator of a server ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bore.status.questions import Answer, Question, Refused, jsonAnswer
from bore.status.report import addressNamed
from bore.status.routes import TunnelNotFound
from bore.wire.publicaddress import PublicAddress

#: What stands for those who hold a shared secret, as in the users file.
_SHARED = "*"


class Elsewhere(Refused):
    """
    The tunnel is one of other nodes of the cluster.

    :param nodes: their names.
    """

    def __init__(self, named: str, nodes: Sequence[str]) -> None:
        if nodes:
            text = f"the tunnel {named} is not at this node, but at {_joined(nodes)}: run 'bore kick {named}' there"
        else:
            text = f"no node has a session of the tunnel {named} now: this one keeps its address"
        super().__init__(409, text)


class Kicked(NamedTuple):
    """
    Whom to kick.

    :ivar named: as the request has it.
    :ivar user: the name of a user; None: it is a tunnel.
    :ivar address: the public address of a tunnel; None: there can be no such tunnel.
    """

    named: str
    user: str | None
    address: PublicAddress | None

    def answer(self, sessions: int, tunnels: int, visitors: int, *, nodes: Sequence[str] = ()) -> Answer:
        """
        Answer how many have ended.

        :param nodes: the names of other nodes of the cluster that have the tunnel, or may have sessions of the user.
        :raises Refused: if it were none.
        """
        if sessions or tunnels or visitors:
            more = {"nodes": [*nodes]} if nodes else {}
            return jsonAnswer({"sessions": sessions, "tunnels": tunnels, "visitors": visitors, **more})
        if self.user is None:
            raise TunnelNotFound(self.named)
        here = f" at this node; the others are {_joined(nodes)}" if nodes else ""
        raise Refused(404, f"there is no session or tunnel of {self.named}{here}")


def _joined(nodes: Sequence[str]) -> str:
    *first, last = nodes
    return f"{', '.join(first)} and {last}" if first else last


def whomToKick(question: Question) -> Kicked:
    """
    Read whom a request is about.

    :raises Refused: if it does not say so.
    """
    match question.json(user=str, address=object):
        case {"user": str() as user, **rest} if not rest:
            return Kicked(user, "" if user == _SHARED else user, None)
        case {"address": int() | str() as named, **rest} if not rest:
            return Kicked(str(named), None, addressNamed(str(named)))
    raise Refused(400, 'the body must name one thing, as in {"user": "alice"} or {"address": 20000}')
