"""Sessions of both sides in every state, every message that they may receive there, and what follows from it."""
# Longer than 300 lines: the states and the messages of both sides belong together.

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Protocol, TypeAlias, TypeGuard, TypeVar
from uuid import UUID

from bore.wire.addressrules import AddressRules, parseNetwork
from bore.wire.clientsession import ControlSession
from bore.wire.datasession import DataSession
from bore.wire.errors import BrokenRule, PortInUse, TakenOver, WireError
from bore.wire.extension import (
    Alive,
    Close,
    Closed,
    Extended,
    Goodbye,
    HandedOn,
    Lane,
    Moved,
    NextKey,
    Nodes,
    Open,
    Opened,
    Refused,
    Source,
    Visitor,
    markedHello,
)
from bore.wire.messages import (
    Accept,
    Authenticate,
    Challenge,
    Connection,
    Error,
    Heartbeat,
    Hello,
    decodeServerMessage,
    encode,
)
from bore.wire.proof import clientProof, proveBase
from bore.wire.rulesmessage import MAX_NETWORKS, Rules, rulesFrames
from bore.wire.secret import Secret
from bore.wire.serverproof import SharedOnly, serverProof
from bore.wire.serversession import ServerSession
from bore.wire.sessionevents import (
    ClientEvent,
    ClientLeft,
    LaneOffered,
    ServerEvent,
    SessionMoved,
    TunnelAsked,
    TunnelClosed,
    TunnelOpened,
    VisitorTaken,
)
from tests.wire.knownusers import ALICE, NOBODY, withProof
from tests.wire.strategies import AnyMessage, frameOf

SECRET: Final = Secret("my secret")
ID: Final = UUID("00000000-0000-4000-8000-000000000001")
OTHER: Final = UUID("00000000-0000-4000-8000-000000000002")
TOKEN: Final = "0123456789abcdef0123456789abcdef"
KEY: Final = "SHA256:" + "k" * 43
NODE: Final = "tls://node2.example.com:7835"
LANE: Final = "fedcba9876543210fedcba9876543210"
SOURCE: Final[Source] = ("203.0.113.9", 50123)

_E = TypeVar("_E", covariant=True)
_T = TypeVar("_T")

#: What the end of a session is compared by: its class; a broken rule has many cases, and is known by its code.
End: TypeAlias = type[WireError] | str


class Session(Protocol[_E]):
    """A session of either side."""

    def feed(self, data: bytes) -> Iterator[_E]:
        """Add bytes, and give the events that follow."""


def outcomesOf(session: Session[_E], *portions: bytes) -> list[_E | End]:
    """What follows from these bytes: events, and in the end what was raised, if it was."""
    outcomes: list[_E | End] = []
    try:
        for portion in portions:
            for event in session.feed(portion):
                outcomes.append(event)  # noqa: PERF402 - what came before the error counts
    except WireError as e:
        outcomes.append(e.code if isinstance(e, BrokenRule) else type(e))
    return outcomes


def isEnd(outcome: object) -> TypeGuard[End]:
    """Whether this is an error, and not an event."""
    return isinstance(outcome, type | str)


ServerOutcomes: TypeAlias = list[ServerEvent | End]
ServerRow: TypeAlias = dict[str, ServerOutcomes]
ClientOutcomes: TypeAlias = list[ClientEvent | End]
ClientRow: TypeAlias = dict[str, ClientOutcomes]


def serverSession(secret: Secret | None, channelBinding: bytes = b"") -> ServerSession:
    """A server's session, on a connection with or without TLS."""
    proof = None if secret is None else serverProof(SharedOnly([secret]), channelBinding)
    return ServerSession(proof, encrypted=bool(channelBinding))


def controlSession(port: int, secret: Secret | None, channelBinding: bytes = b"", user: str = "") -> ControlSession:
    """A client's session on a control connection, with or without TLS."""
    return ControlSession(port, clientProof(secret, channelBinding, user))


def dataSession(request: Accept | Lane, secret: Secret | None, channelBinding: bytes = b"") -> DataSession:
    """A client's session on a data connection, with or without TLS."""
    return DataSession(request, clientProof(secret, channelBinding))


def challengeOf(session: ServerSession) -> UUID:
    """The challenge that a session greets with."""
    message = decodeServerMessage(session.greeting().removesuffix(b"\0"))
    assert isinstance(message, Challenge)
    return message.id


def rightProof(session: ServerSession) -> bytes:
    """The frame that proves our secret to a session; to one without a challenge, nothing."""
    return encode(Authenticate(proveBase(SECRET, challengeOf(session)))) if session.greeting() else b""


def padded(message: AnyMessage, size: int) -> bytes:
    """A frame of exactly this size without its NUL, which is this message."""
    return frameOf(message).rjust(size + 1)


def _server(secret: Secret | None, *received: bytes, last: object = None) -> ServerSession:
    """A server's session that has had its proof, and has received this."""
    session = serverSession(secret)
    outcomes = outcomesOf(session, rightProof(session), *received)
    assert last is None or outcomes[-1] == last, outcomes
    return session


_OPEN: Final = frameOf(Open(1, 8000, TOKEN))

#: As many rules as a tunnel may have.
MOST_RULES: Final = AddressRules(tuple(parseNetwork(f"2001:db8:{n:x}::/48") for n in range(MAX_NETWORKS)))


def _claiming(secret: Secret | None) -> ServerSession:
    """A server's session whose client waits for its tunnel."""
    return _server(secret, markedHello(1), _OPEN, last=TunnelAsked(1, 8000, TOKEN))


def _opened(secret: Secret | None) -> ServerSession:
    """A server's session whose client has its tunnel."""
    session = _claiming(secret)
    assert session.opened(1, 8000, TOKEN, 60) == frameOf(Opened(1, 8000, TOKEN, 60))
    return session


def _gone() -> ServerSession:
    """A server's session whose client has lost its tunnel to another session."""
    session = _opened(None)
    session.closed(1, TakenOver())
    return session


def _baseOpened() -> ServerSession:
    """A server's session whose client of the base protocol has its tunnel."""
    session = _server(SECRET, encode(Hello(1)), last=TunnelAsked(1, 1))
    assert session.opened(1, 1, TOKEN, 60) == encode(Hello(1))
    return session


def _refused(state: Callable[[], ServerSession]) -> ServerSession:
    """A server's session whose client was refused."""
    session = state()
    session.refusal(PortInUse())
    return session


def _movedAway() -> ServerSession:
    """A server's session that was given away."""
    session = _opened(SECRET)
    assert session.moved(None) == frameOf(Moved(None))
    return session


def _asked() -> ServerSession:
    """A server's session whose client has a Heartbeat to answer."""
    session = _opened(None)
    assert session.heartbeat() == encode(Heartbeat())
    return session


#: The rows of the table of :mod:`bore.wire.serversession`.
SERVER_STATES: Final[dict[str, Callable[[], ServerSession]]] = {
    "PROOF": lambda: serverSession(SECRET),
    "REQUEST": lambda: _server(None),
    "REQUEST after the proof": lambda: _server(SECRET),
    "REQUEST after a wrong proof, of a user's visitors and sessions": lambda: withProof(NOBODY, "alice"),
    "REQUEST after a proof, without visitors and sessions": lambda: withProof(ALICE),
    "OPENING": lambda: _server(None, markedHello(1)),
    "OPENING after the proof": lambda: _server(SECRET, markedHello(1)),
    "OPENING, with all rules": lambda: _server(None, markedHello(1), rulesFrames(MOST_RULES)),
    "BASE_CLAIMING": lambda: _server(None, encode(Hello(1)), last=TunnelAsked(1, 1)),
    "EXTENDED, claiming": lambda: _claiming(None),
    "EXTENDED, claiming after the proof": lambda: _claiming(SECRET),
    "EXTENDED, open": lambda: _opened(SECRET),
    "EXTENDED, open, asked": _asked,
    "EXTENDED, gone": _gone,
    "EXTENDED, with all rules": lambda: _server(None, markedHello(1), _OPEN, rulesFrames(MOST_RULES)),
    "SETTLED by Hello": _baseOpened,
    "SETTLED by a refused claim": lambda: _refused(lambda: _claiming(SECRET)),
    "SETTLED by a refused base claim": lambda: _refused(lambda: _server(None, encode(Hello(1)))),
    "SETTLED by Accept": lambda: _server(None, encode(Accept(OTHER)), last=VisitorTaken(OTHER, b"")),
    "SETTLED by Lane": lambda: _server(SECRET, frameOf(Lane(LANE)), last=LaneOffered(LANE, b"")),
    "SETTLED by Goodbye": lambda: _server(None, markedHello(1), _OPEN, frameOf(Goodbye()), last=ClientLeft()),
    "SETTLED by Moved": _movedAway,
    "SETTLED by a refusal": lambda: _server(None, markedHello(1), b"junk\0", last="malformed-message"),
}


def _client(secret: Secret | None, *received: AnyMessage, last: object = None) -> ControlSession:
    """A client's session that has answered its challenge, and has received this."""
    session = controlSession(8000, secret)
    greeted = [] if secret is None else [encode(Challenge(OTHER))]
    outcomes = outcomesOf(session, *greeted, *map(frameOf, received))
    assert last is None or outcomes[-1] == last, outcomes
    return session


def _probed() -> ControlSession:
    """A client with a secret that has waited for the challenge, and has asked whether there is none."""
    session = controlSession(8000, SECRET)
    assert session.noChallenge() == markedHello(1)
    return session


def extendedClient(session: ControlSession, tunnel: str = "") -> ControlSession:
    """The client's session of the extension, with its tunnel 1 in a state."""
    if tunnel:
        assert session.open(1, 8000) == frameOf(Open(1, 8000))
    if tunnel in ("open", "leaving", "gone"):
        assert outcomesOf(session, frameOf(Opened(1, 8000, TOKEN, 60))) == [TunnelOpened(1, 8000, TOKEN)]
    if tunnel in ("leaving", "leaving early", "gone"):
        assert session.close(1) == frameOf(Close(1))
    if tunnel == "gone":
        assert outcomesOf(session, frameOf(Closed(1))) == [TunnelClosed(1)]
    return session


def _moved(session: ControlSession) -> ControlSession:
    """A client's session that the server has given away."""
    assert outcomesOf(session, frameOf(Moved(None))) == [SessionMoved(None)]
    return session


#: The rows of the table of :mod:`bore.wire.clientsession`.
CLIENT_STATES: Final[dict[str, Callable[[], ControlSession]]] = {
    "CHALLENGE": lambda: controlSession(8000, SECRET),
    "PROBED": _probed,
    "ANSWER": lambda: _client(None),
    "ANSWER after the proof": lambda: _client(SECRET),
    "OPEN": lambda: _client(None, Hello(8000), last=TunnelOpened(1, 8000)),
    "OPEN after the proof": lambda: _client(SECRET, Hello(8000), last=TunnelOpened(1, 8000)),
    "EXTENDED": lambda: extendedClient(_client(None, Extended(1))),
    "EXTENDED after the proof": lambda: extendedClient(_client(SECRET, Extended(1))),
    "EXTENDED, asked": lambda: extendedClient(_client(None, Extended(1)), "asked"),
    "EXTENDED, asked after the proof": lambda: extendedClient(_client(SECRET, Extended(1)), "asked"),
    "EXTENDED, open": lambda: extendedClient(_client(None, Extended(1)), "open"),
    "EXTENDED, open after the proof": lambda: extendedClient(_client(SECRET, Extended(1)), "open"),
    "EXTENDED, leaving": lambda: extendedClient(_client(None, Extended(1)), "leaving"),
    "EXTENDED, leaving early": lambda: extendedClient(_client(None, Extended(1)), "leaving early"),
    "EXTENDED, gone": lambda: extendedClient(_client(None, Extended(1)), "gone"),
    "MOVED": lambda: _moved(_client(None, Extended(1))),
    "MOVED, open": lambda: _moved(extendedClient(_client(SECRET, Extended(1)), "open")),
}

#: One of every message of all vocabularies. Of the proofs, none is right anywhere.
MESSAGES: Final[dict[str, bytes]] = {
    **{
        type(message).__name__: frameOf(message)
        for message in (
            Challenge(ID),
            Authenticate(proveBase(Secret(""), ID)),
            Hello(20001),
            Heartbeat(),
            Connection(ID),
            Accept(ID),
            Error("port already in use"),
            Extended(1),
            Rules(AddressRules((parseNetwork("192.0.2.0/24"),))),
            Open(2, 20001, TOKEN),
            Opened(1, 20001, TOKEN, 60),
            Close(1),
            Closed(1, "taken-over", "it is elsewhere", True),
            Refused("port-in-use", "zu spät", False),
            Alive(),
            Visitor(1, ID, SOURCE),
            Moved("tls://example.com"),
            NextKey(KEY),
            Nodes((NODE,)),
            Goodbye(),
            Lane(LANE),
            HandedOn(ID, SOURCE),
        )
    },
    "marked Hello": markedHello(20001),
    "BindingChallenge": b'{"BindingChallenge":"%s"}\0' % (b"5a" * 32),
    "BindingProof": b'{"BindingProof":{"nonce":"%s","proof":"%s"}}\0' % (b"c3" * 32, b"00" * 32),
    "BindingAnswer": b'{"BindingAnswer":"%s"}\0' % (b"00" * 32),
}

#: What is no message in any state, by its reason.
NO_MESSAGES: Final[dict[str, list[bytes]]] = {
    "bad JSON": [b"\0", b"junk\0", b"\xff\0", b"[]\0", b'{"Hello":1,"Open":2}\0', b"x" * 256 + b"\0"],
    "unknown name": [b'"Nothing"\0', b'{"Nothing":"x"}\0', b'{"hello":1}\0', b'{"\\ud800":1}\0'],
    "wrong Hello": [b'"Hello"\0', b'{"Hello":70000}\0', b'{"Hello":-1} \0', b'{"Hello":{"port":1}}\0'],
    "wrong Lane": [
        b'"Lane"\0',
        b'{"Lane":null}\0',
        b'{"Lane":"short"}\0',
        b'{"Lane":{"token":"%s"}}\0' % LANE.encode(),
    ],
    "257 bytes": [b"x" * 257 + b"\0"],
    "257 bytes without an end": [b"x" * 257, b'{"Hello":8000}'.ljust(257)],
    "4097 bytes": [b"x" * 4097 + b"\0", b"x" * 4097, b"x" * 10_000],
    "no end": [b"", b'{"Hello":8000}', b"x" * 256],
}

#: All of it: the columns that both machines have.
COLUMNS: Final[dict[str, list[bytes]]] = {**{name: [frame] for name, frame in MESSAGES.items()}, **NO_MESSAGES}


def row(otherwise: list[_T], cells: dict[str, list[_T]]) -> dict[str, list[_T]]:
    """A row of a table: what follows from every column, and what follows from those that are not named."""
    assert cells.keys() <= COLUMNS.keys(), cells.keys() - COLUMNS.keys()
    return {**dict.fromkeys(COLUMNS, otherwise), **cells}
