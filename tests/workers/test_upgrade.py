"""Upgrades that come to nothing: the supervisor goes on as before."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.client.tunnelspec import TunnelSpec
from bore.events import Event, Sink
from bore.events.server import UpgradeFailed, Upgrading
from bore.server.settings import ServerSettings
from bore.streams.listener import bindSocket
from bore.streams.reactor import IReactor
from bore.wire import workermessages as wm
from bore.workers import upgrade
from bore.workers.crew import Member
from bore.workers.handover import SupervisorState, descriptorsIn
from bore.workers.inside import Surroundings
from bore.workers.launcher import Launcher
from bore.workers.settings import WorkerSettings
from bore.workers.supervisor import Supervisor
from bore.workers.upgrade import SIGNALS, NoUpgrade, Upgrader
from bore.workers.worker import Worker
from tests.tunnelscase import TunnelsCase
from tests.workers.supervised import REACTOR, PlainInside

STATE = SupervisorState("0.3.0", 1, 2, 0.0)


class FakeSupervisor:
    """See :class:`bore.workers.upgrade.Upgradable`."""

    def __init__(self) -> None:
        self.state = "running"
        self.upgrades = False
        self.quiesced: Deferred[SupervisorState] = Deferred()
        self.calls: list[object] = []

    def capture(self) -> SupervisorState:
        return STATE

    def quiesce(self) -> Deferred[SupervisorState]:
        self.calls.append("quiesce")
        return self.quiesced

    def resume(self, state: SupervisorState) -> None:
        self.calls.append(state)


class FakeTrial:
    """See :class:`bore.workers.process.WorkerProcess`."""

    def __init__(
        self, reactor: Clock, pid: int, output: int, line: Callable[[str], None], exited: Callable[[int], None]
    ) -> None:
        os.close(output)
        self.exited = exited

    def kill(self) -> None:
        self.exited(signal.SIGKILL)


class NoUpgrades(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.events: list[Event] = []
        sink = Sink()
        sink.subscribe(self.events.append)
        self.trials: list[FakeTrial] = []
        self.executed: list[SupervisorState] = []
        self.resumed = 0
        self.error: Exception | None = None
        self.supervisor = FakeSupervisor()
        self.upgrader = Upgrader(
            cast(IReactor, self.clock), sink, self.supervisor, [], self.execute, lambda: None, self.countResumed
        )
        self.patch(upgrade, "startProcess", lambda words, keep, output: 1)
        self.patch(upgrade, "WorkerProcess", self.trial)

    def trial(self, *args: Any) -> FakeTrial:
        self.trials.append(FakeTrial(*args))
        return self.trials[-1]

    def execute(self, state: SupervisorState) -> None:
        self.executed.append(state)
        if self.error is not None:
            raise self.error

    def countResumed(self) -> None:
        self.resumed += 1

    def upgrade(self) -> Deferred[None]:
        """An upgrade whose trial has succeeded."""
        done = self.upgrader.upgrade()
        self.trials[-1].exited(0)
        return done

    def assertGoesOn(self, why: str) -> None:
        """An upgrade has failed, and the next one can begin."""
        failed = [each for each in self.events if isinstance(each, UpgradeFailed)]
        self.assertEqual([each.error for each in failed], [why])
        self.assertFalse(signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(SIGNALS))
        self.assertFalse(self.upgrader.busy)

    def test_noDescriptorForTheTrial(self) -> None:
        def none(state: SupervisorState) -> int:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        patch = self.patch(upgrade, "store", none)
        self.assertRaisesRegex(NoUpgrade, "Too many open files", self.upgrader.upgrade)
        patch.restore()
        self.successResultOf(self.upgrade())

    def test_aServerThatEnds(self) -> None:
        self.supervisor.state = "stopping"
        self.assertRaisesRegex(NoUpgrade, "the server is about to end", self.upgrader.upgrade)
        self.assertEqual(self.trials, [])

    def test_notBeforeTheLastOneIsComplete(self) -> None:
        """If this one failed, the server would go on with a generation that never was complete."""
        self.supervisor.upgrades = True
        self.assertRaisesRegex(NoUpgrade, "the last upgrade is not complete yet", self.upgrader.upgrade)
        self.assertEqual(self.trials, [])
        self.supervisor.upgrades = False
        self.successResultOf(self.upgrade())

    def test_itEndsDuringTheTrial(self) -> None:
        """The signal that ends it is not forgotten with the code that has got it."""
        self.upgrade()
        self.supervisor.state = "draining"
        self.clock.advance(1.0)
        self.assertEqual(self.supervisor.calls, [])
        self.assertFalse([each for each in self.events if isinstance(each, Upgrading)])
        self.assertGoesOn("the server is about to end")

    def test_itEndsForASignalThatWasCaughtJustBefore(self) -> None:
        """Its handler has the reactor stop in the next turn, and the server knows of that at the end of the turn."""
        self.upgrade()
        self.clock.callLater(0.1, self.clock.callLater, 0, setattr, self.supervisor, "state", "stopping")
        self.clock.advance(0.1)
        self.assertEqual(self.supervisor.calls, [])
        self.assertGoesOn("the server is about to end")

    def test_itEndsWhileItComesToRest(self) -> None:
        """As the admin socket can have it end."""
        self.upgrade()
        self.clock.advance(1.0)
        self.supervisor.state = "draining"
        self.supervisor.quiesced.callback(STATE)
        self.assertEqual((self.executed, self.supervisor.calls), ([], ["quiesce", STATE]))
        self.assertGoesOn("the server is about to end")

    def test_signalsWaitWhileItComesToRest(self) -> None:
        self.error = OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        self.upgrade()
        self.clock.advance(1.0)
        self.assertEqual(signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(SIGNALS), set(SIGNALS))
        self.supervisor.quiesced.callback(STATE)
        self.assertEqual((self.executed, self.supervisor.calls, self.resumed), ([STATE], ["quiesce", STATE], 1))
        self.assertGoesOn(f"{sys.executable} cannot be run: Cannot allocate memory")

    def test_aStateThatCannotBeWritten(self) -> None:
        self.error = TypeError("not JSON")
        self.upgrade()
        self.clock.advance(1.0)
        self.supervisor.quiesced.callback(STATE)
        self.assertEqual(self.supervisor.calls, ["quiesce", STATE])
        self.assertGoesOn("not JSON")
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)


class OneWorker(Launcher):
    """Starts a worker in this process, and a process that stands for it."""

    def __init__(self, settings: ServerSettings, sink: Sink) -> None:
        super().__init__(REACTOR, [], None)
        self._settings = settings
        self._sink = sink
        self.workers: list[Worker] = []
        self.insides: list[PlainInside] = []

    def launch(self, member: Member) -> None:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.workers.append(Worker(REACTOR, its, self._build))
        reading, writing = os.pipe()
        process = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=writing)
        os.close(writing)
        process.returncode = 0
        self.process = process
        self.connect(member, process.pid, reading, ours)
        member.send(wm.Welcome("0.3.0", member.number, 1, 1), [os.dup(self.counters)])

    def _build(self, around: Surroundings) -> PlainInside:
        self.insides.append(PlainInside(around, self._settings, self._sink))
        return self.insides[-1]


class InOneProcess(TunnelsCase):
    """A supervisor with a worker in the same process."""

    def supervisor(self) -> tuple[Supervisor, OneWorker, int]:
        """One that begins, and its control port."""
        settings = ServerSettings(minPort=1024, bindAddr=self.host, bindTunnels=self.host, controlPort=0)
        sink = Sink()
        sink.subscribe(self.events.append)
        launcher = OneWorker(settings, sink)
        control = bindSocket(self.host, 0)
        supervisor = Supervisor(REACTOR, sink, settings, WorkerSettings(1, 10), False, [control], launcher)
        supervisor.startService()
        return supervisor, launcher, control.getsockname()[1]

    async def end(self, supervisor: Supervisor, launcher: OneWorker) -> None:
        ended = supervisor.stopService()
        await launcher.workers[0].ended
        assert launcher.process.stdin is not None
        launcher.process.stdin.close()
        await ended

    async def test_oneThatHasComeToRestServesAsBefore(self) -> None:
        supervisor, launcher, port = self.supervisor()
        await supervisor.begin()
        former = await self.tunnel(port, b"a")
        state = await supervisor.quiesce()
        late = socket.create_connection((self.host, port))
        supervisor.resume(state)
        del state
        visits = [await self.assertShows(former, b"a"), await self.assertShows(await self.tunnel(port, b"b"), b"b")]
        self.assertEqual(len(supervisor.custody), 2)
        late.close()
        for each in visits:
            cast(ITCPTransport, each.transport).abortConnection()
        await self.end(supervisor, launcher)

    async def test_aProcessThatOutlivesItsChannelIsInTheState(self) -> None:
        supervisor, launcher, _ = self.supervisor()
        await supervisor.begin()
        [member] = supervisor.crew.members()
        assert member.line is not None
        member.line.close()
        supervisor.crew.cut(member)
        state = await supervisor.quiesce()
        self.assertEqual([each.number for each in state.workers], [])
        [ending] = state.ending
        self.assertEqual((ending.number, ending.pid, ending.channel), (1, launcher.process.pid, -1))
        self.assertEqual((ending.phase, ending.deadline), ("READY", member.deadline))
        self.assertIn(ending.output, list(descriptorsIn(state)))
        await self.end(supervisor, launcher)

    async def test_aWorkerThatStartsWhileFilesAreReadReadsThemAgain(self) -> None:
        supervisor, launcher, _ = self.supervisor()
        begun = supervisor.begin()
        supervisor.orders.giveAll("reload")
        await begun
        await self.eventually(lambda: "reload" in launcher.insides[0].calls)
        await self.end(supervisor, launcher)

    async def tunnel(self, port: int, name: bytes) -> Any:
        client = self.client(port, [TunnelSpec(await self.service(name), name=name.decode())])
        client.startService()
        return await client.whenOpened(name.decode())
