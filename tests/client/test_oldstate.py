"""The state of tunnels that nobody has used for a long time."""

from __future__ import annotations

import os
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bore.client.oldstate import OLD, removeOldState
from bore.client.state import Remembered, StateFile
from bore.events import Sink
from tests.support import temporaryFolder

TUNNEL = Remembered(20001, None)


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

    def test_whatWasUsedWithinTheTimeStays(self) -> None:
        self.used("old", OLD + 60)
        self.used("new", OLD - 60)
        self.used("future", -OLD)
        removeOldState(self.folder)
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
        removeOldState(self.folder)
        self.assertEqual({file.name for file in self.files()}, {"known_servers", "tls.pem"})

    def test_whoHasOpenedALockThatIsRemovedTakesTheNewOne(self) -> None:
        self.used("a", OLD * 2)
        state = self.state("a")
        state._lock = state._openLock()
        self.age("a", OLD * 2)
        removeOldState(self.folder)
        state.save(TUNNEL)
        self.assertEqual(len(self.files("a")), 2)
        other = self.state("a")
        other.save(Remembered(20002, None))
        self.assertIsNone(other.load(), "the first one has the lock that is there")

    def test_aFolderThatDoesNotExistIsNotMade(self) -> None:
        removeOldState(self.folder)
        self.assertFalse(self.folder.exists())
