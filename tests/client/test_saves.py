"""Many tunnels that are saved at once."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.client.saves import Saves, SpreadMemory
from bore.client.state import Remembered
from bore.wire.publicaddress import PublicAddress
from tests.client.test_publicport import FakeMemory


class SavesTests(SynchronousTestCase):
    """Three tunnels."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.saves = saves = Saves(self.clock)
        self.files = [FakeMemory() for _ in range(3)]
        self.memories = [SpreadMemory(file, saves) for file in self.files]

    def saveAll(self, port: int) -> None:
        for memory in self.memories:
            memory.save(Remembered(port, None))

    def turn(self) -> None:
        """One turn of the reactor; a clock that is advanced has no end of them."""
        self.clock.calls.pop(0).func()

    def saved(self) -> list[PublicAddress]:
        return [0 if file.tunnel is None else file.tunnel.address for file in self.files]

    def test_oneAloneIsSavedAtOnce(self) -> None:
        for port in (1, 2):
            self.memories[0].save(Remembered(port, None))
            self.assertEqual(self.memories[0].load(), Remembered(port, None))
            self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_ofSeveralOneIsSavedInEachTurnAndTheLastValueCounts(self) -> None:
        self.saveAll(1)
        self.saveAll(2)
        for expected in ([1, 0, 0], [1, 2, 0], [1, 2, 2], [2, 2, 2]):
            self.assertEqual(sorted(self.saved()), sorted(expected))
            self.turn()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_filesOfAnotherProcessAreNeitherReadNorWrittenBeforeTheyAreOurs(self) -> None:
        self.files[2].tunnel = Remembered(7, None)
        self.saves.held = True
        self.saveAll(1)
        self.memories[1].close()
        self.assertEqual([memory.load() for memory in self.memories], [None] * 3)
        self.assertEqual((self.saved(), self.clock.getDelayedCalls()), ([0, 0, 7], []))
        self.saves.release()
        while self.clock.getDelayedCalls():
            self.turn()
        self.assertEqual(self.saved(), [1, 0, 1])
        self.assertEqual(self.memories[2].load(), Remembered(1, None))

    def test_oneThatIsClosedIsSavedBefore(self) -> None:
        self.saveAll(1)
        self.memories[2].close()
        self.assertEqual(self.saved(), [1, 0, 1])

    def test_oneThatIsForgottenIsNotSaved(self) -> None:
        self.saveAll(1)
        self.memories[2].forget()
        for _ in range(4):
            self.clock.advance(0)
        self.assertEqual(self.saved(), [1, 1, 0])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_thoseThatAreClosedAtOnceDoNotWaitForTheDiskAndHaveLittleTime(self) -> None:
        class SlowMemory(FakeMemory):
            def save(inner, tunnel: Remembered, lasting: bool = True) -> None:
                super().save(tunnel, lasting)
                self.clock.rightNow += 0.2

        saves = Saves(self.clock)
        files = [SlowMemory() for _ in range(10)]
        memories = [SpreadMemory(file, saves) for file in files]
        for _ in range(2):
            for memory in memories:
                memory.save(Remembered(1, None))
            begin = self.clock.seconds()
            for memory in memories[1:]:
                memory.close()
            self.assertLess(self.clock.seconds() - begin, 0.8)
            self.assertEqual([file.lasting for file in files if file.tunnel is not None], [True, *[False] * 3])
            self.turn()
            for file in files:
                file.forget()
