"""Rights that change, or end, while tunnels run."""

from __future__ import annotations

from bore.server.control import ControlProtocol
from bore.users.ports import Ports, ports
from bore.users.rights import ALL_RIGHTS, Rights
from bore.wire import extension
from bore.wire.addressrules import parseNetwork
from bore.wire.extension import Close, Closed, Open, Opened, Refused
from tests.fakes import FakeTransport
from tests.ports import freePort
from tests.server.userscase import NOW, UsersCase, portOf, usersOf
from tests.support import isOpen


def only(*numbers: int) -> Ports:
    return ports((number, number) for number in numbers)


class OpenTests(UsersCase):
    """What is asked for."""

    def ask(self, protocol: ControlProtocol, transport: FakeTransport, number: int, port: int) -> str | int:
        """Ask for a tunnel; return its port, or the code of the refusal."""
        protocol.dataReceived(extension.encode(Open(number, port)))
        [answer] = self.said(transport)
        if isinstance(answer, Opened):
            return portOf(answer)
        assert isinstance(answer, Refused), answer
        return answer.code

    def test_aPortThatIsNotAmongTheRightsIsRefused(self) -> None:
        mine, other = freePort(self.host), freePort(self.host)
        self.change(usersOf(alice=Rights(only(mine))))
        protocol, transport = self.begun("alice")
        self.assertEqual(self.ask(protocol, transport, 1, other), "port-not-allowed")
        self.assertEqual(self.ask(protocol, transport, 2, mine), mine)

    def test_anyPortIsOneOfTheRights(self) -> None:
        mine = {freePort(self.host) for _ in range(3)}
        self.change(usersOf(alice=Rights(only(*mine))))
        protocol, transport = self.begun("alice")
        self.assertEqual({self.ask(protocol, transport, number, 0) for number in (1, 2, 3)}, mine)
        self.assertEqual(self.ask(protocol, transport, 4, 0), "no-free-port")

    def test_theRangeOfTheServerHoldsToo(self) -> None:
        self.change(usersOf(alice=Rights(only(80, 1023))))
        protocol, transport = self.begun("alice")
        self.assertEqual(self.ask(protocol, transport, 1, 80), "port-not-allowed")
        self.assertEqual(self.ask(protocol, transport, 2, 0), "no-free-port")

    def test_exclusivePortsAreOnlyTheirUsers(self) -> None:
        port = freePort(self.host)
        self.change(usersOf(alice=Rights(exclusive=only(port)), bob=Rights(only(port))))
        for name, expected in (("bob", "port-not-allowed"), ("", "port-not-allowed"), ("alice", port)):
            protocol, transport = self.begun(name)
            self.assertEqual(self.ask(protocol, transport, 1, port), expected)
        protocol, transport = self.begun("bob")
        self.assertEqual(self.ask(protocol, transport, 1, 0), "no-free-port")

    def test_theUsersOfAnOfficeDoNotShareALimit(self) -> None:
        self.change(usersOf(Rights(maxTunnels=1), alice=Rights(maxTunnels=2), bob=ALL_RIGHTS))
        for name, most in (("alice", 2), ("", 1), ("bob", 3)):
            protocol, transport = self.begun(name)
            answers = [self.ask(protocol, transport, number, 0) for number in range(1, 5)]
            refused = [answer for answer in answers if answer == "too-many-tunnels-of-user"]
            self.assertEqual(len(refused), 0 if name == "bob" else 4 - most)
        protocol, transport = self.begun("alice")
        self.assertEqual(self.ask(protocol, transport, 1, 0), "too-many-tunnels-of-user", "of all her sessions")

    def test_aTunnelThatWasGivenBackDoesNotCount(self) -> None:
        self.change(usersOf(alice=Rights(maxTunnels=1)))
        protocol, transport = self.begun("alice")
        self.ask(protocol, transport, 1, 0)
        protocol.dataReceived(extension.encode(Close(1)))
        self.said(transport)
        self.assertIsInstance(self.ask(protocol, transport, 2, 0), int)

    def test_aTunnelWhosePortWasTakenAwayMeanwhileIsNotResumed(self) -> None:
        protocol, _, opened = self.tunnel("alice")
        self.lose(protocol)
        self.change(usersOf(alice=Rights(only(freePort(self.host)))))
        self.assertFalse(isOpen(self.host, portOf(opened)))
        _, _, other = self.tunnel("alice", 0, opened.resume)
        self.assertNotEqual(portOf(other), portOf(opened))


class WithdrawnTests(UsersCase):
    """Rights that are withdrawn while they are used."""

    def test_theTunnelsThatNeedAPortAreClosedAndNoOther(self) -> None:
        kept, lost = freePort(self.host), freePort(self.host)
        protocol, transport = self.begun("alice")
        protocol.dataReceived(extension.encode(Open(1, kept)) + extension.encode(Open(2, lost)))
        self.said(transport)
        streams = [self.stream("alice", port, transport) for port in (kept, lost)]
        self.change(usersOf(alice=Rights(only(kept)), bob=ALL_RIGHTS))
        [closed] = self.said(transport)
        assert isinstance(closed, Closed)
        self.assertEqual((closed.tunnel, closed.code, closed.retry), (2, "right-withdrawn", False))
        self.assertEqual([isOpen(self.host, port) for port in (kept, lost)], [True, False])
        self.assertEqual([self.isServed(visitor) for visitor in streams], [True, False])

    def test_aPortThatBecomesExclusiveToAnotherUserIsTaken(self) -> None:
        _, transport, opened = self.tunnel("bob")
        self.change(usersOf(alice=Rights(exclusive=only(portOf(opened))), bob=ALL_RIGHTS))
        self.assertEqual(self.refusal(transport), "right-withdrawn")
        self.tunnel("alice", portOf(opened))

    def test_theNewestTunnelsAboveALowerLimitAreClosed(self) -> None:
        protocol, transport = self.begun("alice")
        for number in (1, 2, 3):
            protocol.dataReceived(extension.encode(Open(number, 0)))
        self.said(transport)
        self.change(usersOf(alice=Rights(maxTunnels=1)))
        closed = self.said(transport)
        self.assertEqual(
            [(each.tunnel, each.code) for each in closed if isinstance(each, Closed)],
            [(2, "right-withdrawn"), (3, "right-withdrawn")],
        )

    def test_aTunnelIsNotNewerForBeingResumed(self) -> None:
        protocol, _, first = self.tunnel("alice")
        _, _, second = self.tunnel("alice")
        self.lose(protocol)
        self.tunnel("alice", 0, first.resume)
        self.change(usersOf(alice=Rights(maxTunnels=1)))
        self.assertEqual([isOpen(self.host, portOf(each)) for each in (first, second)], [True, False])

    def test_aUserThatIsRemovedIsOut(self) -> None:
        _, transport, opened = self.tunnel("alice")
        _, others, _ = self.tunnel("bob")
        visitor = self.stream("alice", portOf(opened), transport)
        self.change(usersOf(bob=ALL_RIGHTS))
        self.assertEqual(self.refusal(transport), "access-withdrawn")
        self.assertFalse(isOpen(self.host, portOf(opened)))
        self.assertFalse(self.isServed(visitor))
        self.assertFalse(others.disconnecting)

    def test_soAreTheStreamsOfTunnelsThatWereGivenBack(self) -> None:
        protocol, transport, opened = self.tunnel("alice")
        visitor = self.stream("alice", portOf(opened), transport)
        protocol.dataReceived(extension.encode(Close(1)))
        self.assertTrue(self.isServed(visitor))
        self.change(usersOf(bob=ALL_RIGHTS))
        self.assertFalse(self.isServed(visitor))

    def test_andTheTunnelsOfAClientThatIsAway(self) -> None:
        protocol, _, opened = self.tunnel("alice")
        self.lose(protocol)
        self.assertTrue(isOpen(self.host, portOf(opened)))
        self.change(usersOf(bob=ALL_RIGHTS))
        self.assertFalse(isOpen(self.host, portOf(opened)))

    def test_aClientAtAnAddressThatIsNotAllowedAnyMoreIsOut(self) -> None:
        _, here, _ = self.tunnel("alice", source="192.0.2.1")
        _, there, _ = self.tunnel("alice", source="198.51.100.1")
        self.change(usersOf(alice=Rights(sources=(parseNetwork("192.0.2.0/24"),))))
        self.assertFalse(here.disconnecting)
        self.assertEqual(self.refusal(there), "source-not-allowed")

    def test_whatIsGrantedAgainCanBeAskedForAgain(self) -> None:
        _, _, opened = self.tunnel("alice")
        self.change(usersOf())
        self.change(usersOf(alice=ALL_RIGHTS))
        self.tunnel("alice", portOf(opened))

    def test_aChangeThatTakesNothingAwayEndsNothing(self) -> None:
        _, transport, opened = self.tunnel("alice")
        visitor = self.stream("alice", portOf(opened), transport)
        self.change(usersOf(alice=Rights(maxTunnels=5, maxVisitors=1, exclusive=only(portOf(opened)))))
        self.assertEqual(self.said(transport), [])
        self.assertTrue(self.isServed(visitor))


class ExpiryTests(UsersCase):
    """Rights that end."""

    def test_atTheSecondOfExpirySessionTunnelAndStreamsEnd(self) -> None:
        self.change(usersOf(alice=Rights(expires=NOW + 1000)))
        protocol, transport, opened = self.tunnel("alice")
        visitor = self.stream("alice", portOf(opened), transport)
        self.live(protocol, 999.5)
        self.assertFalse(transport.disconnecting)
        self.assertTrue(self.isServed(visitor))
        self.reactor.advance(0.5)
        self.assertEqual(self.refusal(transport), "rights-expired")
        self.assertFalse(self.isServed(visitor))
        self.assertFalse(isOpen(self.host, portOf(opened)))

    def test_aClockThatIsSetForwardIsSeenWithinASecond(self) -> None:
        self.change(usersOf(alice=Rights(expires=NOW + 100_000)))
        _, transport, _ = self.tunnel("alice")
        self.wall += 100_000
        self.reactor.advance(1)
        self.assertTrue(transport.disconnecting)

    def test_aClockThatIsSetBackEndsNothingEarly(self) -> None:
        self.change(usersOf(alice=Rights(expires=NOW + 100)))
        protocol, transport, _ = self.tunnel("alice")
        self.wall -= 1000
        self.live(protocol, 500)
        self.assertFalse(transport.disconnecting)

    def test_anExpiryThatIsPutOffEndsNothing(self) -> None:
        self.change(usersOf(alice=Rights(expires=NOW + 10)))
        protocol, transport, _ = self.tunnel("alice")
        self.live(protocol, 9)
        self.change(usersOf(alice=Rights(expires=NOW + 1000)))
        self.live(protocol, 100)
        self.assertFalse(transport.disconnecting)

    def test_anEndThatPassesWhileTheUsersAreReviewedIsNotMissed(self) -> None:
        self.change(usersOf(alice=Rights(expires=NOW + 10), bob=Rights(expires=NOW + 10.001)))
        _, transport, _ = self.tunnel("bob")
        review = self.enforcement._review

        def slowly() -> None:
            review()
            self.wall += 0.002

        self.patch(self.enforcement, "_review", slowly)
        self.reactor.advance(10)
        self.assertFalse(transport.disconnecting)
        self.reactor.advance(1)
        self.assertEqual(self.refusal(transport), "rights-expired")

    def test_withoutAnEndThereIsNoTimer(self) -> None:
        before = len(self.reactor.getDelayedCalls())
        self.change(usersOf(alice=Rights(expires=NOW + 10)))
        self.assertEqual(len(self.reactor.getDelayedCalls()), before + 1)
        self.change(usersOf(alice=ALL_RIGHTS))
        self.assertEqual(len(self.reactor.getDelayedCalls()), before)


class VisitorsTests(UsersCase):
    """The visitors of all tunnels of a user."""

    def test_theyAreLimitedTogether(self) -> None:
        self.change(usersOf(alice=Rights(maxVisitors=2), bob=ALL_RIGHTS))
        _, first, one = self.tunnel("alice")
        _, _, two = self.tunnel("alice")
        _, _, bobs = self.tunnel("bob")
        self.stream("alice", portOf(one), first)
        self.visit(portOf(two))
        refused = self.visit(portOf(two))
        self.assertEqual(refused.recv(1), b"")
        self.visit(portOf(bobs))
        self.assertEqual(len(self.server.unaccepted), 2)
