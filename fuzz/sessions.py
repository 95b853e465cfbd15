"""Targets: the session machines. The first byte of an input chooses a state, the second the portions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from bore.wire import messages, serversession
from bore.wire.binding import BindingAnswer, BindingChallenge
from bore.wire.clientsession import ControlSession
from bore.wire.datasession import DataSession
from bore.wire.errors import MalformedMessage, PortInUse, ProtocolViolation, Refusal, ServerLeft, TakenOver
from bore.wire.extension import Lane
from bore.wire.lane import BARE, DATA, END, HEADER, MAX_OPEN, OPEN, LaneDecoder, LaneSession, Way
from bore.wire.laneopen import openFrame, readOpen
from bore.wire.limits import MAX_EXTENDED_FRAME
from bore.wire.messages import Accept
from bore.wire.proof import (
    BaseClientProof,
    BoundClientProof,
    ClientProof,
)
from bore.wire.serverproof import BaseServerProof, BoundServerProof, ServerProof
from bore.wire.serversession import ServerSession
from bore.wire.sessionevents import LaneOffered, SessionAsked, SessionOpened, TunnelAsked, TunnelOpened, VisitorTaken
from fuzz.inputs import BINDING, KNOWN, SECRET, TOKEN, VISITOR, Outcome, errorOf, notRandom, portions

_SERVER_PROOFS: Final[tuple[Callable[[], ServerProof | None], ...]] = (
    lambda: None,
    lambda: BaseServerProof(KNOWN, random=notRandom),
    lambda: BoundServerProof(KNOWN, BINDING, notRandom),
    lambda: BaseServerProof(KNOWN, lambda request: "" if isinstance(request, Accept) else None, notRandom),
)


def serverSession(data: bytes) -> None:
    """The server's session; a claim is answered at once, or never."""
    if len(data) < 2:
        return
    choice, granting = data[0] % len(_SERVER_PROOFS), data[0] // len(_SERVER_PROOFS) % 2
    outcomes: list[Outcome] = []
    for arriving in ([data[2:]], portions(data[2:], data[1])):
        session, outcome = ServerSession(_SERVER_PROOFS[choice](), encrypted=choice == 2), Outcome()
        session.greeting()
        try:
            for portion in arriving:
                for event in session.feed(portion):
                    outcome.append(_without(event))
                    if isinstance(event, SessionAsked):
                        outcome.append(session.agreed(TOKEN, 256))
                    if isinstance(event, TunnelAsked) and granting:
                        outcome.append(_answer(session, event))
                        session.heartbeat()
                if session._state in serversession.TABLE:
                    assert len(session._decoder._buffer) <= MAX_EXTENDED_FRAME, "more than a frame is kept"
        except Refusal as e:
            outcome += [errorOf(e), session.refusal(e)]
            assert not list(session.feed(data)), "a refused client is not read"
        except ProtocolViolation as e:
            assert not session.extended, "a client of the extension is reported why"
            assert not list(session.feed(data)), "a client that broke the protocol is not read"
            outcome.append(errorOf(e))
        outcomes.append(outcome)
    assert outcomes[0] == outcomes[1], outcomes


def _answer(session: ServerSession, asked: TunnelAsked) -> bytes:
    """Of a client's tunnels each third is refused, each fifth taken at once; the seventh moves the session."""
    number = asked.tunnel
    if session.extended and number % 3 == 0:
        return session.refused(number, PortInUse())
    answer = session.opened(number, asked.address or 1, TOKEN, 60)
    if session.extended and number % 5 == 0:
        answer += session.closed(number, TakenOver())
    if session.extended and number == 7:
        answer += session.moved("tls://example.com")
    return answer


def _without(event: object) -> object:
    """An event without the bytes behind the message: how many of them there are depends on the portions."""
    match event:
        case VisitorTaken(id):
            return id
        case LaneOffered(token):
            return token
        case _:
            return event


_CLIENT_PROOFS: Final[tuple[Callable[[], ClientProof | None], ...]] = (
    lambda: None,
    lambda: BaseClientProof(SECRET),
    lambda: BoundClientProof(SECRET, BINDING, random=notRandom),
)


def controlSession(data: bytes) -> None:
    """The client's session on a control connection."""
    if len(data) < 2:
        return
    choice, probing = data[0] % len(_CLIENT_PROOFS), data[0] // len(_CLIENT_PROOFS) % 2
    outcomes: list[Outcome] = []
    for arriving in ([data[2:]], portions(data[2:], data[1])):
        session, outcome = ControlSession(8000, _CLIENT_PROOFS[choice]()), Outcome()
        outcome.append(session.greeting())
        if probing:
            outcome.append(session.noChallenge())
        try:
            for portion in arriving:
                for event in session.feed(portion):
                    outcome.append(event)
                    if isinstance(event, SessionOpened):
                        outcome += [session.open(number, 8000, TOKEN) for number in (1, 2, 3)]
                        outcome.append(session.close(3))
                    elif isinstance(event, TunnelOpened) and event.tunnel % 2:
                        outcome.append(session.close(event.tunnel))
                assert len(session._decoder._buffer) <= MAX_EXTENDED_FRAME, "more than a frame is kept"
            outcome.append(session.goodbye())
        except (Refusal, ProtocolViolation, ServerLeft) as e:
            outcome.append(errorOf(e))
        outcomes.append(outcome)
    assert outcomes[0] == outcomes[1], outcomes


def dataSession(data: bytes) -> None:
    """The client's session on a data connection."""
    if len(data) < 2:
        return
    choice = 1 + data[0] % (len(_CLIENT_PROOFS) - 1)
    request = Lane(TOKEN) if data[0] & 128 else Accept(VISITOR)
    outcomes: list[Outcome] = []
    for arriving in ([data[2:]], portions(data[2:], data[1])):
        session = DataSession(request, _CLIENT_PROOFS[choice]())
        answer = rest = b""
        error: object = None
        try:
            for portion in arriving:
                if session.complete:
                    rest += portion
                else:
                    answer += session.feed(portion)
                    rest += session.takeRest() if session.complete else b""
        except (Refusal, ProtocolViolation) as e:
            error = errorOf(e)
            answer = b""
        outcomes.append([session.complete, answer, rest, error])
    assert outcomes[0] == outcomes[1], outcomes


def lane(data: bytes) -> None:
    """Frames of a lane, and what they do to its session; the other side is answered with END."""
    if len(data) < 2:
        return
    outcomes: list[list[tuple[int, bytes]]] = []
    for arriving in ([data[2:]], portions(data[2:], data[1])):
        decoder, session = LaneDecoder(), LaneSession(serves=bool(data[0] & 1))
        outcome: list[tuple[int, bytes]] = []
        if session.serves:
            session.sent(OPEN)
        try:
            for portion in arriving:
                decoder.feed(portion)
                while (found := decoder.next()) is not None:
                    _onLane(session, *found)
                    if outcome and outcome[-1][0] == found[0] and found[0] in (DATA, BARE):
                        outcome[-1] = (found[0], outcome[-1][1] + found[1])
                    else:
                        outcome.append(found)
                assert decoder.kept <= HEADER.size + MAX_OPEN, "more than a header and a visitor is kept"
            assert not (session.idle and session.ended()), "an idle lane has no stream that could end"
            assert not session.idle, "behind the end of the connection there is no next visitor"
        except ProtocolViolation as e:
            outcome.append((-1, str(e).encode()))
        outcomes.append(outcome)
    assert outcomes[0] == outcomes[1], outcomes


def _onLane(session: LaneSession, kind: int, payload: bytes) -> None:
    session.received(kind)
    assert (kind == DATA) <= (0 < len(payload) <= 1 << 16)
    if kind == OPEN:
        visitor = readOpen(payload)
        again = openFrame(visitor.tunnel, visitor.id, visitor.source, visitor.announced)
        assert readOpen(again[HEADER.size :]) == visitor
    if session.maySend and session._received <= Way.RESET:
        session.sent(END)


def proofs(data: bytes) -> None:
    """Both sides' proofs of the secret: only the right one is accepted."""
    for server in (BaseServerProof(KNOWN, random=notRandom), BoundServerProof(KNOWN, BINDING, notRandom)):
        with suppress(Refusal):
            server.check(data)
            assert server.identity is not None and server.identity.secret is SECRET
    client = BoundClientProof(SECRET, BINDING, random=notRandom)
    with suppress(MalformedMessage, Refusal):
        match client.decode(data):
            case messages.Challenge() | BindingChallenge() as challenge:
                client.answer(challenge)
            case BindingAnswer() as answer:
                client.check(answer)
                raise AssertionError("an answer before the challenge")
