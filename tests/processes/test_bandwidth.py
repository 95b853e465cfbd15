"""--bandwidth, which is measured at both ends of a stream."""

from __future__ import annotations

import socket
import sys
import time

from twisted.trial.unittest import SkipTest

from tests.processes.case import ProcessCase
from tests.support import connect, receiveAll, receiveExactly

#: Bytes per second.
_RATE = 2_000_000

#: What is sent each way: much more than the buffers on the way hold, once they are full.
_SIZE = 3_000_000


class BandwidthTests(ProcessCase):
    """Streams that are limited are no faster than that, and whole."""

    def setUp(self) -> None:
        if sys.platform != "linux":
            raise SkipTest("only Linux limits the rate of a socket")
        super().setUp()
        self.seconds = 0.0
        self.service.serve = self.exchange

    def exchange(self, sock: socket.socket) -> None:
        """Receive as much as there is, and time that; then send as much."""
        receiveExactly(sock, 1)
        begin = time.monotonic()
        receiveExactly(sock, _SIZE)
        self.seconds = time.monotonic() - begin
        sock.sendall(bytes(_SIZE))

    def assertLimited(self, port: int) -> None:
        with connect(self.host, port) as visitor:
            visitor.sendall(bytes(_SIZE + 1))
            visitor.recv(1)
            begin = time.monotonic()
            self.assertEqual(len(receiveAll(visitor)), _SIZE - 1)
            seconds = time.monotonic() - begin
        for each in (self.seconds, seconds):
            self.assertGreater(each, 0.8 * _SIZE / _RATE, (self.seconds, seconds))

    def test_onALaneAndOnAConnectionOfItsOwn(self) -> None:
        _, control = self.server()
        for words in ((), ("--lanes", "0")):
            _, port = self.client(control, "--bandwidth", "2 MB/s", *words)
            for _ in range(2):
                self.assertLimited(port)
