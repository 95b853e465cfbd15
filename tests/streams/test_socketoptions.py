"""Options of sockets."""

from __future__ import annotations

import socket
import sys
import time

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from bore.streams.socketoptions import canPace, pace
from tests.relay.plugs import rateOf, tcpPair, unixPair
from tests.support import receiveExactly

_RATE = 2_000_000


class PacingTests(SynchronousTestCase):
    """The rate at which a socket sends."""

    def setUp(self) -> None:
        if sys.platform != "linux":
            raise SkipTest("only Linux limits the rate of a socket")

    def test_linuxCanLimitIt(self) -> None:
        self.assertTrue(canPace())

    def test_itIsSetUpToRatesBeyondFourBytes(self) -> None:
        for rate in (1000, _RATE, 100 * 10**9):
            near, far = tcpPair()
            self.addCleanup(near.close)
            self.addCleanup(far.close)
            pace(far, rate)
            self.assertEqual(rateOf(far), rate)

    def test_noMoreIsSentAndLittleWaitsInTheSocket(self) -> None:
        near, far = tcpPair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        pace(far, _RATE)
        begin = time.monotonic()
        sent = received = 0
        while received < _RATE:
            try:
                sent += far.send(bytes(1 << 16))
            except BlockingIOError:
                received += len(receiveExactly(near, 1 << 14))
            self.assertLess(sent - received, _RATE)
        seconds = time.monotonic() - begin
        self.assertGreater(seconds, 0.7, "a second's worth of bytes takes about a second")

    def test_aUnixSocketIgnoresIt(self) -> None:
        near, far = unixPair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        pace(far, 1000)
        far.sendall(bytes(50_000))
        self.assertEqual(len(receiveExactly(near, 50_000)), 50_000)

    def test_aConnectionThatIsGoneIsNoError(self) -> None:
        sock = socket.socket()
        sock.close()
        pace(sock, 1000)
