"""
Conversations recorded from the original, bore 0.6.0, replayed by our sessions.

The recordings end a connection with ``<EOF>``. Both ends knew the secret ``my secret`` where there was one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypedDict, cast
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from bore.wire.errors import ClientHasNoSecret, InvalidSecret, PortInUse, ProtocolViolation, Refusal, ServerHasNoSecret
from bore.wire.framing import FrameDecoder
from bore.wire.messages import (
    Accept,
    Authenticate,
    Challenge,
    Heartbeat,
    Hello,
    decodeServerMessage,
    encode,
)
from bore.wire.proof import proveBase, provesBase
from bore.wire.secret import Secret
from bore.wire.serversession import ServerSession
from bore.wire.sessionevents import (
    ClientEvent,
    SendData,
    ServerAlive,
    ServerEvent,
    TunnelAsked,
    TunnelOpened,
    VisitorCame,
)
from tests.wire.sessions import controlSession, dataSession, serverSession

RECORDED: Final[dict[str, object]] = json.loads(Path(__file__).with_name("recorded-bore-0.6.0.json").read_bytes())

#: The recordings that no session can send again by itself, and what they need.
ELSEWHERE: Final[dict[str, str]] = {
    "server: Hello(20005), first 1.2 s": "time: heartbeats",
    "server: Hello of a port in use": "sockets: a port that is taken",
    "server: Hello of a port out of range": "sockets: the server's range of ports",
    "server: Accept of an unknown id": "sockets: the visitors that wait",
    "server: silent connection": "time: 3 s of silence",
    "server: a visitor came": "sockets: a visitor",
    "data: client end got": "sockets: a visitor and its data connection",
    "data: visitor got": "sockets: a visitor and its data connection",
    "data: after the visitor half-closes, client end gets": "sockets: a half-close",
    "data: and what the client end then sends reaches the visitor as": "sockets: a half-close",
}

SECRET: Final = Secret("my secret")
GREETING: Final = "server with secret: greets with"
VECTOR: Final = "hmac vector"
EOF: Final = "<EOF>"


def recordedText(key: str) -> str:
    """A recording of a server."""
    text = RECORDED[key]
    assert isinstance(text, str)
    return text


def challengeOf(session: ServerSession) -> UUID:
    """The challenge that a session greets with."""
    message = decodeServerMessage(session.greeting().removesuffix(b"\0"))
    assert isinstance(message, Challenge)
    return message.id


def serverSends(session: ServerSession, data: bytes) -> str:
    """The answer of a server to these bytes, with the requested port, as the recordings write it."""
    try:
        return "".join(serverAnswers(session, event) for event in session.feed(data))
    except Refusal as e:
        return session.refusal(e).decode() + EOF
    except ProtocolViolation:
        return EOF


def serverAnswers(session: ServerSession, event: ServerEvent) -> str:
    """The answer of a server to an event, if every port is free."""
    match event:
        case TunnelAsked(number, port):
            return session.opened(number, port, "0123456789abcdef", 60).decode()
        case _:
            return ""


def proof(session: ServerSession) -> bytes:
    """The right answer to a session's challenge."""
    return encode(Authenticate(proveBase(SECRET, challengeOf(session))))


@dataclass(frozen=True)
class Dialled:
    """A connection to a server, and its bytes."""

    secret: Secret | None
    sends: Callable[[ServerSession], bytes]


STALE: Final = "2689b476701a21e26f25bdd038fddf59e59eb32616f1442ee206043efc9ee518"

#: What is sent to which side, so that it sends what is recorded under these keys.
SERVER: Final[dict[str, Dialled]] = {
    "server: Hello with JSON white space": Dialled(None, lambda _: b' { "Hello" : 20006 }\n\0'),
    "server: Hello(70000)": Dialled(None, lambda _: b'{"Hello":70000}\0'),
    "server: unknown variant": Dialled(None, lambda _: b'{"Goodbye":1}\0'),
    "server without secret: Authenticate": Dialled(None, lambda _: encode(Authenticate(STALE))),
    "server: 256-byte junk frame": Dialled(None, lambda _: b"x" * 256 + b"\0"),
    "server: 257 bytes with no NUL": Dialled(None, lambda _: b"x" * 257),
    "server with secret: right tag then Hello (both in one segment)": Dialled(
        SECRET, lambda session: proof(session) + encode(Hello(20001))
    ),
    "server with secret: wrong tag": Dialled(SECRET, lambda _: encode(Authenticate("00" * 32))),
    "server with secret: Hello in place of Authenticate": Dialled(SECRET, lambda _: encode(Hello(20001))),
    "server with secret: stale tag in upper case": Dialled(SECRET, lambda _: encode(Authenticate(STALE.upper()))),
}


class ServerTests(SynchronousTestCase):
    """Our server's session sends what the original server sent."""

    def test_ourServerSendsWhatTheOriginalSent(self) -> None:
        for key, dialled in SERVER.items():
            session = serverSession(dialled.secret)
            # The heartbeats behind Hello are the clock's doing, not the session's.
            recorded = recordedText(key).replace(encode(Heartbeat()).decode(), "")
            self.assertEqual(serverSends(session, dialled.sends(session)), recorded, key)

    def test_ourServerGreetsAsTheOriginalDid(self) -> None:
        session = serverSession(SECRET)
        recorded = UUID(json.loads(recordedText(GREETING).removesuffix("\0"))["Challenge"])
        ours = session.greeting().decode().replace(str(challengeOf(session)), str(recorded))
        self.assertEqual(ours, recordedText(GREETING))
        self.assertEqual(challengeOf(session).version, recorded.version)

    def test_theProofIsTheOriginals(self) -> None:
        vector = cast("dict[str, str]", RECORDED[VECTOR])
        secret, challenge = Secret(vector["secret"]), UUID(vector["challenge"])
        self.assertEqual(proveBase(secret, challenge), vector["tag"])
        self.assertTrue(provesBase(secret, challenge, vector["tag"]))
        self.assertEqual(vector["tag"], STALE)

    def test_ourClientUnderstandsEveryFrameOfTheOriginalServerAndWouldWriteItTheSame(self) -> None:
        frames = 0
        for key in [key for key in RECORDED if key.startswith("server")]:
            decoder = FrameDecoder()
            decoder.feed(recordedText(key).partition(EOF)[0].encode())
            while (frame := decoder.nextFrame()) is not None:
                self.assertEqual(encode(decodeServerMessage(frame)), frame + b"\0", key)
                frames += 1
            self.assertEqual(decoder.takeRest(), b"", key)
        self.assertEqual(frames, 24)


class RecordedClient(TypedDict):
    """
    A run of the original client against a server that was played.

    ``wire`` has a line for what the client sent since the last one (``C>``), what the server sent (``S>``), and
    for what else happened.
    """

    wire: list[str]
    exit: int
    log: str


@dataclass(frozen=True)
class Run:
    """How the client was started, what came of it, and what ended it."""

    port: int
    secret: Secret | None
    reported: list[ClientEvent] = field(default_factory=list)
    ended: type[Refusal] | None = None


VISITOR: Final = UUID("00000000-0000-4000-8000-000000000001")

#: How the original client was started when it did what is recorded under these keys.
CLIENT: Final[dict[str, Run]] = {
    "client: hello": Run(0, None, [TunnelOpened(1, 20001), ServerAlive(), VisitorCame(1, VISITOR)]),
    "client: port 20001": Run(20001, None, ended=PortInUse),
    "client: challenge without secret": Run(0, None, ended=ClientHasNoSecret),
    "client: with secret": Run(0, SECRET, [TunnelOpened(1, 20001)]),
    "client: secret, server has none": Run(0, SECRET, ended=ServerHasNoSecret),
    "client: with secret, refused": Run(0, SECRET, ended=InvalidSecret),
    "client: white space in Hello reply": Run(0, None, [TunnelOpened(1, 20001)]),
}


class Replay:
    """
    Our client's session in the place of the original client.

    :ivar reported: the events that were not bytes to send.
    :ivar ended: the refusal that ended the conversation.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._session = controlSession(run.port, run.secret)
        self._unread = self._session.greeting()
        self.reported: list[ClientEvent] = []
        self.ended: Refusal | None = None

    def sent(self) -> str:
        """What our client has sent since the last call, without the mark that the original's Hello lacks."""
        output, self._unread = self._unread.replace(b"} \0", b"}\0").decode(), b""
        return output

    def outcomesOf(self, output: str) -> None:
        """The server sends this."""
        try:
            for event in self._session.feed(output.encode()):
                if isinstance(event, SendData):
                    self._unread += event.data
                else:
                    self.reported.append(event)
        except Refusal as e:
            self.ended = e

    def dataConnection(self) -> str:
        """The first bytes on the data connection for the latest visitor."""
        visitor = self.reported[-1]
        assert isinstance(visitor, VisitorCame)
        return dataSession(Accept(visitor.id), self._run.secret).greeting().decode()


class ClientTests(SynchronousTestCase):
    """Our client's sessions send what the original client sent."""

    def test_ourClientSendsWhatTheOriginalSent(self) -> None:
        for key, run in CLIENT.items():
            recorded = cast(RecordedClient, RECORDED[key])
            replay = Replay(run)
            for line in recorded["wire"]:
                self.replayLine(replay, line, key)
            self.assertEqual(replay.sent(), "", key)
            self.assertEqual(replay.reported, run.reported, key)
            self.assertIs(type(replay.ended), run.ended or type(None), key)

    def test_ourClientEndsWhereTheOriginalExitedAndForTheSameReason(self) -> None:
        for key, run in CLIENT.items():
            recorded = cast(RecordedClient, RECORDED[key])
            replay = Replay(run)
            for line in recorded["wire"]:
                self.replayLine(replay, line, key)
            self.assertEqual(replay.ended is not None, recorded["exit"] == 1, key)
            if replay.ended is not None:
                fromServer = any(line.startswith('S> {"Error"') for line in recorded["wire"])
                self.assertEqual(
                    recorded["log"], f"Error: {'server error: ' if fromServer else ''}{replay.ended}\n", key
                )

    def replayLine(self, replay: Replay, line: str, key: str) -> None:
        """One line of a recording: the server's bytes are received, the client's are compared with ours."""
        who, _, output = line.partition("> ")
        match who.rstrip():
            case "C":
                self.assertEqual(replay.sent(), output, key)
            case "S":
                replay.outcomesOf(output)
            case "C opens a data connection":
                # What closed it then was the local service, which was not there.
                self.assertEqual(replay.dataConnection() + EOF, output, key)
            case _:
                self.assertEqual(line, "S closes", key)

    def test_theDataConnectionWithASecretSendsProofAndAccept(self) -> None:
        recorded = cast(RecordedClient, RECORDED["client: with secret"])
        challenge, answer = (line[3:] for line in recorded["wire"][:2])
        session = dataSession(Accept(VISITOR), SECRET)
        sent = session.feed(challenge.encode())
        proof = answer.partition("\0")[0].encode() + b"\0"
        self.assertEqual(sent, proof + encode(Accept(VISITOR)))


class CompletenessTests(SynchronousTestCase):
    """Nothing that was recorded is forgotten."""

    def test_everyRecordingIsReplayedHereOrNamedForElsewhere(self) -> None:
        here = [*SERVER, *CLIENT, GREETING, VECTOR]
        self.assertEqual(sorted([*here, *ELSEWHERE]), sorted(RECORDED))

    def test_whatIsReplayedElsewhereNeedsSocketsOrTime(self) -> None:
        for key, why in ELSEWHERE.items():
            self.assertRegex(why, r"\A(sockets|time): ", key)
