"""The client's side of its control connection, without a connection."""

from __future__ import annotations

from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from bore.wire.clientsession import _WITHOUT_PROOF, ControlSession
from bore.wire.errors import (
    ClientHasNoSecret,
    FrameTooLong,
    LateChallenge,
    MalformedMessage,
    PortInUse,
    PortNotAllowed,
    ProtocolViolation,
    Refusal,
    SecretMissing,
    ServerHasNoSecret,
    ServerLeft,
    ShuttingDown,
    TooManyPending,
    UnknownMessage,
)
from bore.wire.extension import Alive, Extended, Open, Opened, markedHello
from bore.wire.messages import Authenticate, Challenge, Connection, Error, Heartbeat, Hello, encode
from bore.wire.proof import proveBase
from bore.wire.secret import Secret
from bore.wire.sessionevents import (
    KeyAnnounced,
    NodesNamed,
    SendData,
    ServerAlive,
    SessionAsked,
    SessionMoved,
    SessionOpened,
    TunnelClosed,
    TunnelOpened,
    Unexpected,
    VisitorCame,
)
from tests.wire.sessions import (
    CLIENT_STATES,
    COLUMNS,
    ID,
    KEY,
    LANE,
    NODE,
    SECRET,
    SOURCE,
    TOKEN,
    ClientRow,
    controlSession,
    outcomesOf,
    row,
    serverSession,
)
from tests.wire.strategies import frameOf

_NO_MESSAGE: Final[ClientRow] = {
    "bad JSON": [MalformedMessage],
    "wrong Hello": [MalformedMessage],
    "257 bytes": [FrameTooLong],
    "257 bytes without an end": [FrameTooLong],
    "4097 bytes": [FrameTooLong],
    "no end": [],
}
_NO_EXTENDED_MESSAGE: Final[ClientRow] = {
    "bad JSON": [MalformedMessage],
    "257 bytes": [MalformedMessage],
    "257 bytes without an end": [],
    "4097 bytes": [FrameTooLong],
    "no end": [],
}
_CHALLENGE_ROW: Final[ClientRow] = row(
    [UnknownMessage],
    {
        "Challenge": [SendData(encode(Authenticate(proveBase(SECRET, ID))) + markedHello(8000))],
        "Hello": [ServerHasNoSecret],
        "marked Hello": [ServerHasNoSecret],
        "Heartbeat": [ServerHasNoSecret],
        "Connection": [ServerHasNoSecret],
        "Error": [PortInUse],
        **_NO_MESSAGE,
    },
)
_ANSWER_ROW: Final[ClientRow] = row(
    [UnknownMessage],
    {
        "Challenge": [ClientHasNoSecret],
        "BindingChallenge": [ClientHasNoSecret],
        "Hello": [TunnelOpened(1, 20001)],
        "marked Hello": [TunnelOpened(1, 20001)],
        "Heartbeat": [ProtocolViolation],
        "Connection": [ProtocolViolation],
        "Error": [PortInUse],
        "Extended": [SessionOpened()],
        **_NO_MESSAGE,
    },
)
_OPEN_ROW: Final[ClientRow] = row(
    [UnknownMessage],
    {
        "Challenge": [Unexpected(Challenge(ID))],
        "Hello": [Unexpected(Hello(20001))],
        "marked Hello": [Unexpected(Hello(20001))],
        "Heartbeat": [ServerAlive()],
        "Connection": [VisitorCame(1, ID)],
        "Error": [PortInUse],
        **_NO_MESSAGE,
    },
)
_EXTENDED_ROW: Final[ClientRow] = row(
    [UnknownMessage],
    {
        "Extended": [ProtocolViolation],
        "Opened": [ProtocolViolation],
        "Closed": [ProtocolViolation],
        "Heartbeat": [SendData(frameOf(Alive())), ServerAlive()],
        "Visitor": [ProtocolViolation],
        "Refused": [PortInUse],
        "Moved": [SessionMoved("tls://example.com")],
        "NextKey": [KeyAnnounced(KEY)],
        "Nodes": [NodesNamed((NODE,))],
        "Goodbye": [ServerLeft],
        **_NO_EXTENDED_MESSAGE,
    },
)
_CLOSED: Final = TunnelClosed(1, "taken-over", "it is elsewhere", True)
_ASKED_ROW: Final[ClientRow] = {**_EXTENDED_ROW, "Opened": [TunnelOpened(1, 20001, TOKEN)]}
_OPENED_ROW: Final[ClientRow] = {**_EXTENDED_ROW, "Visitor": [VisitorCame(1, ID, SOURCE)], "Closed": [_CLOSED]}
_LEAVING_ROW: Final[ClientRow] = {**_EXTENDED_ROW, "Opened": [], "Visitor": [], "Closed": [_CLOSED]}
_MOVED_ROW: Final[ClientRow] = row([], {"4097 bytes": [FrameTooLong]})

#: The cells of the table of :mod:`bore.wire.clientsession`.
TABLE: Final[dict[str, ClientRow]] = {
    "CHALLENGE": _CHALLENGE_ROW,
    "PROBED": {
        **_CHALLENGE_ROW,
        **{key: [LateChallenge] for key in ("Challenge", "BindingChallenge")},
        **{key: [ServerHasNoSecret] for key in ("Extended", "Error")},
    },
    "ANSWER": _ANSWER_ROW,
    "ANSWER after the proof": {
        **_ANSWER_ROW,
        "Challenge": [ProtocolViolation],
        "BindingChallenge": [ProtocolViolation],
    },
    "OPEN": _OPEN_ROW,
    "OPEN after the proof": _OPEN_ROW,
    "EXTENDED": _EXTENDED_ROW,
    "EXTENDED after the proof": _EXTENDED_ROW,
    "EXTENDED, asked": _ASKED_ROW,
    "EXTENDED, asked after the proof": _ASKED_ROW,
    "EXTENDED, open": _OPENED_ROW,
    "EXTENDED, open after the proof": _OPENED_ROW,
    "EXTENDED, leaving": _LEAVING_ROW,
    "EXTENDED, leaving early": _LEAVING_ROW,
    "EXTENDED, gone": _EXTENDED_ROW,
    "MOVED": _MOVED_ROW,
    "MOVED, open": _MOVED_ROW,
}


def inState(name: str) -> ControlSession:
    """A session in this state."""
    return CLIENT_STATES[name]()


class TableTests(SynchronousTestCase):
    """Every state answers every message."""

    def test_everyStateAnswersEveryMessageAsTheTablesSay(self) -> None:
        self.assertEqual(list(TABLE), list(CLIENT_STATES))
        for state, cells in TABLE.items():
            for column, expected in cells.items():
                for data in COLUMNS[column]:
                    self.assertEqual(outcomesOf(inState(state), data), expected, f"{state}: {column} {data[:80]!r}")

    def test_aWrongValueOfAMessageOfTheExtensionIsMalformed(self) -> None:
        for frame in (
            b'"Opened"\0',
            b'{"Opened":8000}\0',
            b'{"Opened":{"tunnel":1,"port":1,"resume":null}}\0',
            b'{"Refused":"port-in-use"}\0',
            b'{"Visitor":{"tunnel":1,"id":1,"from":null}}\0',
            b'{"Heartbeat":1}\0',
            b'{"Goodbye":{}}\0',
            b'{"Extended":1}\0',
        ):
            for state in ("EXTENDED", "EXTENDED, open"):
                self.assertEqual(outcomesOf(inState(state), frame), [MalformedMessage], frame)

    def test_noTunnelIsOnPort0(self) -> None:
        for state, message in (("ANSWER", Hello(0)), ("EXTENDED, asked", Opened(1, 0, TOKEN, 60))):
            self.assertEqual(outcomesOf(inState(state), frameOf(message)), [ProtocolViolation])


class GreetingTests(SynchronousTestCase):
    """A client asks for its tunnel."""

    def test_aClientWithoutASecretAsksAtOnceAndOneWithASecretWaits(self) -> None:
        self.assertEqual(inState("ANSWER").greeting(), b'{"Hello":8000} \0')
        self.assertEqual(inState("CHALLENGE").greeting(), b"")

    def test_anEmptySecretIsASecret(self) -> None:
        session = controlSession(0, Secret(""))
        self.assertEqual(session.greeting(), b"")
        self.assertEqual(
            outcomesOf(session, encode(Challenge(ID))),
            [SendData(encode(Authenticate(proveBase(Secret(""), ID))) + b'{"Hello":0} \0')],
        )

    def test_theServersPortCountsAndNotTheOneAskedFor(self) -> None:
        self.assertEqual(outcomesOf(inState("ANSWER"), encode(Hello(9))), [TunnelOpened(1, 9)])
        self.assertEqual(outcomesOf(inState("EXTENDED, asked"), frameOf(Opened(1, 9, None, 60))), [TunnelOpened(1, 9)])

    def test_theTokenOfAnEarlierTunnelIsShownToAServerThatKnowsTheExtension(self) -> None:
        session = controlSession(8000, None)
        self.assertEqual(session.greeting(), b'{"Hello":8000} \0')
        self.assertEqual(outcomesOf(session, frameOf(Extended(1, LANE, 0.5, 3, 9))), [SessionOpened(LANE, 9, 0.5, 3)])
        self.assertEqual(session.open(1, 8000, TOKEN), frameOf(Open(1, 8000, TOKEN)))

    def test_aUserIsSentWhoItIsAndWhatItMayDo(self) -> None:
        session = controlSession(0, None)
        frame = frameOf(Extended(1, user="alice", rights="ports 20000-20009"))
        self.assertEqual(outcomesOf(session, frame), [SessionOpened(user="alice", rights="ports 20000-20009")])

    def test_onlyWhoWaitsForAChallengeAsksWhetherThereIsNone(self) -> None:
        for state in CLIENT_STATES:
            expected = b'{"Hello":1} \0' if state in ("CHALLENGE", "PROBED") else b""
            self.assertEqual(inState(state).noChallenge(), expected, state)

    def test_askingTooLateWhetherThereIsNoChallengeChangesNothing(self) -> None:
        session = inState("ANSWER after the proof")
        session.noChallenge()
        self.assertEqual(outcomesOf(session, encode(Hello(7))), [TunnelOpened(1, 7)])

    def test_aServerWithoutASecretAnswersTheQuestion(self) -> None:
        client, server = inState("CHALLENGE"), serverSession(None)
        self.assertEqual(outcomesOf(server, client.greeting()), [])
        self.assertEqual(outcomesOf(server, client.noChallenge()), [SessionAsked()])
        self.assertEqual(outcomesOf(client, frameOf(Extended(1))), [ServerHasNoSecret])

    def test_anOriginalServerWithoutASecretRefusesThePortOrOpensIt(self) -> None:
        for text in (kind.text for kind in _WITHOUT_PROOF):
            client = inState("CHALLENGE")
            client.noChallenge()
            self.assertEqual(outcomesOf(client, encode(Error(text))), [ServerHasNoSecret], text)
        for message in (Hello(1), Heartbeat(), Connection(ID)):
            client = inState("CHALLENGE")
            client.noChallenge()
            self.assertEqual(outcomesOf(client, encode(message)), [ServerHasNoSecret])

    def test_whatIsNotAboutASecretIsNotAnAnswer(self) -> None:
        for text, refusal in (
            ("server is shutting down", ShuttingDown),
            ("too many connections that say nothing", TooManyPending),
            ("server requires secret, but no secret was provided", SecretMissing),
            ("whatever", Refusal),
        ):
            client = inState("CHALLENGE")
            client.noChallenge()
            self.assertEqual(outcomesOf(client, encode(Error(text))), [refusal])

    def test_unaskedARefusalOfAPortProvesNothing(self) -> None:
        self.assertEqual(outcomesOf(inState("CHALLENGE"), encode(Error(PortNotAllowed.text))), [PortNotAllowed])

    def test_aChallengeBehindTheQuestionIsLateAndIsNotAnswered(self) -> None:
        client, server = inState("CHALLENGE"), serverSession(SECRET)
        question = client.noChallenge()
        self.assertEqual(outcomesOf(client, server.greeting()), [LateChallenge])
        self.assertEqual(outcomesOf(server, question), [SecretMissing])
