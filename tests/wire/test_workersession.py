"""The two ends of the channel between the supervisor and a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias, cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from bore.wire import workermessages as wm
from bore.wire.errors import MalformedMessage, ProtocolViolation
from bore.wire.workermessages import ChannelMessage, SupervisorMessage, WorkerMessage, descriptorsOf, encode
from bore.wire.workersession import CLAIMS, QUESTIONS, Position, State, SupervisorEnd, WorkerEnd
from tests.wire.strategies import UNHURRIED
from tests.wire.workers import EXAMPLES, SUPERVISOR_MESSAGES, WORKER_MESSAGES

_End: TypeAlias = SupervisorEnd | WorkerEnd

#: The questions of the examples.
_ASKED: Final = tuple(
    (type(each).__name__, getattr(each, "id", 0))
    for each in EXAMPLES
    if type(each) in {*QUESTIONS.values(), *CLAIMS.values()}
)

_WELCOME: Final = wm.Welcome("0.3.0", 1, 1, 2)


def _numbered(message: ChannelMessage) -> ChannelMessage:
    """An example as a supervisor sends it: the visitors of a Claim have its number."""
    return wm.Waiting(1, (), b"", 0.5) if isinstance(message, wm.Waiting) else message


def _ends() -> Iterator[tuple[type[_End], list[ChannelMessage]]]:
    yield SupervisorEnd, list(EXAMPLES)
    yield WorkerEnd, [_numbered(each) for each in EXAMPLES]


def _receive(end: _End, message: ChannelMessage) -> object:
    return end.receive(encode(message), descriptorsOf(message))


class TableTests(SynchronousTestCase):
    """No cell is untested."""

    def test_everyMessageInEveryState(self) -> None:
        for kind, messages in _ends():
            for state in State:
                row = kind.table.get(state)
                for message in messages:
                    end = kind(Position(state.name, _ASKED))
                    where = f"{kind.__name__} in {state.name}: {type(message).__name__}"
                    own = not isinstance(message, WorkerMessage if kind is SupervisorEnd else SupervisorMessage)
                    if own and row is not None:
                        self.assertIsNone(_receive(end, message), f"{where}: it is not known there")
                        self.assertIs(end.state, state, where)
                    elif row is None or type(message) not in row.cells:
                        self.assertRaises(ProtocolViolation, _receive, end, message)
                    else:
                        self.assertEqual(_receive(end, message), message, where)
                        self.assertIs(end.state, row.cells[type(message)].then or state, where)

    def test_anAnswerNeedsItsQuestion(self) -> None:
        for kind, messages in _ends():
            for state, row in kind.table.items():
                for message in messages:
                    cell = row.cells.get(type(message))
                    if cell is not None and cell.errors:
                        for asked in (), tuple((name, number + 7) for name, number in _ASKED if name != "Ping"):
                            end = kind(Position(state.name, asked))
                            error = self.assertRaises(ProtocolViolation, _receive, end, message)
                            self.assertIn("without a question", str(error))

    def test_everyStateIsInATableOrTakesNothing(self) -> None:
        self.assertEqual({*State} - {*SupervisorEnd.table}, {State.NEW, State.OVER})
        self.assertEqual({*State} - {*WorkerEnd.table}, {State.OVER})

    def test_everyMessageMayArriveSomewhere(self) -> None:
        for kind, union in (SupervisorEnd, WorkerMessage), (WorkerEnd, SupervisorMessage):
            cells = {each for row in kind.table.values() for each in row.cells}
            self.assertEqual(cells, {*union.__args__})

    def test_whatMayBeSentMayArrive(self) -> None:
        """The supervisor's state says which one the worker is in, or was in when it sent its last message."""
        for state in State:
            supervisor, row = SupervisorEnd(Position(state.name, ())), WorkerEnd.table.get(state)
            for kind in SupervisorMessage.__args__:
                self.assertEqual(supervisor.maySend(kind), row is not None and kind in row.cells, (state, kind))

    def test_whatAWorkerSendsMayArriveLate(self) -> None:
        """It may not know yet that it has to end, or to give its sessions away."""
        behind: dict[object, tuple[State, ...]] = {
            State.RETIRED: (State.READY,),
            State.ENDING: (State.READY, State.RETIRED, State.STARTING),
        }
        for state, row in SupervisorEnd.table.items():
            for other in (state, *behind.get(state, ())):
                worker = WorkerEnd(Position(other.name, ()))
                for kind in WorkerMessage.__args__:
                    if worker.maySend(kind):
                        self.assertIn(kind, row.cells, (state, other))


class Sending(SynchronousTestCase):
    def test_whatIsSentMovesAnEndOn(self) -> None:
        for kind, messages in _ends():
            for state in State:
                for message in messages:
                    end = kind(Position(state.name, ()))
                    send = cast("Callable[[ChannelMessage], bytes]", end.send)
                    if not end.maySend(type(message)):
                        self.assertRaises(AssertionError, send, message)
                        self.assertIs(end.state, state)
                    else:
                        self.assertEqual(send(message), encode(message))
                        self.assertIs(end.state, kind.sent.get((state, type(message)), state))

    def test_welcomeIsTheFirstMessage(self) -> None:
        supervisor, worker = SupervisorEnd(), WorkerEnd()
        self.assertRaises(AssertionError, supervisor.send, wm.Ping())
        self.assertRaises(AssertionError, worker.send, wm.Ready("0.3.0", None))
        self.assertRaises(ProtocolViolation, _receive, worker, wm.Ping())
        self.assertRaises(ProtocolViolation, _receive, supervisor, wm.Ready("0.3.0", None))

    def test_aWorkerLives(self) -> None:
        supervisor, worker = SupervisorEnd(), WorkerEnd()

        def down(message: SupervisorMessage) -> None:
            self.assertEqual(worker.receive(supervisor.send(message), descriptorsOf(message)), message)

        def up(message: WorkerMessage) -> None:
            self.assertEqual(supervisor.receive(worker.send(message), descriptorsOf(message)), message)

        down(_WELCOME)
        down(wm.Ping())
        up(wm.Load(0, 0, 0.1))
        up(wm.Ready("0.3.0", None))
        self.assertIs(supervisor.state, State.READY)
        up(wm.Claim(1, 0, None, "", "192.0.2.1", True, None))
        down(wm.Waiting(1, (), b"", 0.5))
        down(wm.Granted(1, 8000, "", "0123456789abcdef", 1, False, False))
        down(wm.HandOver(1, 8000, 1))
        up(wm.Waiting(1, (), b"", 0.5))
        up(wm.HandedOver(1))
        down(wm.Report(2, ""))
        up(wm.Reported(2, b"{", False))
        up(wm.Reported(2, b"}", True))
        down(wm.Retire(3600.0))
        self.assertIs(worker.state, State.RETIRED)
        self.assertFalse(supervisor.maySend(wm.BaseSession))
        down(wm.End())
        up(wm.Bye())
        self.assertEqual((supervisor.state, worker.state), (State.OVER, State.OVER))
        self.assertEqual(supervisor.position, Position("OVER", ()))


class Answers(SynchronousTestCase):
    def test_aQuestionIsAnsweredOnce(self) -> None:
        supervisor = SupervisorEnd(Position("READY", ()))
        for question, answer in (
            (wm.Ping(), wm.Load(0, 0, 0.0)),
            (wm.Examine(1, ()), wm.Doubtful(1, None)),
            (wm.HandOver(1, 8000, 1), wm.HandedOver(1)),
            (wm.Order(1, "reload", None, None, 0.0), wm.Done(1, (), (), None)),
            (wm.Report(1, ""), wm.Reported(1, b"", True)),
        ):
            supervisor.send(question)
            _receive(supervisor, answer)
            self.assertRaises(ProtocolViolation, _receive, supervisor, answer)

    def test_theLastReportNeedsNoQuestion(self) -> None:
        for state in State.READY, State.RETIRED, State.ENDING:
            supervisor = SupervisorEnd(Position(state.name, ()))
            last = wm.Reported(wm.FINAL_REPORT, b"[]", True)
            self.assertEqual((_receive(supervisor, last), _receive(supervisor, last)), (last, last))

    def test_twoPingsHaveTwoAnswers(self) -> None:
        supervisor = SupervisorEnd(Position("READY", ()))
        supervisor.send(wm.Ping())
        supervisor.send(wm.Ping())
        _receive(supervisor, wm.Load(0, 0, 0.0))
        self.assertEqual(supervisor.position.asked, (("Ping", 0),))
        _receive(supervisor, wm.Load(0, 0, 0.0))
        self.assertRaises(ProtocolViolation, _receive, supervisor, wm.Load(0, 0, 0.0))

    def test_aClaimIsGrantedOrRefused(self) -> None:
        for answer in (
            wm.Granted(1, 8000, "", "0123456789abcdef", 1, True, False),
            wm.Refused(1, "kicked", "", True, None),
        ):
            worker = WorkerEnd(Position("READY", ()))
            worker.send(wm.Claim(1, 0, None, "", "192.0.2.1", True, None))
            _receive(worker, answer)
            self.assertRaises(ProtocolViolation, _receive, worker, answer)

    def test_aSuccessorKnowsTheQuestions(self) -> None:
        before = SupervisorEnd(Position("READY", ()))
        before.send(wm.Ping())
        before.send(wm.HandOver(7, 8000, 1))
        after = SupervisorEnd(before.position)
        self.assertEqual(after.position, before.position)
        _receive(after, wm.Waiting(7, (), b"", 0.0))
        _receive(after, wm.HandedOver(7))
        _receive(after, wm.Load(0, 0, 0.0))
        self.assertEqual(after.position, Position("READY", ()))


class OtherVersions(SynchronousTestCase):
    def test_unknownMessagesAreIgnored(self) -> None:
        for end in SupervisorEnd(Position("READY", ())), WorkerEnd(Position("NEW", ())):
            before = end.state
            self.assertIsNone(end.receive(b'{"Sing":{"song":1}}', 3))
            self.assertIs(end.state, before)

    def test_malformedOnesAreNot(self) -> None:
        for end in SupervisorEnd(Position("READY", ())), WorkerEnd(Position("NEW", ())):
            for frame in b"", b"junk", b'{"Welcome":1}', b'{"Load":{}}':
                known = frame != b'{"Welcome":1}' if isinstance(end, SupervisorEnd) else frame != b'{"Load":{}}'
                if known:
                    self.assertRaises(MalformedMessage, end.receive, frame, 0)

    def test_theNumberOfDescriptorsHasToFit(self) -> None:
        for message in EXAMPLES:
            for count in {0, 1, 2} - {descriptorsOf(message)}:
                end: _End = SupervisorEnd(Position("READY", _ASKED))
                if not isinstance(message, WorkerMessage):
                    end = WorkerEnd(Position("NEW" if isinstance(message, wm.Welcome) else "READY", _ASKED))
                self.assertRaises(ProtocolViolation, end.receive, encode(message), count)


class AnyOrder(SynchronousTestCase):
    @UNHURRIED
    @given(st.lists(st.tuples(WORKER_MESSAGES | SUPERVISOR_MESSAGES, st.booleans()), max_size=30))
    def test_endsThatKeepTheRulesUnderstandEachOther(self, wishes: list[tuple[ChannelMessage, bool]]) -> None:
        """Whatever each end sends where it may, with frames of the other direction still on their way."""
        supervisor, worker = SupervisorEnd(), WorkerEnd()
        down: list[tuple[bytes, int]] = []
        up: list[tuple[bytes, int]] = []
        for wish, deliver in [(_WELCOME, True), *wishes]:
            if isinstance(wish, SupervisorMessage) and supervisor.maySend(type(wish)) and _asked(worker, wish, CLAIMS):
                down.append((supervisor.send(wish), descriptorsOf(wish)))
            if isinstance(wish, WorkerMessage) and worker.maySend(type(wish)) and _asked(supervisor, wish, QUESTIONS):
                up.append((worker.send(wish), descriptorsOf(wish)))
            if deliver:
                while down and worker.state is not State.OVER:
                    worker.receive(*down.pop(0))
                while up:
                    supervisor.receive(*up.pop(0))


def _asked(other: _End, answer: ChannelMessage, questions: object) -> bool:
    """Whether this is not an answer, or one to a question that was asked: the ends do not check what they send."""
    assert isinstance(questions, dict)
    return type(answer) not in questions
