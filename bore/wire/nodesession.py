"""The connection of another node of the cluster to the control port, seen from the server."""

from __future__ import annotations

from collections.abc import Sequence
from enum import auto
from typing import Final

from bore.wire import extension, serversession, statetable
from bore.wire.errors import InvalidSecret, SecretMissing, UnboundProof, UnreadableProof
from bore.wire.extension import HandedOn, Lane, MarkedHello
from bore.wire.serverproof import ServerProof
from bore.wire.serversession import ServerSession
from bore.wire.sessionevents import ConnectionHandedOn, LaneOffered, NodeSessionAsked, SendData, ServerEvent
from bore.wire.statetable import Table, on, row

_PROOF_ERRORS: Final = (InvalidSecret, SecretMissing, UnboundProof, UnreadableProof)


class State(statetable.State):
    """The states of a node's connection before it is known what it is for."""

    PROOF = auto()  # the challenge is sent, and the proof of the cluster's key has to come
    REQUEST = auto()  # the first message has to come


class NodeSession(ServerSession):
    """
    Finds out what a node's connection is for, and follows what the node sends.

    :data:`TABLE` has the states. Behind a marked Hello the session is as one of the extension, and need not ask for a
    tunnel.

    :param proof: how the node has to prove that it knows the cluster's key.
    """

    def __init__(self, proof: ServerProof) -> None:
        super().__init__(proof, encrypted=True)
        self._state = State.PROOF
        self._table = TABLE

    @property
    def unproven(self) -> bool:
        """Whether the node still has to prove that it knows the cluster's key."""
        return self._state is State.PROOF


def _decodeRequest(session: ServerSession, frame: bytes) -> extension.NodeRequest:
    return extension.decodeNodeRequest(frame)


def _agree(session: ServerSession, hello: MarkedHello) -> Sequence[ServerEvent]:
    session.extend()
    return (NodeSessionAsked(hello.port),)


def _takeConnection(session: ServerSession, handedOn: HandedOn) -> Sequence[ServerEvent]:
    return (ConnectionHandedOn(handedOn.challenge, handedOn.source, session.takeRest()),)


_S = ServerSession

#: What happens in each state. In those that are not here no frame is read.
TABLE: Final[Table[ServerSession, ServerEvent]] = {
    State.PROOF: row(_S._decodeProof, None, on(bytes, _S._checkProof, State.REQUEST, [SendData], _PROOF_ERRORS)),
    State.REQUEST: row(
        _decodeRequest,
        None,
        on(MarkedHello, _agree, serversession.State.EXTENDED, [NodeSessionAsked]),
        on(Lane, _S._offerLane, serversession.State.SETTLED, [LaneOffered]),
        on(HandedOn, _takeConnection, serversession.State.SETTLED, [ConnectionHandedOn]),
    ),
    serversession.State.EXTENDED: serversession.TABLE[serversession.State.EXTENDED],
}
