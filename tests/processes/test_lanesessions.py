"""Lanes, and a client or server that is away for a while."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time

from tests.forwarder import Forwarder
from tests.processes.lanescase import DEBUG, LaneCase, lost, opened
from tests.promptness import within
from tests.support import eventually, receiveAll

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there are no lanes on this system")


class SessionTests(LaneCase):
    """Lanes, and a client or server that is away for a while."""

    def test_whoWaitsForAClientThatWasKilledIsServed(self) -> None:
        port = self.startBoth()
        running = self.visitor(port)
        self.assertEchoes(running)
        self.local.kill()
        self.bore.waitFor("kept for")
        self.assertRaises(ConnectionResetError, running.recv, 1)
        visitors = [self.visitor(port) for _ in range(20)]
        self.local, same = self.client(self.control, *DEBUG, home=self.home)
        self.assertEqual(same, port)
        for visitor in visitors:
            self.assertEchoes(visitor)
        self.assertUsed(21)
        self.assertNothingSaid()

    def test_joinedStreamsOnLanesOutliveTheirSession(self) -> None:
        self.bore, self.control = self.server(*DEBUG)
        way = Forwarder(self.host, 0, (self.host, self.control))
        self.addCleanup(way.close)
        self.local, port = self.client(way.port, *DEBUG)
        self.haveLanes(4)
        visitors = [self.visitor(port) for _ in range(10)]
        for visitor in visitors:
            self.assertEchoes(visitor)
        way.session.cut()
        self.bore.waitFor("is back")
        for visitor in visitors:
            self.assertEchoes(visitor)
            visitor.shutdown(socket.SHUT_WR)
            self.assertEqual(receiveAll(visitor), b"")
        before = opened(self.bore)
        eventually(lambda: opened(self.bore) - lost(self.bore) <= 6, "only the new session's lanes are left")
        self.assertServed(port, 5)
        self.assertLessEqual(opened(self.bore), before + 1)

    def test_whoIsOnALaneThatWasCutIsServedByAnotherAtOnce(self) -> None:
        self.bore, self.control = self.server(*DEBUG)
        way = Forwarder(self.host, 0, (self.host, self.control))
        self.addCleanup(way.close)
        self.local, port = self.client(way.port, *DEBUG)
        for _ in range(5):
            self.haveLanes(4, lost(self.bore))
            first = [self.visitor(port) for _ in range(4)]
            for visitor in first:
                self.assertEchoes(visitor)
                visitor.close()
            lanes = [passage for passage in way.passages if passage is not way.session]
            # The server hears of the visitor and of the lanes' end together, in whatever order.
            os.kill(self.bore.pid, signal.SIGSTOP)
            visitor = self.visitor(port)
            for lane in lanes[: len(lanes) // 2]:
                lane.cut()
                way.passages.remove(lane)
            os.kill(self.bore.pid, signal.SIGCONT)
            with within(3):
                self.assertEchoes(visitor)
            visitor.close()

    def test_aClientThatWasStoppedForAMomentServesWhoCameMeanwhile(self) -> None:
        port = self.startBoth()
        os.kill(self.local.pid, signal.SIGSTOP)
        visitors = [self.visitor(port) for _ in range(10)]
        time.sleep(3.2)
        os.kill(self.local.pid, signal.SIGCONT)
        for visitor in visitors:
            self.assertEchoes(visitor)
        self.assertNothingSaid()

    def test_aClientThatWasStoppedForLongServesWhoCameMeanwhile(self) -> None:
        port = self.startBoth()
        os.kill(self.local.pid, signal.SIGSTOP)
        early = [self.visitor(port) for _ in range(2)]
        time.sleep(1.2)
        early += [self.visitor(port) for _ in range(8)]
        self.bore.waitFor("does not answer, kept for 60 s")
        late = [self.visitor(port) for _ in range(3)]
        os.kill(self.local.pid, signal.SIGCONT)
        for visitor in (*early, *late):
            self.assertEchoes(visitor)
        self.bore.waitFor("is back")
        self.assertServed(port, 5)

    def test_aServerThatWasStoppedServesOnItsOldLanes(self) -> None:
        port = self.startBoth()
        self.assertServed(port, 1)
        os.kill(self.bore.pid, signal.SIGSTOP)
        visitors = [self.visitor(port) for _ in range(3)]
        time.sleep(3)
        os.kill(self.bore.pid, signal.SIGCONT)
        for visitor in visitors:
            self.assertEchoes(visitor)
        self.assertEqual(lost(self.bore), 0)
        self.assertNothingSaid()

    def test_aServerThatWasRestartedHasLanesAgain(self) -> None:
        port = self.startBoth()
        self.assertServed(port, 2)
        self.bore.kill()
        self.local.waitFor("lost ")
        eventually(lambda: lost(self.local) >= 4, "the old lanes are gone")
        self.bore, _ = self.server(*DEBUG, port=self.control)
        self.bore.waitFor(f"port {port}: opened for ")
        self.haveLanes(4)
        self.assertServed(port, 5)
        self.assertUsed(5)

    def test_aServerThatIsStoppedClosesTheIdleOnesAndLetsTheOthersEnd(self) -> None:
        port = self.startBoth()
        visitor = self.visitor(port)
        self.assertEchoes(visitor)
        self.bore.process.send_signal(signal.SIGTERM)
        eventually(lambda: lost(self.local) >= 4, "idle lanes are gone")
        self.assertEchoes(visitor)
        visitor.shutdown(socket.SHUT_WR)
        self.assertEqual(receiveAll(visitor), b"")
        self.assertEqual(self.bore.wait(), 0)

    def test_aClientThatIsStoppedLetsVisitorsEnd(self) -> None:
        port = self.startBoth()
        visitor = self.visitor(port)
        self.assertEchoes(visitor)
        self.local.process.send_signal(signal.SIGTERM)
        eventually(lambda: lost(self.bore) >= 4, "idle lanes are gone")
        self.assertEchoes(visitor)
        visitor.shutdown(socket.SHUT_WR)
        self.assertEqual(receiveAll(visitor), b"")
        self.assertEqual(self.local.wait(), 0)
