"""What may be sent on a lane, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Final, TypeAlias

from twisted.trial.unittest import SynchronousTestCase

from bore.wire.errors import ProtocolViolation
from bore.wire.lane import BARE, DATA, DONE, END, FIN, OPEN, RAW, RESET, LaneSession
from tests.wire.lanes import KINDS, WAYS, State

#: What leads from OPEN to each state.
_LEADING: Final[dict[str, list[int]]] = {
    "OPEN": [DATA],
    "RAW": [DATA, RAW, BARE],
    "ENDED": [DATA, END],
    "RESET": [DATA, RESET],
    "ENDED behind RAW": [RAW, BARE, FIN],
}

#: Every state that a side of a lane can be in.
STATES: Final = [
    State(serves, sent, received)
    for serves in (True, False)
    for sent, received in [("NONE", "NONE"), *[(sent, received) for sent in _LEADING for received in _LEADING]]
] + [
    State(True, "ENDED", "ENDED", long=True),
    State(True, "ENDED", "DONE", long=True),
    State(True, "ENDED", "DONE"),
    State(False, "ENDED", "ENDED", long=True),
    State(False, "DONE", "ENDED", long=True),
]

#: All that can be seen of a session: its properties, and the kinds that it lets pass in either direction.
Behaviour: TypeAlias = tuple[bool, bool, bool, list[str], list[str]]


def sends(session: LaneSession, kind: int) -> None:
    """This side sends a frame of this kind."""
    if kind == FIN:
        session.sentEnd()
    else:
        session.sent(kind)


def receives(session: LaneSession, kind: int) -> None:
    """The other side sends a frame of this kind."""
    if kind != FIN:
        session.received(kind)
    elif not session.ended():
        raise ProtocolViolation("the connection has ended, and there is no direction that has ended with it")


def inState(state: State) -> LaneSession:
    """A session in this state, which it has reached by frames."""
    session = LaneSession(state.serves)
    if state.sent != "NONE":
        (sends if state.serves else receives)(session, OPEN)
        for kind in _LEADING.get(state.sent, [END]):
            sends(session, kind)
        for kind in _LEADING.get(state.received, [END]):
            receives(session, kind)
    session.long = state.long
    if state.sent == "DONE":
        sends(session, DONE)
    if state.received == "DONE":
        receives(session, DONE)
    return session


def passing(session: LaneSession, move: Callable[[LaneSession, int], None]) -> Iterator[str]:
    """The kinds that a session lets pass."""
    for kind, name in KINDS.items():
        try:
            move(deepcopy(session), kind)
        except (ProtocolViolation, AssertionError, KeyError):
            continue
        yield name


def behaviour(session: LaneSession) -> Behaviour:
    """All that can be seen of a session."""
    return session.idle, session.over, session.maySend, [*passing(session, sends)], [*passing(session, receives)]


def expected(state: State) -> Behaviour:
    """The behaviour of a session in this state, by the model."""
    sending, receiving = (
        [name for kind, name in KINDS.items() if kind in may] for may in (state.sending(), state.receiving())
    )
    return state.idle, state.over, state.sent == "OPEN", sending, receiving


class TableTests(SynchronousTestCase):
    """Every state answers every kind, on either side and in either direction."""

    def test_everyStateIsWhatTheTableSays(self) -> None:
        self.assertEqual(len(STATES), 57)
        self.assertEqual({*WAYS}, {"NONE", "DONE", *_LEADING})
        for state in STATES:
            self.assertEqual(behaviour(inState(state)), expected(state), state)

    def test_everythingThatIsReceivedLeadsWhereTheTableSaysOrIsAViolation(self) -> None:
        for state in STATES:
            for kind in KINDS:
                session, after = inState(state), state.receiving().get(kind)
                if after is not None:
                    receives(session, kind)
                    self.assertEqual(behaviour(session), expected(after), (state, kind))
                elif kind != FIN:
                    self.assertRaises(ProtocolViolation, session.received, kind)
                    self.assertEqual(behaviour(session), expected(state), (state, kind))

    def test_everythingThatIsSentLeadsWhereTheTableSaysOrIsAFaultOfTheProgram(self) -> None:
        for state in STATES:
            for kind in KINDS:
                session, after = inState(state), state.sending().get(kind)
                if after is not None:
                    sends(session, kind)
                    self.assertEqual(behaviour(session), expected(after), (state, kind))
                else:
                    self.assertRaises((AssertionError, KeyError), sends, session, kind)
                    self.assertEqual(behaviour(session), expected(state), (state, kind))

    def test_theEndOfTheConnectionIsTheOrderlyEndOfADirectionThatIsRawAndOfNoOther(self) -> None:
        for state in STATES:
            session = inState(state)
            self.assertIs(session.ended(), state.received == "RAW", state)
            ends = state.received == "RAW" and state.sent not in ("OPEN", "RAW")
            self.assertIs(session.over, state.over or state.hasEnded or ends, state)

    def test_aConnectionEndsOnce(self) -> None:
        session = inState(State(True, "OPEN", "RAW"))
        self.assertEqual((session.ended(), session.ended()), (True, False))

    def test_behindTheEndOfTheConnectionThereIsNoNextVisitor(self) -> None:
        for state in STATES:
            session = inState(state)
            session.ended()
            self.assertFalse(session.idle)
            self.assertNotIn("OPEN", [*passing(session, sends), *passing(session, receives)], state)

    def test_aKindThatThereIsNotIsAViolationInEveryState(self) -> None:
        for state in STATES:
            for kind in (-1, 7, 255):
                self.assertRaises(ProtocolViolation, inState(state).received, kind)


class VisitorTests(SynchronousTestCase):
    """A lane has one visitor after another, as long as nothing goes RAW."""

    def setUp(self) -> None:
        self.server = LaneSession(True)
        self.client = LaneSession(False)

    def serverSends(self, *kinds: int) -> None:
        """The server sends this, and the client receives it."""
        for kind in kinds:
            sends(self.server, kind)
            receives(self.client, kind)

    def clientSends(self, *kinds: int) -> None:
        """The client sends this, and the server receives it."""
        for kind in kinds:
            sends(self.client, kind)
            receives(self.server, kind)

    def assertIdle(self, idle: bool) -> None:
        """Both sides know whether the lane can have its next visitor."""
        self.assertEqual((self.server.idle, self.client.idle), (idle, idle))

    def test_aNewLaneIsIdle(self) -> None:
        self.assertIdle(True)

    def test_aLaneHasManyVisitorsAndIsAsGoodAsNewBehindEach(self) -> None:
        for ours in (END, RESET):
            for theirs in (END, RESET):
                self.serverSends(OPEN, DATA)
                self.assertIdle(False)
                self.clientSends(DATA, theirs)
                self.assertIdle(False)
                self.serverSends(DATA, ours)
                self.assertIdle(True)
        self.assertEqual(behaviour(self.server), expected(State(True)))
        self.assertEqual(behaviour(self.client), expected(State(False)))

    def test_onlyTheServerBringsVisitors(self) -> None:
        self.assertRaises(AssertionError, self.client.sent, OPEN)
        self.assertRaises(ProtocolViolation, self.server.received, OPEN)

    def test_aVisitorAtATimeIsEnough(self) -> None:
        self.serverSends(OPEN)
        for kinds in ([], [END]):
            self.serverSends(*kinds)
            self.assertRaises(AssertionError, self.server.sent, OPEN)
            self.assertRaises(ProtocolViolation, self.client.received, OPEN)

    def test_dataBehindOnesOwnResetIsStillReceived(self) -> None:
        self.serverSends(OPEN)
        self.server.sent(RESET)
        for kind in (DATA, DATA, RESET):
            self.server.received(kind)
        self.assertTrue(self.server.idle)

    def test_resetsThatCrossAreNotAnswered(self) -> None:
        self.serverSends(OPEN)
        self.server.sent(RESET)
        self.client.sent(RESET)
        self.server.received(RESET)
        self.client.received(RESET)
        self.assertIdle(True)

    def test_aDirectionHasOneLastFrame(self) -> None:
        for last in (END, RESET):
            for more in (DATA, END, RESET, RAW):
                self.setUp()
                self.serverSends(OPEN, last)
                self.assertRaises(KeyError, self.server.sent, more)
                self.assertRaises(ProtocolViolation, self.client.received, more)

    def test_behindRawThereAreNoFramesAndNoNextVisitor(self) -> None:
        self.serverSends(OPEN, RAW)
        for kind in (DATA, END, RESET, RAW, OPEN):
            self.assertRaises(ProtocolViolation, deepcopy(self.client).received, kind)
        self.clientSends(DATA, END)
        self.serverSends(BARE, FIN)
        self.assertEqual((self.server.over, self.client.over), (True, True))
        self.assertIdle(False)
        self.assertRaises(AssertionError, self.server.sent, OPEN)
        self.assertRaises(ProtocolViolation, self.client.received, OPEN)

    def test_aLaneOfWhichTheClientsDirectionWasRawHasNoNextVisitorEither(self) -> None:
        self.serverSends(OPEN)
        self.clientSends(RAW, BARE, FIN)
        self.serverSends(END)
        self.assertIdle(False)
        self.assertRaises(ProtocolViolation, self.client.received, OPEN)

    def test_bothDirectionsMayGoRaw(self) -> None:
        self.serverSends(OPEN, RAW, BARE)
        self.clientSends(RAW, BARE, FIN)
        self.assertFalse(self.server.over)
        self.serverSends(BARE, FIN)
        self.assertEqual((self.server.over, self.client.over), (True, True))
        self.assertIdle(False)

    def test_behindALongStreamThatHasEndedTheLaneIsIdleWhenTheClientHasSentDone(self) -> None:
        for first, second in ((self.serverSends, self.clientSends), (self.clientSends, self.serverSends)):
            self.setUp()
            self.serverSends(OPEN, DATA)
            first(END)
            second(END)
            self.server.long = self.client.long = True
            self.assertIdle(False)
            self.assertEqual((self.server.concluded, self.server.over), (True, False))
            self.assertRaises(AssertionError, self.server.sent, OPEN)
            self.clientSends(DONE)
            self.assertIdle(True)
            self.serverSends(OPEN)
            self.clientSends(END)
            self.serverSends(END)
            self.assertIdle(True)

    def test_behindAResetThereIsNoDone(self) -> None:
        for ours, theirs in ((RESET, END), (END, RESET), (RESET, RESET)):
            self.setUp()
            self.serverSends(OPEN, ours)
            self.clientSends(theirs)
            self.server.long = self.client.long = True
            self.assertIdle(True)
            self.assertRaises(AssertionError, self.client.sent, DONE)
            self.assertRaises(ProtocolViolation, self.server.received, DONE)

    def test_onlyTheClientSendsDoneAndOnlyOnce(self) -> None:
        self.serverSends(OPEN, END)
        self.assertRaises(ProtocolViolation, self.server.received, DONE)
        self.clientSends(END)
        self.server.long = self.client.long = True
        self.assertRaises(AssertionError, self.server.sent, DONE)
        self.assertRaises(ProtocolViolation, self.client.received, DONE)
        self.clientSends(DONE)
        self.assertRaises(AssertionError, self.client.sent, DONE)
        self.assertRaises(ProtocolViolation, self.server.received, DONE)
