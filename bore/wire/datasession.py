"""A data connection or a lane, seen from the client, until it is the visitor's or the lane's."""

from __future__ import annotations

from collections.abc import Sequence
from enum import auto
from typing import Final

from bore.wire import extension, messages, statetable
from bore.wire.binding import BindingAnswer, BindingChallenge
from bore.wire.errors import ProtocolViolation, Refusal, ServerNotProven, UnboundChallenge
from bore.wire.extension import HandedOn, Lane
from bore.wire.framing import FrameDecoder
from bore.wire.messages import Accept, Challenge, Error
from bore.wire.proof import ClientProof
from bore.wire.refusals import refusalFor
from bore.wire.statetable import Cell, Table, on, row


class State(statetable.State):
    """The states of a data connection."""

    CHALLENGE = auto()  # we have a secret, and the challenge has to come
    PROVING = auto()  # inside TLS: our proof and the request are sent, and the server's proof has to come
    COMPLETE = auto()  # no frame is read any more


class DataSession:
    """
    What comes before the bytes on a data connection: at most the proof of the secret, and the request.

    :data:`TABLE` has the states and what happens in each of them, message by message; ``docs/states.rst`` shows it.

    :param request: Accept, with the visitor to accept, or Lane; of a node also HandedOn.
    :param proof: how we prove the secret that we share with the server; None: we share none.
    """

    def __init__(self, request: Accept | Lane | HandedOn, proof: ClientProof | None = None) -> None:
        self._request = messages.encode(request) if isinstance(request, Accept) else extension.encode(request)
        self._proof = proof
        self._decoder = FrameDecoder()
        self._state: statetable.State = State.COMPLETE if proof is None else State.CHALLENGE

    @property
    def complete(self) -> bool:
        """Whether everything was sent and received: what comes from here on is the visitor's, or the lane's."""
        return self._state is State.COMPLETE

    def greeting(self) -> bytes:
        """What the client sends unasked: the request, unless it has to wait for the challenge first."""
        return self._request if self._proof is None else b""

    def feed(self, data: bytes) -> bytes:
        """
        Take bytes from the server, as long as the session is not complete.

        :returns: what to send in answer; may be empty.
        :raises Refusal: when the server has refused.
        :raises ProtocolViolation: when something else came than belongs there.
        """
        assert not self.complete, "every byte is the visitor's, or the lane's"
        self._decoder.feed(data)
        answer = b""
        while (row := TABLE.get(self._state)) is not None and (frame := self._decoder.nextFrame()) is not None:
            message = row.decode(self, frame)
            cell = row.cell(message)
            answer += b"".join(cell.act(self, message))
            self._state = cell.then or self._state
        return answer

    def takeRest(self) -> bytes:
        """The bytes behind the server's last frame: the visitor's, or the lane's."""
        return self._decoder.takeRest()

    def _decodeProof(self, frame: bytes) -> object:
        assert self._proof is not None
        return self._proof.decode(frame)

    def _prove(self, challenge: Challenge | BindingChallenge) -> Sequence[bytes]:
        assert self._proof is not None
        return (self._proof.answer(challenge) + self._request,)

    def _checkServer(self, answer: BindingAnswer) -> Sequence[bytes]:
        assert self._proof is not None
        self._proof.check(answer)
        return ()

    def _takeError(self, error: Error) -> Sequence[bytes]:
        raise refusalFor(error.text)

    def _refuseMessage(self, message: object) -> Sequence[bytes]:
        raise ProtocolViolation(f"unexpected {type(message).__name__} in state {self._state.name}")


_S = DataSession

_VIOLATION: Final[Cell[_S, bytes]] = Cell(_S._refuseMessage, None, (), (ProtocolViolation,))
_ERROR: Final = on(Error, _S._takeError, errors=[Refusal])

#: What happens in each state. In COMPLETE no frame is read.
TABLE: Final[Table[_S, bytes]] = {
    State.CHALLENGE: row(
        _S._decodeProof,
        _VIOLATION,
        on(Challenge, _S._prove, State.COMPLETE, [bytes], [UnboundChallenge]),
        on(BindingChallenge, _S._prove, State.PROVING, [bytes]),
        _ERROR,
    ),
    State.PROVING: row(
        _S._decodeProof,
        _VIOLATION,
        on(BindingAnswer, _S._checkServer, State.COMPLETE, errors=[ServerNotProven]),
        _ERROR,
    ),
}
