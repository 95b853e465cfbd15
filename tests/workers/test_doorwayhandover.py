"""Connections that were not passed on when the supervisor is upgraded."""

from __future__ import annotations

import os
import resource

from tests.support import connect
from tests.wire.test_clienthello import opensslHello
from tests.workers.doorwaycase import HELLO, DoorwayCase, lane


class HandoverTests(DoorwayCase):
    """A doorway that goes on with what another one has released."""

    def test_halfAMessageIsReadToItsEnd(self) -> None:
        data = opensslHello(b"bore/1", b"bore-at/2")
        client = self.connect(data[:200], encrypted=True)
        self.doorway.pause()
        states = self.doorway.release()
        self.assertEqual((len(states), self.doorway.count, self.reactor.getReaders()), (1, 0, []))
        self.doorway.adopt(states)
        self.assertEqual(self.turn(most=10), 0)
        client.sendall(data[200:])
        self.turn()
        self.assertEqual(self.workers[1].readAll(), [data])

    def test_whatIsCompleteMeanwhileIsPassedOnByTheNextOne(self) -> None:
        data = opensslHello(b"bore/1", b"bore-at/2")
        client = self.connect(data[:200], encrypted=True)
        self.doorway.pause()
        client.sendall(data[200:])
        self.turn()
        self.doorway.changed()
        self.assertEqual([len(each.got) for each in self.workers], [0, 0], "the channels are about to be left")
        self.doorway.adopt(self.doorway.release())
        self.assertEqual(self.workers[1].readAll(), [data])

    def test_oneThatWaitsForItsWorkerGoesOnWaiting(self) -> None:
        self.workers[0].hasRoom = False
        self.connect(lane(1))
        self.doorway.pause()
        self.doorway.adopt(self.doorway.release())
        self.assertEqual(self.doorway.count, 1)
        self.workers[0].hasRoom = True
        self.doorway.changed()
        self.assertEqual(len(self.workers[0].got), 1)

    def test_whoComesMeanwhileWaitsInTheKernel(self) -> None:
        self.doorway.pause()
        self.connect(HELLO)
        self.assertEqual(([len(each.got) for each in self.workers], self.doorway.count), ([0, 0], 0))

    def connectWithoutDescriptors(self) -> None:
        """One more client, for which the process has no descriptor left."""
        client = connect(self.host, self.ports[0])
        self.addCleanup(client.close)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        free = os.dup(client.fileno())
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
        try:
            self.turn()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    def test_oneThatWasClosedForItsDescriptorIsNotAmongThem(self) -> None:
        dropped = self.connect(b"{")
        self.connectWithoutDescriptors()
        self.assertRaises(ConnectionResetError, dropped.recv, 1)
        self.doorway.pause()
        states = self.doorway.release()
        self.assertEqual([each.fd >= 0 for each in states], [True])
        self.doorway.adopt(states)

    def test_norDoesAWorkerGetIt(self) -> None:
        self.workers[0].hasRoom = False
        dropped = self.connect(lane(1))
        self.connectWithoutDescriptors()
        self.assertRaises(ConnectionResetError, dropped.recv, 1)
        self.workers[0].hasRoom = True
        self.doorway.changed()
        self.assertEqual(self.workers[0].got, [])
