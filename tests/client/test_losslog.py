"""What a client logs of tunnels that are refused or lost: one line for many with the same fault."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from bore.client.log import ClientLog
from bore.events import Stopped
from bore.events.client import GaveUp, ServerLost, Stage, TunnelGivenUp, Verdict
from tests.fakes import captureLog

SERVER = "example.com:7835"
IN_USE = "server error: port {} is already in use on the server"


def refused(tunnel: str, why: str = IN_USE, code: str = "port-in-use", delay: float = 2.0) -> ServerLost:
    """A tunnel is refused."""
    return ServerLost(SERVER, Stage.NO_TUNNEL, why.format(20000), code, Verdict.RETRY, delay, tunnel)


class LossLogTests(SynchronousTestCase):
    """The lines of a client's log."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.log = ClientLog(self.clock)
        self._events = captureLog(self)

    def takeLines(self) -> list[str]:
        lines = [formatEvent(event) for event in self._events]
        self._events.clear()
        return lines

    def test_aClientWithOneTunnelHasItsLinesAtOnceAndNoTimer(self) -> None:
        for _ in range(3):
            self.log(refused(""))
            expected = f"no tunnel from {SERVER}: server error: port 20000 is already in use on the server"
            self.assertEqual(self.takeLines(), [expected, "next attempt in 2.0 s"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_aTunnelThatIsRefusedAloneHasItsLinesEachTime(self) -> None:
        for _ in range(5):
            self.log(refused("web"))
            self.assertEqual(len(self.takeLines()), 2)
            self.clock.advance(2)
        self.assertEqual(self.takeLines(), [])

    def test_oneThatIsRefusedTwiceSoonHasAllItsLines(self) -> None:
        self.log(refused("web"))
        self.log(refused("web"))
        self.clock.advance(1)
        self.assertEqual(len(self.takeLines()), 4)

    def test_othersWithTheSameFaultShareALineWithTheFirstNames(self) -> None:
        for number in range(37):
            self.log(refused(f"t{number}", delay=0.5 + number / 72))
        self.assertEqual(len(self.takeLines()), 2, "those of the first one")
        self.clock.advance(1)
        expected = (
            f"36 tunnels: no tunnel from {SERVER}: server error: port 20000 is already in use on the server; "
            "next attempts in 0.5 to 1.0 s: t1, t2, t3 and 33 more"
        )
        self.assertEqual(self.takeLines(), [expected])

    def test_aReasonThatNamesThePortIsSharedWithoutIt(self) -> None:
        for number in range(4):
            self.log(refused(f"t{number}", why=f"server error: port {number} is already in use on the server"))
        self.takeLines()
        self.clock.advance(1)
        [line] = self.takeLines()
        self.assertIn(": server error: port already in use; next attempts", line)

    def test_anotherFaultHasLinesOfItsOwn(self) -> None:
        self.log(refused("a"))
        self.log(refused("b", code="permission-denied"))
        self.assertEqual(len(self.takeLines()), 4)

    def test_whileManyAreRefusedThereIsAboutOneLineForEachAttempt(self) -> None:
        lines = 0
        for _ in range(1024):
            for number in range(100):
                if (number + int(self.clock.seconds())) % 60 == 0:
                    self.log(refused(f"t{number}"))
            self.clock.advance(1)
            lines += len(self.takeLines())
        self.assertLess(lines, 30)

    def test_afterAQuietTimeTheFirstOneHasItsLinesAtOnce(self) -> None:
        for number in range(3):
            self.log(refused(f"t{number}"))
        self.clock.advance(1)
        self.clock.advance(60)
        self.takeLines()
        self.log(refused("t0"))
        self.assertEqual(len(self.takeLines()), 2)

    def test_thatTunnelsAreGivenUpHasOneLine(self) -> None:
        for number in range(5):
            self.log(TunnelGivenUp(f"t{number}", "localhost:80", "server error: invalid secret"))
        self.assertEqual(self.takeLines(), [])
        self.log(GaveUp("server error: invalid secret"))
        expected = "5 tunnels: server error: invalid secret: they are given up: t0, t1, t2 and 2 more"
        self.assertEqual(self.takeLines(), [expected])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_aTunnelThatIsGivenUpAloneIsNamed(self) -> None:
        self.log(TunnelGivenUp("web", "localhost:80", "no"))
        self.clock.advance(1)
        self.assertEqual(self.takeLines(), ["web: no: this tunnel is given up"])

    def test_theEndLogsTheRestAndLeavesNoTimer(self) -> None:
        for number in range(3):
            self.log(refused(f"t{number}"))
        self.takeLines()
        self.log(Stopped())
        self.assertEqual(len(self.takeLines()), 1)
        self.log(refused("t0"))
        self.assertEqual((self.takeLines(), self.clock.getDelayedCalls()), ([], []))

    def test_faultsThatAreOverAreForgotten(self) -> None:
        for number in range(1000):
            self.log(refused("t0", why=f"fault {number}", code=""))
            self.clock.advance(5)
        self.assertLess(len(self.log._losses._faults), 10)
