"""
The two ends of the channel between the supervisor and a worker: which message may arrive in which state.

Neither end knows a socket: :mod:`bore.streams.channel` moves frames and descriptors. What one end has sent moves it on,
too: each question has a number, and an answer without a question breaks the rules.
"""
# Longer than 300 lines: both ends have to agree, and their tables are read together.

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from enum import auto
from typing import Any, ClassVar, Final, Generic, TypeAlias, TypeVar

from bore.wire import statetable
from bore.wire.errors import ProtocolViolation, UnknownMessage
from bore.wire.statetable import Cell, Table, on, row
from bore.wire.values import value
from bore.wire.workermessages import (
    FINAL_REPORT,
    Abandon,
    BaseSession,
    Bye,
    ChannelMessage,
    Claim,
    CloseTunnel,
    Confirm,
    Connection,
    Done,
    Doubtful,
    DropOldest,
    End,
    Examine,
    Expired,
    Failed,
    GiveUp,
    Granted,
    HandedOver,
    HandOn,
    HandOver,
    Late,
    LimitTunnels,
    Load,
    Order,
    Pending,
    Ping,
    Ready,
    Refused,
    Release,
    Renew,
    Report,
    Reported,
    Retire,
    SupervisorMessage,
    Waiting,
    Welcome,
    WorkerMessage,
    decodeSupervisorMessage,
    decodeWorkerMessage,
    descriptorsOf,
    encode,
)

_In = TypeVar("_In", bound=ChannelMessage)
_Out = TypeVar("_Out", bound=ChannelMessage)


class State(statetable.State):
    """The states of either end."""

    NEW = auto()  # Welcome has to be sent
    STARTING = auto()  # the worker starts, and has to send Ready
    READY = auto()
    RETIRED = auto()  # the worker gives its sessions away
    ENDING = auto()  # the worker ends
    OVER = auto()  # nothing may be sent or arrive any more


#: The questions of either end, by the messages that answer them; Ping has no number.
QUESTIONS: Final[Mapping[type, type]] = {
    Load: Ping,
    Waiting: HandOver,
    HandedOver: HandOver,
    Doubtful: Examine,
    Reported: Report,
    Done: Order,
}

#: Those of the worker's end.
CLAIMS: Final[Mapping[type, type]] = {Waiting: Claim, Granted: Claim, Refused: Claim}


@value
class Position:
    """
    Where an end stands, for its successor in another process.

    :ivar state: the name of its state.
    :ivar asked: the questions that were not answered: the name of the message, and its number.
    """

    state: str
    asked: tuple[tuple[str, int], ...]


_BEGINNING: Final = Position(State.NEW.name, ())

_Table: TypeAlias = Table[Any, Any]
_Moves: TypeAlias = Mapping[tuple[statetable.State, type], State]
_Kinds: TypeAlias = Mapping[statetable.State, Collection[type]]


class ChannelEnd(Generic[_In, _Out]):
    """
    One end.

    :cvar table: what may arrive in which state.
    :cvar sent: the states that follow what this end sends.
    :cvar always: what else it may send in which state.
    """

    table: ClassVar[_Table]
    sent: ClassVar[_Moves]
    always: ClassVar[_Kinds]
    _questions: ClassVar[Mapping[type, type]]

    def __init__(self, position: Position = _BEGINNING) -> None:
        self._state: statetable.State = State[position.state]
        self._asked: dict[tuple[str, int], int] = {}
        for name, number in position.asked:
            self._note(name, number)

    @property
    def state(self) -> statetable.State:
        """Its state."""
        return self._state

    @property
    def position(self) -> Position:
        """Where it stands."""
        asked = [each for each, times in self._asked.items() for _ in range(times)]
        return Position(self._state.name, tuple(asked))

    def maySend(self, kind: type) -> bool:
        """Whether a message of this kind may be sent in this state."""
        return (self._state, kind) in self.sent or kind in self.always.get(self._state, ())

    def send(self, message: _Out) -> bytes:
        """
        Note a message that is sent, and encode it as a frame without its NUL.

        :raises bore.wire.errors.FrameTooLong: when it does not fit a frame; nothing has changed then.
        """
        assert self.maySend(type(message)), f"{type(message).__name__} in state {self._state.name}"
        frame = encode(message)
        self._state = self.sent.get((self._state, type(message)), self._state)
        if type(message) in _ASKING:
            self._note(type(message).__name__, getattr(message, "id", 0))
        return frame

    def receive(self, frame: bytes, descriptors: int) -> _In | None:
        """
        Take a frame.

        :param frame: without its NUL.
        :param descriptors: how many arrived with it.
        :returns: the message; None: this version does not know it, and it has to be ignored.
        :raises ProtocolViolation: when the other end must not send it now. The channel has to be closed then.
        """
        table = self.table.get(self._state)
        if table is None:
            raise ProtocolViolation(f"a message in state {self._state.name}")
        try:
            message: _In = table.decode(self, frame)  # type: ignore[assignment]
        except UnknownMessage:
            return None
        if descriptors != descriptorsOf(message):
            raise ProtocolViolation(f"{type(message).__name__} with a wrong number of descriptors, {descriptors}")
        cell = table.cell(message)
        cell.act(self, message)
        self._state = cell.then or self._state
        return message

    def _decodeFromWorker(self, frame: bytes) -> WorkerMessage:
        return decodeWorkerMessage(frame)

    def _decodeFromSupervisor(self, frame: bytes) -> SupervisorMessage:
        return decodeSupervisorMessage(frame)

    def _take(self, message: ChannelMessage) -> Sequence[ChannelMessage]:
        return (message,)

    def _takeAnswer(self, message: Any) -> Sequence[ChannelMessage]:
        """Take an answer, or one of those before the last one."""
        kind = type(message)
        if kind is Reported and message.id == FINAL_REPORT:
            return (message,)
        question = self._questions[kind].__name__, getattr(message, "id", 0)
        times = self._asked.get(question, 0)
        if not times:
            raise ProtocolViolation(f"{kind.__name__} without a question")
        if kind is not Waiting and not (kind is Reported and not message.last):
            if times > 1:
                self._asked[question] = times - 1
            else:
                del self._asked[question]
        return (message,)

    def _refuse(self, message: object) -> Sequence[ChannelMessage]:
        raise ProtocolViolation(f"unexpected {type(message).__name__} in state {self._state.name}")

    def _note(self, name: str, number: int) -> None:
        self._asked[name, number] = self._asked.get((name, number), 0) + 1


_ASKING: Final = {*QUESTIONS.values(), *CLAIMS.values()}

_E: TypeAlias = ChannelEnd[Any, Any]

_UNEXPECTED: Final[Cell[_E, Any]] = Cell(_E._refuse, None, (), (ProtocolViolation,))


def _plain(kind: type[_In], then: State | None = None) -> tuple[type, Cell[_E, Any]]:
    return on(kind, _E._take, then, [kind])


def _answer(kind: type[_In], then: State | None = None) -> tuple[type, Cell[_E, Any]]:
    return on(kind, _E._takeAnswer, then, [kind], [ProtocolViolation])


_BYE: Final = _plain(Bye, State.OVER)

_LOAD: Final = _answer(Load)

_WORKING: Final = (
    _LOAD,
    _plain(Pending),
    _plain(Claim),
    _plain(Abandon),
    _plain(Confirm),
    _plain(Renew),
    _plain(Release),
    _plain(LimitTunnels),
    _answer(Waiting),
    _answer(HandedOver),
    _plain(Late),
    _answer(Doubtful),
    _plain(HandOn),
    _plain(BaseSession),
    _answer(Reported),
    _answer(Done),
    _BYE,
)

#: What the supervisor may send whatever it has sent before, once the worker is ready.
_ALWAYS: Final = (
    _plain(Ping),
    _answer(Granted),
    _answer(Refused),
    _answer(Waiting),
    _plain(Examine),
    _plain(GiveUp),
    _plain(HandOver),
    _plain(Late),
    _plain(CloseTunnel),
    _plain(Expired),
    _plain(DropOldest),
    _plain(Order),
    _plain(Report),
)

_CONNECTION: Final = _plain(Connection)
_BASE_SESSION: Final = _plain(BaseSession)


def _kinds(*entries: tuple[type, Cell[_E, Any]]) -> frozenset[type]:
    return frozenset(kind for kind, _ in entries)


_FROM_WORKER: Final[Callable[[_E, bytes], object]] = _E._decodeFromWorker


class SupervisorEnd(ChannelEnd[WorkerMessage, SupervisorMessage]):
    """
    The supervisor's end of the channel to one worker.

    :param position: where the end of an earlier process stood.
    """

    table: ClassVar[_Table] = {
        State.STARTING: row(
            _FROM_WORKER,
            _UNEXPECTED,
            _plain(Ready, State.READY),
            _plain(Failed, State.OVER),
            _LOAD,
            _BYE,
        ),
        State.READY: row(_FROM_WORKER, _UNEXPECTED, *_WORKING),
        State.RETIRED: row(_FROM_WORKER, _UNEXPECTED, *_WORKING),
        State.ENDING: row(_FROM_WORKER, _UNEXPECTED, *_WORKING, _plain(Ready), _plain(Failed, State.OVER)),
    }
    sent: ClassVar[_Moves] = {
        (State.NEW, Welcome): State.STARTING,
        (State.READY, Retire): State.RETIRED,
        (State.STARTING, End): State.ENDING,
        (State.READY, End): State.ENDING,
        (State.RETIRED, End): State.ENDING,
    }
    always: ClassVar[_Kinds] = {
        State.STARTING: {Ping},
        State.READY: _kinds(*_ALWAYS, _CONNECTION, _BASE_SESSION),
        State.RETIRED: _kinds(*_ALWAYS, _CONNECTION),
        State.ENDING: _kinds(*_ALWAYS),
    }
    _questions: ClassVar[Mapping[type, type]] = QUESTIONS


_FROM_SUPERVISOR: Final[Callable[[_E, bytes], object]] = _E._decodeFromSupervisor

_END: Final = _plain(End, State.ENDING)


class WorkerEnd(ChannelEnd[SupervisorMessage, WorkerMessage]):
    """The worker's end of the channel to the supervisor."""

    table: ClassVar[_Table] = {
        State.NEW: row(_FROM_SUPERVISOR, _UNEXPECTED, _plain(Welcome, State.STARTING)),
        State.STARTING: row(_FROM_SUPERVISOR, _UNEXPECTED, _plain(Ping), _END),
        State.READY: row(
            _FROM_SUPERVISOR,
            _UNEXPECTED,
            *_ALWAYS,
            _CONNECTION,
            _BASE_SESSION,
            _plain(Retire, State.RETIRED),
            _END,
        ),
        State.RETIRED: row(_FROM_SUPERVISOR, _UNEXPECTED, *_ALWAYS, _CONNECTION, _END),
        State.ENDING: row(_FROM_SUPERVISOR, _UNEXPECTED, *_ALWAYS),
    }
    sent: ClassVar[_Moves] = {
        (State.STARTING, Ready): State.READY,
        (State.STARTING, Failed): State.OVER,
        (State.STARTING, Bye): State.OVER,
        (State.READY, Bye): State.OVER,
        (State.RETIRED, Bye): State.OVER,
        (State.ENDING, Bye): State.OVER,
        (State.ENDING, Failed): State.OVER,
    }
    always: ClassVar[_Kinds] = {
        State.STARTING: {Load},
        State.READY: _kinds(*_WORKING) - {Bye},
        State.RETIRED: _kinds(*_WORKING) - {Bye},
        State.ENDING: _kinds(*_WORKING) - {Bye},
    }
    _questions: ClassVar[Mapping[type, type]] = CLAIMS
