"""Sessions and tunnels that the operator of a server ends."""

from __future__ import annotations

from typing import NamedTuple

from bore.status.questions import Answer, Question, Refused, jsonAnswer
from bore.status.report import addressNamed
from bore.status.routes import TunnelNotFound
from bore.wire.publicaddress import PublicAddress

#: What stands for those who hold a shared secret, as in the users file.
_SHARED = "*"


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

    def answer(self, sessions: int, tunnels: int, visitors: int) -> Answer:
        """
        Answer how many have ended.

        :raises Refused: if it were none.
        """
        if sessions or tunnels or visitors:
            return jsonAnswer({"sessions": sessions, "tunnels": tunnels, "visitors": visitors})
        if self.user is None:
            raise TunnelNotFound(self.named)
        raise Refused(404, f"there is no session or tunnel of {self.named}")


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
