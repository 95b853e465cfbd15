"""Several tunnels in one session, on the wire."""

from __future__ import annotations

from bore.server.control import EMPTY_TIMEOUT, ControlProtocol
from bore.server.settings import Bounds
from bore.wire.errors import ShuttingDown
from bore.wire.extension import Close, Closed, ExtendedServerMessage, Goodbye, Open, Opened, Refused, Visitor, encode
from bore.wire.limits import MAX_TUNNELS
from tests.fakes import FakeTransport
from tests.server.case import SessionCase
from tests.support import isOpen


class ManyCase(SessionCase):
    """A session with three tunnels."""

    def setUp(self) -> None:
        super().setUp()
        self.protocol, self.transport = self.begin()
        self.opened = self.open(*(Open(number, 0) for number in (1, 2, 3)))

    def ask(self, *messages: Open | Close) -> list[ExtendedServerMessage]:
        """Send these messages, and return the answers."""
        self.protocol.dataReceived(b"".join(map(encode, messages)))
        return self.said(self.transport)

    def open(self, *asked: Open) -> list[Opened]:
        """Ask for these tunnels, and return what was granted."""
        return [answer for answer in self.ask(*asked) if isinstance(answer, Opened)]

    def another(self) -> tuple[ControlProtocol, FakeTransport]:
        """Another session, of the same client."""
        return self.begin()

    def isOpen(self, *numbers: int) -> list[bool]:
        """Whether the public ports of these tunnels are open."""
        return [isOpen(self.host, self.opened[number - 1].address) for number in numbers]


class OpeningTests(ManyCase):
    """Each tunnel is opened and refused for itself."""

    bounds = Bounds(tunnels=4, tunnelsPerSource=4)

    def test_eachIsOpenedWithItsNumber(self) -> None:
        self.assertEqual([opened.tunnel for opened in self.opened], [1, 2, 3])
        self.assertEqual(self.isOpen(1, 2, 3), [True] * 3)
        self.assertEqual(len({opened.resume for opened in self.opened}), 3)

    def test_aRefusedOneCostsNeitherTheOthersNorTheSession(self) -> None:
        [refused] = self.ask(Open(4, port := self.opened[0].address))
        self.assertEqual(refused, Refused("port-in-use", f"port {port} is already in use on the server", True, 4))
        self.assertFalse(self.transport.disconnecting)
        self.assertEqual(self.isOpen(1, 2, 3), [True] * 3)
        self.assertEqual([opened.tunnel for opened in self.open(Open(5, 0))], [5])

    def test_theLimitsCountTunnelsAndNotSessions(self) -> None:
        [granted, refused] = self.ask(Open(4, 0), Open(5, 0))
        self.assertIsInstance(granted, Opened)
        assert isinstance(refused, Refused)
        self.assertEqual((refused.tunnel, refused.code), (5, "too-many-tunnels-from-address"))
        self.assertEqual(len(self.ask(Close(1))), 1)
        self.assertEqual(len(self.open(Open(6, 0))), 1)


class ClosingTests(ManyCase):
    """Each tunnel is given back, taken over and lost for itself."""

    def test_theBoundOnWhatWaitsToBeWrittenFollowsTheNumberOfTunnels(self) -> None:
        bounds = [self.transport.bufferSize]
        for number in (1, 2, 3):
            self.ask(Close(number))
            bounds.append(self.transport.bufferSize)
        self.assertEqual([bound >> 10 for bound in bounds], [384, 320, 256, 256])
        self.open(Open(4, 0), Open(5, 0))
        self.assertEqual(self.transport.bufferSize >> 10, 320)

    def test_whatWaitsAlreadyIsNotTooMuchWithFewerTunnels(self) -> None:
        self.transport.queued = 300 << 10
        for number in (1, 2, 3):
            self.ask(Close(number))
            self.assertGreaterEqual(self.transport.bufferSize >> 10, 300 + 64)
        self.transport.queued = 0
        self.open(Open(4, 0))
        self.assertEqual(self.transport.bufferSize >> 10, 256)

    def test_oneThatIsGivenBackIsClosedAtOnceAndTheOthersStay(self) -> None:
        self.assertEqual(self.ask(Close(2)), [Closed(2)])
        self.assertEqual(self.isOpen(1, 2, 3), [True, False, True])
        self.assertEqual(self.ask(Close(2)), [])
        self.assertFalse(self.transport.disconnecting)
        _, _, again = self.session(0, self.opened[1].resume)
        self.assertNotEqual(again.resume, self.opened[1].resume)

    def test_oneThatIsTakenOverIsClosedWithTheReason(self) -> None:
        protocol, transport = self.another()
        protocol.dataReceived(encode(Open(9, 0, self.opened[1].resume)))
        [opened] = self.said(transport)
        assert isinstance(opened, Opened)
        self.assertEqual((opened.tunnel, opened.address), (9, self.opened[1].address))
        [closed] = self.said(self.transport)
        assert isinstance(closed, Closed)
        self.assertEqual((closed.tunnel, closed.code, closed.retry), (2, "taken-over", True))
        self.visit(self.opened[1].address)
        self.visit(self.opened[2].address)
        [hers] = self.said(transport)
        [ours] = self.said(self.transport)
        assert isinstance(hers, Visitor) and isinstance(ours, Visitor)
        self.assertEqual((hers.tunnel, ours.tunnel), (9, 3))

    def test_aSessionMayTakeItsOwnTunnelOverUnderAnotherNumber(self) -> None:
        closed, opened = self.ask(Open(4, 0, self.opened[0].resume))
        assert isinstance(closed, Closed)
        self.assertEqual((closed.tunnel, closed.code), (1, "taken-over"))
        assert isinstance(opened, Opened)
        self.assertEqual((opened.tunnel, opened.address), (4, self.opened[0].address))
        self.visit(self.opened[0].address)
        [visitor] = self.said(self.transport)
        assert isinstance(visitor, Visitor)
        self.assertEqual(visitor.tunnel, 4)

    def test_allAreKeptWhenTheSessionIsLostAndEachIsResumed(self) -> None:
        self.lose(self.protocol)
        self.visit(self.opened[2].address)
        self.protocol, self.transport = self.another()
        answers = self.ask(*(Open(n + 3, 0, opened.resume) for n, opened in enumerate(self.opened, 1)))
        opened = [answer for answer in answers if isinstance(answer, Opened)]
        self.assertEqual([each.address for each in opened], [each.address for each in self.opened])
        self.assertEqual([each.tunnel for each in answers if isinstance(each, Visitor)], [6])

    def test_nothingIsLeftOfTheVisitorsOfTunnelsThatAreGone(self) -> None:
        for number in (0, 1):
            self.visit(self.opened[number].address)
        self.ask(Close(1))
        protocol, _ = self.another()
        protocol.dataReceived(encode(Open(1, 0, self.opened[1].resume)))
        assert self.protocol._session is not None
        self.assertEqual(self.protocol._session._turns, {})

    def test_goodbyeGivesAllBack(self) -> None:
        self.protocol.dataReceived(encode(Goodbye()))
        self.assertEqual(self.isOpen(1, 2, 3), [False] * 3)

    def test_aServerThatStopsSaysSoOnce(self) -> None:
        self.server.shutDown()
        refusals = [each for each in self.said(self.transport) if isinstance(each, Refused)]
        self.assertEqual([(each.code, each.tunnel) for each in refusals], [(ShuttingDown.code, None)])
        self.assertEqual(self.isOpen(1, 2, 3), [False] * 3)


class EmptyTests(SessionCase):
    """A session without tunnels goes on, for a time that is bounded, and in a number that is."""

    bounds = Bounds(pending=3)

    def refused(self) -> tuple[ControlProtocol, FakeTransport]:
        """A session whose only tunnel was refused."""
        protocol, transport = self.begin()
        protocol.dataReceived(encode(Open(1, 1)))
        self.assertEqual(self.refusal(transport), "port-not-allowed")
        return protocol, transport

    def test_itMayAskForAnotherTunnel(self) -> None:
        protocol, transport = self.refused()
        self.live(protocol, EMPTY_TIMEOUT - 5)
        self.said(transport)
        protocol.dataReceived(encode(Open(2, 0)))
        [opened] = self.said(transport)
        self.assertIsInstance(opened, Opened)
        self.live(protocol, EMPTY_TIMEOUT + 5)
        self.assertFalse(transport.disconnecting)

    def test_afterSomeTimeItIsRefused(self) -> None:
        for end in (Open(1, 1), Close(1)):
            protocol, transport = self.begin()
            protocol.dataReceived(encode(Open(1, 1 if end == Open(1, 1) else 0)))
            if isinstance(end, Close):
                protocol.dataReceived(encode(end))
            self.said(transport)
            self.live(protocol, EMPTY_TIMEOUT - 3)
            self.assertFalse(transport.disconnecting)
            self.live(protocol, 6)
            self.assertEqual(self.refusal(transport), "timeout")

    def test_thereAreNoMoreOfThemThanConnectionsThatSendNothing(self) -> None:
        sessions = [self.refused() for _ in range(5)]
        self.assertEqual([transport.disconnecting for _, transport in sessions], [True, True, False, False, False])

    def test_aClientThatReadsNoRefusalIsDropped(self) -> None:
        protocol, transport = self.refused()
        self.assertIs(transport.producer, protocol, "it is asked when too much waits to be written")
        protocol.pauseProducing()
        self.assertTrue(transport.aborted)
        self.lose(protocol)

    def test_oneThatIsRefusedAndDoesNotReadIsCutSoon(self) -> None:
        protocol, transport = self.refused()
        transport.full = True
        protocol.dataReceived(b"junk\0")
        self.reactor.advance(4)
        self.assertTrue(transport.aborted)

    def test_oneWithATunnelIsNotAmongThem(self) -> None:
        _, transport, _ = self.session()
        for _ in range(5):
            self.refused()
        self.assertFalse(transport.disconnecting)


class BoundTests(SessionCase):
    """A session has a limited number of tunnels."""

    bounds = Bounds(tunnels=0, tunnelsPerSource=0)

    def test_theNextOneIsRefused(self) -> None:
        protocol, transport, _ = self.session()
        assert protocol._session is not None
        tunnels = protocol._session.tunnels
        for number in range(2, MAX_TUNNELS + 1):
            tunnels[-number] = tunnels[1]  # a thousand sockets are not needed to count them
        protocol.dataReceived(encode(Open(2, 0)))
        [refused] = self.said(transport)
        assert isinstance(refused, Refused)
        self.assertEqual((refused.tunnel, refused.code), (2, "too-many-tunnels-in-session"))
        for number in range(2, MAX_TUNNELS + 1):
            del tunnels[-number]
        protocol.dataReceived(encode(Open(3, 0)))
        self.assertIsInstance(self.said(transport)[0], Opened)
