"""What is said on a connection to the control port, from both ends, without a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Final, TypeAlias
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.clientsession import (
    Alive,
    ControlSession,
    DataSession,
    Event,
    Say,
    TunnelOpened,
    Unexpected,
    VisitorCame,
)
from bore.wire.errors import (
    AuthenticationFailed,
    BindFailed,
    ClientHasNoSecret,
    FrameTooLong,
    InvalidSecret,
    LateChallenge,
    MalformedMessage,
    NoFreePort,
    OverlongProof,
    PortForbidden,
    PortInUse,
    PortNotAllowed,
    ProofTimeout,
    Refusal,
    SecretMissing,
    ServerHasNoSecret,
    ShuttingDown,
    UnreadableProof,
    Violation,
    WireError,
)
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
from bore.wire.serversession import PortAsked, Request, ServerSession, VisitorTaken
from tests.wire.strategies import (
    CLIENT_MESSAGES,
    PORTS,
    SERVER_MESSAGES,
    STREAMS,
    UNHURRIED,
    UUIDS,
    inPortions,
    portions,
)

SECRET: Final = Secret("my secret")
ID: Final = UUID("00000000-0000-4000-8000-000000000001")
OTHER: Final = UUID("00000000-0000-4000-8000-000000000002")

#: Frames that are no message, for either side.
NO_MESSAGES: Final = [b"\0", b"junk\0", b"\xff\0", b'{"Hello":70000}\0', b'{"Open":8000}\0', b"x" * 256 + b"\0"]

#: What a frame that is too long looks like, before and after its end has come.
TOO_LONG: Final = [b"x" * 257, b"x" * 257 + b"\0", b'{"Hello":8000}' + b" " * 250]


def challengeOf(session: ServerSession) -> UUID:
    """The challenge that a session greets with."""
    message = decodeServerMessage(session.greeting().removesuffix(b"\0"))
    assert isinstance(message, Challenge)
    return message.id


def rightProof(session: ServerSession) -> bytes:
    """The frame that proves our secret to a session."""
    return encode(Authenticate(SECRET.prove(challengeOf(session))))


ServerOutcome: TypeAlias = Request | type[WireError] | None


def serverHears(session: ServerSession, data: bytes) -> ServerOutcome:
    """What follows on the server from these bytes: a request, the class of what is raised, or nothing."""
    try:
        return session.feed(data)
    except WireError as e:
        return type(e)


def proofState() -> ServerSession:
    """A session that waits for the proof."""
    return ServerSession(SECRET)


def requestState() -> ServerSession:
    """A session without a secret, which waits for the request."""
    return ServerSession(None)


def provenState() -> ServerSession:
    """A session that has had its proof, and waits for the request."""
    session = ServerSession(SECRET)
    assert session.feed(rightProof(session)) is None
    return session


def controlState() -> ServerSession:
    """The settled session of a control connection."""
    session = ServerSession(None)
    assert session.feed(encode(Hello(1))) == PortAsked(1)
    return session


def dataState() -> ServerSession:
    """The settled session of a data connection."""
    session = provenState()
    assert session.feed(encode(Accept(OTHER))) == VisitorTaken(OTHER, b"")
    return session


def sameProof(session: ServerSession) -> list[bytes]:
    """The right proof, in either case; without a challenge one that was right elsewhere."""
    challenge = challengeOf(session) if session.greeting() else ID
    tag = SECRET.prove(challenge)
    return [encode(Authenticate(tag)), encode(Authenticate(tag.upper()))]


def wrongProofs(session: ServerSession) -> list[bytes]:
    """Proofs that are wrong in every way."""
    challenge = challengeOf(session) if session.greeting() else ID
    return [
        encode(Authenticate(proof))
        for proof in (SECRET.prove(OTHER), Secret("").prove(challenge), "", "no hex", SECRET.prove(challenge)[:-1], "é")
    ]


#: The columns of the table in ServerSession's docstring: what a client may send.
SERVER_COLUMNS: Final[dict[str, Callable[[ServerSession], list[bytes]]]] = {
    "right proof": sameProof,
    "wrong proof": wrongProofs,
    "Hello": lambda _: [encode(Hello(8000))],
    "Accept": lambda _: [encode(Accept(ID))],
    "no message": lambda _: NO_MESSAGES,
    "a server's message": lambda _: [encode(m) for m in (Challenge(ID), Heartbeat(), Connection(ID), Error("no"))],
    "too long": lambda _: TOO_LONG,
    "no end": lambda _: [b"", b'{"Hello":8000}', b"x" * 256],
}

#: The rows.
SERVER_STATES: Final[dict[str, Callable[[], ServerSession]]] = {
    "PROOF": proofState,
    "REQUEST": requestState,
    "REQUEST after the proof": provenState,
    "SETTLED, control": controlState,
    "SETTLED, data": dataState,
}

_REQUEST_ROW: Final[dict[str, ServerOutcome]] = {
    "right proof": Violation,
    "wrong proof": Violation,
    "Hello": PortAsked(8000),
    "Accept": VisitorTaken(ID, b""),
    "no message": MalformedMessage,
    "a server's message": MalformedMessage,
    "too long": FrameTooLong,
    "no end": None,
}

#: The cells.
SERVER_TABLE: Final[dict[str, dict[str, ServerOutcome]]] = {
    "PROOF": {
        "right proof": None,
        "wrong proof": InvalidSecret,
        "Hello": SecretMissing,
        "Accept": SecretMissing,
        "no message": UnreadableProof,
        "a server's message": UnreadableProof,
        "too long": OverlongProof,
        "no end": None,
    },
    "REQUEST": _REQUEST_ROW,
    "REQUEST after the proof": _REQUEST_ROW,
    "SETTLED, control": dict.fromkeys(SERVER_COLUMNS),
    "SETTLED, data": dict.fromkeys(SERVER_COLUMNS),
}


class ServerSessionTests(SynchronousTestCase):
    """The server's side."""

    def test_everyStateAnswersEveryMessageAsTheTableSays(self) -> None:
        for state, column in product(SERVER_STATES, SERVER_COLUMNS):
            for at in range(len(SERVER_COLUMNS[column](proofState()))):
                session = SERVER_STATES[state]()
                data = SERVER_COLUMNS[column](session)[at]
                self.assertEqual(serverHears(session, data), SERVER_TABLE[state][column], f"{state}: {column} {data!r}")

    def test_aServerWithASecretGreetsWithAChallengeAndOneWithoutSaysNothing(self) -> None:
        self.assertRegex(proofState().greeting(), rb'\A\{"Challenge":"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"\}\0\Z')
        self.assertEqual(requestState().greeting(), b"")

    def test_everySessionHasAChallengeOfItsOwnAndKeepsIt(self) -> None:
        sessions = [proofState() for _ in range(100)]
        self.assertEqual(len({challengeOf(session) for session in sessions}), 100)
        self.assertEqual(sessions[0].greeting(), sessions[0].greeting())
        self.assertEqual(challengeOf(sessions[0]).version, 4)

    def test_aProofForAnotherConnectionIsWrong(self) -> None:
        self.assertIs(serverHears(proofState(), rightProof(proofState())), InvalidSecret)

    def test_anEmptySecretHasToBeProvenToo(self) -> None:
        session = ServerSession(Secret(""))
        self.assertIs(serverHears(session, encode(Hello(1))), SecretMissing)
        session = ServerSession(Secret(""))
        proof = encode(Authenticate(Secret("").prove(challengeOf(session))))
        self.assertEqual(session.feed(proof + encode(Hello(1))), PortAsked(1))

    def test_proofAndRequestMayComeInOneSegment(self) -> None:
        session = proofState()
        self.assertEqual(session.feed(rightProof(session) + encode(Hello(8000))), PortAsked(8000))
        session = proofState()
        self.assertEqual(session.feed(rightProof(session) + encode(Accept(ID))), VisitorTaken(ID, b""))

    def test_theProofIsAskedForOnce(self) -> None:
        session = proofState()
        proof = rightProof(session)
        self.assertIs(serverHears(session, proof + proof), Violation)

    def test_whatFollowsAWrongProofIsNotRead(self) -> None:
        session = proofState()
        self.assertIs(
            serverHears(session, encode(Authenticate("00" * 32)) + rightProof(session) + encode(Hello(1))),
            InvalidSecret,
        )

    def test_whatFollowsTheProofIsReadByTheRulesOfTheRequest(self) -> None:
        for data, outcome in ((b"junk\0", MalformedMessage), (b"x" * 257, FrameTooLong), (b"x" * 256, None)):
            session = proofState()
            self.assertEqual(serverHears(session, rightProof(session) + data), outcome)

    def test_everyPortMayBeAskedFor(self) -> None:
        for port in (0, 1, 1023, 1024, 65535):
            self.assertEqual(requestState().feed(encode(Hello(port))), PortAsked(port))

    def test_bytesBehindAcceptBelongToTheVisitor(self) -> None:
        early = b'early\0\xff bytes\0{"Hello":1}\0' + b"x" * 1000
        self.assertEqual(requestState().feed(encode(Accept(ID)) + early), VisitorTaken(ID, early))
        session = proofState()
        self.assertEqual(session.feed(rightProof(session) + encode(Accept(ID)) + early), VisitorTaken(ID, early))

    def test_bytesBehindHelloAreThrownAway(self) -> None:
        for behind in (encode(Hello(2)), encode(Accept(ID)), b"junk\0", b"x" * 10_000):
            session = requestState()
            self.assertEqual(session.feed(encode(Hello(1)) + behind), PortAsked(1))
            self.assertIsNone(session.feed(b"\0"))

    def test_whatTheConnectionIsForIsToldOnce(self) -> None:
        for settled in (controlState(), dataState()):
            for data in (encode(Hello(2)), encode(Accept(ID)), b"junk\0", b"x" * 10_000, b"\0", b""):
                self.assertIsNone(settled.feed(data))

    def test_onlyWhoWaitsForTheProofIsToldThatTimeIsUp(self) -> None:
        refusal = proofState().timedOut()
        self.assertIsInstance(refusal, ProofTimeout)
        self.assertEqual(str(refusal), "timed out waiting for initial message")
        for settled in (requestState(), provenState(), controlState(), dataState()):
            self.assertIsNone(settled.timedOut())

    def test_halfAProofIsStillNone(self) -> None:
        session = proofState()
        session.feed(rightProof(session)[:-1])
        self.assertIsInstance(session.timedOut(), ProofTimeout)

    def test_refusalsHaveTheOriginalsWords(self) -> None:
        for data, text in (
            (encode(Authenticate("00" * 32)), "invalid secret"),
            (encode(Hello(1)), "server requires secret, but no secret was provided"),
            (encode(Accept(ID)), "server requires secret, but no secret was provided"),
            (b"junk\0", "unable to parse message"),
            (b"x" * 257, "frame error, invalid byte length"),
        ):
            self.assertEqual(str(self.assertRaises(Refusal, proofState().feed, data)), text)

    def test_violationsAreNoRefusals(self) -> None:
        for data in (b"junk\0", b"x" * 257, encode(Authenticate("00" * 32))):
            self.assertNotIsInstance(self.assertRaises(Violation, requestState().feed, data), Refusal)

    @UNHURRIED
    @given(st.booleans(), CLIENT_MESSAGES.map(encode), st.binary(max_size=40), st.data())
    def test_aClientsBytesMayArriveInAnyPortions(
        self, secret: bool, request: bytes, behind: bytes, data: st.DataObject
    ) -> None:
        whole, session = (proofState(), proofState()) if secret else (requestState(), requestState())
        wholeProof, proof = (rightProof(whole), rightProof(session)) if secret else (b"", b"")
        expected = serverHears(whole, wholeProof + request + behind)
        arriving = iter(data.draw(portions(proof + request + behind)))
        outcome: ServerOutcome = None
        for portion in arriving:
            outcome = serverHears(session, portion)
            if outcome is not None:
                break
        if isinstance(outcome, VisitorTaken):
            outcome = VisitorTaken(outcome.id, outcome.rest + b"".join(arriving))
        self.assertIsNotNone(outcome)
        self.assertEqual(outcome, expected)

    @UNHURRIED
    @given(st.sampled_from([proofState, requestState, provenState]), inPortions(STREAMS))
    def test_arbitraryBytesInAnyPortionsAreARequestOrAWireError(
        self, state: Callable[[], ServerSession], sent: tuple[bytes, list[bytes]]
    ) -> None:
        stream, arriving = sent
        expected = serverHears(state(), stream)
        session = state()
        outcome: ServerOutcome = None
        taken = 0
        for portion in arriving:
            taken += len(portion)
            outcome = serverHears(session, portion)
            if outcome is not None:
                break
        if isinstance(outcome, VisitorTaken):
            outcome = VisitorTaken(outcome.id, outcome.rest + stream[taken:])
        self.assertEqual(outcome, expected)

    @UNHURRIED
    @given(st.sampled_from([controlState, dataState]), inPortions(STREAMS))
    def test_arbitraryBytesMeanNothingToASettledSession(
        self, state: Callable[[], ServerSession], sent: tuple[bytes, list[bytes]]
    ) -> None:
        session = state()
        for portion in sent[1]:
            self.assertIsNone(session.feed(portion))


ClientOutcome: TypeAlias = Event | type[WireError]


def clientHears(session: ControlSession, data: bytes) -> Iterator[ClientOutcome]:
    """What follows on the client from these bytes: events, and the class of what is raised in the end."""
    try:
        yield from session.feed(data)
    except WireError as e:
        yield type(e)


def challengeState() -> ControlSession:
    """A client with a secret, which waits for the challenge."""
    return ControlSession(8000, SECRET)


def probedState() -> ControlSession:
    """A client with a secret, which has waited for the challenge and asked whether there is none."""
    session = challengeState()
    assert session.noChallenge() == encode(Hello(0))
    return session


def answerState() -> ControlSession:
    """A client without a secret, which waits for the answer to its Hello."""
    return ControlSession(8000, None)


def provedState() -> ControlSession:
    """A client that has proved its secret, and waits for the answer to its Hello."""
    session = challengeState()
    assert len(list(session.feed(encode(Challenge(OTHER))))) == 1
    return session


def openState() -> ControlSession:
    """A client whose tunnel is up."""
    session = answerState()
    assert list(session.feed(encode(Hello(8000)))) == [TunnelOpened(8000)]
    return session


def provedOpenState() -> ControlSession:
    """A client with a secret whose tunnel is up."""
    session = provedState()
    assert list(session.feed(encode(Hello(8000)))) == [TunnelOpened(8000)]
    return session


#: The columns of the table in ControlSession's docstring: what a server may send.
CLIENT_COLUMNS: Final[dict[str, list[bytes]]] = {
    "Challenge": [encode(Challenge(ID))],
    "Hello": [encode(Hello(20001))],
    "Heartbeat": [encode(Heartbeat())],
    "Connection": [encode(Connection(ID))],
    "Error": [encode(Error("port already in use"))],
    "no message": [*NO_MESSAGES, b'{"Error":7}\0'],
    "a client's message": [encode(Authenticate("00" * 32)), encode(Accept(ID))],
    "too long": TOO_LONG,
    "no end": [b"", b'{"Hello":8000}', b"x" * 256],
}

#: The rows.
CLIENT_STATES: Final[dict[str, Callable[[], ControlSession]]] = {
    "CHALLENGE": challengeState,
    "CHALLENGE, probed": probedState,
    "ANSWER": answerState,
    "ANSWER after the proof": provedState,
    "OPEN": openState,
    "OPEN after the proof": provedOpenState,
}

_ANYWHERE: Final[dict[str, list[ClientOutcome]]] = {
    "Error": [PortInUse],
    "no message": [MalformedMessage],
    "a client's message": [MalformedMessage],
    "too long": [FrameTooLong],
    "no end": [],
}
_CHALLENGE_ROW: Final[dict[str, list[ClientOutcome]]] = {
    "Challenge": [Say(encode(Authenticate(SECRET.prove(ID))) + encode(Hello(8000)))],
    "Hello": [ServerHasNoSecret],
    "Heartbeat": [ServerHasNoSecret],
    "Connection": [ServerHasNoSecret],
    **_ANYWHERE,
}
_ANSWER_ROW: Final[dict[str, list[ClientOutcome]]] = {
    "Challenge": [ClientHasNoSecret],
    "Hello": [TunnelOpened(20001)],
    "Heartbeat": [Violation],
    "Connection": [Violation],
    **_ANYWHERE,
}
_OPEN_ROW: Final[dict[str, list[ClientOutcome]]] = {
    "Challenge": [Unexpected(Challenge(ID))],
    "Hello": [Unexpected(Hello(20001))],
    "Heartbeat": [Alive()],
    "Connection": [VisitorCame(ID)],
    **_ANYWHERE,
}

#: The cells.
CLIENT_TABLE: Final[dict[str, dict[str, list[ClientOutcome]]]] = {
    "CHALLENGE": _CHALLENGE_ROW,
    "CHALLENGE, probed": {**_CHALLENGE_ROW, "Challenge": [LateChallenge]},
    "ANSWER": _ANSWER_ROW,
    "ANSWER after the proof": {**_ANSWER_ROW, "Challenge": [Violation]},
    "OPEN": _OPEN_ROW,
    "OPEN after the proof": _OPEN_ROW,
}


class ControlSessionTests(SynchronousTestCase):
    """The client's side of the control connection."""

    def test_everyStateAnswersEveryMessageAsTheTableSays(self) -> None:
        for state, column in product(CLIENT_STATES, CLIENT_COLUMNS):
            for data in CLIENT_COLUMNS[column]:
                self.assertEqual(
                    list(clientHears(CLIENT_STATES[state](), data)),
                    CLIENT_TABLE[state][column],
                    f"{state}: {column} {data!r}",
                )

    def test_aClientWithoutASecretAsksAtOnceAndOneWithASecretWaits(self) -> None:
        self.assertEqual(answerState().greeting(), b'{"Hello":8000}\0')
        self.assertEqual(challengeState().greeting(), b"")

    def test_anEmptySecretIsASecret(self) -> None:
        session = ControlSession(0, Secret(""))
        self.assertEqual(session.greeting(), b"")
        self.assertEqual(
            list(session.feed(encode(Challenge(ID)))),
            [Say(encode(Authenticate(Secret("").prove(ID))) + b'{"Hello":0}\0')],
        )

    def test_anOpenTunnelStaysOpenWhateverIsIgnored(self) -> None:
        session = openState()
        self.assertEqual(
            list(session.feed(encode(Challenge(ID)) + encode(Hello(1)))),
            [Unexpected(Challenge(ID)), Unexpected(Hello(1))],
        )
        self.assertEqual(list(session.feed(encode(Connection(ID)) + encode(Heartbeat()))), [VisitorCame(ID), Alive()])

    def test_theServersPortCountsAndNotTheOneAskedFor(self) -> None:
        self.assertEqual(list(answerState().feed(encode(Hello(9)))), [TunnelOpened(9)])

    def test_manyMessagesMayComeInOneSegment(self) -> None:
        session = challengeState()
        said: list[ServerMessage] = [Challenge(ID), Hello(7), Heartbeat(), Connection(ID), Connection(OTHER)]
        self.assertEqual(
            list(session.feed(b"".join(map(encode, said)))),
            [
                Say(encode(Authenticate(SECRET.prove(ID))) + encode(Hello(8000))),
                TunnelOpened(7),
                Alive(),
                VisitorCame(ID),
                VisitorCame(OTHER),
            ],
        )

    def test_eventsAreToldOneByOneAndWhatIsWrongOnlyInItsTurn(self) -> None:
        events = answerState().feed(encode(Hello(7)) + encode(Heartbeat()) + b"junk\0" + encode(Heartbeat()))
        self.assertEqual(next(events), TunnelOpened(7))
        self.assertEqual(next(events), Alive())
        self.assertRaises(MalformedMessage, next, events)

    def test_aRefusalCarriesTheServersWords(self) -> None:
        for text in ("port already in use", "no such thing as luck", "", "zu spät 😀"):
            error = self.assertRaises(Refusal, list, answerState().feed(encode(Error(text))))
            self.assertEqual(str(error), text)

    def test_everyTextOfTheOriginalStandsForItsRefusal(self) -> None:
        for text, kind in (
            ("client port number not in allowed range", PortNotAllowed),
            ("port already in use", PortInUse),
            ("permission denied", PortForbidden),
            ("failed to bind to port", BindFailed),
            ("failed to find an available port", NoFreePort),
            ("invalid secret", InvalidSecret),
            ("server requires secret, but no secret was provided", SecretMissing),
            ("unable to parse message", UnreadableProof),
            ("frame error, invalid byte length", OverlongProof),
            ("timed out waiting for initial message", ProofTimeout),
            ("server is shutting down", ShuttingDown),
            ("no such thing as luck", Refusal),
            ("Invalid secret", Refusal),
            ("request refused", Refusal),
        ):
            self.assertEqual(list(clientHears(answerState(), encode(Error(text)))), [kind])
            self.assertEqual(str(kind(text)), text)
            if kind is not Refusal:
                self.assertEqual(str(kind()), text)

    def test_whatAClientFindsOutForItselfIsNotTakenFromAServersWords(self) -> None:
        for own in (ClientHasNoSecret, ServerHasNoSecret):
            self.assertEqual(list(clientHears(answerState(), encode(Error(own.text)))), [Refusal])

    def test_allThatASecretDecidesIsAnAuthenticationFailure(self) -> None:
        for kind in (InvalidSecret, SecretMissing, ClientHasNoSecret, ServerHasNoSecret):
            self.assertTrue(issubclass(kind, AuthenticationFailed))
        for other in (PortInUse, ProofTimeout, UnreadableProof, LateChallenge, ShuttingDown):
            self.assertFalse(issubclass(other, AuthenticationFailed))

    def test_whatAClientFindsOutForItselfIsSaidInTheOriginalsWords(self) -> None:
        error = self.assertRaises(Refusal, list, answerState().feed(encode(Challenge(ID))))
        self.assertEqual(str(error), "server requires authentication, but no client secret was provided")
        error = self.assertRaises(Refusal, list, challengeState().feed(encode(Hello(1))))
        self.assertEqual(str(error), "expected authentication challenge, but no secret was required")

    def test_onlyWhoWaitsForAChallengeAsksWhetherThereIsNone(self) -> None:
        self.assertEqual(challengeState().noChallenge(), b'{"Hello":0}\0')
        for session in (answerState(), provedState(), openState(), provedOpenState()):
            self.assertEqual(session.noChallenge(), b"")

    def test_askingTooLateWhetherThereIsNoChallengeChangesNothing(self) -> None:
        session = provedState()
        session.noChallenge()
        self.assertEqual(list(session.feed(encode(Hello(7)))), [TunnelOpened(7)])

    def test_aServerWithoutASecretAnswersTheQuestion(self) -> None:
        client, server = challengeState(), ServerSession(None)
        self.assertEqual(server.feed(client.greeting()), None)
        self.assertEqual(server.feed(client.noChallenge()), PortAsked(0))
        self.assertEqual(list(clientHears(client, encode(Hello(20001)))), [ServerHasNoSecret])

    def test_aChallengeBehindTheQuestionIsLateAndIsNotAnswered(self) -> None:
        client, server = challengeState(), ServerSession(SECRET)
        question = client.noChallenge()
        self.assertEqual(list(clientHears(client, server.greeting())), [LateChallenge])
        self.assertIs(serverHears(server, question), SecretMissing)

    @UNHURRIED
    @given(st.text(), st.text(), PORTS)
    def test_twoEndsComeToTermsIfTheyShareASecret(self, ours: str, theirs: str, port: int) -> None:
        client, server = ControlSession(port, Secret(ours)), ServerSession(Secret(theirs))
        (said,) = client.feed(server.greeting())
        assert isinstance(said, Say)
        self.assertEqual(serverHears(server, said.data), PortAsked(port) if ours == theirs else InvalidSecret)

    @UNHURRIED
    @given(
        st.sampled_from(list(CLIENT_STATES.values())),
        inPortions(st.lists(SERVER_MESSAGES, max_size=5).map(lambda said: b"".join(map(encode, said))) | STREAMS),
    )
    def test_aServersBytesMayArriveInAnyPortions(
        self, state: Callable[[], ControlSession], sent: tuple[bytes, list[bytes]]
    ) -> None:
        stream, arriving = sent
        session = state()
        outcomes: list[ClientOutcome] = []
        for portion in arriving:
            outcomes += clientHears(session, portion)
            if outcomes and isinstance(outcomes[-1], type):
                break
        self.assertEqual(outcomes, list(clientHears(state(), stream)))

    @UNHURRIED
    @given(st.lists(SERVER_MESSAGES.filter(lambda message: not isinstance(message, Error)), max_size=8))
    def test_anOpenTunnelLivesThroughAnyMessagesButError(
        self, said: list[Challenge | Hello | Heartbeat | Connection]
    ) -> None:
        events = list(clientHears(openState(), b"".join(map(encode, said))))
        self.assertEqual(len(events), len(said))
        for event in events:
            self.assertIsInstance(event, Alive | VisitorCame | Unexpected)


DataOutcome: TypeAlias = bytes | type[WireError] | None


def dataHears(session: DataSession, data: bytes) -> DataOutcome:
    """What follows on a data connection: the last words, the class of what is raised, or nothing yet."""
    try:
        return session.feed(data)
    except WireError as e:
        return type(e)


LAST_WORDS: Final = encode(Authenticate(SECRET.prove(ID))) + encode(Accept(OTHER))


class DataSessionTests(SynchronousTestCase):
    """The client's side of a data connection."""

    def test_withoutASecretAcceptIsAllThatIsSaid(self) -> None:
        session = DataSession(ID, None)
        self.assertEqual(session.greeting(), b'{"Accept":"00000000-0000-4000-8000-000000000001"}\0')
        self.assertEqual(session.takeRest(), b"")

    def test_withASecretTheChallengeComesFirst(self) -> None:
        self.assertEqual(DataSession(ID, SECRET).greeting(), b"")
        self.assertEqual(DataSession(ID, Secret("")).greeting(), b"")

    def test_everyMessageIsAnsweredAsItShould(self) -> None:
        expected: dict[str, DataOutcome] = {
            "Challenge": LAST_WORDS,
            "Hello": Violation,
            "Heartbeat": Violation,
            "Connection": Violation,
            "Error": PortInUse,
            "no message": MalformedMessage,
            "a client's message": MalformedMessage,
            "too long": FrameTooLong,
            "no end": None,
        }
        for column, frames in CLIENT_COLUMNS.items():
            for data in frames:
                self.assertEqual(dataHears(DataSession(OTHER, SECRET), data), expected[column], f"{column} {data!r}")

    def test_aRefusalCarriesTheServersWords(self) -> None:
        error = self.assertRaises(Refusal, DataSession(ID, SECRET).feed, encode(Error("go away")))
        self.assertEqual((type(error), str(error)), (Refusal, "go away"))

    def test_bytesBehindTheChallengeAreTheVisitors(self) -> None:
        early = encode(Heartbeat()) + b"\0\xff" + b"x" * 1000
        session = DataSession(OTHER, SECRET)
        self.assertEqual(session.feed(encode(Challenge(ID)) + early), LAST_WORDS)
        self.assertEqual(session.takeRest(), early)
        self.assertEqual(session.takeRest(), b"")

    @UNHURRIED
    @given(st.text(), UUIDS, st.binary())
    def test_aServerWithTheSameSecretHandsTheVisitorOver(self, secret: str, visitor: UUID, early: bytes) -> None:
        client, server = DataSession(visitor, Secret(secret)), ServerSession(Secret(secret))
        said = client.feed(server.greeting())
        assert said is not None
        self.assertEqual(server.feed(said + early), VisitorTaken(visitor, early))

    @UNHURRIED
    @given(inPortions(st.builds(lambda id, behind: encode(Challenge(id)) + behind, UUIDS, st.binary()) | STREAMS))
    def test_aServersBytesMayArriveInAnyPortions(self, sent: tuple[bytes, list[bytes]]) -> None:
        stream, arriving = sent
        whole, session = DataSession(OTHER, SECRET), DataSession(OTHER, SECRET)
        taken = 0
        outcome: DataOutcome = None
        for portion in arriving:
            taken += len(portion)
            outcome = dataHears(session, portion)
            if outcome is not None:
                break
        self.assertEqual(outcome, dataHears(whole, stream))
        if isinstance(outcome, bytes):
            self.assertEqual(session.takeRest() + stream[taken:], stream[stream.index(b"\0") + 1 :])
            self.assertEqual(whole.takeRest(), stream[stream.index(b"\0") + 1 :])
