"""The client's side of its connections to the server's control port."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeAlias
from uuid import UUID

from bore.wire import binding, extension, messages
from bore.wire.binding import BindingAnswer, BindingChallenge
from bore.wire.errors import (
    BindFailed,
    ClientHasNoSecret,
    InvalidSecret,
    LateChallenge,
    NoFreePort,
    PortForbidden,
    PortInUse,
    PortNotAllowed,
    ProtocolViolation,
    ServerHasNoSecret,
    ServerLeft,
    TooManyTunnels,
    TooManyTunnelsFromSource,
    refusalFor,
    refusalForCode,
)
from bore.wire.extension import Extended, Goodbye, Lane, Open, Opened, Refused, Source, Visitor
from bore.wire.framing import FrameDecoder
from bore.wire.limits import MAX_EXTENDED_FRAME
from bore.wire.messages import Accept, Challenge, Connection, Error, Heartbeat, Hello
from bore.wire.proof import ClientProof


@dataclass(frozen=True, slots=True)
class SendData:
    """These bytes are to be sent to the server."""

    data: bytes


@dataclass(frozen=True, slots=True)
class TunnelOpened:
    """
    The server listens on this port for us.

    :ivar resume: the token for which the tunnel can be had back; None with a server that knows no such thing.
    :ivar lane: the token with which lanes are opened; None: there are none.
    :ivar maxLanes: how many idle ones the server keeps; 0: any number.
    """

    port: int
    resume: str | None = None
    lane: str | None = None
    maxLanes: int = 0


@dataclass(frozen=True, slots=True)
class ServerProven:
    """The server, inside TLS, has proved that it knows the secret."""


@dataclass(frozen=True, slots=True)
class ServerAlive:
    """The server lives."""


@dataclass(frozen=True, slots=True)
class VisitorCame:
    """
    A visitor waits for a data connection that says Accept with this id.

    :ivar source: where it comes from, if the server tells.
    """

    id: UUID
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Unexpected:
    """A message that has no meaning here. The original ignores it, and so do we; it deserves a line in the log."""

    message: messages.ServerMessage


Event: TypeAlias = SendData | ServerProven | TunnelOpened | ServerAlive | VisitorCame | Unexpected

_ALIVE = SendData(extension.encode(extension.Alive()))

#: The port by which a client asks whether there is a secret: no range begins so low by default, and where one does,
#: the port is a privileged one that nobody visits.
_PROBED: Final = 1

#: What a server only says that has looked at the port of a Hello, so that it wants no proof.
_WITHOUT_PROOF: Final = (
    PortNotAllowed,
    PortInUse,
    PortForbidden,
    BindFailed,
    NoFreePort,
    TooManyTunnels,
    TooManyTunnelsFromSource,
)


class _State(Enum):
    CHALLENGE = auto()  # we have a secret and wait to be asked for it
    PROVING = auto()  # inside TLS: our proof is out, and we wait for the server's
    ANSWER = auto()  # the marked Hello is out
    OPEN = auto()  # the tunnel is up, on the base protocol
    OPENING = auto()  # the server knows the extension, and Open is out
    EXTENDED = auto()  # the tunnel is up


class ControlSession:
    """
    What is said on the control connection.

    With a server of the base protocol:

    ========== ==================== ================= ============== ============ ============ ============
    state      Challenge            Hello             Heartbeat      Connection   Error        no message
    ========== ==================== ================= ============== ============ ============ ============
    CHALLENGE  ANSWER: SendData     server has no     server has     server has   refusal      violation
               proof and Hello      secret            no secret      no secret
    ANSWER     refusal: client has  OPEN:             violation      violation    refusal      violation
               no secret, or        TunnelOpened
               violation
    OPEN       Unexpected           Unexpected        ServerAlive    VisitorCame  refusal      violation
    ========== ==================== ================= ============== ============ ============ ============

    With one that knows the extension (in CHALLENGE and OPEN, a message of the extension is no message, and in OPENING
    and EXTENDED one of the base protocol):

    ========== ============ ============= ============= ============= ============= ============ ============
    state      Extended     Opened        Heartbeat     Visitor       Refused       Goodbye      no message
    ========== ============ ============= ============= ============= ============= ============ ============
    ANSWER     OPENING:     violation     violation     violation     violation     violation    violation
               SendData Open
    OPENING    violation    EXTENDED:     violation     violation     refusal       server left  violation
                            TunnelOpened
    EXTENDED   violation    violation     ServerAlive,  VisitorCame   refusal       server left  violation
                                          SendData Alive
    ========== ============ ============= ============= ============= ============= ============ ============

    Inside TLS, a Challenge is refused (unbound challenge) in CHALLENGE, and the proof is mutual:

    ========== ================ ============================ ============ ============ ============
    state      BindingChallenge BindingAnswer                Heartbeat    Error        no message
    ========== ================ ============================ ============ ============ ============
    CHALLENGE  PROVING:         server has no secret         server has   refusal      violation
               SendData proof                                no secret
    PROVING    violation        right: ANSWER: ServerProven  violation    refusal      violation
                                and SendData Hello; wrong:
                                server not proven
    ANSWER     refusal: client  violation                    violation    refusal      violation
               has no secret
    ========== ================ ============================ ============ ============ ============

    Behind :meth:`noChallenge`, in CHALLENGE, a challenge is late (a violation); Hello, Extended, or a refusal of the
    port that was asked for, says that the server has no secret.

    :param port: the port to ask for, 0 for any.
    :param proof: how we prove the secret that we share with the server; None: we share none.
    :param resume: the token of the tunnel that we had, if there is one.
    """

    def __init__(self, port: int, proof: ClientProof | None = None, resume: str | None = None) -> None:
        self._hello = extension.markedHello(port)
        self._open = extension.encode(Open(port, resume))
        self._proof = proof
        self._decoder = FrameDecoder()
        self._state = _State.ANSWER if proof is None else _State.CHALLENGE
        self._probed = False

    @property
    def extended(self) -> bool:
        """Whether the server knows the extension."""
        return self._state in (_State.OPENING, _State.EXTENDED)

    def greeting(self) -> bytes:
        """What the client says unasked: Hello, unless it has to wait for the challenge first."""
        return self._hello if self._state is _State.ANSWER else b""

    def noChallenge(self) -> bytes:
        """
        Ask a silent server whether it has a secret at all, when ours has waited long enough for a challenge.

        A server without a secret says nothing before it is asked, and closes after three seconds: so does a broken
        one, which should be tried again. A Hello tells the two apart: only a server without a secret looks at the port
        in it. It opens no tunnel: ours answers Extended, and waits; an original one refuses _PROBED, unless it was
        told to let clients have that port, and may do so.
        """
        if self._state is not _State.CHALLENGE:
            return b""
        self._probed = True
        return extension.markedHello(_PROBED)

    def goodbye(self) -> bytes:
        """What to say when the client ends the session on purpose; nothing to a server that would not understand."""
        return extension.encode(Goodbye()) if self.extended else b""

    def feed(self, data: bytes) -> Iterator[Event]:
        """
        Take bytes from the server, and tell one by one what follows from them.

        :raises Refusal: when the server has refused, :class:`bore.wire.errors.AuthenticationFailed` above all.
        :raises ServerLeft: when the server has ended the session on purpose.
        :raises ProtocolViolation: when the server does not speak the protocol.
        """
        self._decoder.feed(data)
        while (frame := self._decoder.nextFrame()) is not None:
            if self._proof is not None and self._probed and self._state is _State.CHALLENGE:
                self._receiveProbed(self._proof, extension.decodeAnswer(frame))
            elif self.extended:
                yield from self._receiveExtended(extension.decodeServerMessage(frame))
            elif self._proof is not None and self._state in (_State.CHALLENGE, _State.PROVING):
                yield from self._receiveProof(self._proof, self._proof.decode(frame))
            elif self._state is _State.ANSWER:
                yield from self._receiveAnswer(extension.decodeAnswer(frame))
            else:
                yield from self._receive(messages.decodeServerMessage(frame))

    def _receiveProbed(self, proof: ClientProof, message: messages.ServerMessage | Extended | BindingChallenge) -> None:
        match message:
            case Challenge() | BindingChallenge():
                proof.examine(message)
                raise LateChallenge("the challenge came only after the client had asked whether there is none")
            case Error(text) if not isinstance(refusal := refusalFor(text), _WITHOUT_PROOF):
                raise refusal
            case _:
                raise ServerHasNoSecret

    def _receiveProof(self, proof: ClientProof, message: binding.ServerMessage) -> Iterator[Event]:
        match self._state, message:
            case _State.PROVING, Error(InvalidSecret.text):
                raise InvalidSecret(f"{InvalidSecret.text}, or somebody stands between the two ends")
            case _, Error(text):
                raise refusalFor(text)
            case _State.CHALLENGE, Challenge() | BindingChallenge():
                answer = proof.answer(message)
                self._state = _State.PROVING if proof.mutual else _State.ANSWER
                yield SendData(answer if proof.mutual else answer + self._hello)
            case _State.CHALLENGE, _:
                raise ServerHasNoSecret
            case _State.PROVING, BindingAnswer():
                proof.check(message)
                self._state = _State.ANSWER
                yield ServerProven()
                yield SendData(self._hello)
            case _:
                raise ProtocolViolation(f"{type(message).__name__} where the server's proof belongs")

    def _receive(self, message: messages.ServerMessage) -> Iterator[Event]:
        match self._state, message:
            case _, Error(text):
                raise refusalFor(text)
            case _, Connection(id):
                yield VisitorCame(id)
            case _, Heartbeat():
                yield ServerAlive()
            case _:
                yield Unexpected(message)

    def _receiveAnswer(self, message: messages.ServerMessage | Extended | BindingChallenge) -> Iterator[Event]:
        match message:
            case Error(text):
                raise refusalFor(text)
            case Hello(0):
                raise ProtocolViolation("a tunnel on port 0")
            case Hello(port):
                self._state = _State.OPEN
                yield TunnelOpened(port)
            case Extended():
                self._state = _State.OPENING
                self._decoder.maxLength = MAX_EXTENDED_FRAME
                yield SendData(self._open)
            case Challenge() | BindingChallenge() if self._proof is None:
                raise ClientHasNoSecret
            case _:
                raise ProtocolViolation(f"{type(message).__name__} where Hello belongs")

    def _receiveExtended(self, message: extension.ExtendedServerMessage) -> Iterator[Event]:
        match self._state, message:
            case _, Refused(code, text, retry):
                raise refusalForCode(code, text, retry)
            case _, Goodbye():
                raise ServerLeft("it said goodbye")
            case _State.OPENING, Opened(0):
                raise ProtocolViolation("a tunnel on port 0")
            case _State.OPENING, Opened(port, resume, _, lane, maxLanes):
                self._state = _State.EXTENDED
                yield TunnelOpened(port, resume, lane, maxLanes)
            case _State.EXTENDED, Visitor(id, source):
                yield VisitorCame(id, source)
            case _State.EXTENDED, Heartbeat():
                yield _ALIVE
                yield ServerAlive()
            case _:
                raise ProtocolViolation(f"{type(message).__name__} does not belong here")


class DataSession:
    """
    What is said on a data connection: at most a challenge and its answer, then what the connection is for.

    :param request: Accept, with the visitor to accept, or Lane.
    :param proof: how we prove the secret that we share with the server; None: we share none.
    :ivar complete: everything is said, and heard: what comes now is the visitor's, or the lane's.
    """

    def __init__(self, request: Accept | Lane, proof: ClientProof | None = None) -> None:
        self._request = extension.encode(request) if isinstance(request, Lane) else messages.encode(request)
        self._proof = proof
        self._decoder = FrameDecoder()
        self._proving = False
        self.complete = proof is None

    def greeting(self) -> bytes:
        """What the client says unasked: the request, unless it has to wait for the challenge first."""
        return self._request if self._proof is None else b""

    def feed(self, data: bytes) -> bytes:
        """
        Take bytes from the server until nothing more has to come from it.

        :returns: what is to be said in answer: proof and request, or nothing.
        :raises Refusal: when the server has refused.
        :raises ProtocolViolation: when something else came than belongs there.
        """
        proof = self._proof
        assert proof is not None, "without a secret every byte is the visitor's"
        self._decoder.feed(data)
        answer = b""
        while not self.complete and (frame := self._decoder.nextFrame()) is not None:
            match proof.decode(frame):
                case Error(text):
                    raise refusalFor(text)
                case Challenge() | BindingChallenge() as challenge if not self._proving:
                    answer = proof.answer(challenge) + self._request
                    self._proving = proof.mutual
                    self.complete = not proof.mutual
                case BindingAnswer() as theirs if self._proving:
                    proof.check(theirs)
                    self.complete = True
                case other:
                    raise ProtocolViolation(f"{type(other).__name__} where a challenge belongs")
        return answer

    def takeRest(self) -> bytes:
        """The bytes behind what the server had to say: the visitor's."""
        return self._decoder.takeRest()
