"""What a supervisor logs and answers at a reload, and at a signal that asks for an upgrade."""

from __future__ import annotations

import os
from typing import cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.events import Event, SettingsMistake, SettingsReloaded
from bore.events.server import UpgradeRefused, WorkerRetired
from bore.options.server import serverCommand
from bore.startup import IProgramReactor
from bore.streams.reactor import IReactor
from bore.supervisorprogram import SupervisorProgram
from bore.wire.workermessages import Done
from bore.workers.launcher import Launcher

WRONG = "users.toml:1: wrong"


class SupervisorProgramTests(SynchronousTestCase):
    def setUp(self) -> None:
        reactor = Clock()
        command = serverCommand("bore server", forSupervisor=True).parse(["--workers", "2"])
        launcher = Launcher(cast(IReactor, reactor), [], None)
        self.addCleanup(os.close, launcher.counters)
        self.addCleanup(launcher.table.close)
        for number in (1, 2):
            launcher.table.addWorker(number)
        self.program = SupervisorProgram(
            cast(IProgramReactor, reactor), command, lambda: command, lambda reason: None, [], launcher
        )
        self.events: list[Event] = []
        self.program.sink.subscribe(self.events.append)

    def answers(self, *problems: str | None) -> list[tuple[int, Done | None]]:
        return [(number, Done(7, (), ("users.toml: 3 users",), why)) for number, why in enumerate(problems, 1)]

    def test_whatTheFirstWorkerHasFoundWrongIsInItsLog(self) -> None:
        found = self.program._reloaded(self.answers(WRONG, WRONG), [])
        self.assertEqual((found.mistakes, self.events), ([WRONG], []))

    def test_whatOnlyAnotherOneHasFoundIsLoggedByTheSupervisor(self) -> None:
        found = self.program._reloaded(self.answers(None, WRONG), [SettingsReloaded("server.toml", "lease")])
        mistake = f"worker 2: {WRONG}"
        self.assertEqual((found.mistakes, self.events), ([mistake], [SettingsMistake(mistake)]))
        self.assertEqual(found.changes, ["server.toml: lease", "users.toml: 3 users"])

    def test_whatTheSupervisorHasFoundIsNotLoggedAgain(self) -> None:
        found = self.program._reloaded(self.answers(None, WRONG), [SettingsMistake(WRONG)])
        self.assertEqual((found.mistakes, self.events), ([WRONG], []))

    def test_aWorkerThatHasNotAnsweredIsAMistake(self) -> None:
        self.program._reloaded([(1, None)], [])
        self.assertIn("worker 1 has not answered", cast(SettingsMistake, self.events[0]).mistake)

    def test_thatWorkersEndIsNoChangeOfAFile(self) -> None:
        found: list[Event] = []
        self.program._meanwhile = found
        self.program.sink.emit(WorkerRetired(2, 1, 60.0))
        self.program.sink.emit(SettingsReloaded("server.toml", "workers"))
        self.assertEqual(found, [SettingsReloaded("server.toml", "workers")])

    def test_aSignalThatIsRefusedIsNoUpgradeThatHasFailed(self) -> None:
        self.program._upgradeOnSignal()
        self.assertEqual(self.events, [UpgradeRefused("the server is about to end")])
