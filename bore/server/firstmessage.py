"""
The first message of a connection to the control port, which decides what the connection is.

``Accept`` makes it the data connection of a visitor, ``Lane`` a lane of a session: both are interpreted here. Any other
message makes it a control connection (:mod:`bore.server.control`).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final, TypeAlias

from bore.relay.interface import Relay, Stream
from bore.server.lanepool import LanePools
from bore.server.unaccepted import UnacceptedVisitors
from bore.server.users import NAMELESS, User
from bore.server.visitor import Visitor
from bore.wire.errors import MalformedMessage, ProtocolViolation
from bore.wire.extension import Lane, decodeRequest
from bore.wire.limits import MAX_FRAME
from bore.wire.messages import Accept
from bore.wire.sessionevents import LaneOffered, VisitorTaken
from bore.wire.workernumbers import NO_WORKER, workerOfId, workerOfToken

#: The first message of a connection that is to be something else than a control connection.
Handed: TypeAlias = VisitorTaken | LaneOffered

#: How such a message begins, white space apart.
_BEGINNINGS: Final = (b'{"Accept":', b'{"Lane":')


class Misplaced(ProtocolViolation):
    """
    A connection belongs to another worker of the server.

    :ivar worker: the number of that worker.
    :ivar request: its first message.
    :ivar rest: bytes behind that, as far as they were taken.
    """

    def __init__(self, text: str, worker: int, request: Accept | Lane, rest: bytes = b"") -> None:
        super().__init__(text)
        self.worker = worker
        self.request = request
        self.rest = rest


class FirstMessages:
    """
    Hands connections to visitors and lane pools.

    :param unaccepted: the visitors that wait for a connection.
    :param pools: the lane pools of all sessions.
    :ivar worker: the number of this worker or node; NO_WORKER: it has none.
    :ivar predecessor: whether there is a process from which this one has taken over: it may have visitors that are not
        here.
    """

    def __init__(self, unaccepted: UnacceptedVisitors, relay: Relay, pools: LanePools, worker: int = NO_WORKER) -> None:
        self._unaccepted = unaccepted
        self._relay = relay
        self._pools = pools
        self.worker = worker
        self.predecessor = False

    def hand(self, message: Handed, detach: Callable[[], socket.socket], user: User) -> None:
        """
        Hand a connection to the visitor or the lane pool that its first message names.

        :param detach: takes the connection away from the reader of the message.
        :param user: whose connection it is.
        :raises ProtocolViolation: when the user has no such visitor or session; the connection is not touched then.
        :raises Misplaced: when another worker may have it.
        """
        match message:
            case VisitorTaken(id, rest):
                visitor = self._unaccepted.find(id)
                if visitor is None or visitor.tunnel.user.name != user.name:
                    raise self._missing(f"no visitor {id} waits", Accept(id), rest)
                self._unaccepted.take(visitor)
                self._join(visitor, Stream(detach(), rest))
            case LaneOffered(token, rest):
                pool = self._pools.find(token)
                if pool is None or pool.user.name != user.name:
                    raise self._missing("a lane of a session that is over, or never was", Lane(token), rest)
                pool.arrived(detach(), rest)

    def handAtOnce(self, sock: socket.socket, data: bytes) -> bool:
        """
        Hand a new connection over without a transport and without a timer.

        :param data: what was read from it. On a server with a secret it begins with a proof: then nothing is done here.
        :returns: whether that was possible.
        """
        frame, end, rest = data.partition(b"\0")
        if not (end and frame.startswith(_BEGINNINGS) and len(frame) <= MAX_FRAME):
            return False
        try:
            match decodeRequest(frame):
                case Accept(id):
                    self.hand(VisitorTaken(id, rest), lambda: sock, NAMELESS)
                case Lane(token):
                    self.hand(LaneOffered(token, rest), lambda: sock, NAMELESS)
                case _:
                    return False
        except ProtocolViolation:
            return False  # it is found again, and logged, when the connection has a protocol
        return True

    def ownerOf(self, request: Accept | Lane) -> str | None:
        """
        The user, by name, whose visitor or session the first message of a connection names; None: there is none.

        :raises Misplaced: when another worker may have it.
        """
        match request:
            case Accept(id):
                visitor = self._unaccepted.find(id)
                if visitor is not None:
                    return visitor.tunnel.user.name
            case Lane(token):
                pool = self._pools.find(token)
                if pool is not None:
                    return pool.user.name
        missing = self._missing("", request)
        if isinstance(missing, Misplaced):
            raise missing
        return None

    def owner(self, data: bytes) -> str | None:
        """
        The user, by name, whose visitor or session the message behind a proof names, which no other user knows; None:
        there is none.

        :raises Misplaced: when another worker may have it.
        """
        frame, end, _ = data.partition(b"\0")[2].partition(b"\0")
        try:
            request = decodeRequest(frame) if end else None
        except MalformedMessage:
            return None
        return self.ownerOf(request) if isinstance(request, Accept | Lane) else None

    def _missing(self, text: str, request: Accept | Lane, rest: bytes = b"") -> ProtocolViolation:
        """The error when there is nothing here that a request names."""
        worker = NO_WORKER
        if self.predecessor and isinstance(request, Accept):
            return Misplaced(text or "a connection of an earlier process", worker, request, rest)
        if self.worker != NO_WORKER:
            worker = workerOfId(request.id) if isinstance(request, Accept) else workerOfToken(request.token)
        if worker in (NO_WORKER, self.worker):
            return ProtocolViolation(text)
        return Misplaced(text or "a connection of another worker", worker, request, rest)

    def _join(self, visitor: Visitor, client: Stream) -> None:
        """Join a visitor with the data connection that its client has made for it."""
        ended = visitor.tunnel.serve(visitor, client.socket)
        self._relay.join(Stream(visitor.socket, visitor.early), client, ended)
