"""Which link has which tunnels."""

from __future__ import annotations

from typing import cast

from bore.client.link import ServerLink
from bore.client.links import Links
from bore.client.settings import ClientSettings, ServerAddress
from bore.client.target import Target
from bore.client.tunnelspec import TunnelSpec
from bore.client.visitors import Visitors
from bore.streams.reactor import IReactor
from tests.client.case import tunnelOf
from tests.client.manycase import ManyCase


class SharedTests(ManyCase):
    """The server has become one that knows the extension: one link is for all tunnels."""

    def setUp(self) -> None:
        super().setUp()
        reactor, visitors = cast(IReactor, self.reactor), cast(Visitors, self.visitors)
        settings = ClientSettings((ServerAddress("example.com"),))
        self.links = Links(reactor, settings, visitors, lambda tunnel, why: None)
        more = tunnelOf(self.reactor, self.sink, TunnelSpec(Target(8003), name="d"))
        self.other = ServerLink(reactor, settings, self.servers, visitors, [more], self.policies, self.links)
        self.session()
        self.links.foundExtended(self.link)

    def test_anotherOneGivesItsTunnelsToIt(self) -> None:
        self.links.foundExtended(self.other)
        self.assertEqual((len(self.link.tunnels), len(self.other.tunnels), self.other.stopped), (4, 0, True))

    def test_oneThatEndsIsNotGivenAny(self) -> None:
        self.link.stop()
        self.links.foundExtended(self.other)
        self.assertEqual((len(self.other.tunnels), self.other.stopped), (1, False))
