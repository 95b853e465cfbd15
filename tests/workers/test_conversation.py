"""The messages between the supervisor and a worker, on a real socket pair."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from typing import cast

from twisted.internet import reactor, task
from twisted.trial.unittest import TestCase

from bore.streams.descriptorframes import closeDescriptors
from bore.streams.reactor import IReactor
from bore.wire import workermessages as wm
from bore.wire.errors import FrameTooLong
from bore.wire.workermessages import SupervisorMessage, WorkerMessage
from bore.wire.workersession import Position, State, SupervisorEnd, WorkerEnd
from bore.workers.conversation import Conversation
from tests.support import PATIENCE

_REACTOR = cast(IReactor, reactor)
_WELCOME = wm.Welcome("0.3.0", 1, 1, 2)


async def until(condition: Callable[[], bool]) -> None:
    """Let the reactor turn until a condition is met."""
    end = _REACTOR.seconds() + PATIENCE
    while not condition():
        assert _REACTOR.seconds() < end, "not in time"
        await task.deferLater(reactor, 0.001)


def _open() -> int:
    """How many descriptors are open, without the pipes of the reactor."""
    paths = [f"/proc/self/fd/{each}" for each in os.listdir("/proc/self/fd")]
    return sum("/pipe:" not in os.path.realpath(each) for each in paths if os.path.lexists(each))


class Case(TestCase):
    def setUp(self) -> None:
        self.before = _open()
        self.pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.up: list[WorkerMessage] = []
        self.down: list[SupervisorMessage] = []
        self.lost: list[str | None] = []
        self.supervisor = Conversation(_REACTOR, self.pair[0], SupervisorEnd(), self._fromWorker, self.lost.append)
        self.worker = Conversation(_REACTOR, self.pair[1], WorkerEnd(), self._fromSupervisor, self.lost.append)
        self.addCleanup(self._check)

    def _fromWorker(self, message: WorkerMessage, descriptors: Sequence[int]) -> None:
        self.up.append(message)
        closeDescriptors(descriptors)

    def _fromSupervisor(self, message: SupervisorMessage, descriptors: Sequence[int]) -> None:
        self.down.append(message)
        closeDescriptors(descriptors)

    def _check(self) -> None:
        self.supervisor.close()
        self.worker.close()
        self.assertEqual(_open(), self.before, "descriptors are left open")

    def begin(self) -> None:
        self.supervisor.send(_WELCOME, [os.memfd_create("thing")])


class Conversations(Case):
    async def test_messagesWithTheirDescriptors(self) -> None:
        self.begin()
        await until(lambda: bool(self.down))
        self.worker.send(wm.Ready("0.3.0", None))
        await until(lambda: bool(self.up))
        self.supervisor.send(wm.Connection(False, (), b"", None), [os.memfd_create("thing")])
        self.supervisor.send(wm.Ping())
        await until(lambda: len(self.down) == 3)
        self.assertEqual(self.down, [_WELCOME, wm.Connection(False, (), b"", None), wm.Ping()])
        self.assertEqual((self.supervisor.end.state, self.worker.end.state), (State.READY, State.READY))

    async def test_whatMustNotArriveEndsIt(self) -> None:
        self.begin()
        self.worker._end = WorkerEnd(Position("READY", ()))
        self.worker.send(wm.HandedOver(1))
        await until(lambda: bool(self.lost))
        self.assertEqual(self.lost[0], "unexpected HandedOver in state STARTING")
        self.supervisor.send(wm.Ping())

    async def test_theNumberOfDescriptorsHasToFit(self) -> None:
        self.supervisor.send(_WELCOME)
        await until(lambda: bool(self.lost))
        self.assertEqual(self.lost[0], "Welcome with a wrong number of descriptors, 0")

    async def test_messagesOfAnotherVersionAreIgnoredWithTheirDescriptors(self) -> None:
        self.supervisor._channel.send(b'{"Sing":{"song":1}}', [os.memfd_create("thing"), os.memfd_create("thing")])
        self.begin()
        await until(lambda: bool(self.down))
        self.assertEqual(self.down, [_WELCOME])

    async def test_behindTheLastWordNothingIsSentOrTaken(self) -> None:
        self.begin()
        await until(lambda: bool(self.down))
        self.worker.send(wm.Bye())
        self.supervisor.send(wm.Ping())
        self.worker.send(wm.Load(1, 1, 1.0))
        await until(lambda: bool(self.up))
        self.supervisor.send(wm.Ping())
        await task.deferLater(reactor, 0.01)
        self.assertEqual((self.up, self.down, self.lost), ([wm.Bye()], [_WELCOME], []))

    async def test_theEndOfTheOtherProcess(self) -> None:
        self.begin()
        self.supervisor.flush(PATIENCE).addCallback(lambda _: self.supervisor.close())
        await until(lambda: bool(self.lost))
        self.assertEqual((self.down, self.lost), ([_WELCOME], [None]))

    def test_aMessageThatFitsNoFrameLosesItsDescriptor(self) -> None:
        self.begin()
        before = _open()
        self.supervisor._end = SupervisorEnd(Position("READY", ()))
        early = b"x" * (1 << 17)
        self.assertRaises(
            FrameTooLong, self.supervisor.send, wm.Connection(False, (), early, None), [os.memfd_create("thing")]
        )
        self.assertEqual(_open(), before)

    async def test_aSuccessorGoesOn(self) -> None:
        self.begin()
        await until(lambda: bool(self.down))
        self.supervisor.send(wm.Ping())
        await self.supervisor.quiesce(PATIENCE)
        remains = self.supervisor.leave()
        position = self.supervisor.end.position
        self.worker.send(wm.Load(1, 1, 1.0))
        self.worker.send(wm.Ready("0.3.0", None))
        await self.worker.flush(PATIENCE)
        self.assertEqual(self.up, [])
        end = SupervisorEnd(position)
        self.supervisor = Conversation(_REACTOR, self.pair[0], end, self._fromWorker, self.lost.append, remains=remains)
        await until(lambda: len(self.up) == 2)
        self.assertEqual(self.up, [wm.Load(1, 1, 1.0), wm.Ready("0.3.0", None)])
        self.assertIs(end.state, State.READY)
