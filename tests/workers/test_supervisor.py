"""A supervisor that goes on from the state of the process before, with workers that are fakes."""

from __future__ import annotations

import os
import socket
from typing import Any, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.events import Event, Sink
from bore.events.server import Upgraded, UpgradeFailed
from bore.server.settings import ServerSettings
from bore.streams.reactor import IReactor
from bore.wire.workermessages import BaseSession, Load, Ready, Retire, encode
from bore.workers.crew import Member
from bore.workers.handover import HomelessState, SupervisorState, WorkerState
from bore.workers.launcher import Launcher
from bore.workers.settings import WorkerSettings
from bore.workers.supervisor import Supervisor
from tests.workers.test_crew import FakeProcess

DRAIN = 60
SESSION = BaseSession("127.0.0.1:40000", "127.0.0.1", "", None, 30000, "token")


class FakeLauncher(Launcher):
    """Its workers are fakes."""

    def launch(self, member: Member) -> None:
        member.line = member.process = FakeProcess(1000 + member.number)

    def connect(self, member: Member, pid: int, output: int, sock: socket.socket, *_: Any) -> None:
        sock.close()
        self.launch(member)

    def watch(self, member: Member, pid: int, output: int) -> None:
        self.launch(member)
        member.line = None


class GoingOnTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.events: list[Event] = []
        sink = Sink()
        sink.subscribe(self.events.append)
        reactor = cast(IReactor, self.clock)
        self.launcher = FakeLauncher(reactor, [], None)
        self.addCleanup(os.close, self.launcher.counters)
        settings, workers = ServerSettings(), WorkerSettings(1, DRAIN)
        self.supervisor = Supervisor(reactor, sink, settings, workers, False, [], self.launcher)

    def goOn(self, *workers: WorkerState, **more: Any) -> None:
        """Go on from a state whose last worker is the one of its generation."""
        last = workers[-1]
        self.supervisor.adopt(SupervisorState("0.3.0", last.generation, last.number, 0.0, workers=workers, **more))
        self.supervisor.begin()

    def worker(self, number: int, generation: int, **more: Any) -> WorkerState:
        """One that the process before has started."""
        ours, its = socket.socketpair()
        self.addCleanup(its.close)
        return WorkerState(number, generation, 1000 + number, ours.detach(), -1, **more)

    def member(self, number: int) -> Member:
        found = self.supervisor.crew.find(number)
        assert found is not None
        return found

    def sent(self, number: int) -> list[object]:
        return list(cast(FakeProcess, self.member(number).process).sent)

    def test_anUpgradeIsCompleteWhenItsWorkersAreReady(self) -> None:
        self.goOn(self.worker(1, 1))
        self.assertTrue(self.supervisor.upgrades)
        self.supervisor.crew.received(self.member(2), Ready("1", None))
        self.assertIsInstance(self.events[1], Upgraded)
        self.assertFalse(self.supervisor.upgrades)
        self.assertEqual(self.sent(1), [Retire(DRAIN)])

    def test_behindOneThatFailsNoEarlierGenerationServesBesideThatWhichGoesOn(self) -> None:
        """The process before was of a version that did not wait until the workers of an upgrade were ready."""
        self.goOn(self.worker(1, 1), self.worker(2, 2))
        self.supervisor.crew.exited(self.member(3), "exit code 1")
        self.assertIsInstance(self.events[0], UpgradeFailed)
        self.assertFalse(self.supervisor.upgrades)
        self.assertEqual((self.sent(1), self.sent(2)), ([Retire(DRAIN)], []))
        self.assertEqual([each.number for each in self.supervisor.crew.ready], [2])

    def test_theEarlierOneServesUntilThatWhichGoesOnIsComplete(self) -> None:
        self.goOn(self.worker(1, 1), self.worker(2, 2, phase="STARTING"))
        self.supervisor.crew.exited(self.member(3), "exit code 1")
        self.assertEqual(self.sent(1), [])
        self.supervisor.crew.received(self.member(2), Ready("1", None))
        self.assertEqual((self.sent(1), self.sent(2)), ([Retire(DRAIN)], []))

    def test_aProcessThatOutlivesItsChannelIsStillWaitedForAndKilled(self) -> None:
        self.goOn(self.worker(2, 1), ending=[WorkerState(1, 1, 1001, -1, -1, "RETIRED", deadline=4.0)])
        process = cast(FakeProcess, self.member(1).process)
        self.supervisor.crew.received(self.member(3), Ready("1", None))
        self.assertEqual(self.member(1).deadline, 4.0)
        self.clock.advance(4.0)
        self.assertTrue(process.killed)
        self.supervisor.crew.exited(self.member(1), "killed by SIGKILL")
        self.assertEqual(self.supervisor.crew.resting, ((1, 4.0),))

    def test_aSessionThatWaitedForAWorkerIsTakenByTheFirstOne(self) -> None:
        """No worker could take it when the upgrade began, and none when the next one did."""
        ours, its = socket.socketpair()
        self.addCleanup(its.close)
        homeless = HomelessState(ours.detach(), encode(SESSION))
        self.goOn(self.worker(1, 1, phase="RETIRED"), homeless=[homeless])
        self.assertEqual(self.supervisor.capture().homeless, [homeless])
        self.launcher.received(self.member(2), Ready("1", None), [])
        self.assertEqual(self.sent(2), [SESSION])
        self.assertEqual(self.supervisor.capture().homeless, [])
        os.close(homeless.fd)  # the fake does not

    def test_aSessionThatIsNotUnderstoodIsClosed(self) -> None:
        ends = [socket.socketpair() for _ in range(2)]
        frames = b'{"BaseSession":{"planet":"Mars"}}', encode(Load(0, 0, 0.0))
        found = [HomelessState(ours.detach(), frame) for (ours, _), frame in zip(ends, frames, strict=True)]
        self.goOn(self.worker(1, 1, phase="RETIRED"), homeless=found)
        for _, its in ends:
            its.settimeout(30)
            self.assertEqual(its.recv(1), b"")
            its.close()
        self.assertEqual(self.supervisor.capture().homeless, [])
