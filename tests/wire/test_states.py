"""The tables of states: every cell is driven through the machine, and the page that shows them is as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from bore.wire import clientsession, datasession, lane, serversession
from bore.wire.clientsession import ControlSession
from bore.wire.datasession import DataSession
from bore.wire.errors import ClaimTimeout, InvalidSecret, PortInUse, PortNotAllowed, WireError
from bore.wire.extension import Close, Open, Opened, Refused, Visitor
from bore.wire.limits import MAX_FRAME
from bore.wire.messages import Accept, Error, Hello, encode
from bore.wire.serversession import ServerSession
from bore.wire.statetable import Cell, Row, State, Table
from bore.wire.tunnelstates import AT_CLIENT, AT_SERVER, TunnelState, TunnelStates
from tests.wire import bindings, sessions
from tests.wire.bindings import BINDING, boundProof, proving, provingData, rightAnswer
from tests.wire.sessions import COLUMNS, ID, SECRET, TOKEN, dataSession, rightProof
from tests.wire.statepage import page
from tests.wire.strategies import frameOf

_PAGE: Final = Path(__file__).parents[2] / "docs/states.rst"


class Machine(Protocol):
    """A session of any kind."""

    _state: State


_S = TypeVar("_S", bound=Machine)
_E = TypeVar("_E")

#: What hides behind one frame in several columns: ports of 0, and the refusals that a proof or a probe may meet.
_SPECIAL: Final = [
    encode(Hello(0)),
    frameOf(Opened(1, 0, TOKEN, 60)),
    frameOf(Open(1, 0)),
    frameOf(Close(9)),
    frameOf(Refused("port-in-use", "port already in use", True, 1)),
    encode(Error(InvalidSecret.text)),
    encode(Error(PortNotAllowed.text)),
    encode(Error("whatever")),
]


class Drive(Generic[_S, _E]):
    """
    Feeds frames to sessions, and notes which cells of their table were reached, and what followed.

    :param feed: gives the events of a session that is fed with a frame.
    """

    def __init__(
        self, test: SynchronousTestCase, table: Table[_S, _E], feed: Callable[[_S, bytes], Iterable[_E]]
    ) -> None:
        self._test = test
        self._table = table
        self._feed = feed
        self._reached: dict[tuple[State, type | None], set[type]] = {}

    def feed(self, make: Callable[[], _S], frame: bytes) -> None:
        """Feed a new session with one frame, with its NUL; what follows has to be what its cell has."""
        session = make()
        state = session._state
        row = self._table.get(state)
        if row is None or not frame.endswith(b"\0") or len(frame) > MAX_FRAME + 1:
            return  # the decoder's affair
        found = self._cellOf(row, session, frame)
        if found is None:
            return
        kind, cell = found
        where = f"{state.name}: {frame[:80]!r}"
        reached = self._reached.setdefault((state, kind), set())
        try:
            events = list(map(type, self._feed(session, frame)))
        except WireError as e:
            fitting = [error for error in cell.errors if isinstance(e, error)]
            self._test.assertTrue(fitting, f"{where}: {e!r}")
            reached.update(fitting)
            return
        # A proof alone is answered by some kinds, and not by others; so are messages about tunnels that leave.
        unanswered = kind in (bytes, Close, Opened, Visitor) and not events
        self._test.assertEqual(events, [] if unanswered else list(cell.events), where)
        self._test.assertIs(session._state, cell.then or state, where)
        reached.update(events)

    def assertAllReached(self) -> None:
        """Every cell was reached, and each of its events and errors was seen."""
        for state, row in self._table.items():
            kinds: list[tuple[type | None, Cell[_S, _E]]] = list(row.cells.items())
            for kind, cell in [
                *kinds,
                *([] if bytes in row.cells or row.otherwise is None else [(None, row.otherwise)]),
            ]:
                seen = self._reached.get((state, kind))
                name = "any other" if kind is None else kind.__name__
                self._test.assertIsNotNone(seen, f"{state.name}: {name} was not driven")
                self._test.assertEqual(seen, {*cell.events, *cell.errors}, f"{state.name}: {name}")

    def _cellOf(self, row: Row[_S, _E], session: _S, frame: bytes) -> tuple[type | None, Cell[_S, _E]] | None:
        """The cell that a frame belongs to, with its kind (None: any other); None if it is not a message there."""
        try:
            message = row.decode(session, frame[:-1])
        except WireError:
            return None
        kind = type(message)
        return kind if kind in row.cells else None, row.cell(message)


def allFrames() -> Iterator[bytes]:
    """One of every message of all vocabularies, and what is no message."""
    yield from _SPECIAL
    for frames in COLUMNS.values():
        yield from frames


def itself(session: ServerSession) -> ServerSession:
    """A session for :meth:`Drive.feed` that was made before."""
    return session


class TableTests(SynchronousTestCase):
    """No cell is untested."""

    def test_theServersSessionDoesWhatItsTableSays(self) -> None:
        drive = Drive(self, serversession.TABLE, ServerSession.feed)
        for make in [*sessions.SERVER_STATES.values(), *bindings.SERVER_STATES.values()]:
            for frame in allFrames():
                drive.feed(make, frame)
        for bound, make in ((False, sessions.SERVER_STATES["PROOF"]), (True, bindings.SERVER_STATES["PROOF"])):
            session = make()
            proof = boundProof(session) if bound else rightProof(session)
            drive.feed(partial(itself, session), proof)
        drive.assertAllReached()

    def test_theClientsSessionDoesWhatItsTableSays(self) -> None:
        drive = Drive(self, clientsession.TABLE, ControlSession.feed)
        for make in [*sessions.CLIENT_STATES.values(), *bindings.CLIENT_STATES.values()]:
            for frame in allFrames():
                drive.feed(make, frame)
        session, data = proving()
        drive.feed(lambda: session, rightAnswer(data))
        drive.assertAllReached()

    def test_aDataConnectionDoesWhatItsTableSays(self) -> None:
        drive = Drive(self, datasession.TABLE, lambda session, data: [answer] if (answer := session.feed(data)) else [])
        makes: list[Callable[[], DataSession]] = [
            lambda: dataSession(Accept(ID), SECRET),
            lambda: dataSession(Accept(ID), SECRET, BINDING),
            lambda: provingData(Accept(ID))[0],
        ]
        for make in makes:
            for frame in allFrames():
                drive.feed(make, frame)
        session, data = provingData(Accept(ID))
        drive.feed(lambda: session, rightAnswer(data))
        drive.assertAllReached()

    def test_everyStateIsInATableOrReadsNothing(self) -> None:
        self.assertEqual(
            {*serversession.State} - {*serversession.TABLE},
            {serversession.State.BASE_CLAIMING, serversession.State.SETTLED},
        )
        self.assertEqual({*clientsession.State}, {*clientsession.TABLE})
        self.assertEqual({*datasession.State} - {*datasession.TABLE}, {datasession.State.COMPLETE})

    def test_theServersAnswersMoveTheSessionOnAsTheTableSays(self) -> None:
        reached = set()
        for make in [*sessions.SERVER_STATES.values(), *bindings.SERVER_STATES.values()]:
            session = make()
            state = session._state
            reached.add(state)
            timedOut = session.timedOut()
            expected = serversession.TIMED_OUT.get(state)
            self.assertIs(None if timedOut is None else type(timedOut), expected)
            if session.claims(1):
                session.opened(1, 8000, TOKEN, 60)
                self.assertIs(session._state, state if session.extended else serversession.State.SETTLED)
            session.refusal(PortInUse())
            self.assertIs(session._state, serversession.State.SETTLED)
            session = make()
            if session.extended:
                session.moved(None)
                self.assertIs(session._state, serversession.State.SETTLED)
            else:
                self.assertRaises(AssertionError, session.moved, None)
        self.assertEqual(reached, {*serversession.State})
        self.assertTrue(ClaimTimeout().retry, "the client tries again")


class StateTests(SynchronousTestCase):
    """States are compared by identity."""

    def test_statesOfDifferentMachinesAreDifferentKeys(self) -> None:
        self.assertEqual(len({*serversession.State, *clientsession.State, *datasession.State}), 6 + 7 + 3)
        self.assertIs(serversession.State["EXTENDED"], serversession.State.EXTENDED)


class PageTests(SynchronousTestCase):
    """docs/states.rst shows the tables as they are."""

    def test_thePageIsDrawnFromTheTables(self) -> None:
        drawn = page() + "\n"
        self.assertEqual(_PAGE.read_text(), drawn, "draw it again: python -m tests.wire.statepage > docs/states.rst")

    def test_noLineIsTooLong(self) -> None:
        self.assertLessEqual(max(map(len, page().splitlines())), 120)


class LaneTests(SynchronousTestCase):
    """The directions of a lane have the states that the page shows."""

    def test_everyKindOfFrameAndEveryStateIsThere(self) -> None:
        ways = {number for name, number in vars(lane.Way).items() if name.isupper()}
        self.assertEqual({way for way, _ in lane.AFTER} | {*lane.AFTER.values()}, ways)
        kinds = {lane.OPEN, lane.DATA, lane.END, lane.RESET, lane.RAW, lane.DONE, lane.BARE, lane.FIN}
        self.assertEqual({kind for _, kind in lane.AFTER}, kinds)
        self.assertEqual({after for (_, kind), after in lane.AFTER.items() if kind == lane.OPEN}, {lane.Way.OPEN})


class TunnelTests(SynchronousTestCase):
    """The tunnels of a session have the states that the page shows."""

    #: The messages of each side about a tunnel.
    fromClient: Final = ("Open", "Close")
    fromServer: Final = ("Opened", "Refused", "Closed", "Visitor")

    def test_everyStateIsReachedAndLeadsToTheEnd(self) -> None:
        for table in (AT_SERVER, AT_CLIENT):
            states = {before for before, _ in table} | {*table.values()}
            self.assertEqual(states, {*TunnelState} - ({TunnelState.LEAVING} if table is AT_SERVER else set()))
            reached = {TunnelState.UNUSED}
            for _ in TunnelState:
                reached |= {after for (before, _), after in table.items() if before in reached}
            self.assertEqual(reached, states)

    def test_everyMessageInEveryState(self) -> None:
        for table in (AT_SERVER, AT_CLIENT):
            for state in {before for before, _ in table} | {TunnelState.GONE}:
                for message in (*self.fromClient, *self.fromServer):
                    tunnels = TunnelStates(table)
                    tunnels._last, tunnels._states = (0, {}) if state is TunnelState.UNUSED else (1, {1: state})
                    if state is TunnelState.GONE:
                        tunnels._states.clear()
                    self.assertIs(tunnels[1], state)
                    after = table.get((state, message))
                    self.assertIs(tunnels.move(1, message), None if after is None else state)
                    self.assertIs(tunnels[1], state if after is None else after)
                    self.assertEqual(len(tunnels), tunnels[1] not in (TunnelState.UNUSED, TunnelState.GONE))

    def test_whatIsGoneNeedsNoMemory(self) -> None:
        tunnels = TunnelStates(AT_SERVER)
        for number in range(1, 1001):
            for message in ("Open", "Opened", "Close"):
                self.assertIsNotNone(tunnels.move(number, message))
        self.assertEqual(
            (len(tunnels), tunnels[1], tunnels[1000], tunnels[1001]), (0, *(TunnelState.GONE,) * 2, TunnelState.UNUSED)
        )
