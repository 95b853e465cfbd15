"""The state of tunnels that nobody has used for a long time."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bore.client import oldstate
from bore.client.oldstate import GRACE, OLD, removeOldState
from bore.client.state import Remembered, StateFile
from bore.events import Sink
from tests.support import temporaryFolder

TUNNEL = Remembered(20001, None)


@dataclass(frozen=True)
class _Clock:
    """The module ``time``, at another time."""

    now: float

    def time(self) -> float:
        return self.now


class OldStateTests(SynchronousTestCase):
    """A folder with the state of many tunnels."""

    if os.name != "posix":
        skip = "there are no lock files here"

    def setUp(self) -> None:
        self.folder = temporaryFolder(self) / "state"

    def state(self, local: str) -> StateFile:
        made = StateFile(self.folder, "example.com:7835", local, Sink())
        self.addCleanup(made.close)
        return made

    def used(self, local: str, age: float) -> None:
        """Have a tunnel that was last used that many seconds ago."""
        state = self.state(local)
        state.save(TUNNEL)
        state.close()
        self.age(local, age)

    def age(self, local: str, age: float) -> None:
        for file in self.files(local):
            os.utime(file, (time.time() - age,) * 2)

    def files(self, local: str = "") -> list[Path]:
        return [file for file in self.folder.iterdir() if local in file.name]

    def removeTwice(self, later: float = GRACE) -> None:
        """Have clients end now, and after some seconds."""
        removeOldState(self.folder)
        for file in self.folder.iterdir():
            seconds = file.stat().st_mtime - later - 60
            os.utime(file, (seconds, seconds))
        removeOldState(self.folder)

    def test_whatWasUsedWithinTheTimeStays(self) -> None:
        self.used("old", OLD + 60)
        self.used("new", OLD - GRACE - 120)
        self.used("future", -OLD)
        self.removeTwice()
        self.assertEqual(self.files("old"), [])
        for local in ("new", "future"):
            self.assertEqual(len(self.files(local)), 2)
            self.assertEqual(self.state(local).load(), TUNNEL)

    def test_whatIsInUseStaysHoweverLongAgoItWasSaved(self) -> None:
        state = self.state("open")
        state.save(TUNNEL)
        self.age("open", OLD * 2)
        removeOldState(self.folder)
        self.assertEqual(len(self.files("open")), 2)
        state.close()
        removeOldState(self.folder)
        self.assertEqual(len(self.files("open")), 2, "it was in use a moment ago")

    def test_whatSeemsToBeUnusedIsLeftForAWeek(self) -> None:
        self.used("crashed", OLD * 2)
        for _ in range(2):
            removeOldState(self.folder)
        self.removeTwice(later=GRACE - 120)
        state = self.state("crashed")
        self.assertEqual(state.load(), TUNNEL, "the machine crashed after months, and another client ended first")
        state.close()
        self.age("crashed", OLD * 2)
        removeOldState(self.folder)
        self.assertEqual(len(self.files("crashed")), 2, "it was used in between")

    def test_aClockThatIsWrongForOnceRemovesNothing(self) -> None:
        self.used("a", 60)
        now = time.time()
        self.patch(oldstate, "time", _Clock(now + 10 * OLD))
        removeOldState(self.folder)
        self.patch(oldstate, "time", _Clock(now))
        removeOldState(self.folder)
        self.assertEqual(self.state("a").load(), TUNNEL)

    def test_toReadItIsToUseIt(self) -> None:
        self.used("read", OLD * 2)
        state = self.state("read")
        self.assertEqual(state.load(), TUNNEL)
        state.close()
        removeOldState(self.folder)
        self.assertEqual(len(self.files("read")), 2)

    def test_aLockWithoutStateIsRemovedAndOtherFilesAreNot(self) -> None:
        self.used("old", OLD * 2)
        for name in ("known_servers", "tls.pem"):
            (self.folder / name).touch()
            self.age(name, OLD * 2)
        next(file for file in self.files("old") if file.suffix == ".json").unlink()
        self.removeTwice()
        self.assertEqual({file.name for file in self.files()}, {"known_servers", "tls.pem"})

    def test_whoHasOpenedALockThatIsRemovedTakesTheNewOne(self) -> None:
        self.used("a", OLD * 2)
        state = self.state("a")
        state._lock = state._openLock()
        self.age("a", OLD * 2)
        self.removeTwice()
        self.assertEqual(self.files("a"), [])
        state.save(TUNNEL)
        self.assertEqual(len(self.files("a")), 2)
        other = self.state("a")
        other.save(Remembered(20002, None))
        self.assertIsNone(other.load(), "the first one has the lock that is there")

    def test_aFolderThatDoesNotExistIsNotMade(self) -> None:
        removeOldState(self.folder)
        self.assertFalse(self.folder.exists())
