"""What the service manager is told, and when."""

from __future__ import annotations

from typing import cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.events import Draining, Sink, Stopped, VisitorEnd
from bore.events.server import SessionOpened, TunnelClosed, TunnelEnd, TunnelOpened, VisitorLeft
from bore.status.notices import Notices
from bore.status.statuslines import SupervisorLine
from bore.system.notify import Notifier
from tests.fakes import captureLog

OPENED = TunnelOpened(20080, "192.0.2.1:4711", "192.0.2.1")
CLOSED = TunnelClosed(20080, "192.0.2.1", TunnelEnd.GIVEN_BACK)


class FakeNotifier:
    """
    Keeps the notices.

    :ivar sent: all of them.
    :ivar full: whether the manager takes no more.
    """

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.full = False

    def send(self, *lines: str) -> bool:
        if not self.full:
            self.sent.append("\n".join(lines))
        return not self.full


class NoticesTests(SynchronousTestCase):
    """The notices of a program."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.sink = Sink()
        self.notifier = FakeNotifier()
        self.status = "no tunnels"
        self.alive = True

    def notices(self, watchdog: float | None = None) -> Notices:
        notifier = cast(Notifier, self.notifier)
        return Notices(self.clock, self.sink, notifier, lambda: self.status, lambda: self.alive, watchdog)

    def sent(self) -> list[str]:
        """What was sent since the last call."""
        sent, self.notifier.sent = self.notifier.sent, []
        return sent

    def test_itIsReadyWhenItHasStarted(self) -> None:
        notices = self.notices()
        self.assertEqual(self.sent(), [])
        notices.ready()
        self.assertEqual(self.sent(), ["READY=1\nSTATUS=no tunnels"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_newCodeLivesBeforeItIsReady(self) -> None:
        """Its workers may take longer to start than the watchdog waits."""
        notices = self.notices(watchdog=3.0)
        notices.goOn()
        self.clock.pump([0.5] * 4)
        self.assertEqual(self.sent(), ["WATCHDOG=1"] * 2)
        notices.ready()
        self.assertEqual(self.sent(), ["READY=1\nSTATUS=no tunnels"])
        self.clock.pump([0.5] * 2)
        self.assertEqual(self.sent(), ["WATCHDOG=1"])

    def test_thatItIsReadyIsSentUntilTheManagerTakesIt(self) -> None:
        self.notifier.full = True
        self.notices().ready()
        self.clock.pump([0.25] * 5)
        self.notifier.full = False
        self.status = "1 tunnel"
        self.clock.advance(0.5)
        self.assertEqual(self.sent(), ["READY=1\nSTATUS=1 tunnel"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_oneThatStopsIsNotReadyAnyMore(self) -> None:
        notices = self.notices()
        self.notifier.full = True
        notices.ready()
        self.sink.emit(Stopped())
        self.notifier.full = False
        notices.reload(lambda: None)
        self.assertEqual(self.sent(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_changesOfAMomentAreOneNotice(self) -> None:
        self.notices().ready()
        self.sent()
        for _ in range(1000):
            self.sink.emit(OPENED)
        self.status = "1000 tunnels"
        self.clock.pump([0.1] * 10)
        self.assertEqual(self.sent(), ["STATUS=1000 tunnels"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_theSameStatusIsNotSentAgain(self) -> None:
        self.notices().ready()
        self.sent()
        self.sink.emit(OPENED)
        self.sink.emit(CLOSED)
        self.clock.advance(1)
        self.assertEqual(self.sent(), [])

    def test_whatOtherProcessesDoIsSeenWhenTheyReportIt(self) -> None:
        notices = self.notices()
        notices.look()
        self.assertEqual(self.sent(), [])  # it is not ready yet
        notices.ready()
        self.sent()
        notices.look()
        self.status = "1 tunnel"
        notices.look()
        notices.look()
        self.assertEqual(self.sent(), ["STATUS=1 tunnel"])
        self.sink.emit(Stopped())
        self.status = "2 tunnels"
        self.sent()
        notices.look()
        self.assertEqual(self.sent(), [])

    def test_theLineOfAServerWithWorkersHasTheirSums(self) -> None:
        line = SupervisorLine(lambda: ["0.0.0.0:7835", "0.0.0.0:7836"], lambda: 4, lambda: 1, lambda: 2)
        self.assertEqual(line(), "listening on 0.0.0.0:7835 and 0.0.0.0:7836; 4 workers, 1 tunnel, 2 clients")

    def test_aVisitorCostsNothing(self) -> None:
        self.notices().ready()
        self.assertFalse(self.sink.visitors)
        self.sink.emit(VisitorLeft("id", 1, 2, 3, 4.0, VisitorEnd.FINISHED, "192.0.2.1:1"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_aReloadBeginsAndEnds(self) -> None:
        notices, during = self.notices(), list[str]()

        def reload() -> None:
            during.extend(self.sent())
            self.status = "reloaded"

        notices.ready()
        self.sent()
        notices.reload(reload)
        (begin,) = during
        self.assertRegex(begin, r"^RELOADING=1\nMONOTONIC_USEC=[0-9]+$")
        self.assertEqual(self.sent(), ["READY=1\nSTATUS=reloaded"])

    def test_aReloadThatFailsEndsToo(self) -> None:
        self.assertRaises(ZeroDivisionError, self.notices().reload, lambda: 1 // 0)
        self.assertEqual(self.sent()[1:], ["READY=1\nSTATUS=no tunnels"])

    def test_whenItStopsNothingElseIsSent(self) -> None:
        self.notices(3.0).ready()
        self.sink.emit(SessionOpened("192.0.2.1:4711", "192.0.2.1", True))
        self.sent()
        self.sink.emit(Stopped())
        self.sink.emit(CLOSED)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.sent(), ["STOPPING=1\nSTATUS=stopping"])

    def test_aDrainMayTakeLongerThanTheManagerGivesAStop(self) -> None:
        self.notices().ready()
        self.sent()
        self.sink.emit(Draining(300.0))
        self.sink.emit(Stopped())
        self.assertEqual(self.sent(), ["STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=310000000"])

    def test_thereAreThreeSignsOfLifeInTheTimeOfTheWatchdog(self) -> None:
        self.notices(3.0).ready()
        self.sent()
        self.clock.pump([0.0] + [1.0] * 6)
        self.assertEqual(self.sent(), ["WATCHDOG=1"] * 7)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_aProgramThatDoesNotLiveGivesNoneAndTheLogSaysSoOnce(self) -> None:
        self.notices(3.0).ready()
        self.clock.advance(1)
        logged = captureLog(self)
        self.sent()
        self.alive = False
        self.clock.pump([1.0] * 5)
        self.assertEqual(self.sent(), [])
        self.assertEqual(len(logged), 1)
        self.alive = True
        self.clock.advance(1)
        self.assertEqual(self.sent(), ["WATCHDOG=1"])
