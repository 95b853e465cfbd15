"""The port of a client that was lost."""

from __future__ import annotations

from bore.relay.interface import Reason
from bore.server.control import ControlProtocol
from bore.wire.extension import Goodbye, Open, Visitor, encode
from bore.wire.messages import Accept
from bore.wire.messages import encode as encodeBase
from tests.fakes import FakeTransport
from tests.server.case import ALIVE, Granted, SessionCase
from tests.support import isOpen


class LeaseTests(SessionCase):
    """The port of a client that was lost."""

    def test_itStaysOpenForTheLeaseAndNoLonger(self) -> None:
        protocol, _, opened = self.session()
        self.lose(protocol)
        self.reactor.advance(59)
        self.assertTrue(isOpen(self.host, opened.port))
        self.reactor.advance(1)
        self.assertFalse(isOpen(self.host, opened.port))
        self.assertEqual(len(self.server.tunnels), 0)

    def test_noOtherClientCanHaveIt(self) -> None:
        protocol, _, opened = self.session()
        self.lose(protocol)
        for resume in (None, "0" * 32):
            other, transport = self.begin()
            other.dataReceived(encode(Open(1, opened.port, resume)))
            self.assertEqual(self.refusal(transport), "port-in-use")

    def test_theClientThatComesBackHasItAtOnce(self) -> None:
        protocol, _, opened = self.session()
        self.lose(protocol)
        again, _, reopened = self.session(0, opened.resume)
        self.assertEqual((reopened.port, reopened.lease), (opened.port, opened.lease))
        self.live(again, 100)
        self.assertTrue(isOpen(self.host, opened.port))

    def test_visitorsWaitMeanwhileAndAreAnnounced(self) -> None:
        protocol, _, opened = self.session()
        self.lose(protocol)
        self.visit(opened.port)
        self.reactor.advance(9)
        self.visit(opened.port)
        again, transport, _ = self._resume(opened)
        visitors = [message for message in self.said(transport) if isinstance(message, Visitor)]
        self.assertEqual(len(visitors), 2)
        data, _ = self.connect()
        data.dataReceived(encodeBase(Accept(visitors[0].id)))
        self.assertEqual(len(self.relay.joined), 1)
        self.reactor.advance(5)
        again.dataReceived(ALIVE)

    def _resume(self, opened: Granted) -> tuple[ControlProtocol, FakeTransport, Granted]:
        protocol, transport = self.begin()
        protocol.dataReceived(encode(Open(1, opened.port, opened.resume)))
        return protocol, transport, opened

    def test_visitorsAnnouncedToTheLostSessionAreAnnouncedAgain(self) -> None:
        _, transport, opened = self.session()
        self.visit(opened.port)
        [first] = self.said(transport)
        self.reactor.pump([0.5] * 9)
        self.assertTrue(transport.disconnecting)
        _, transport, _ = self._resume(opened)
        self.assertEqual([m for m in self.said(transport) if isinstance(m, Visitor)], [first])

    def test_aVisitorThatHasWaitedForTenSecondsIsClosed(self) -> None:
        protocol, _, opened = self.session()
        self.lose(protocol)
        visitor = self.visit(opened.port)
        self.reactor.advance(10)
        self.assertEqual(visitor.recv(1), b"")

    def test_noMoreAreAcceptedThanMayWaitWhileTheClientIsAway(self) -> None:
        protocol, _, opened = self.session()
        self.lose(protocol)
        for _ in range(130):
            self.visit(opened.port)
        self.assertEqual(len(self.server.unaccepted), 128)
        text = f"port {opened.port}: visitors that wait for the client: 128; more are not accepted yet"
        self.assertEqual(self.warnings, [text])
        _, transport, _ = self._resume(opened)
        self.turn()
        self.assertEqual(len(self.server.unaccepted), 130)
        self.assertEqual(len([m for m in self.said(transport) if isinstance(m, Visitor)]), 130)

    def test_theNextAreAcceptedWhenThoseBeforeHaveWaitedForTooLong(self) -> None:
        protocol, _, opened = self.session()
        self.lose(protocol)
        for _ in range(130):
            self.visit(opened.port)
        self.reactor.advance(10)
        self.turn()
        self.assertEqual(len(self.server.unaccepted), 2)

    def test_runningStreamsGoOn(self) -> None:
        protocol, transport, opened = self.session()
        self.visit(opened.port)
        [message] = self.said(transport)
        assert isinstance(message, Visitor)
        data, _ = self.connect()
        data.dataReceived(encodeBase(Accept(message.id)))
        self.lose(protocol)
        self.reactor.advance(100)
        self.assertEqual(len(self.relay), 1)
        self.relay.pairs[0].stop(Reason.FINISHED)

    def test_goodbyeFreesThePortAtOnce(self) -> None:
        protocol, transport, opened = self.session()
        visitor = self.visit(opened.port)
        protocol.dataReceived(encode(Goodbye()))
        self.assertTrue(transport.disconnecting)
        self.assertEqual(visitor.recv(1), b"")
        self.assertFalse(isOpen(self.host, opened.port))

    def test_anOriginalClientHasNone(self) -> None:
        protocol, _, port = self.openTunnel()
        self.lose(protocol)
        self.assertFalse(isOpen(self.host, port))

    def test_theEndOfTheServerEndsIt(self) -> None:
        protocol, _, opened = self.session()
        self.lose(protocol)
        self.server.shutDown()
        self.assertFalse(isOpen(self.host, opened.port))


class NoLeaseTests(SessionCase):
    """--lease 0."""

    lease = 0

    def test_thePortIsFreeAtOnce(self) -> None:
        protocol, _, opened = self.session()
        self.lose(protocol)
        self.assertFalse(isOpen(self.host, opened.port))

    def test_aSessionThatSeemsAliveIsTakenOverAllTheSame(self) -> None:
        _, transport, opened = self.session()
        self.session(0, opened.resume)
        self.assertEqual(self.refusal(transport), "taken-over")
