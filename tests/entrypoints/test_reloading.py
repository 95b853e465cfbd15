"""Settings files that are read again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from twisted.application.service import Service
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.commandline import BadFile
from bore.events import Event, RestartNeeded, SettingsKept, SettingsMistake, SettingsReloaded, Sink
from bore.options.common import FileSettings
from bore.reloading import LOOK, Reloading
from tests.support import temporaryFolder


@dataclass
class Command:
    file: FileSettings | None


class ReloadingCase(SynchronousTestCase):
    """A service with a file ``NUMBER`` or ``NUMBER watch``, which is the value of a key that can change."""

    def setUp(self) -> None:
        self.path = temporaryFolder(self) / "a.toml"
        self.clock = Clock()
        self.events: list[Event] = []
        sink = Sink()
        sink.subscribe(self.events.append)
        self.applied: list[int] = []
        self.fixed = "old"
        self.fixedKeys = frozenset({"fixed"})
        self.written = 0
        self.write("1 watch")
        self.service = Service()
        self.reloading = Reloading(self.clock, sink, self.service, self.load(), self.load, self.apply)
        self.addCleanup(self.stop)

    def stop(self) -> None:
        if self.reloading.running:
            self.successResultOf(self.reloading.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def write(self, text: str) -> None:
        """Write the file, with a time of its own."""
        self.path.write_text(text)
        self.written += 1
        os.utime(self.path, (self.written, self.written))

    def load(self) -> Command:
        number, *watch = self.path.read_text().split()
        if not number.isdigit():
            raise BadFile(["a.toml:1: must be a number", "a.toml:2: and this, too"])
        values = (("number", int(number)), ("fixed", self.fixed))
        return Command(FileSettings(self.path, bool(watch), values, self.fixedKeys))

    def apply(self, command: Command) -> Sequence[str]:
        assert command.file is not None
        self.applied.append(int(dict(command.file.values)["number"]))  # type: ignore[call-overload]
        return ["1 tunnel added"] if self.applied[-1] == 2 else []

    def took(self) -> list[Event]:
        events = self.events[:]
        self.events.clear()
        return events


class ReloadTests(ReloadingCase):
    """On request."""

    def test_whatHasChangedIsAppliedAndReported(self) -> None:
        self.write("2")
        self.reloading.reload()
        self.reloading.reload()
        self.assertEqual(self.applied, [2, 2])
        path = str(self.path)
        self.assertEqual(
            self.events, [SettingsReloaded(path, "1 tunnel added, number"), SettingsReloaded(path, "1 tunnel added")]
        )
        self.write("3")
        self.reloading.reload()
        self.write("3")
        self.reloading.reload()
        self.assertEqual(
            self.events[2:], [SettingsReloaded(path, "number"), SettingsReloaded(path, "nothing has changed")]
        )

    def test_aFileWithMistakesChangesNothingAndAllAreReported(self) -> None:
        self.write("x")
        self.reloading.reload()
        self.assertEqual(self.applied, [])
        mistakes = [SettingsMistake("a.toml:1: must be a number"), SettingsMistake("a.toml:2: and this, too")]
        self.assertEqual(self.took(), [*mistakes, SettingsKept(str(self.path))])
        self.write("3")
        self.reloading.reload()
        self.assertEqual(self.applied, [3])

    def test_whatNeedsARestartIsReportedOnceEachTimeThatItBegins(self) -> None:
        for _ in range(2):
            self.fixed = "new"
            self.reloading.reload()
            self.assertEqual(self.took()[1:], [RestartNeeded("fixed")])
            self.reloading.reload()
            self.assertEqual(self.took()[1:], [])
            self.fixed = "old"
            self.reloading.reload()
            self.assertEqual(self.took()[1:], [])

    def test_soIsWhatCannotChangeFromTheOldValueOrToTheNewOne(self) -> None:
        self.fixedKeys = frozenset()
        self.fixed = "new"
        self.reloading.reload()
        self.assertEqual(self.took()[1:], [RestartNeeded("fixed")])


class WatchTests(ReloadingCase):
    """When the file changes."""

    def setUp(self) -> None:
        super().setUp()
        self.reloading.startService()
        self.assertTrue(self.service.running)

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            self.clock.advance(LOOK)

    def test_itIsReadWhenItsWriterHasFinished(self) -> None:
        self.look(3)
        self.assertEqual(self.applied, [])
        self.write("2 watch")
        self.look()
        self.write("3 watch")
        self.look()
        self.assertEqual(self.applied, [])
        self.look(5)
        self.assertEqual(self.applied, [3])

    def test_aFileWithMistakesIsReadOnce(self) -> None:
        self.write("x")
        self.look(5)
        self.assertEqual(self.events[2:], [SettingsKept(str(self.path))])
        self.write("4 watch")
        self.look(2)
        self.assertEqual(self.applied, [4])

    def test_aFileThatIsGoneForAMomentIsNotAMistake(self) -> None:
        self.path.unlink()
        self.look(5)
        self.assertEqual(self.events, [])
        self.write("5 watch")
        self.look(2)
        self.assertEqual(self.applied, [5])

    def test_anErrorOfTheProgramDoesNotEndIt(self) -> None:
        self.write("")
        self.look()
        self.assertRaises(ValueError, self.look)
        self.write("4 watch")
        self.look(2)
        self.assertEqual(self.applied, [4])

    def test_itEndsAndBeginsWithTheKey(self) -> None:
        self.write("2")
        self.look(2)
        self.write("3 watch")
        self.look(5)
        self.assertEqual(self.applied, [2])
        self.reloading.reload()
        self.assertEqual(self.applied, [2, 3])
        self.write("4")
        self.look(2)
        self.assertEqual(self.applied, [2, 3, 4])

    def test_nothingIsWatchedWhenTheServiceHasStopped(self) -> None:
        self.stop()
        self.assertFalse(self.service.running)


class StampTests(ReloadingCase):
    """What a change is."""

    def test_aFileThatIsReplacedHasChanged(self) -> None:
        self.reloading.startService()
        other = Path(f"{self.path}.new")
        other.write_text("7 watch")
        os.utime(other, (self.written, self.written))
        other.replace(self.path)
        for _ in range(2):
            self.clock.advance(LOOK)
        self.assertEqual(self.applied, [7])
