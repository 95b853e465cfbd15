"""What users have of the server: the rate of their streams, and the number of their tunnels."""

from __future__ import annotations

import socket
import struct
import sys

from bore.server.settings import Bounds
from bore.users.rights import ALL_RIGHTS, Rights
from bore.wire import extension
from bore.wire.extension import Open
from tests.server.userscase import UsersCase, portOf, usersOf


class BandwidthTests(UsersCase):
    """The rate of each visitor's stream. Linux tells what a socket has."""

    if sys.platform != "linux":
        skip = "the rate cannot be read"

    def rates(self) -> list[int]:
        """The rates of the streams that were joined, in bytes per second; 0: no limit."""
        found = [left.socket.getsockopt(socket.SOL_SOCKET, 47, 8) for left, _ in self.relay.joined]
        return [rate if rate < 1 << 63 else 0 for (rate,) in map(struct.Struct("@L").unpack, found)]

    def test_itAppliesToStreamsThatRunAndToThoseToCome(self) -> None:
        _, transport, opened = self.tunnel("alice")
        self.stream("alice", portOf(opened), transport)
        self.assertEqual(self.rates(), [0])
        self.change(usersOf(alice=Rights(bandwidth=20_000_000)))
        self.stream("alice", portOf(opened), transport)
        self.assertEqual(self.rates(), [20_000_000] * 2)
        self.change(usersOf(alice=Rights(bandwidth=5_000_000)))
        self.assertEqual(self.rates(), [5_000_000] * 2)
        self.change(usersOf(alice=ALL_RIGHTS))
        self.stream("alice", portOf(opened), transport)
        self.assertEqual(self.rates(), [0] * 3)

    def test_andToNoOtherUser(self) -> None:
        self.change(usersOf(alice=Rights(bandwidth=20_000_000), bob=ALL_RIGHTS))
        for name in ("bob", "alice"):
            _, transport, opened = self.tunnel(name)
            self.stream(name, portOf(opened), transport)
        self.assertEqual(self.rates(), [0, 20_000_000])

    def test_aUserWhoWasEverLimitedHasLanesThatMayBe(self) -> None:
        """So the rate is set for each stream from then on, until the server is restarted."""
        self.change(usersOf(alice=Rights(bandwidth=20_000_000)))
        self.tunnel("alice")
        self.change(usersOf(alice=ALL_RIGHTS, bob=ALL_RIGHTS))
        for name, expected in (("alice", 0), ("bob", None)):
            self.tunnel(name)
            self.assertEqual(list(self.server.tunnels._byAddress.values())[-1].bandwidth, expected)


class SourceTests(UsersCase):
    """An office with many users is one source."""

    bounds = Bounds(tunnelsPerSource=2)

    def test_theLimitOfASourceIsThatOfEachUserWithAName(self) -> None:
        for name in ("alice", "bob", ""):
            for _ in range(2):
                self.tunnel(name)
        for name, code in (("alice", "too-many-tunnels-of-user"), ("", "too-many-tunnels-from-address")):
            protocol, transport = self.begun(name)
            protocol.dataReceived(extension.encode(Open(1, 0)))
            self.assertEqual(self.refusal(transport), code)

    def test_unlessTheUserHasAnother(self) -> None:
        self.change(usersOf(alice=Rights(maxTunnels=3)))
        for _ in range(3):
            self.tunnel("alice")
