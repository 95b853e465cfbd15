"""The control connection, seen from the client."""
# Longer than 300 lines: the states, their tables and the machine that reads them are read together.

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import auto
from typing import Final, TypeAlias

from bore.wire import extension, messages, statetable
from bore.wire.addressrules import NO_RULES, AddressRules
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
    Refusal,
    ServerHasNoSecret,
    ServerLeft,
    ServerNotProven,
    TooManyTunnels,
    TooManyTunnelsFromSource,
    UnboundChallenge,
)
from bore.wire.extension import Close, Closed, Extended, Goodbye, Moved, NextKey, Nodes, Open, Opened, Refused, Visitor
from bore.wire.framing import FrameDecoder
from bore.wire.limits import MAX_EXTENDED_FRAME
from bore.wire.messages import Challenge, Connection, Error, Heartbeat, Hello
from bore.wire.otherprotocols import LONGEST_SIGNATURE, refuseOtherServer
from bore.wire.proof import ClientProof
from bore.wire.publicaddress import ANY_PORT, OtherKind, PublicAddress
from bore.wire.refusals import refusalFor, refusalForCode
from bore.wire.rulesmessage import rulesFrames
from bore.wire.sessionevents import (
    BASE_TUNNEL,
    ClientEvent,
    KeyAnnounced,
    NodesNamed,
    SendData,
    ServerAlive,
    ServerProven,
    SessionMoved,
    SessionOpened,
    TunnelClosed,
    TunnelOpened,
    TunnelRefused,
    Unexpected,
    VisitorCame,
)
from bore.wire.statetable import Cell, Table, on, row
from bore.wire.tunnelstates import AT_CLIENT, TunnelState, TunnelStates

_ALIVE: Final = SendData(extension.encode(extension.Alive()))
_SERVER_ALIVE: Final = ServerAlive()

#: The port in a Hello that is not meant to open a tunnel: the one that asks whether there is a secret, or that of a
#: client none of whose tunnels has a port. The default range does not contain it, and in a range that does it is a
#: privileged port without a use.
UNUSED_PORT: Final = 1

#: The refusals of a server that has read the port of a Hello, and thus does not require a proof.
_WITHOUT_PROOF: Final = (
    PortNotAllowed,
    PortInUse,
    PortForbidden,
    BindFailed,
    NoFreePort,
    TooManyTunnels,
    TooManyTunnelsFromSource,
)


class State(statetable.State):
    """The states of a control connection."""

    CHALLENGE = auto()  # we have a secret, and the challenge has to come
    PROBED = auto()  # it has not come, and we have asked whether there is none
    PROVING = auto()  # inside TLS: our proof is sent, and the server's has to come
    ANSWER = auto()  # the marked Hello is sent
    OPEN = auto()  # the tunnel is open, in the base protocol
    EXTENDED = auto()  # the server knows the extension: tunnels are asked for, opened and closed
    MOVED = auto()  # the server has given the session away, and what it sends is ignored


class ControlSession:
    """
    The control connection, seen from the client.

    :data:`TABLE` has the states and what happens in each of them, message by message; ``docs/states.rst`` shows it. A
    frame that is not a message of the state is a violation in every state but MOVED.

    Behind :class:`~bore.wire.sessionevents.SessionOpened` tunnels are asked for with :meth:`open`. A server of the base
    protocol opens the one of the Hello, which is :data:`~bore.wire.sessionevents.BASE_TUNNEL` then.

    :param port: the port of the first tunnel, 0 for any.
    :param proof: how we prove the secret that we share with the server; None: we share none.
    """

    def __init__(self, port: int, proof: ClientProof | None = None) -> None:
        self._hello = extension.markedHello(port)
        self._proof = proof
        self._decoder = FrameDecoder()
        self._state: statetable.State = State.ANSWER if proof is None else State.CHALLENGE
        self._tunnels = TunnelStates(AT_CLIENT)
        self._met = False  # whether the first bytes have come, and are not those of another protocol

    @property
    def extended(self) -> bool:
        """Whether the server knows the extension."""
        return self._state is State.EXTENDED

    def greeting(self) -> bytes:
        """The first bytes to send to the server: Hello, unless the client has to wait for the challenge."""
        return self._hello if self._state is State.ANSWER else b""

    def noChallenge(self) -> bytes:
        """
        The bytes that ask a silent server whether it has a secret, when no challenge arrived for CHALLENGE_PATIENCE.

        A server without a secret sends nothing before a request, and closes after three seconds. So does a broken
        server, which should be tried again. A Hello distinguishes the two: only a server without a secret reads the
        port in it. No tunnel is opened: our server answers Extended, and waits; an original one refuses UNUSED_PORT,
        unless that port is in its range and free.
        """
        if self._state not in (State.CHALLENGE, State.PROBED):
            return b""
        self._state = State.PROBED
        return extension.markedHello(UNUSED_PORT)

    def open(
        self,
        tunnel: int,
        address: PublicAddress,
        resume: str | None = None,
        rules: AddressRules = NO_RULES,
        key: str | None = None,
        epoch: int | None = None,
    ) -> bytes:
        """
        The bytes that ask a server of the extension for one more tunnel.

        A session has at most :data:`~bore.wire.limits.MAX_TUNNELS`; the server refuses further ones.

        :param tunnel: its number, greater than those of all tunnels before it.
        :param address: the public address to ask for, 0 for any port.
        :param resume: the token of an earlier tunnel; None: there is none.
        :param rules: the tunnel's own rules on the addresses of its visitors.
        :param key: the lasting key of the tunnel; None: it has none.
        :param epoch: to another node: the epoch of the address, which this node owns; None: we are no node.
        """
        assert self.extended, "a further tunnel at a server of the base protocol"
        before = self._tunnels.move(tunnel, "Open")
        assert before is not None, "the number of an earlier tunnel"
        return rulesFrames(rules) + extension.encode(Open(tunnel, address, resume, epoch, key))

    def close(self, tunnel: int, kept: bool = False) -> bytes:
        """
        The bytes that give a tunnel back. :class:`~bore.wire.sessionevents.TunnelClosed` follows, or
        :class:`~bore.wire.sessionevents.TunnelRefused` if the tunnel was not open yet.

        :param kept: to another node: whether somebody still owns the port.
        :returns: nothing if the tunnel is gone already.
        """
        if self._tunnels[tunnel] not in (TunnelState.ASKED, TunnelState.OPEN):
            return b""
        self._tunnels.move(tunnel, "Close")
        return extension.encode(Close(tunnel, kept))

    def asks(self, tunnel: int) -> bool:
        """Whether a tunnel was asked for, and is not open yet."""
        return self._tunnels[tunnel] is TunnelState.ASKED

    def goodbye(self) -> bytes:
        """The bytes that end the session on purpose; none for a server of the base protocol."""
        return extension.encode(Goodbye()) if self.extended else b""

    def feed(self, data: bytes) -> Iterator[ClientEvent]:
        """
        Add bytes from the server, and give the events that follow, one by one.

        :raises Refusal: when the server refuses; :class:`bore.wire.errors.AuthenticationFailed` is one kind.
        :raises ServerLeft: when the server ends the session on purpose.
        :raises ProtocolViolation: when the server breaks the protocol; :class:`bore.wire.errors.OtherProtocol` when it
            speaks another one.
        """
        self._decoder.feed(data)
        if not self._met:
            start = self._decoder.part
            refuseOtherServer(start)
            self._met = len(start) >= LONGEST_SIGNATURE
        while (frame := self._decoder.nextFrame()) is not None:
            row = TABLE[self._state]
            message = row.decode(self, frame)
            cell = row.cell(message)
            events = cell.act(self, message)
            self._state = cell.then or self._state
            yield from events

    def _decodeProof(self, frame: bytes) -> object:
        assert self._proof is not None
        return self._proof.decode(frame)

    def _decodeAnswer(self, frame: bytes) -> object:
        return extension.decodeAnswer(frame)

    def _decodeBase(self, frame: bytes) -> object:
        return messages.decodeServerMessage(frame)

    def _decodeExtended(self, frame: bytes) -> object:
        return extension.decodeServerMessage(frame)

    def _prove(self, challenge: Challenge) -> Sequence[ClientEvent]:
        assert self._proof is not None
        return (SendData(self._proof.answer(challenge) + self._hello),)

    def _proveFirst(self, challenge: BindingChallenge) -> Sequence[ClientEvent]:
        """The server has to prove that it knows the secret, too, before it gets a Hello."""
        assert self._proof is not None
        return (SendData(self._proof.answer(challenge)),)

    def _checkServer(self, answer: BindingAnswer) -> Sequence[ClientEvent]:
        assert self._proof is not None
        self._proof.check(answer)
        return ServerProven(), SendData(self._hello)

    def _takeRefusedProof(self, error: Error) -> Sequence[ClientEvent]:
        user = self._proof.user if self._proof is not None else ""
        if error.text == InvalidSecret.text and user:
            refused = InvalidSecret.of(user)
            refused.args = (
                f"{refused.text}: {user} was revoked, has expired, or has another secret now: ask for a new line",
            )
            raise refused
        if error.text == InvalidSecret.text:
            raise InvalidSecret(f"{InvalidSecret.text}, or the connection goes through a man in the middle")
        raise refusalFor(error.text)

    def _missChallenge(self, message: object) -> Sequence[ClientEvent]:
        raise ServerHasNoSecret

    def _takeLateChallenge(self, challenge: Challenge | BindingChallenge) -> Sequence[ClientEvent]:
        assert self._proof is not None
        self._proof.examine(challenge)
        raise LateChallenge("the challenge arrived after the client had asked whether there is a secret")

    def _takeProbeRefused(self, error: Error) -> Sequence[ClientEvent]:
        refusal = refusalFor(error.text)
        raise ServerHasNoSecret if isinstance(refusal, _WITHOUT_PROOF) else refusal

    def _takeChallenge(self, challenge: Challenge | BindingChallenge) -> Sequence[ClientEvent]:
        if self._proof is None:
            raise ClientHasNoSecret
        raise ProtocolViolation("a second challenge")

    def _openBase(self, hello: Hello) -> Sequence[ClientEvent]:
        return (TunnelOpened(BASE_TUNNEL, _openAddress(hello.port)),)

    def _agree(self, extended: Extended) -> Sequence[ClientEvent]:
        self._decoder.maxLength = MAX_EXTENDED_FRAME
        lane, lanes, user, rights = extended.lane, extended.maxLanes, extended.user, extended.rights
        beats = extended.heartbeat, extended.idleHeartbeat
        return (SessionOpened(lane, lanes, *beats, user, rights, extended.hint, extended.here),)

    def _openExtended(self, opened: Opened) -> Sequence[ClientEvent]:
        address = _openAddress(opened.address)
        if self._move(opened.tunnel, opened) is TunnelState.LEAVING:
            return ()
        return (TunnelOpened(opened.tunnel, address, opened.resume),)

    def _takeClosed(self, closed: Closed) -> Sequence[ClientEvent]:
        self._move(closed.tunnel, closed)
        return (TunnelClosed(closed.tunnel, closed.code, closed.message, closed.retry),)

    def _move(self, tunnel: int, message: Opened | Refused | Closed | Visitor) -> TunnelState:
        """
        Follow a message about a tunnel.

        :returns: the state that the tunnel had before.
        """
        before = self._tunnels.move(tunnel, name := type(message).__name__)
        if before is None:
            raise ProtocolViolation(f"{name} for the tunnel {tunnel}, which is {self._tunnels[tunnel].name}")
        return before

    def _takeHeartbeat(self, heartbeat: Heartbeat) -> Sequence[ClientEvent]:
        return (_SERVER_ALIVE,)

    def _answerHeartbeat(self, heartbeat: Heartbeat) -> Sequence[ClientEvent]:
        return _ALIVE, _SERVER_ALIVE

    def _takeConnection(self, connection: Connection) -> Sequence[ClientEvent]:
        return (VisitorCame(BASE_TUNNEL, connection.id),)

    def _takeVisitor(self, visitor: Visitor) -> Sequence[ClientEvent]:
        if self._move(visitor.tunnel, visitor) is TunnelState.LEAVING:
            return ()
        return (VisitorCame(visitor.tunnel, visitor.id, visitor.source),)

    def _ignore(self, message: object) -> Sequence[ClientEvent]:
        assert isinstance(message, messages.ServerMessage)
        return (Unexpected(message),)

    def _takeError(self, error: Error) -> Sequence[ClientEvent]:
        raise refusalFor(error.text)

    def _takeRefused(self, refused: Refused) -> Sequence[ClientEvent]:
        if refused.tunnel is None:
            raise refusalForCode(refused.code, refused.message, refused.retry, refused.range)
        self._move(refused.tunnel, refused)
        return (TunnelRefused(refused.tunnel, refused.code, refused.message, refused.retry, refused.range),)

    def _takeNextKey(self, message: NextKey) -> Sequence[ClientEvent]:
        return (KeyAnnounced(message.key),)

    def _takeNodes(self, message: Nodes) -> Sequence[ClientEvent]:
        return (NodesNamed(message.addresses),)

    def _takeMoved(self, moved: Moved) -> Sequence[ClientEvent]:
        return (SessionMoved(moved.to, moved.within),)

    def _decodeNothing(self, frame: bytes) -> bytes:
        return frame

    def _ignoreFrame(self, frame: bytes) -> Sequence[ClientEvent]:
        return ()

    def _takeGoodbye(self, goodbye: Goodbye) -> Sequence[ClientEvent]:
        raise ServerLeft("it said goodbye")

    def _refuseMessage(self, message: object) -> Sequence[ClientEvent]:
        raise ProtocolViolation(f"unexpected {type(message).__name__} in state {self._state.name}")


def _openAddress(address: PublicAddress) -> PublicAddress:
    """The public address of an open tunnel, which is not "any port", nor of a kind that we cannot have asked for."""
    if address == ANY_PORT or isinstance(address, OtherKind):
        raise ProtocolViolation(f"a tunnel on port {address}" if address == ANY_PORT else f"a tunnel of kind {address}")
    return address


_S = ControlSession
_Cell: TypeAlias = Cell[_S, ClientEvent]

_NO_SECRET: Final[_Cell] = Cell(_S._missChallenge, None, (), (ServerHasNoSecret,))
_VIOLATION: Final[_Cell] = Cell(_S._refuseMessage, None, (), (ProtocolViolation,))
_UNEXPECTED: Final[_Cell] = Cell(_S._ignore, None, (Unexpected,), ())

_ERROR: Final = on(Error, _S._takeError, errors=[Refusal])

#: What happens in each state.
TABLE: Final[Table[_S, ClientEvent]] = {
    State.CHALLENGE: row(
        _S._decodeProof,
        _NO_SECRET,
        on(Challenge, _S._prove, State.ANSWER, [SendData], [UnboundChallenge]),
        on(BindingChallenge, _S._proveFirst, State.PROVING, [SendData]),
        _ERROR,
    ),
    State.PROBED: row(
        _S._decodeAnswer,
        _NO_SECRET,
        on(Challenge, _S._takeLateChallenge, errors=[LateChallenge, UnboundChallenge]),
        on(BindingChallenge, _S._takeLateChallenge, errors=[LateChallenge]),
        on(Error, _S._takeProbeRefused, errors=[ServerHasNoSecret, Refusal]),
    ),
    State.PROVING: row(
        _S._decodeProof,
        _VIOLATION,
        on(BindingAnswer, _S._checkServer, State.ANSWER, [ServerProven, SendData], [ServerNotProven]),
        on(Error, _S._takeRefusedProof, errors=[InvalidSecret, Refusal]),
    ),
    State.ANSWER: row(
        _S._decodeAnswer,
        _VIOLATION,
        on(Hello, _S._openBase, State.OPEN, [TunnelOpened], [ProtocolViolation]),
        on(Extended, _S._agree, State.EXTENDED, [SessionOpened]),
        on(Challenge, _S._takeChallenge, errors=[ClientHasNoSecret, ProtocolViolation]),
        on(BindingChallenge, _S._takeChallenge, errors=[ClientHasNoSecret, ProtocolViolation]),
        _ERROR,
    ),
    State.OPEN: row(
        _S._decodeBase,
        _UNEXPECTED,
        on(Heartbeat, _S._takeHeartbeat, events=[ServerAlive]),
        on(Connection, _S._takeConnection, events=[VisitorCame]),
        _ERROR,
    ),
    State.EXTENDED: row(
        _S._decodeExtended,
        _VIOLATION,
        on(Opened, _S._openExtended, None, [TunnelOpened], [ProtocolViolation]),
        on(Refused, _S._takeRefused, None, [TunnelRefused], [Refusal, ProtocolViolation]),
        on(Closed, _S._takeClosed, None, [TunnelClosed], [ProtocolViolation]),
        on(Heartbeat, _S._answerHeartbeat, events=[SendData, ServerAlive]),
        on(Visitor, _S._takeVisitor, None, [VisitorCame], [ProtocolViolation]),
        on(Moved, _S._takeMoved, State.MOVED, [SessionMoved]),
        on(NextKey, _S._takeNextKey, events=[KeyAnnounced]),
        on(Nodes, _S._takeNodes, events=[NodesNamed]),
        on(Goodbye, _S._takeGoodbye, errors=[ServerLeft]),
    ),
    State.MOVED: row(_S._decodeNothing, None, on(bytes, _S._ignoreFrame)),
}
