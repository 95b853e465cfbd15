"""The server's side of one connection to its control port."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeAlias
from uuid import UUID

from bore.wire import extension, messages
from bore.wire.errors import (
    BrokenRule,
    ClaimTimeout,
    FrameTooLong,
    MalformedMessage,
    OpenTimeout,
    OverlongProof,
    ProofTimeout,
    ProtocolViolation,
    ProxyHeader,
    Refusal,
    SpeaksNoTls,
    UnknownMessage,
    WireError,
)
from bore.wire.extension import Alive, Extended, Goodbye, Lane, Open, Opened, Refused, Source, Visitor
from bore.wire.framing import FrameDecoder
from bore.wire.limits import MAX_EXTENDED_FRAME
from bore.wire.messages import Accept, Authenticate, Connection, Error, Heartbeat, Hello
from bore.wire.proof import ServerProof
from bore.wire.proxyprotocol import SIGNATURES
from bore.wire.secret import Secret

#: How a TLS handshake begins (RFC 8446, section 5.1), and no message of ours.
_TLS: Final = b"\x16\x03"

_HEARTBEAT: Final = messages.encode(Heartbeat())

#: The version of the extension that this server speaks.
_VERSION = 1


@dataclass(frozen=True, slots=True)
class SendData:
    """These bytes are to be sent to the client."""

    data: bytes


@dataclass(frozen=True, slots=True)
class TunnelAsked:
    """
    The connection is a control connection: its client wants a tunnel on this port (0: any).

    The session waits for :meth:`ServerSession.opened` or :meth:`ServerSession.refusal`, at once or later.
    """

    port: int
    resume: str | None = None


@dataclass(frozen=True, slots=True)
class VisitorTaken:
    """The connection is a data connection: from here on it belongs to this visitor, ``rest`` included."""

    id: UUID
    rest: bytes


@dataclass(frozen=True, slots=True)
class LaneOffered:
    """The connection is a lane of the session with this token; ``rest`` is what came behind the message."""

    token: str
    rest: bytes


@dataclass(frozen=True, slots=True)
class ClientAlive:
    """The client has answered a heartbeat."""


@dataclass(frozen=True, slots=True)
class ClientLeft:
    """The client has ended the session on purpose."""


Event: TypeAlias = SendData | TunnelAsked | VisitorTaken | LaneOffered | ClientAlive | ClientLeft


class _State(Enum):
    PROOF = auto()  # the challenge is out, only the proof may come
    REQUEST = auto()  # the first message proper may come
    OPENING = auto()  # the client knows the extension, and may ask for its tunnel
    BASE_CLAIMING = auto()  # a client of the base protocol has asked for its tunnel, and waits for the answer
    CLAIMING = auto()  # a client of the extension has asked for its tunnel, and waits for the answer
    OPEN = auto()  # the tunnel of a client of the extension is open
    SETTLED = auto()  # no frame is read any more


#: Here every byte from the client is thrown away.
_DEAF: Final = (_State.BASE_CLAIMING, _State.SETTLED)


class ServerSession:
    """
    Tells what a connection to the control port is for, and what its client says.

    ============= =============== ========= ================ =============== =============== ============= ===========
    state         Authenticate    Accept    Hello            Open            Alive           Goodbye       no message
    ============= =============== ========= ================ =============== =============== ============= ===========
    PROOF         right: REQUEST, refused: no secret         refused: unreadable
                  wrong: refused  provided
    REQUEST       violation       SETTLED:  BASE_CLAIMING:   violation
                                  Visitor-  TunnelAsked;
                                  Taken     marked: OPENING:
                                            SendData
    OPENING       refused: unknown message                   CLAIMING:       refused:        SETTLED:      refused
                                                             TunnelAsked     unexpected      ClientLeft
    CLAIMING      refused: unknown message                   refused:        refused:        SETTLED:      refused
                                                             unexpected      unexpected      ClientLeft
    OPEN          refused: unknown message                   refused:        a Heartbeat is  SETTLED:      refused
                                                             unexpected      unanswered:     ClientLeft
                                                                             ClientAlive;
                                                                             else refused:
                                                                             unexpected
    BASE_CLAIMING bytes of a base control connection are thrown away, as the original never reads them
    SETTLED       likewise, and so are those behind Goodbye, a refusal or a violation; those of a data connection are
                  not the session's
    ============= =============== ========= ================ =============== =============== ============= ===========

    The answer of the server moves the session on:

    ============= ========= ========= =============
    state         opened    refusal   timedOut
    ============= ========= ========= =============
    PROOF                   SETTLED   ProofTimeout
    REQUEST                 SETTLED   without a word
    OPENING                 SETTLED   OpenTimeout
    BASE_CLAIMING SETTLED   SETTLED   ClaimTimeout
    CLAIMING      OPEN      SETTLED   ClaimTimeout
    OPEN                    SETTLED
    SETTLED                 SETTLED
    ============= ========= ========= =============

    Lane is treated as Accept: in REQUEST it leads to SETTLED, LaneOffered. In OPENING and OPEN it is no message.

    Inside TLS the proof comes as BindingProof, and the server answers it: SendData.

    :param proof: how the client has to prove that it knows the secret; None: it does not have to.
    :param encrypted: whether the connection is a TLS connection.
    :ivar extended: whether client and server speak the extension with each other.
    :ivar secret: the secret that the client has proved to know: it tells who the client is. None: it has proved none.
    """

    def __init__(self, proof: ServerProof | None = None, encrypted: bool = False) -> None:
        self._proof = proof
        self._decoder = FrameDecoder()
        self._heard = False
        self._encrypted = encrypted
        self._state = _State.REQUEST if proof is None else _State.PROOF
        self._asked = 0
        self.extended = False
        self.secret: Secret | None = None

    def greeting(self) -> bytes:
        """What the server says unasked: the challenge, or nothing."""
        return b"" if self._proof is None else self._proof.challenge()

    def feed(self, data: bytes) -> Iterator[Event]:
        """
        Take bytes from the client, and tell one by one what follows from them.

        :raises Refusal: when the client is to be told why the connection is closed.
        :raises ProtocolViolation: when the connection is to be closed without a word.
        """
        if self._deaf:
            return
        if not self._heard:
            self._refuseStrange(data)
        self._heard = self._heard or bool(data)
        self._decoder.feed(data)
        try:
            while not self._deaf and (frame := self._nextFrame()) is not None:
                yield from self._receive(frame)
        except WireError:
            self._state = _State.SETTLED
            raise

    def timedOut(self) -> Refusal | None:
        """
        Why the connection is closed when the client has not asked for something in time, or has had no answer in time.

        :returns: the refusal to send; None: the connection is closed without a word.
        """
        match self._state:
            case _State.PROOF:
                return ProofTimeout()
            case _State.OPENING:
                return OpenTimeout()
            case _State.BASE_CLAIMING | _State.CLAIMING:
                return ClaimTimeout()
            case _:
                return None

    def opened(self, port: int, resume: str, lease: int, lane: str | None = None, maxLanes: int = 0) -> bytes:
        """
        Tell the client that it has its tunnel. The session must be claiming one.

        :param resume: the token for which it can be had back.
        :param lease: for how many seconds, once the session is lost.
        :param lane: the token with which lanes are opened; None: there are none.
        :param maxLanes: how many idle lanes are kept; 0: any number.
        """
        assert self.claiming, "a tunnel for a client that has not asked for one, or has left"
        self._state = _State.OPEN if self.extended else _State.SETTLED
        if self.extended:
            return extension.encode(Opened(port, resume, lease, lane, maxLanes))
        return messages.encode(Hello(port))

    def heartbeat(self) -> bytes:
        """Tell the client that the server lives; one of the extension has to answer, once."""
        self._asked += 1
        return _HEARTBEAT

    def visitor(self, id: UUID, source: Source) -> bytes:
        """Tell the client that a visitor came."""
        if self.extended:
            return extension.encode(Visitor(id, source))
        return messages.encode(Connection(id))

    def refusal(self, refusal: Refusal) -> bytes:
        """Tell the client why the connection is closed. What comes from it afterwards is thrown away."""
        self._state = _State.SETTLED
        if self.extended:
            return extension.encode(Refused(refusal.code, str(refusal), refusal.retry))
        return messages.encode(Error(str(refusal)))

    @property
    def unproven(self) -> bool:
        """Whether the client has yet to prove that it knows the secret."""
        return self._state is _State.PROOF

    @property
    def claiming(self) -> bool:
        """Whether the client waits to hear if it has its tunnel."""
        return self._state in (_State.BASE_CLAIMING, _State.CLAIMING)

    @property
    def _deaf(self) -> bool:
        return self._state in _DEAF

    def _nextFrame(self) -> bytes | None:
        try:
            return self._decoder.nextFrame()
        except FrameTooLong as e:
            if self._state is _State.PROOF:
                raise OverlongProof from None
            if self.extended:
                raise BrokenRule("frame-too-long", str(e)) from None
            raise

    def _refuseStrange(self, data: bytes) -> None:
        """Name what cannot be a frame, but is known."""
        refusal: Refusal | None = ProxyHeader() if data.startswith(SIGNATURES) else None
        if data.startswith(_TLS) and not self._encrypted:
            refusal = SpeaksNoTls()
        if refusal is not None:
            self._state = _State.SETTLED
            raise refusal

    def _receive(self, frame: bytes) -> Iterator[Event]:
        match self._state:
            case _State.PROOF:
                assert self._proof is not None
                self.secret, answer = self._proof.check(frame)
                self._state = _State.REQUEST
                if answer:
                    yield SendData(answer)
            case _State.REQUEST:
                yield self._readRequest(frame)
            case _:
                yield self._readExtended(frame)

    def _readRequest(self, frame: bytes) -> Event:
        match extension.decodeRequest(frame):
            case Hello() if extension.isMarked(frame):
                self._state = _State.OPENING
                self.extended = True
                self._decoder.maxLength = MAX_EXTENDED_FRAME
                return SendData(extension.encode(Extended(_VERSION)))
            case Hello(port):
                self._state = _State.BASE_CLAIMING
                self._decoder.takeRest()
                return TunnelAsked(port)
            case Accept(id):
                self._state = _State.SETTLED
                return VisitorTaken(id, self._decoder.takeRest())
            case Lane(token):
                self._state = _State.SETTLED
                return LaneOffered(token, self._decoder.takeRest())
            case Authenticate():
                raise ProtocolViolation("a proof, and nobody asked for one")

    def _readExtended(self, frame: bytes) -> Event:
        try:
            message = extension.decodeClientMessage(frame)
        except UnknownMessage as e:
            raise BrokenRule("unknown-message", str(e)) from None
        except MalformedMessage as e:
            raise BrokenRule("malformed-message", str(e)) from None
        match self._state, message:
            case _State.OPENING, Open(port, resume):
                self._state = _State.CLAIMING
                return TunnelAsked(port, resume)
            case _State.OPEN, Alive() if self._asked:
                self._asked -= 1
                return ClientAlive()
            case _State.OPEN, Alive():
                raise BrokenRule("unexpected-message", "Alive, and every Heartbeat was answered")
            case _, Goodbye():
                self._state = _State.SETTLED
                return ClientLeft()
            case _:
                raise BrokenRule("unexpected-message", f"{type(message).__name__} does not belong here")
