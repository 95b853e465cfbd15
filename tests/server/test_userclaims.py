"""Rights that change while a registry behind a network is asked."""

from __future__ import annotations

from typing import cast

from bore.server.enforcement import Enforcement
from bore.server.registry import LocalRegistry
from bore.server.server import Server
from bore.streams.reactor import IReactor
from bore.users.ports import ports
from bore.users.rights import Rights
from bore.wire import extension
from bore.wire.extension import Open
from tests.ports import freePort
from tests.server.claimcase import SlowRegistry
from tests.server.userscase import UsersCase, usersOf
from tests.support import isOpen


class ClaimTests(UsersCase):
    """A registry that answers when a test wants."""

    def setUp(self) -> None:
        super().setUp()
        self.server.shutDown()
        reactor = cast(IReactor, self.reactor)
        self.registry = SlowRegistry(LocalRegistry(reactor, self.lease))
        self.server = Server(reactor, self.sink, self.settings, self.relay, self.list, self.registry)
        self.enforcement = Enforcement(self.reactor, self.sink, self.server, self.list, self.wallClock)

    def test_aPortThatIsWithdrawnMeanwhileIsNotOpened(self) -> None:
        port = freePort(self.host)
        protocol, transport = self.begun("alice")
        protocol.dataReceived(extension.encode(Open(1, port)))
        self.change(usersOf(alice=Rights(ports([(1, 2)]))))
        self.registry.answer()
        self.assertEqual(self.refusal(transport), "port-not-allowed")
        self.assertFalse(isOpen(self.host, port))
        self.assertEqual(len(self.registry.registry), 0)

    def test_norIsOneOfAUserThatIsRemovedMeanwhile(self) -> None:
        port = freePort(self.host)
        protocol, transport = self.begun("alice")
        protocol.dataReceived(extension.encode(Open(1, port)))
        self.change(usersOf())
        self.assertEqual(self.refusal(transport), "access-withdrawn")
        self.registry.answer()
        self.assertFalse(isOpen(self.host, port))
        self.assertEqual(len(self.registry.registry), 0)
