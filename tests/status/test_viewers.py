"""The streams to those who look at the page."""

from __future__ import annotations

from bore.status.traffic import INTERVAL
from tests.status.pagecase import PageCase, Viewer
from tests.status.pagereports import HOSTILE, NOW, serverReport, tunnelReport


class ViewersTests(PageCase):
    """Viewers, one by one and together."""

    def view(self) -> Viewer:
        return Viewer(self.viewers)

    def seeing(self) -> Viewer:
        """A viewer that has been sent the first snapshot."""
        viewer = self.view()
        self.clock.advance(0)
        self.assertEqual(viewer.names(), ["snapshot", "traffic"])
        return viewer

    def test_theFirstEventHasEverything(self) -> None:
        viewer = self.view()
        self.clock.advance(0)
        (_, data), (_, traffic) = viewer.events()
        parts = data["parts"]
        assert isinstance(parts, dict)
        self.assertEqual(parts[""]["program"], "server")
        self.assertEqual(list(parts["tunnels"]), ["20000"])
        self.assertEqual(data["now"], NOW)
        self.assertEqual(traffic["total"], [])

    def test_laterOnesHaveWhatHasChanged(self) -> None:
        viewer = self.seeing()
        self.report = serverReport(tunnelReport(20000), state="draining")
        self.clock.advance(1)
        ((name, data),) = viewer.events()
        self.assertEqual((name, data["parts"], data["seconds"]), ("change", {"": {"set": {"state": "draining"}}}, 1.0))

    def test_withoutAChangeThereIsABeatNowAndThen(self) -> None:
        viewer = self.seeing()
        self.clock.pump([1] * 14)
        self.assertEqual(viewer.names(), [])
        self.clock.advance(1)
        self.assertEqual(viewer.names(), ["beat"])

    def test_whileNobodyLooksNothingIsDone(self) -> None:
        self.clock.advance(100)
        self.assertEqual(self.taken, 0)
        viewer = self.seeing()
        self.clock.pump([1] * 5)
        self.assertEqual(self.taken, 6)
        viewer.leave()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_oneThatLeavesAtOnceLeavesNothingBehind(self) -> None:
        self.view().leave()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.seeing()

    def test_allViewersShareASnapshot(self) -> None:
        first, second = self.seeing(), self.view()
        self.assertEqual(second.names(), ["snapshot", "traffic"])
        self.assertEqual(self.taken, 1)
        self.report = serverReport()
        self.clock.advance(1)
        self.assertEqual((first.names(), second.names(), self.taken), (["change"], ["change"], 2))

    def test_aViewerThatIsBehindGetsNoChangesButEverythingLater(self) -> None:
        viewer = self.seeing()
        viewer.unread = 1
        for n in range(5):
            self.report = serverReport(*map(tunnelReport, range(n)))
            self.clock.advance(1)
        self.assertEqual(viewer.names(), [])
        viewer.unread = 0
        self.clock.advance(1)
        self.assertEqual(viewer.names(), ["snapshot", "traffic"])
        self.report = serverReport()
        self.clock.advance(1)
        self.assertEqual(viewer.names(), ["change"])

    def test_oneThatHasMissedNothingIsNotSentEverythingAgain(self) -> None:
        viewer = self.seeing()
        viewer.unread = 1
        self.clock.advance(1)
        viewer.unread = 0
        self.clock.advance(1)
        self.assertEqual(viewer.names(), [])

    def test_oneThatNeverReadsIsClosed(self) -> None:
        viewer, other = self.seeing(), self.view()
        viewer.unread = 1
        self.clock.pump([1] * 59)
        self.assertFalse(viewer.isClosed)
        self.clock.advance(1)
        self.assertTrue(viewer.isClosed)
        self.assertFalse(other.isClosed)

    def test_aSampleIsSentAtOnce(self) -> None:
        self.traffic.start()
        self.addCleanup(self.traffic.stop)
        viewer = self.seeing()
        self.report = serverReport(tunnelReport(20000, 4000))
        self.clock.advance(INTERVAL)
        sent = dict(viewer.events())
        self.assertEqual((sent["traffic"]["total"], sent["traffic"]["tunnels"]), ([4000], {"20000": [4000]}))

    def test_aFaultEndsTheStreamsAndIsLogged(self) -> None:
        viewer = self.seeing()
        self.report = RuntimeError("no snapshot")
        self.clock.advance(1)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertTrue(viewer.isClosed)
        self.report = serverReport()
        self.seeing()

    def test_whatStrangersWriteStaysInsideTheData(self) -> None:
        self.report = serverReport(tunnelReport(20000, user=HOSTILE + "\n\nevent: beat\ndata: 1"), text=HOSTILE)
        self.seeing()
