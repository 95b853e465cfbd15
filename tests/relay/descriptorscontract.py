"""What the relay promises where a service with a Unix socket sends descriptors, which are lost."""

from __future__ import annotations

import socket

from bore.relay.interface import Ending, Reason
from tests.relay.relaycase import RelayContract, inReactor, inThread
from tests.support import receiveAll


class DescriptorsContract(RelayContract):
    """Descriptors end a read early."""

    @inThread
    def test_whatIsBehindThemArrives(self) -> None:
        pair = self.joined()

        def send() -> None:
            socket.send_fds(pair.right, [b"abc"], [0])
            pair.right.sendall(b"def")
            pair.right.close()

        inReactor(send)  # so that the relay is notified of all of it at the same time
        self.assertEqual(receiveAll(pair.left), b"abcdef")
        pair.left.close()
        self.assertEqual(pair.ending(), Ending(Reason.FINISHED, 0, 6))
