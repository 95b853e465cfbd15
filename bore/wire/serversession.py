"""The server's side of one connection to its control port, from the first byte to the last frame that matters."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias
from uuid import UUID, uuid4

from bore.wire.errors import (
    FrameTooLong,
    InvalidSecret,
    MalformedMessage,
    OverlongProof,
    ProofTimeout,
    Refusal,
    SecretMissing,
    UnreadableProof,
    Violation,
    WireError,
)
from bore.wire.framing import FrameDecoder
from bore.wire.messages import Accept, Authenticate, Challenge, Hello, decodeClientMessage, encode
from bore.wire.secret import Secret


@dataclass(frozen=True, slots=True)
class PortAsked:
    """The connection is a control connection: its client wants a tunnel on this port (0: any)."""

    port: int


@dataclass(frozen=True, slots=True)
class VisitorTaken:
    """The connection is a data connection: from here on it belongs to this visitor, ``rest`` included."""

    id: UUID
    rest: bytes


Request: TypeAlias = PortAsked | VisitorTaken


class _State(Enum):
    PROOF = auto()  # the challenge is out, only the proof may come
    REQUEST = auto()  # the first message proper may come
    SETTLED = auto()  # what the connection is for is known: no frame is read any more


class ServerSession:
    """
    Tells what a connection to the control port is for.

    ========== =================== ============================== =======================
    state      Authenticate        Hello, Accept                  no message, or too long
    ========== =================== ============================== =======================
    PROOF      right: REQUEST,     refused: no secret provided    refused: unreadable
               wrong: refused
    REQUEST    violation           SETTLED: PortAsked,            violation
                                   VisitorTaken
    SETTLED    bytes of a control connection are thrown away, as the original never reads
               them, and so are those behind a refusal or a violation; those of a data
               connection are no longer the session's
    ========== =================== ============================== =======================

    :param secret: what the client has to know, or None if everybody may come.
    """

    def __init__(self, secret: Secret | None) -> None:
        self._secret = secret
        self._challenge = None if secret is None else uuid4()
        self._decoder = FrameDecoder()
        self._state = _State.REQUEST if secret is None else _State.PROOF

    def greeting(self) -> bytes:
        """What the server says unasked: the challenge, or nothing."""
        return b"" if self._challenge is None else encode(Challenge(self._challenge))

    def feed(self, data: bytes) -> Request | None:
        """
        Take bytes from the client.

        :returns: what the client wants, once, when it has said so.
        :raises Refusal: when the client is to be told why the connection is closed.
        :raises Violation: when the connection is to be closed without a word.
        """
        if self._state is _State.SETTLED:
            return None
        self._decoder.feed(data)
        try:
            if self._state is _State.PROOF and not self._readProof():
                return None
            return self._readRequest()
        except WireError:
            self._state = _State.SETTLED
            raise

    def timedOut(self) -> Refusal | None:
        """Why the connection is closed when the client has not said what it wants in time; None: without a word."""
        return ProofTimeout() if self._state is _State.PROOF else None

    def _readProof(self) -> bool:
        assert self._secret is not None and self._challenge is not None
        try:
            frame = self._decoder.nextFrame()
            if frame is None:
                return False
            message = decodeClientMessage(frame)
        except FrameTooLong:
            raise OverlongProof from None
        except MalformedMessage:
            raise UnreadableProof from None
        match message:
            case Authenticate(proof):
                if not self._secret.proves(self._challenge, proof):
                    raise InvalidSecret
                self._state = _State.REQUEST
                return True
            case Hello() | Accept():
                raise SecretMissing

    def _readRequest(self) -> Request | None:
        frame = self._decoder.nextFrame()
        if frame is None:
            return None
        match decodeClientMessage(frame):
            case Hello(port):
                self._state = _State.SETTLED
                self._decoder.takeRest()
                return PortAsked(port)
            case Accept(id):
                self._state = _State.SETTLED
                return VisitorTaken(id, self._decoder.takeRest())
            case Authenticate():
                raise Violation("a proof, and nobody asked for one")
