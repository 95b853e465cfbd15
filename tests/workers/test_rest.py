"""A supervisor that comes to rest for an upgrade, with workers that do not read."""

from __future__ import annotations

import os
import socket
import subprocess

from twisted.trial.unittest import TestCase

from bore.events import Sink
from bore.server.settings import ServerSettings
from bore.wire import workermessages as wm
from bore.wire.workersession import Position
from bore.workers import supervisor as supervisors
from bore.workers.crew import Member
from bore.workers.launcher import Launcher
from bore.workers.settings import WorkerSettings
from bore.workers.supervisor import Supervisor
from tests.workers.supervised import REACTOR


class UnreadWorkers(Launcher):
    """Starts processes that stand for workers, and that read nothing."""

    def __init__(self) -> None:
        super().__init__(REACTOR, [], None)
        self.ends: list[socket.socket] = []
        self.processes: list[subprocess.Popen[bytes]] = []

    def launch(self, member: Member) -> None:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.ends.append(its)
        process = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        process.returncode = 0
        self.processes.append(process)
        self.connect(member, process.pid, -1, ours, Position("READY", ()))


class AtRest(TestCase):
    async def test_whatIsSentWhileOthersComeToRestIsNotLost(self) -> None:
        """A worker that does not read puts off the upgrade, and orders to the others come all the while."""
        self.patch(supervisors, "_FLUSH_TIMEOUT", 0.2)
        launcher = UnreadWorkers()
        self.addCleanup(os.close, launcher.counters)
        settings = ServerSettings()
        supervisor = Supervisor(REACTOR, Sink(), settings, WorkerSettings(2, 10), False, [], launcher)
        supervisor.crew.start()
        supervisor.crew.received(supervisor.crew.members()[0], wm.Ready("1", None))
        slow, other = supervisor.crew.members()
        for _ in range(20):
            slow.send(wm.Connection(False, ("::1", 1), bytes(20_000), None), [os.open(os.devnull, os.O_RDONLY)])
        rests = supervisor.quiesce()
        other.send(wm.Ping())
        state = await rests
        launcher.ends[1].setblocking(False)
        self.assertIn(b"Ping", launcher.ends[1].recv(1000))
        self.assertEqual([bool(each.remains.unsent) for each in state.workers], [True, False])
        supervisor.resume(state)
        ended = supervisor.crew.stop(0)
        supervisor.crew.killAll()
        await ended
        for process, end in zip(launcher.processes, launcher.ends, strict=True):
            assert process.stdin is not None
            process.stdin.close()
            end.close()
