"""Connections on which bytes are sent at once."""

from __future__ import annotations

import socket
import sys
from typing import cast

from twisted.internet import reactor
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from bore.streams.dial import TcpDialer
from bore.streams.reactor import IReactor


class SendsFirstTests(SynchronousTestCase):
    """The end of the handshake waits for the first bytes."""

    def dial(self, sendsFirst: bool) -> tuple[socket.socket, socket.socket]:
        """A listener, and a socket that is connected to it."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        sock = TcpDialer(cast(IReactor, reactor), *listener.getsockname()).dial(sendsFirst)
        assert isinstance(sock, socket.socket)
        self.addCleanup(sock.close)
        return listener, sock

    def test_aServiceIsWokenOnceForConnectionAndBytes(self) -> None:
        if sys.platform != "linux":
            raise SkipTest("the handshake is completed at once here")
        for sendsFirst in (False, True):
            listener, sock = self.dial(sendsFirst)
            listener.setblocking(False)
            if sendsFirst:
                self.assertRaises(BlockingIOError, listener.accept)
            sock.send(b"first")
            accepted, _ = listener.accept()
            self.addCleanup(accepted.close)
            self.assertEqual(accepted.recv(10), b"first")

    def test_aServiceThatIsSentNothingAfterAllHasItsConnectionNevertheless(self) -> None:
        listener, _ = self.dial(sendsFirst=True)
        listener.settimeout(2)  # ten times as long as the kernel waits
        accepted, _ = listener.accept()
        accepted.close()
