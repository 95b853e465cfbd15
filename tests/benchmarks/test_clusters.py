"""The parts of the benchmark of clusters that can be had without a cluster."""

from __future__ import annotations

import json
import math
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.bench import loopbackHost
from benchmarks.cluster import rounds
from benchmarks.clustertunnels import unserved
from benchmarks.greeter import GREETING
from benchmarks.idletunnels import FullSession
from benchmarks.passersby import Visit, steadily, toAll
from benchmarks.tunnels import Address
from bore.wire.limits import MAX_TUNNELS


class PassersbyTests(SynchronousTestCase):
    """Visitors that come until they are greeted."""

    @contextmanager
    def services(self, count: int, closed: int) -> Iterator[list[Address]]:
        """Listeners that each greet one visitor; the first one closes some before."""
        host = loopbackHost(0, 1)
        listeners = [socket.create_server((host, 0)) for _ in range(count)]
        threads = [
            threading.Thread(target=self.serve, args=(listener, closed if listener is listeners[0] else 0))
            for listener in listeners
        ]
        for thread in threads:
            thread.start()
        yield [Address(*listener.getsockname()) for listener in listeners]
        for thread, listener in zip(threads, listeners, strict=True):
            thread.join()
            listener.close()

    def serve(self, listener: socket.socket, closed: int) -> None:
        for n in range(closed + 1):
            visitor, _ = listener.accept()
            with visitor:
                if n == closed:
                    visitor.send(GREETING)

    def test_oneThatIsClosedComesAgain(self) -> None:
        with self.services(2, closed=2) as addresses:
            found = toAll(addresses)
        self.assertEqual(sorted(visit.lost for visit in found), [0, 2])
        self.assertEqual(sorted(unserved(found)), [False, True])
        self.assertTrue(all(0 < visit.waited < math.inf for visit in found))

    def test_theyComeToEachAddressInTurn(self) -> None:
        with self.services(3, closed=0) as addresses:
            found = steadily(addresses, 1000, 0.003)
        self.assertEqual([visit.lost for visit in found], [0, 0, 0])

    def test_oneThatWasNeverGreetedIsUnserved(self) -> None:
        self.assertEqual(unserved([Visit(5.0), Visit(5.0, 6.0), Visit(5.0, 6.0, lost=1)]), [True, False, True])


class FullSessionTests(SynchronousTestCase):
    """A session with as many tunnels as it may have."""

    def test_aServerAllowsThem(self) -> None:
        hello, *opens, end = FullSession._request.split(b"\0")
        self.assertEqual((json.loads(hello), end), ({"Hello": 0}, b""))
        self.assertEqual([json.loads(each)["Open"]["tunnel"] for each in opens], list(range(1, len(opens) + 1)))
        self.assertLessEqual(len(opens), MAX_TUNNELS)


class RoundsTests(SynchronousTestCase):
    """What several rounds have found."""

    def test_theTableHasTheMedianOfEachFigure(self) -> None:
        values = iter([3.0, 1.0, 2000.0])
        table = rounds(3, lambda: {"a figure": next(values)})
        self.assertIn(["a", "figure", "3", "1", "2000"], [line.split() for line in table.splitlines()])
