"""Tunnels whose holder has died, as the operator sees them."""

from __future__ import annotations

from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from bore.events import Event, Sink
from bore.events.server import TunnelClosed, TunnelEnd
from bore.server.custody import Holder, Wish
from bore.server.localcustody import LocalCustody
from bore.server.places import Places
from bore.server.registry import LocalRegistry
from bore.server.settings import ServerSettings
from bore.server.users import User
from bore.streams.reactor import IReactor
from tests.fakes import FakeReactor
from tests.ports import freePort, loopbackHost


class UnservedTests(SynchronousTestCase):
    """A holder with tunnels of two users, which dies."""

    def setUp(self) -> None:
        self.clock = FakeReactor()
        clock = cast(IReactor, self.clock)
        self.host = loopbackHost()
        settings = ServerSettings(minPort=1024, bindTunnels=self.host, lease=60)
        sink, self.events = Sink(), list[Event]()
        sink.subscribe(self.events.append)
        self.custody = LocalCustody(clock, sink, settings, LocalRegistry(clock, 60), Places(clock, settings))
        self.holder = cast(Holder, object())
        self.share = self.custody.forHolder(self.holder)
        self.other = self.custody.forHolder(cast(Holder, object()))
        self.addCleanup(self.other.close)
        self.ports = [self.open(name) for name in ("alice", "alice", "bob")]

    def open(self, user: str) -> int:
        opened = self.successResultOf(
            self.share.open(Wish(freePort(self.host), None, User(user), "192.0.2.1", lasting=True))
        )
        assert isinstance(opened.grant.address, int)
        return opened.grant.address

    def unserved(self) -> list[object]:
        return [each.address for each in self.custody.unserved()]

    def test_thoseOfADeadHolderAreWithoutOne(self) -> None:
        self.assertEqual(self.unserved(), [])
        self.custody.gone(self.holder)
        self.assertEqual(self.unserved(), self.ports)
        self.clock.advance(61)
        self.assertEqual(self.unserved(), [])

    def test_theyAreKickedByTheirUserOrAddress(self) -> None:
        self.assertEqual(self.custody.kick("alice", None), 0)  # its holder does that
        self.custody.gone(self.holder)
        self.assertEqual(self.custody.kick("alice", None), 2)
        self.assertEqual(self.unserved(), self.ports[2:])
        self.assertEqual(self.custody.kick(None, self.ports[0]), 0)
        self.assertEqual(self.custody.kick(None, self.ports[2]), 1)
        self.assertEqual((self.unserved(), len(self.custody)), ([], 0))
        ends = [each.reason for each in self.events if isinstance(each, TunnelClosed)]
        self.assertEqual(ends, [TunnelEnd.KICKED] * 3)
