"""The client's side of its connections to the server's control port."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias
from uuid import UUID

from bore.wire.errors import ClientHasNoSecret, LateChallenge, ServerHasNoSecret, Violation, refusalFor
from bore.wire.framing import FrameDecoder
from bore.wire.messages import (
    Accept,
    Authenticate,
    Challenge,
    Connection,
    Error,
    Heartbeat,
    Hello,
    ServerMessage,
    decodeServerMessage,
    encode,
)
from bore.wire.secret import Secret


@dataclass(frozen=True, slots=True)
class Say:
    """These bytes are to be sent to the server."""

    data: bytes


@dataclass(frozen=True, slots=True)
class TunnelOpened:
    """The server listens on this port for us."""

    port: int


@dataclass(frozen=True, slots=True)
class Alive:
    """The server lives."""


@dataclass(frozen=True, slots=True)
class VisitorCame:
    """A visitor waits for a data connection that says Accept with this id."""

    id: UUID


@dataclass(frozen=True, slots=True)
class Unexpected:
    """A message that has no meaning here. The original ignores it, and so do we; it deserves a line in the log."""

    message: ServerMessage


Event: TypeAlias = Say | TunnelOpened | Alive | VisitorCame | Unexpected


class _State(Enum):
    CHALLENGE = auto()  # we have a secret and wait to be asked for it
    ANSWER = auto()  # Hello is out
    OPEN = auto()  # the tunnel is up


class ControlSession:
    """
    What is said on the control connection.

    ========== ==================== ================= ============== ============ ============ ============
    state      Challenge            Hello             Heartbeat      Connection   Error        no message
    ========== ==================== ================= ============== ============ ============ ============
    CHALLENGE  ANSWER: Say proof    server has no     server has     server has   refusal      violation
               and Hello            secret            no secret      no secret
    ANSWER     refusal: client has  OPEN:             violation      violation    refusal      violation
               no secret, or        TunnelOpened
               violation
    OPEN       Unexpected           Unexpected        Alive          VisitorCame  refusal      violation
    ========== ==================== ================= ============== ============ ============ ============

    :param port: the port to ask for, 0 for any.
    :param secret: what we share with the server, or None.
    """

    def __init__(self, port: int, secret: Secret | None) -> None:
        self._hello = encode(Hello(port))
        self._secret = secret
        self._decoder = FrameDecoder()
        self._state = _State.ANSWER if secret is None else _State.CHALLENGE
        self._probed = False

    def greeting(self) -> bytes:
        """What the client says unasked: Hello, unless it has to wait for the challenge first."""
        return self._hello if self._state is _State.ANSWER else b""

    def noChallenge(self) -> bytes:
        """
        Ask a silent server whether it has a secret at all, when ours has waited long enough for a challenge.

        A server without a secret says nothing before it is asked, and closes after three seconds: so does a broken
        one, which should be tried again. A plain Hello tells the two apart: only a server without a secret answers
        it with a Hello. It asks for any port, and takes nobody's.
        """
        if self._state is not _State.CHALLENGE:
            return b""
        self._probed = True
        return encode(Hello(0))

    def feed(self, data: bytes) -> Iterator[Event]:
        """
        Take bytes from the server, and tell one by one what follows from them.

        :raises Refusal: when the server has refused, :class:`bore.wire.errors.AuthenticationFailed` above all.
        :raises Violation: when the server does not speak the protocol.
        """
        self._decoder.feed(data)
        while (frame := self._decoder.nextFrame()) is not None:
            yield from self._receive(decodeServerMessage(frame))

    def _receive(self, message: ServerMessage) -> Iterator[Event]:
        match self._state, message:
            case _, Error(text):
                raise refusalFor(text)
            case _State.CHALLENGE, Challenge(id):
                if self._probed:
                    raise LateChallenge("the challenge came only after a plain Hello had been sent")
                assert self._secret is not None
                self._state = _State.ANSWER
                yield Say(encode(Authenticate(self._secret.prove(id))) + self._hello)
            case _State.CHALLENGE, _:
                raise ServerHasNoSecret
            case _State.ANSWER, Hello(0):
                raise Violation("a tunnel on port 0")
            case _State.ANSWER, Hello(port):
                self._state = _State.OPEN
                yield TunnelOpened(port)
            case _State.ANSWER, Challenge() if self._secret is None:
                raise ClientHasNoSecret
            case _State.ANSWER, _:
                raise Violation(f"{type(message).__name__} where Hello belongs")
            case _State.OPEN, Connection(id):
                yield VisitorCame(id)
            case _State.OPEN, Heartbeat():
                yield Alive()
            case _State.OPEN, _:
                yield Unexpected(message)


class DataSession:
    """
    What is said on a data connection: at most a challenge and its answer, then Accept.

    :param id: the visitor to accept.
    :param secret: what we share with the server, or None.
    """

    def __init__(self, id: UUID, secret: Secret | None) -> None:
        self._accept = encode(Accept(id))
        self._secret = secret
        self._decoder = FrameDecoder()

    def greeting(self) -> bytes:
        """What the client says unasked: Accept, unless it has to wait for the challenge first."""
        return self._accept if self._secret is None else b""

    def feed(self, data: bytes) -> bytes | None:
        """
        Take bytes from the server until it has sent its challenge.

        :returns: the last bytes to say, proof and Accept; behind them the connection is the visitor's.
        :raises Refusal: when the server has refused.
        :raises Violation: when something else came than a challenge.
        """
        assert self._secret is not None, "without a secret every byte is the visitor's"
        self._decoder.feed(data)
        frame = self._decoder.nextFrame()
        if frame is None:
            return None
        match decodeServerMessage(frame):
            case Challenge(id):
                return encode(Authenticate(self._secret.prove(id))) + self._accept
            case Error(text):
                raise refusalFor(text)
            case other:
                raise Violation(f"{type(other).__name__} where a challenge belongs")

    def takeRest(self) -> bytes:
        """The bytes behind the challenge: the visitor's."""
        return self._decoder.takeRest()
