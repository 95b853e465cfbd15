"""What may be said on a lane, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Final, TypeAlias

from twisted.trial.unittest import SynchronousTestCase

from bore.wire.errors import ProtocolViolation
from bore.wire.lane import BARE, DATA, END, FIN, OPEN, RAW, RESET, LaneSession
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
    State(serves, said, heard)
    for serves in (True, False)
    for said, heard in [("NONE", "NONE"), *[(said, heard) for said in _LEADING for heard in _LEADING]]
]

#: All that can be seen of a session: its properties, and the kinds that it lets pass in either direction.
Behaviour: TypeAlias = tuple[bool, bool, bool, list[str], list[str]]


def says(session: LaneSession, kind: int) -> None:
    """This side says something of this kind."""
    if kind == FIN:
        session.sentEnd()
    else:
        session.sent(kind)


def hears(session: LaneSession, kind: int) -> None:
    """The other side says something of this kind."""
    if kind != FIN:
        session.received(kind)
    elif not session.ended():
        raise ProtocolViolation("the connection has ended, and there is no direction that has ended with it")


def inState(state: State) -> LaneSession:
    """A session in this state, which it has come to by what was said."""
    session = LaneSession(state.serves)
    if state.said != "NONE":
        (says if state.serves else hears)(session, OPEN)
        for kind in _LEADING[state.said]:
            says(session, kind)
        for kind in _LEADING[state.heard]:
            hears(session, kind)
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
    return session.idle, session.over, session.maySend, [*passing(session, says)], [*passing(session, hears)]


def expected(state: State) -> Behaviour:
    """All that can be seen of a session in this state, by the book."""
    saying, hearing = (
        [name for kind, name in KINDS.items() if kind in may] for may in (state.saying(), state.hearing())
    )
    return state.idle, state.over, state.said == "OPEN", saying, hearing


class TableTests(SynchronousTestCase):
    """Every state answers every kind, on either side and in either direction."""

    def test_everyStateIsWhatTheTableSays(self) -> None:
        self.assertEqual(len(STATES), 52)
        self.assertEqual({*WAYS}, {"NONE", *_LEADING})
        for state in STATES:
            self.assertEqual(behaviour(inState(state)), expected(state), state)

    def test_everythingThatIsHeardLeadsWhereTheTableSaysOrIsAViolation(self) -> None:
        for state in STATES:
            for kind in KINDS:
                session, after = inState(state), state.hearing().get(kind)
                if after is not None:
                    hears(session, kind)
                    self.assertEqual(behaviour(session), expected(after), (state, kind))
                elif kind != FIN:
                    self.assertRaises(ProtocolViolation, session.received, kind)
                    self.assertEqual(behaviour(session), expected(state), (state, kind))

    def test_everythingThatIsSaidLeadsWhereTheTableSaysOrIsAFaultOfTheProgram(self) -> None:
        for state in STATES:
            for kind in KINDS:
                session, after = inState(state), state.saying().get(kind)
                if after is not None:
                    says(session, kind)
                    self.assertEqual(behaviour(session), expected(after), (state, kind))
                else:
                    self.assertRaises((AssertionError, KeyError), says, session, kind)
                    self.assertEqual(behaviour(session), expected(state), (state, kind))

    def test_theEndOfTheConnectionIsTheOrderlyEndOfADirectionThatIsRawAndOfNoOther(self) -> None:
        for state in STATES:
            session = inState(state)
            self.assertIs(session.ended(), state.heard == "RAW", state)
            self.assertIs(session.over, state.over or (state.heard == "RAW" and state.said not in ("OPEN", "RAW")))

    def test_aConnectionEndsOnce(self) -> None:
        session = inState(State(True, "OPEN", "RAW"))
        self.assertEqual((session.ended(), session.ended()), (True, False))

    def test_behindTheEndOfTheConnectionThereIsNoNextVisitor(self) -> None:
        for state in STATES:
            session = inState(state)
            session.ended()
            self.assertFalse(session.idle)
            self.assertNotIn("OPEN", [*passing(session, says), *passing(session, hears)], state)

    def test_aKindThatThereIsNotIsAViolationInEveryState(self) -> None:
        for state in STATES:
            for kind in (-1, 6, 255):
                self.assertRaises(ProtocolViolation, inState(state).received, kind)


class VisitorTests(SynchronousTestCase):
    """A lane has one visitor after another, as long as nothing goes RAW."""

    def setUp(self) -> None:
        self.server = LaneSession(True)
        self.client = LaneSession(False)

    def serverSays(self, *kinds: int) -> None:
        """The server says this, and the client hears it."""
        for kind in kinds:
            says(self.server, kind)
            hears(self.client, kind)

    def clientSays(self, *kinds: int) -> None:
        """The client says this, and the server hears it."""
        for kind in kinds:
            says(self.client, kind)
            hears(self.server, kind)

    def assertIdle(self, idle: bool) -> None:
        """Both sides know whether the lane can have its next visitor."""
        self.assertEqual((self.server.idle, self.client.idle), (idle, idle))

    def test_aNewLaneIsIdle(self) -> None:
        self.assertIdle(True)

    def test_aLaneHasManyVisitorsAndIsAsGoodAsNewBehindEach(self) -> None:
        for ours in (END, RESET):
            for theirs in (END, RESET):
                self.serverSays(OPEN, DATA)
                self.assertIdle(False)
                self.clientSays(DATA, theirs)
                self.assertIdle(False)
                self.serverSays(DATA, ours)
                self.assertIdle(True)
        self.assertEqual(behaviour(self.server), expected(State(True)))
        self.assertEqual(behaviour(self.client), expected(State(False)))

    def test_onlyTheServerBringsVisitors(self) -> None:
        self.assertRaises(AssertionError, self.client.sent, OPEN)
        self.assertRaises(ProtocolViolation, self.server.received, OPEN)

    def test_aVisitorAtATimeIsEnough(self) -> None:
        self.serverSays(OPEN)
        for kinds in ([], [END]):
            self.serverSays(*kinds)
            self.assertRaises(AssertionError, self.server.sent, OPEN)
            self.assertRaises(ProtocolViolation, self.client.received, OPEN)

    def test_dataBehindOnesOwnResetIsStillHeard(self) -> None:
        self.serverSays(OPEN)
        self.server.sent(RESET)
        for kind in (DATA, DATA, RESET):
            self.server.received(kind)
        self.assertTrue(self.server.idle)

    def test_resetsThatCrossAreNotAnswered(self) -> None:
        self.serverSays(OPEN)
        self.server.sent(RESET)
        self.client.sent(RESET)
        self.server.received(RESET)
        self.client.received(RESET)
        self.assertIdle(True)

    def test_aDirectionHasOneLastFrame(self) -> None:
        for last in (END, RESET):
            for more in (DATA, END, RESET, RAW):
                self.setUp()
                self.serverSays(OPEN, last)
                self.assertRaises(KeyError, self.server.sent, more)
                self.assertRaises(ProtocolViolation, self.client.received, more)

    def test_behindRawThereAreNoFramesAndNoNextVisitor(self) -> None:
        self.serverSays(OPEN, RAW)
        for kind in (DATA, END, RESET, RAW, OPEN):
            self.assertRaises(ProtocolViolation, deepcopy(self.client).received, kind)
        self.clientSays(DATA, END)
        self.serverSays(BARE, FIN)
        self.assertEqual((self.server.over, self.client.over), (True, True))
        self.assertIdle(False)
        self.assertRaises(AssertionError, self.server.sent, OPEN)
        self.assertRaises(ProtocolViolation, self.client.received, OPEN)

    def test_aLaneOfWhichTheClientsDirectionWasRawHasNoNextVisitorEither(self) -> None:
        self.serverSays(OPEN)
        self.clientSays(RAW, BARE, FIN)
        self.serverSays(END)
        self.assertIdle(False)
        self.assertRaises(ProtocolViolation, self.client.received, OPEN)

    def test_bothDirectionsMayGoRaw(self) -> None:
        self.serverSays(OPEN, RAW, BARE)
        self.clientSays(RAW, BARE, FIN)
        self.assertFalse(self.server.over)
        self.serverSays(BARE, FIN)
        self.assertEqual((self.server.over, self.client.over), (True, True))
        self.assertIdle(False)
