"""
What is fuzzed: functions that take any bytes and raise an AssertionError when a promise is broken.

Anything else that one of them raises is a fault, too. The first byte of most inputs chooses a state, the second the
portions in which the rest arrives: the portions must not change what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, TypeAlias
from uuid import UUID

from bore.streams.addresses import asciiName, hostPort, isLiteral, parseHostPort, parsePort
from bore.tls import knownservers
from bore.wire import binding, extension, messages, proxyprotocol, serversession
from bore.wire.binding import BindingAnswer, BindingChallenge, BindingProof
from bore.wire.clientsession import ControlSession
from bore.wire.datasession import DataSession
from bore.wire.errors import FrameTooLong, MalformedMessage, ProtocolViolation, Refusal, ServerLeft, WireError
from bore.wire.extension import Lane
from bore.wire.framing import FrameDecoder
from bore.wire.lane import BARE, DATA, END, HEADER, MAX_OPEN, OPEN, LaneDecoder, LaneSession, Way, openFrame, readOpen
from bore.wire.limits import MAX_EXTENDED_FRAME, MAX_FRAME
from bore.wire.messages import Accept
from bore.wire.proof import (
    BaseClientProof,
    BaseServerProof,
    BoundClientProof,
    BoundServerProof,
    ClientProof,
    ServerProof,
)
from bore.wire.proxyprotocol import Version, header
from bore.wire.secret import Secret
from bore.wire.serversession import ServerSession
from bore.wire.sessionevents import LaneOffered, TunnelAsked, VisitorTaken

#: What both sides know where a target needs it. Nothing is random: a right proof can be found, and replayed.
SECRET: Final = Secret("my secret")
BINDING: Final = bytes(range(32))
VISITOR: Final = UUID("00000000-0000-4000-8000-000000000001")
TOKEN: Final = "0123456789abcdef0123456789abcdef"

#: The longest portion in which bytes arrive, in bytes.
_LONGEST_PORTION: Final = 64

#: What a session has done: its events, and the error that ended it.
Outcome: TypeAlias = list[object]


def notRandom(size: int) -> bytes:
    """Bytes that are always the same."""
    return bytes(range(64, 64 + size))


def portions(data: bytes, seed: int) -> Iterator[bytes]:
    """The same bytes in portions; which ones depends on the seed. 0: one by one."""
    start = 0
    while start < len(data):
        seed = (seed * 137 + 29) % 1009 if seed else 0
        size = 1 + seed % _LONGEST_PORTION if seed else 1
        yield data[start : start + size]
        start += size


def _error(error: WireError) -> tuple[str, str]:
    return type(error).__name__, str(error)


def frames(data: bytes) -> None:
    """The decoder of frames."""
    if len(data) < 2:
        return
    longest = MAX_EXTENDED_FRAME if data[0] & 1 else MAX_FRAME
    outcomes: list[Outcome] = []
    for arriving in ([data[2:]], portions(data[2:], data[1])):
        decoder, outcome = FrameDecoder(longest), Outcome()
        try:
            for portion in arriving:
                decoder.feed(portion)
                while (frame := decoder.nextFrame()) is not None:
                    assert len(frame) <= longest and b"\0" not in frame
                    outcome.append(frame)
                assert len(decoder._buffer) <= longest, "more than a frame is kept"
            outcome.append(decoder.takeRest())
        except FrameTooLong as e:
            outcome.append(_error(e))
        outcomes.append(outcome)
    assert outcomes[0] == outcomes[1], outcomes


def decoders(data: bytes) -> None:
    """The decoders of all messages; what they read can be written, and is read again as the same."""
    for decode in (
        messages.decodeServerMessage,
        extension.decodeRequest,
        extension.decodeClientMessage,
        extension.decodeServerMessage,
        extension.decodeAnswer,
        binding.decodeServerMessage,
    ):
        try:
            message = decode(data)
        except MalformedMessage:
            continue
        with suppress(FrameTooLong):  # a text may need more bytes when it is written with other escapes
            assert decode(_encoded(message)) == message, message


def _encoded(message: object) -> bytes:
    match message:
        case extension.MarkedHello(port):
            frame = extension.markedHello(port)
        case (
            extension.Open()
            | extension.Opened()
            | extension.Alive()
            | extension.Goodbye()
            | extension.Extended()
            | extension.Refused()
            | extension.Visitor()
            | Lane()
        ):
            frame = extension.encode(message)
        case BindingChallenge() | BindingProof() | BindingAnswer():
            frame = binding.encode(message)
        case (
            messages.Challenge()
            | messages.Authenticate()
            | messages.Hello()
            | messages.Heartbeat()
            | messages.Connection()
            | messages.Accept()
            | messages.Error()
        ):
            frame = messages.encode(message)
        case _:
            raise AssertionError(message)
    return frame[:-1]


_SERVER_PROOFS: Final[tuple[Callable[[], ServerProof | None], ...]] = (
    lambda: None,
    lambda: BaseServerProof(SECRET, notRandom),
    lambda: BoundServerProof(SECRET, BINDING, notRandom),
)


def serverSession(data: bytes) -> None:
    """The server's session; a claim is granted at once, or never."""
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
                    if isinstance(event, TunnelAsked) and granting:
                        outcome.append(session.opened(event.port or 1, TOKEN, 60, TOKEN))
                        session.heartbeat()
                if session._state in serversession.TABLE:
                    assert len(session._decoder._buffer) <= MAX_EXTENDED_FRAME, "more than a frame is kept"
        except Refusal as e:
            outcome += [_error(e), session.refusal(e)]
            assert not list(session.feed(data)), "a refused client is not read"
        except ProtocolViolation as e:
            assert not session.extended, "a client of the extension is reported why"
            assert not list(session.feed(data)), "a client that broke the protocol is not read"
            outcome.append(_error(e))
        outcomes.append(outcome)
    assert outcomes[0] == outcomes[1], outcomes


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
    lambda: BoundClientProof(SECRET, BINDING, notRandom),
)


def controlSession(data: bytes) -> None:
    """The client's session on a control connection."""
    if len(data) < 2:
        return
    choice, probing = data[0] % len(_CLIENT_PROOFS), data[0] // len(_CLIENT_PROOFS) % 2
    outcomes: list[Outcome] = []
    for arriving in ([data[2:]], portions(data[2:], data[1])):
        session, outcome = ControlSession(8000, _CLIENT_PROOFS[choice](), TOKEN), Outcome()
        outcome.append(session.greeting())
        if probing:
            outcome.append(session.noChallenge())
        try:
            for portion in arriving:
                for event in session.feed(portion):
                    outcome.append(event)
                assert len(session._decoder._buffer) <= MAX_EXTENDED_FRAME, "more than a frame is kept"
            outcome.append(session.goodbye())
        except (Refusal, ProtocolViolation, ServerLeft) as e:
            outcome.append(_error(e))
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
            error = _error(e)
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
        again = openFrame(visitor.id, visitor.source, visitor.announced)
        assert readOpen(again[HEADER.size :]) == visitor
    if session.maySend and session._received <= Way.RESET:
        session.sent(END)


def proofs(data: bytes) -> None:
    """Both sides' proofs of the secret: only the right one is accepted."""
    for server in (BaseServerProof(SECRET, notRandom), BoundServerProof(SECRET, BINDING, notRandom)):
        with suppress(Refusal):
            assert server.check(data).secret is SECRET
    client = BoundClientProof(SECRET, BINDING, notRandom)
    with suppress(MalformedMessage, Refusal):
        match client.decode(data):
            case messages.Challenge() | BindingChallenge() as challenge:
                client.answer(challenge)
            case BindingAnswer() as answer:
                client.check(answer)
                raise AssertionError("an answer before the challenge")


def proxyHeader(data: bytes) -> None:
    """The header that is written for a local service, with any addresses."""
    host, _, rest = data.decode("utf-8", "surrogateescape").partition("\n")
    there, _, _ = rest.partition("\n")
    for version in Version:
        try:
            written = header(version, (host, len(data)), (there, 65535))
        except ValueError:
            assert not (isLiteral(host) and isLiteral(there)), "an address is refused"
            continue
        assert written.startswith(proxyprotocol.SIGNATURES)
        assert len(written) <= 107, "section 2.1 of the specification: the longest line of version 1"
        if version is Version.V1:
            assert written.endswith(b"\r\n") and written.count(b" ") == 5, written


def addresses(data: bytes) -> None:
    """Hosts and ports as people write them."""
    text = data.decode("utf-8", "surrogateescape")
    with suppress(ValueError):
        assert 0 <= parsePort(text, 0) <= 65535
    with suppress(ValueError):
        asciiName(text).encode("ascii")
    try:
        host, port = parseHostPort(text)
    except ValueError:
        return
    if port is not None:
        assert parseHostPort(hostPort(host, port)) == (host, port), text
    assert parseHostPort(host)[0] == host, text


def knownServers(data: bytes) -> None:
    """A line of the file of known servers."""
    try:
        server, key = knownservers._entry(data.decode("utf-8", "surrogateescape"))
    except ValueError:
        return
    assert knownservers._entry(f"{knownservers._written(server)} {key}") == (server, key)


#: All targets, by their names.
TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    target.__name__: target
    for target in (
        frames,
        decoders,
        serverSession,
        controlSession,
        dataSession,
        lane,
        proofs,
        proxyHeader,
        addresses,
        knownServers,
    )
}
