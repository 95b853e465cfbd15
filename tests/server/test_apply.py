"""Settings that change while the server runs."""

from __future__ import annotations

from dataclasses import fields, replace
from ipaddress import ip_network

from bore.server.settings import NO_PROXIES, Bounds, TrustedProxies
from bore.wire.addressrules import AddressRules
from bore.wire.extension import Extended, Open, Visitor, encode
from tests.ports import freePort
from tests.server.case import SessionCase
from tests.support import isClosed


class ApplyTests(SessionCase):
    """Other settings, while there are sessions and tunnels."""

    def apply(self, **changes: object) -> None:
        """Change settings, and limits if they have that name."""
        old = self.server.tunnels._settings
        limits = {name: value for name, value in changes.items() if name in {each.name for each in fields(Bounds)}}
        others = {name: value for name, value in changes.items() if name not in limits}
        bounds = replace(old.bounds, **limits)  # type: ignore[arg-type]
        self.server.apply(replace(old, bounds=bounds, **others))  # type: ignore[arg-type]

    def refusalFor(self, port: int = 0) -> str:
        protocol, transport = self.begin()
        protocol.dataReceived(encode(Open(1, port)))
        return self.refusal(transport)

    def test_anotherRangeIsForNewTunnelsAndOldOnesStay(self) -> None:
        protocol, _, opened = self.session()
        port = freePort(self.host)
        self.apply(minPort=port, maxPort=port)
        self.assertEqual(self.refusalFor(port - 1), "port-not-allowed")
        self.assertEqual(self.session(0)[2].port, port)
        self.assertEqual(self.refusalFor(0), "no-free-port")
        self.lose(protocol)
        self.assertEqual(self.session(opened.port, opened.resume)[2].port, opened.port)
        self.visit(opened.port)
        self.assertEqual(len(self.server.unaccepted), 1)

    def test_theLimitsOnTunnelsChange(self) -> None:
        self.session()
        self.apply(tunnels=1)
        self.assertEqual(self.refusalFor(), "too-many-tunnels")
        self.apply(tunnels=2, tunnelsPerSource=1)
        self.assertEqual(self.refusalFor(), "too-many-tunnels-from-address")
        self.apply(tunnelsPerSource=0)
        self.session()

    def test_theLimitsOnVisitorsChangeForTunnelsThatAreOpen(self) -> None:
        _, _, opened = self.session()
        self.apply(visitors=1)
        self.visit(opened.port)
        self.assertTrue(isClosed(self.visit(opened.port)))
        self.apply(visitors=2)
        self.visit(opened.port)
        self.assertEqual(len(self.server.unaccepted), 2)
        self.apply(visitors=0, visitorRate=1)
        self.reactor.advance(1)
        self.visit(opened.port)
        self.assertTrue(isClosed(self.visit(opened.port)))
        self.assertEqual(len(self.server.unaccepted), 3)

    def test_theRulesOnAddressesChangeForTunnelsThatAreOpen(self) -> None:
        _, _, opened = self.session()
        self.visit(opened.port)
        self.apply(rules=AddressRules(deny=(ip_network("127.0.0.0/8"),)))
        self.assertTrue(isClosed(self.visit(opened.port)))
        self.apply(rules=AddressRules())
        self.visit(opened.port)
        self.assertEqual(len(self.server.unaccepted), 2)

    def test_theTrustedProxiesChangeForTunnelsThatAreOpen(self) -> None:
        _, transport, opened = self.session()
        for trusted in (TrustedProxies((ip_network("127.0.0.0/8"),)), NO_PROXIES):
            self.apply(trustedProxies=trusted)
            visitor = self.visit(opened.port)
            visitor.sendall(b"PROXY TCP4 203.0.113.9 192.0.2.1 50123 443\r\n")
            self.turn()
        announced = [each.source for each in self.said(transport) if isinstance(each, Visitor)]
        self.assertEqual(announced, [("203.0.113.9", 50123), visitor.getsockname()])

    def test_theRulesOfTheTunnelItselfStay(self) -> None:
        _, _, opened = self.session()
        self.server.tunnels._byAddress[opened.port].limits.setRules(AddressRules(deny=(ip_network("127.0.0.0/8"),)))
        for rules in (AddressRules(allow=(ip_network("127.0.0.0/8"),)), AddressRules()):
            self.apply(rules=rules)
            self.assertTrue(isClosed(self.visit(opened.port)))

    def test_theLimitsOnConnectionsThatSendNothingChange(self) -> None:
        self.apply(pendingPerSource=1)
        transports = [self.connect()[1] for _ in range(2)]
        self.assertEqual([each.disconnecting for each in transports], [True, False])
        self.apply(pendingPerSource=0)
        self.assertFalse(any(self.connect()[1].disconnecting for _ in range(5)))

    def test_theLimitOfLanesIsThatOfLaterSessions(self) -> None:
        self.apply(lanes=7)
        self.session()
        assert isinstance(self.agreed, Extended)
        self.assertEqual(self.agreed.maxLanes, 7)
