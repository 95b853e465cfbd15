"""The process that starts its successor, with programs that are none as they should be."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import cast

from twisted.internet import reactor
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from bore.events.client import HandedOver, HandoverBegun, HandoverFailed, HandoverIgnored, ServerLost
from bore.handover.heir import Heir
from bore.handover.messages import End, Message, Opened, Ready, Trouble, encode
from bore.handover.place import VARIABLE
from bore.handover.predecessor import Predecessor
from bore.startup import IProgramReactor
from tests.test_moves import MoveCase


class Thing:
    """Something that changes hands."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.refuses = 0

    def hold(self) -> None:
        self.calls.append("hold")

    def keep(self) -> None:
        self.calls.append("keep")

    def give(self, pid: int) -> bool:
        self.calls.append("give")
        self.refuses -= 1
        return self.refuses < 0

    def take(self) -> None:
        self.calls.append("take")


class Triggers:
    """The reactor, without the end of the process."""

    def __init__(self) -> None:
        self.before: list[Callable[[], object]] = []
        self.calls: list[IDelayedCall] = []
        self.stopped = False

    def __getattr__(self, name: str) -> object:
        return getattr(reactor, name)

    def callLater(self, delay: float, callable: Callable[..., object], *arguments: object) -> IDelayedCall:
        self.calls.append(cast(IReactorTime, reactor).callLater(delay, callable, *arguments))
        return self.calls[-1]

    def addSystemEventTrigger(self, phase: str, event: str, callable: Callable[[], object]) -> None:
        self.before.append(callable)

    def stop(self) -> None:
        self.stopped = True


def program(*messages: Message, then: str = "") -> list[str]:
    """The command line of a successor that sends these messages when it has got the first one, and does this."""
    code = f"""
import os, socket, time
sock = socket.socket(fileno=int(os.environ[{VARIABLE!r}]))
data = b""
while not data.endswith(b"\\0"):
    data += sock.recv(65536)
sock.sendall({b"".join(map(encode, messages))!r})
{then}
while len(data) < 1 << 20 and (more := sock.recv(65536)):
    data += more
"""
    return [sys.executable, "-ISc", code]


class PredecessorTests(MoveCase):
    """What becomes of it."""

    heir: Heir | None

    async def prepare(self, command: Sequence[str], patience: float = 20.0) -> Predecessor:
        self.ports = await self.begin()
        self.thing, self.triggers, self.why = Thing(), Triggers(), ""
        made = Predecessor(
            cast(IProgramReactor, self.triggers),
            self.showing._sink,
            self.showing,
            [self.thing],
            lambda: None,
            lambda: self.why or None,
        )
        made.command = lambda: command
        made.patience = patience
        self.predecessor, self.heir = made, None
        self.addCleanup(self.cleanUp)
        return made

    async def cleanUp(self) -> None:
        heir = self.heir or self.predecessor._heir
        if heir is not None:
            heir._isSettled = True
            heir._line.close()
            await self.eventually(lambda: not heir._line.isOpen)
        for call in self.triggers.calls:
            if call.active():
                call.cancel()

    def failure(self) -> str:
        return next((event.why for event in self.events if isinstance(event, HandoverFailed)), "")

    async def assertFails(self, why: str) -> None:
        """It goes on as if nothing had been."""
        await self.eventually(lambda: self.seen(HandoverFailed))
        self.assertIn(why, self.failure())
        self.assertEqual(self.thing.calls, ["hold", "keep"])
        await self.eventually(lambda: len(self.showing.parts.links[0].tunnels.up) == 2)
        for port, name in zip(self.ports, (b"a", b"b"), strict=True):
            await self.assertShows(port, name)
        self.assertTrue(self.showing.isOwner)
        self.assertEqual((self.seen(HandedOver), self.seen(HandoverBegun)), (0, 1))

    async def test_oneThatEndsHasFailed(self) -> None:
        (await self.prepare(program(Trouble("cannot reach it"), then="os._exit(0)"))).begin()
        await self.assertFails("it has ended: cannot reach it")

    async def test_oneThatCannotRunHasFailed(self) -> None:
        (await self.prepare(["/nonexistent/program"])).begin()
        await self.assertFails("it has ended: the log has its reason")

    async def test_oneThatIsTooLateHasFailedAndIsKilledIfItDoesNotLetGo(self) -> None:
        predecessor = await self.prepare(program(Trouble("no"), then="time.sleep(1000)"), patience=20)
        predecessor.begin()
        heir = predecessor._heir
        assert heir is not None and heir._timer is not None
        await self.eventually(lambda: heir._trouble)
        heir._timer.reset(0)
        await self.assertFails("it does not have all tunnels after 20 s: no")
        assert heir._timer is not None
        heir._timer.reset(0)
        await self.eventually(lambda: not heir._line.isOpen)
        self.assertFalse(os.path.exists(f"/proc/{heir.pid}/fd/0"))

    async def test_oneThatSendsNonsenseHasFailed(self) -> None:
        (await self.prepare(program(then="sock.sendall(b'nonsense\\0')"))).begin()
        await self.assertFails("it has ended")
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    async def test_aSessionThatIsLostMeanwhileIsTheFormersAgain(self) -> None:
        predecessor = await self.prepare(program())
        predecessor.begin()
        self.heir = predecessor._heir
        for session in list(self.serving._server.sessions._sessions):
            session._connection.transport.abortConnection()  # type: ignore[attr-defined]
        await self.eventually(lambda: self.seen(ServerLost))
        await self.assertFails("the connection to the server was lost meanwhile")

    async def test_oneThatIsReadyGetsAllAndOthersAreRefusedThen(self) -> None:
        predecessor = await self.prepare(program(Opened(()), Ready()))
        self.thing.refuses = 2
        predecessor.begin()
        predecessor.begin()
        await self.eventually(lambda: self.seen(HandedOver))
        self.assertEqual(self.thing.calls, ["hold", "give", "give", "give"])
        self.assertFalse(self.showing.isOwner)
        predecessor.begin()
        self.assertEqual(
            [event.why.split(" ", 1)[0] for event in self.events if isinstance(event, HandoverIgnored)],
            ["one", "process"],
        )
        self.assertFalse(self.triggers.stopped)
        await self.eventually(lambda: self.triggers.stopped)

    async def test_itEndsWithTheSuccessorThatIsAskedToEnd(self) -> None:
        (await self.prepare(program(Ready(), End()))).begin()
        visit = await self.assertShows(self.ports[0], b"a")
        await self.eventually(lambda: self.triggers.stopped)
        self.assertFalse(self.showing.isIdle)
        self.assertFalse(visit.lost)

    async def test_itsEndIsThatOfASuccessorWhichHasNotTakenOver(self) -> None:
        ends = "while b'{\"End\": {}}' not in data: data += sock.recv(65536)\nos._exit(0)"
        predecessor = await self.prepare(program(then=ends))
        predecessor.begin()
        heir = predecessor._heir
        assert heir is not None
        for each in self.triggers.before:
            each()
        await self.eventually(lambda: not heir._line.isOpen)
        self.assertEqual(self.seen(HandoverFailed), 0)
        predecessor.begin()
        self.assertEqual(self.seen(HandoverIgnored), 1)

    async def test_whereThereCanBeNoneTheReasonIsGiven(self) -> None:
        predecessor = await self.prepare([])
        self.why = "on a terminal"
        predecessor.begin()
        self.assertEqual([e.why for e in self.events if isinstance(e, HandoverIgnored)], ["on a terminal"])
        self.assertEqual(self.thing.calls, [])
