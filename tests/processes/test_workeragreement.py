"""
What a server with workers has counted, and written in its visitor log, is what the local service has seen, to the byte.

BORE_STRESS=1: ten thousand visitors, half of which are cut at one end or the other.
"""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from tests.processes.test_workerstatus import WorkerStatusCase
from tests.status.case import IN_ORDER, SERVICE_CUTS, VISITOR_CUTS, Counter
from tests.support import eventually

#: How many visitors come in order, and how many of which some are cut.
_VISITORS: Final = 5000


@pytest.mark.timeout(600)
class WorkerAgreementTests(WorkerStatusCase):
    """Visitors at random of two tunnels, each at a worker of its own."""

    skip = None if os.environ.get("BORE_STRESS") else "only with BORE_STRESS=1"

    def setUp(self) -> None:
        super().setUp()
        self.counter = Counter()
        self.addCleanup(self.counter.service.close)
        self.service = self.counter.service

    def visitAll(self, ports: list[int], ends: tuple[int, ...], seed: int) -> None:
        with ThreadPoolExecutor(16) as pool:
            for number in range(_VISITORS):
                pool.submit(self.counter.visit, self.host, ports[number % len(ports)], seed + number, ends)
        eventually(lambda: not self.status()["totals"]["open"], "all have left", 60)

    def test_theSumsAndTheVisitorLog(self) -> None:
        server, control = self.begin()
        ports = [self.client(control)[1] for _ in range(2)]
        self.assertEqual(len({each["worker"] for each in self.status()["tunnels"]}), 2)
        self.visitAll(ports, (IN_ORDER,), 1)
        counter, totals = self.counter, self.status()["totals"]
        self.assertEqual(counter.service.errors, [])
        self.assertEqual((totals["visitors"], counter.visitors), (_VISITORS, _VISITORS))
        self.assertEqual((totals["toClient"], totals["toVisitors"]), (counter.received, counter.sent))
        self.assertEqual((counter.receivedByVisitors, counter.sentByVisitors), (counter.sent, counter.received))
        eventually(lambda: len(self.lines()) == _VISITORS, "each has a line")
        former = self.log.with_suffix(".1")
        self.log.rename(former)
        server.process.send_signal(signal.SIGUSR1)
        self.visitAll(ports, (IN_ORDER, VISITOR_CUTS, SERVICE_CUTS), _VISITORS)
        eventually(lambda: len(self.lines(former)) + len(self.lines()) == 2 * _VISITORS, "each has a line")
        lines, totals = self.lines(former) + self.lines(), self.status()["totals"]
        self.assertEqual(totals["visitors"], 2 * _VISITORS)
        for key, name in (("toClient", "toClient"), ("toVisitor", "toVisitors")):
            self.assertEqual(sum(line[key] for line in lines), totals[name])
        self.assertGreater(len({line["reason"] for line in lines}), 1)
        self.assertLessEqual(counter.received, totals["toClient"])
        self.assertLessEqual(totals["toClient"], counter.sentByVisitors)
        server.process.send_signal(signal.SIGUSR2)
        eventually(lambda: self.serving == [2, 2], "there are new workers", 60)
        eventually(lambda: all(each["state"] == "up" for each in self.status()["tunnels"]), "all tunnels have moved")
        after = self.status()["totals"]
        self.assertEqual([after[name] for name in totals if name not in ("events", "refused")],
                         [totals[name] for name in totals if name not in ("events", "refused")])  # fmt: skip
        for name, count in totals["events"].items():
            self.assertGreaterEqual(after["events"][name], count, name)
        for port in ports:
            self.counter.visit(self.host, port, port, (IN_ORDER,))
        eventually(lambda: self.visited == 2 * _VISITORS + 2, "the sums go on")
