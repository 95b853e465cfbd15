"""One connection to the control port, seen from the server."""
# Longer than 300 lines: the states, their table and the machine that reads it are read together.

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import auto
from typing import Final
from uuid import UUID

from bore.wire import extension, messages, serde, statetable
from bore.wire.addressrules import NO_RULES
from bore.wire.errors import (
    BrokenRule,
    ClaimTimeout,
    FrameTooLong,
    InvalidSecret,
    MalformedMessage,
    OpenTimeout,
    OverlongProof,
    ProofTimeout,
    ProtocolViolation,
    Refusal,
    SecretMissing,
    UnboundProof,
    UnknownMessage,
    UnreadableProof,
    WireError,
)
from bore.wire.extension import (
    Alive,
    Close,
    Closed,
    Extended,
    Goodbye,
    Lane,
    MarkedHello,
    Moved,
    NextKey,
    Nodes,
    Open,
    Opened,
    Refused,
    Source,
    Visitor,
)
from bore.wire.framing import FrameDecoder
from bore.wire.limits import MAX_EXTENDED_FRAME, MAX_FRAME, MAX_NODES
from bore.wire.messages import Accept, Connection, Error, Heartbeat, Hello
from bore.wire.otherprotocols import isUndecided
from bore.wire.publicaddress import PublicAddress
from bore.wire.rulesmessage import MAX_NETWORKS, Rules
from bore.wire.serverproof import BaseServerProof, Identity, ServerProof
from bore.wire.sessionevents import (
    BASE_TUNNEL,
    ClientAlive,
    ClientLeft,
    LaneOffered,
    SendData,
    ServerEvent,
    SessionAsked,
    TunnelAsked,
    TunnelLeft,
    VisitorTaken,
)
from bore.wire.statetable import Cell, Table, on, row
from bore.wire.tunnelstates import AT_SERVER, TunnelState, TunnelStates
from bore.wire.workernumbers import NO_WORKER

_HEARTBEAT: Final = messages.encode(Heartbeat())
_ALIVE: Final = extension.encode(Alive())

#: The version of the extension that this server speaks.
_VERSION = 1


class State(statetable.State):
    """The states of a connection to the control port."""

    PROOF = auto()  # the challenge is sent, and the proof has to come
    REQUEST = auto()  # the first message has to come
    OPENING = auto()  # the client knows the extension, and has to ask for a tunnel
    BASE_CLAIMING = auto()  # a client of the base protocol has asked for its tunnel, and waits for the answer
    EXTENDED = auto()  # a client of the extension has asked for its first tunnel
    SETTLED = auto()  # no frame is read any more


class ServerSession:
    """
    Finds out what a connection to the control port is for, and follows what its client sends.

    :data:`TABLE` has the states and what happens in each of them, message by message; ``docs/states.rst`` shows it. In
    BASE_CLAIMING and SETTLED every byte is thrown away: an original server never reads a control connection either,
    and the bytes of data connections and lanes are not the session's.

    A frame that is not a message ends the session: in PROOF with a refusal, in REQUEST without an answer, and behind
    Extended with a refusal.

    In EXTENDED each tunnel has a state of its own (:mod:`bore.wire.tunnelstates`), which the answers :meth:`opened`,
    :meth:`refused` and :meth:`closed` move on, too. In the base protocol :meth:`opened` moves the session from
    BASE_CLAIMING to SETTLED. :meth:`refusal` moves it from every state to SETTLED, and :meth:`moved` from those of the
    extension.

    :param proof: how the client has to prove that it knows a secret; None: it does not have to.
    :param encrypted: whether the connection is a TLS connection.
    :ivar extended: whether client and server speak the extension with each other.
    :ivar namesNodes: whether the client gets what :meth:`nodes` names: it has sent a key, and so knows of clusters.
    """

    def __init__(self, proof: ServerProof | None = None, encrypted: bool = False) -> None:
        self._proof = proof
        self._decoder = FrameDecoder()
        self._start: bytes | None = b""
        self._encrypted = encrypted
        self._state: statetable.State = State.REQUEST if proof is None else State.PROOF
        self._unanswered = 0
        self._rules = NO_RULES
        self._tunnels = TunnelStates(AT_SERVER)
        self._table = TABLE
        self.extended = False
        self.namesNodes = False

    def greeting(self) -> bytes:
        """The first bytes to send to the client: the challenge, or nothing."""
        return b"" if self._proof is None else self._proof.challenge()

    def goOnFrom(self, challenge: UUID) -> None:
        """Another process has sent the greeting, and this challenge in it."""
        if isinstance(self._proof, BaseServerProof):
            self._proof.id = challenge

    @property
    def challenge(self) -> UUID | None:
        """The challenge of the base protocol; None: there is none."""
        return self._proof.id if isinstance(self._proof, BaseServerProof) else None

    def readSoFar(self, request: Accept | Lane, rest: bytes) -> bytes:
        """
        All that the client has sent, for a process that begins with it anew.

        :param request: its first message, the proof apart.
        :param rest: bytes behind that.
        """
        proof = self._proof.answer if isinstance(self._proof, BaseServerProof) else b""
        first = messages.encode(request) if isinstance(request, Accept) else extension.encode(request)
        return proof + first + rest + self._decoder.takeRest()

    def feed(self, data: bytes) -> Iterator[ServerEvent]:
        """
        Add bytes from the client, and give the events that follow, one by one.

        :raises Refusal: when the client has to be refused.
        :raises ProtocolViolation: when the connection has to be closed without an answer.
        """
        table = self._table
        if self._state not in table:
            return
        try:
            if self._start is not None:
                data = self._start + data
                self._start = data if isUndecided(data, self._encrypted) else None
                if self._start is not None:
                    return
            self._decoder.feed(data)
            while (row := table.get(self._state)) is not None and (frame := self._nextFrame()) is not None:
                message = row.decode(self, frame)
                cell = row.cell(message)
                events = cell.act(self, message)
                self._state = cell.then or self._state
                yield from events
        except WireError:
            self._state = State.SETTLED
            raise

    def isAnswer(self, data: bytes) -> bool:
        """
        Whether bytes from the client are one answer to a heartbeat, and nothing else. If so, they have been processed;
        if not, they are for :meth:`feed`, which has the same result, later.
        """
        if data != _ALIVE or not self._unanswered or self._state is not State.EXTENDED or self._decoder.hasPart:
            return False
        self._unanswered -= 1
        return True

    def timedOut(self) -> Refusal | None:
        """
        The refusal to send when the session has been in its state for too long.

        :returns: the refusal; None: the connection is closed without an answer.
        """
        refusal = TIMED_OUT.get(self._state)
        return None if refusal is None else refusal()

    def agreed(
        self,
        lane: str | None = None,
        maxLanes: int = 0,
        user: str = "",
        rights: str = "",
        hint: int = NO_WORKER,
        here: str = "",
    ) -> bytes:
        """
        The bytes that answer :class:`~bore.wire.sessionevents.SessionAsked`.

        They have to fit a frame of the base protocol: the rights are left out where there is no room for them.

        :param lane: the token with which lanes are opened; None: there are none.
        :param maxLanes: the number of idle lanes that are kept; 0: any number.
        :param user: the user that the client is; empty: one without a name.
        :param rights: what this user may do, for people.
        :param hint: the worker to which further connections inside TLS should lead; NO_WORKER: to none.
        :param here: the address of this node of a cluster, to which further connections should go; empty: there is
            none.
        """
        about = Extended(_VERSION, lane, maxLanes=maxLanes, user=user, rights=rights, hint=hint, here=here)
        answer = extension.encode(about)
        if rights and len(answer) > MAX_FRAME + 1:
            return self.agreed(lane, maxLanes, user, "", hint, here)
        return answer

    def opened(self, tunnel: int, address: PublicAddress, resume: str, lease: int) -> bytes:
        """
        The bytes that grant the client a tunnel that it has asked for.

        :param tunnel: its number.
        :param address: its public address.
        :param resume: the token with which the tunnel can be resumed.
        :param lease: the time after the loss of the session in which it can be, in seconds.
        """
        assert self.claims(tunnel), "a tunnel for a client that has not asked for it, or has left"
        if self.extended:
            self._tunnels.move(tunnel, "Opened")
            return extension.encode(Opened(tunnel, address, resume, lease))
        assert isinstance(address, int), "an address that the base protocol does not have"
        self._state = State.SETTLED
        return messages.encode(Hello(address))

    def refused(self, tunnel: int, refusal: Refusal) -> bytes:
        """The bytes that refuse a client of the extension a tunnel that it has asked for."""
        assert self.claims(tunnel), "a refusal for a client that has not asked, or has left"
        self._tunnels.move(tunnel, "Refused")
        return extension.encode(Refused(refusal.code, str(refusal), refusal.retry, tunnel, refusal.range))

    def closed(self, tunnel: int, refusal: Refusal) -> bytes:
        """The bytes that take a tunnel away from a client of the extension, while its session goes on."""
        before = self._tunnels.move(tunnel, "Closed")
        assert before is not None, "the end of a tunnel that is not open"
        return extension.encode(Closed(tunnel, refusal.code, str(refusal), refusal.retry))

    def moved(self, to: str | None, within: float | None = None) -> bytes:
        """
        The bytes that give the session of a client of the extension away. Everything that arrives afterwards is thrown
        away.

        :param to: the server to go to; None: this one.
        :param within: the time in which the client comes again, in seconds; None: a second.
        """
        assert self.extended, "the base protocol does not move sessions"
        self._state = State.SETTLED
        return extension.encode(Moved(to, within))

    def heartbeat(self) -> bytes:
        """The bytes of a heartbeat. A client of the extension has to answer it once."""
        self._unanswered += 1
        return _HEARTBEAT

    def visitor(self, tunnel: int, id: UUID, source: Source | None) -> bytes:
        """The bytes that announce a visitor of a tunnel; None: it has no address."""
        if self.extended:
            return extension.encode(Visitor(tunnel, id, source))
        return messages.encode(Connection(id))

    def nextKey(self, key: str) -> bytes:
        """
        The bytes that announce the next key of the server to a client of the extension.

        :param key: its fingerprint.
        """
        return extension.encode(NextKey(key))

    def nodes(self, addresses: Sequence[str]) -> bytes:
        """
        The bytes that name the other nodes of the cluster; nothing for a client that would not understand them.

        :param addresses: theirs. Those that do not fit are left out.
        """
        if not self.namesNodes:
            return b""
        named = tuple(addresses[:MAX_NODES])
        while sum(len(serde.quote(each).encode()) + 1 for each in named) > MAX_EXTENDED_FRAME - len('{"Nodes":[]}'):
            named = named[:-1]
        return extension.encode(Nodes(named))

    def refusal(self, refusal: Refusal) -> bytes:
        """The bytes that refuse the whole session. Everything that arrives afterwards is thrown away."""
        self._state = State.SETTLED
        if self.extended:
            return extension.encode(Refused(refusal.code, str(refusal), refusal.retry, None, refusal.range))
        return messages.encode(Error(refusal.text))  # the original's, whatever else there is to say about it

    def extend(self) -> None:
        """The client knows the extension, too."""
        self.extended = True
        self._decoder.maxLength = MAX_EXTENDED_FRAME

    def takeRest(self) -> bytes:
        """The bytes behind the last frame."""
        return self._decoder.takeRest()

    @property
    def part(self) -> bytes:
        """What has come of a frame that is not complete."""
        return self._start or self._decoder.part

    @property
    def unproven(self) -> bool:
        """Whether the client still has to prove that it knows a secret."""
        return self._proof is not None and self._proof.identity is None and self._state in (State.PROOF, State.REQUEST)

    def triesOnly(self, owner: str, user: str) -> bool:
        """See :meth:`~bore.wire.serverproof.ServerProof.triesOnly`, for a client that has to prove something."""
        assert self._proof is not None
        return self._proof.triesOnly(owner, user)

    @property
    def identity(self) -> Identity | None:
        """Who the client has proved to be, once its first request has come; None: it had nothing to prove."""
        return None if self._proof is None else self._proof.identity

    @property
    def unanswered(self) -> int:
        """How many heartbeats the client has not answered."""
        return self._unanswered

    def claims(self, tunnel: int) -> bool:
        """Whether the client waits for a tunnel."""
        if self._state is State.EXTENDED:
            return self._tunnels[tunnel] is TunnelState.ASKED
        return self._state is State.BASE_CLAIMING and tunnel == BASE_TUNNEL

    def _nextFrame(self) -> bytes | None:
        try:
            return self._decoder.nextFrame()
        except FrameTooLong as e:
            if self._state is State.PROOF:
                raise OverlongProof from None
            if self.extended:
                raise BrokenRule("frame-too-long", str(e)) from None
            raise

    def _decodeProof(self, frame: bytes) -> bytes:
        """The proof decodes its messages itself."""
        return frame

    def _checkProof(self, frame: bytes) -> Sequence[ServerEvent]:
        assert self._proof is not None
        answer = self._proof.check(frame)
        return (SendData(answer),) if answer else ()

    def _decodeRequest(self, frame: bytes) -> extension.Request:
        return extension.decodeRequest(frame)

    def _identify(self, request: extension.Request) -> None:
        """Find out who the client is. In the base protocol that can depend on its request."""
        if self._proof is not None:
            self._proof.identify(request)

    def _agree(self, hello: MarkedHello) -> Sequence[ServerEvent]:
        self._identify(hello)
        self.extend()
        return (SessionAsked(),)

    def _askBase(self, hello: Hello) -> Sequence[ServerEvent]:
        self._identify(hello)
        self._decoder.takeRest()
        return (TunnelAsked(BASE_TUNNEL, hello.port),)

    def _takeVisitor(self, accept: Accept) -> Sequence[ServerEvent]:
        self._identify(accept)
        return (VisitorTaken(accept.id, self._decoder.takeRest()),)

    def _offerLane(self, lane: Lane) -> Sequence[ServerEvent]:
        self._identify(lane)
        return (LaneOffered(lane.token, self._decoder.takeRest()),)

    def _refuseProof(self, message: object) -> Sequence[ServerEvent]:
        raise ProtocolViolation("a proof that was not requested")

    def _decodeExtended(self, frame: bytes) -> extension.ExtendedClientMessage:
        try:
            return extension.decodeClientMessage(frame)
        except UnknownMessage as e:
            raise BrokenRule("unknown-message", str(e)) from None
        except MalformedMessage as e:
            raise BrokenRule("malformed-message", str(e)) from None

    def _addRules(self, message: Rules) -> Sequence[ServerEvent]:
        self._rules += message.rules
        if len(self._rules) > MAX_NETWORKS:
            raise BrokenRule("too-many-rules", f"a tunnel may have rules on {MAX_NETWORKS} networks at most")
        return ()

    def _ask(self, message: Open) -> Sequence[ServerEvent]:
        rules, self._rules = self._rules, NO_RULES
        if self._tunnels.move(message.tunnel, "Open") is None:
            raise BrokenRule("tunnel-number", f"the number {message.tunnel} of a tunnel is not greater than all before")
        return (TunnelAsked(message.tunnel, message.address, message.resume, rules, message.epoch, message.key),)

    def _giveBack(self, message: Close) -> Sequence[ServerEvent]:
        match self._tunnels.move(message.tunnel, "Close"):
            case None:
                raise BrokenRule("tunnel-number", f"the tunnel {message.tunnel} was not asked for")
            case TunnelState.GONE:
                return ()  # it has crossed Refused or Closed
            case _:
                return TunnelLeft(message.tunnel, message.kept), SendData(extension.encode(Closed(message.tunnel)))

    def _noteAlive(self, message: Alive) -> Sequence[ServerEvent]:
        if not self._unanswered:
            raise BrokenRule("unexpected-message", "Alive without a Heartbeat to answer")
        self._unanswered -= 1
        return (ClientAlive(),)

    def _leave(self, message: Goodbye) -> Sequence[ServerEvent]:
        return (ClientLeft(),)

    def _refuseMessage(self, message: object) -> Sequence[ServerEvent]:
        raise BrokenRule("unexpected-message", f"unexpected {type(message).__name__} in state {self._state.name}")


_PROOF_ERRORS: Final = (InvalidSecret, SecretMissing, UnboundProof, UnreadableProof)

#: Of a proof of the base protocol that is not checked before it is clear whose secrets to try.
_LATE_ERRORS: Final = (InvalidSecret, ProtocolViolation)

_S = ServerSession

_VIOLATION: Final[Cell[_S, ServerEvent]] = Cell(_S._refuseProof, None, (), (ProtocolViolation,))
_UNEXPECTED: Final[Cell[_S, ServerEvent]] = Cell(_S._refuseMessage, None, (), (BrokenRule,))

_GOODBYE: Final = on(Goodbye, _S._leave, State.SETTLED, [ClientLeft])

#: What happens in each state. In those that are not here no frame is read.
TABLE: Final[Table[_S, ServerEvent]] = {
    State.PROOF: row(_S._decodeProof, _VIOLATION, on(bytes, _S._checkProof, State.REQUEST, [SendData], _PROOF_ERRORS)),
    State.REQUEST: row(
        _S._decodeRequest,
        _VIOLATION,
        on(MarkedHello, _S._agree, State.OPENING, [SessionAsked], [InvalidSecret]),
        on(Hello, _S._askBase, State.BASE_CLAIMING, [TunnelAsked], [InvalidSecret]),
        on(Accept, _S._takeVisitor, State.SETTLED, [VisitorTaken], _LATE_ERRORS),
        on(Lane, _S._offerLane, State.SETTLED, [LaneOffered], _LATE_ERRORS),
    ),
    State.OPENING: row(
        _S._decodeExtended,
        _UNEXPECTED,
        on(Rules, _S._addRules, errors=[BrokenRule]),
        on(Open, _S._ask, State.EXTENDED, [TunnelAsked]),
        _GOODBYE,
    ),
    State.EXTENDED: row(
        _S._decodeExtended,
        None,
        on(Rules, _S._addRules, errors=[BrokenRule]),
        on(Open, _S._ask, None, [TunnelAsked], [BrokenRule]),
        on(Close, _S._giveBack, None, [TunnelLeft, SendData], [BrokenRule]),
        on(Alive, _S._noteAlive, None, [ClientAlive], [BrokenRule]),
        _GOODBYE,
    ),
}

#: The refusal of a session that has been in a state for too long. In the other states the connection is just closed.
TIMED_OUT: Final[dict[statetable.State, type[Refusal]]] = {
    State.PROOF: ProofTimeout,
    State.OPENING: OpenTimeout,
    State.BASE_CLAIMING: ClaimTimeout,
    State.EXTENDED: OpenTimeout,  # only where no tunnel is left
}
