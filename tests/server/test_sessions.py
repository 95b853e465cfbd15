"""Sessions of clients that speak the extension: proof of life, and take-over."""

from __future__ import annotations

from bore.timing import turns
from bore.timing.turns import MIN_COST
from bore.wire.extension import Extended, Goodbye, NextKey, Nodes, Open, Opened, Visitor, encode, markedHello
from bore.wire.messages import Accept
from bore.wire.messages import encode as encodeBase
from bore.wire.token import newToken
from tests.ports import freePort
from tests.server.case import ALIVE, SessionCase
from tests.support import isOpen
from tests.wire.bindings import BINDING
from tests.wire.sessions import KEY, NODE


class OpeningTests(SessionCase):
    """Asking for a tunnel."""

    def test_aMarkedHelloOpensNothing(self) -> None:
        self.begin()
        self.assertEqual(self.reactor.getReaders(), [])

    def test_theTunnelIsOpenedWithATokenAndALease(self) -> None:
        port = freePort(self.host)
        _, _, opened = self.session(port)
        self.assertEqual((opened.port, opened.lease), (port, 60))
        assert opened.resume is not None
        self.assertEqual(len(opened.resume), 32)
        self.assertTrue(isOpen(self.host, port))

    def test_aClientThatAsksForNothingIsClosedAfterThreeSeconds(self) -> None:
        _, transport = self.begin()
        self.reactor.advance(3)
        self.assertEqual(self.refusal(transport), "timeout")

    def test_aTakenPortIsRefusedWithACode(self) -> None:
        _, _, opened = self.session()
        protocol, transport = self.begin()
        protocol.dataReceived(encode(Open(1, opened.port)))
        self.assertEqual(self.refusal(transport), "port-in-use")

    def test_anUnknownMessageIsRefusedAndThePortIsFree(self) -> None:
        protocol, transport, opened = self.session()
        protocol.dataReceived(b'{"Dance":1}\0')
        self.assertEqual(self.refusal(transport), "unknown-message")
        self.assertFalse(isOpen(self.host, opened.port))

    def test_visitorsAreAnnouncedWithTheirAddress(self) -> None:
        _, transport, opened = self.session()
        visitor = self.visit(opened.port)
        [message] = self.said(transport)
        assert isinstance(message, Visitor)
        self.assertEqual(message.source, visitor.getsockname())


class NextKeyTests(SessionCase):
    """The server will have another key."""

    def test_itIsAnnouncedToAllAndToLaterClientsUntilItIsUsed(self) -> None:
        sessions = self.server.sessions
        _, early, _ = self.session()
        _, base, _ = self.openTunnel()
        sessions.announceKey(KEY)
        self.assertEqual(self.said(early), [NextKey(KEY)])
        self.assertEqual(base.takeWritten(), b"", "a client of the base protocol knows no such message")
        for key in (KEY, ""):
            sessions.announceKey(key)
            late, transport = self.connect()
            late.dataReceived(markedHello(0))
            self.assertEqual(self.said(transport)[1:], [NextKey(KEY)] if key else [])


class NodesTests(SessionCase):
    """The server is a node of a cluster."""

    def test_theOthersAreNamedOnceAClientHasSentAKeyAndWhenTheyChange(self) -> None:
        sessions = self.server.sessions
        sessions.here = NODE
        sessions.nameNodes(["tls://b"])
        _, unaware, _ = self.session()
        client, transport = self.connect(binding=BINDING)
        client.dataReceived(markedHello(0))
        [extended] = self.said(transport)
        assert isinstance(extended, Extended)
        self.assertEqual(extended.here, NODE)
        client.dataReceived(
            encode(Open(1, 0)) + encode(Open(2, 0, key=newToken())) + encode(Open(3, 0, key=newToken()))
        )
        self.assertEqual([type(each) for each in self.said(transport)], [Opened, Nodes, Opened, Opened])
        sessions.nameNodes([])
        self.assertEqual((self.said(transport), self.said(unaware)), ([Nodes(())], []))

    def test_aServerWithoutAClusterNamesNoneAndNobodyDoesWithoutTls(self) -> None:
        for here, binding in (("", BINDING), (NODE, b"")):
            self.server.sessions.here = here
            client, transport = self.connect(binding=binding)
            client.dataReceived(markedHello(0))
            self.assertNotIn(b"here", transport.takeWritten())
            client.dataReceived(encode(Open(1, 0, key=newToken())))
            self.assertEqual([type(each) for each in self.said(transport)], [Opened])


class ProofOfLifeTests(SessionCase):
    """A client that does not answer heartbeats is lost."""

    def test_aClientThatAnswersStays(self) -> None:
        protocol, transport, opened = self.session()
        self.live(protocol, 60)
        self.assertFalse(transport.disconnecting)
        self.assertTrue(isOpen(self.host, opened.port))

    def test_aClientWithoutVisitorsThatDoesNotAnswerIsGoneInTenSeconds(self) -> None:
        _, transport, _ = self.session()
        self.reactor.pump([0.1] * 99)
        self.assertFalse(transport.disconnecting)
        self.reactor.pump([0.1] * 3)
        self.assertEqual(self.refusal(transport), "no-answer")

    def test_aClientWithVisitorsIsGoneInFour(self) -> None:
        _, transport, opened = self.session()
        self.visit(opened.port)
        self.reactor.pump([0.1] * 39)
        self.assertFalse(transport.disconnecting)
        self.reactor.pump([0.1] * 4)
        self.assertEqual(self.refusal(transport), "no-answer")

    def test_timeWithoutHeartbeatsDoesNotCount(self) -> None:
        protocol, transport, _ = self.session()
        for _ in range(5):
            self.reactor.advance(30)  # as if the server had been stopped
            protocol.dataReceived(ALIVE)
        self.assertFalse(transport.disconnecting)

    def test_moreAnswersThanHeartbeatsAreAViolation(self) -> None:
        for answers in (2, 10_000):  # one Heartbeat follows Opened at once
            protocol, transport, opened = self.session()
            protocol.dataReceived(ALIVE * answers)
            self.assertEqual(self.refusal(transport), "unexpected-message")
            self.assertFalse(isOpen(self.host, opened.port))

    def test_lateAnswersCount(self) -> None:
        protocol, transport, _ = self.session()
        for _ in range(20):
            self.reactor.pump([0.5] * 18)
            protocol.dataReceived(ALIVE * 3)
        self.assertFalse(transport.disconnecting)

    def test_anOriginalClientNeedNotAnswer(self) -> None:
        _, transport, port = self.openTunnel()
        self.reactor.pump([0.5] * 100)
        self.assertFalse(transport.disconnecting)
        self.assertTrue(isOpen(self.host, port))


class ShareTests(SessionCase):
    """The input of one client does not delay the others."""

    def test_aBaseClientThatSendsMuchIsPausedForATurn(self) -> None:
        protocol, transport, _ = self.openTunnel()
        for _ in range(100):
            if transport.producerState == "paused":
                break
            protocol.dataReceived(bytes(1 << 14))
        self.assertEqual(transport.producerState, "paused")
        self.reactor.advance(0)
        self.assertEqual(transport.producerState, "producing")
        self.assertFalse(transport.disconnecting)

    def test_bytesOverTheShareOfAllWaitAndNoneIsLost(self) -> None:
        _, transport, opened = self.session()
        self.visit(opened.port)
        [visitor] = self.said(transport)
        assert isinstance(visitor, Visitor)
        self.reactor.advance(0.01)
        for number in range(turns._TURN // MIN_COST):
            other, _ = self.connect(f"192.0.2.{number}")
            other.dataReceived(b'{"Hel')
        protocol, transport = self.connect()
        protocol.dataReceived(encodeBase(Accept(visitor.id)) + b"hello")
        self.assertEqual((transport.detached, transport.producerState), (False, "paused"))
        self.reactor.advance(0)
        [(_, client)] = self.relay.joined
        self.assertEqual((transport.detached, client.early), (True, b"hello"))


class TakeOverTests(SessionCase):
    """A client that comes back while its old session seems to live."""

    def test_theNewSessionHasTheTunnelAtOnce(self) -> None:
        _, old, opened = self.session()
        _, new, reopened = self.session(0, opened.resume)
        self.assertEqual((reopened.port, reopened.lease), (opened.port, opened.lease))
        self.assertEqual(self.refusal(old), "taken-over")
        self.visit(opened.port)
        self.assertEqual([type(message) for message in self.said(new)], [Visitor])
        self.assertEqual(self.said(old), [])

    def test_eachTimeTheClientGetsANewToken(self) -> None:
        """Whoever finds an old one, in a backup for instance, cannot take the tunnel with it."""
        _, _, first = self.session()
        second, _, opened = self.session(0, first.resume)
        self.assertNotEqual(opened.resume, first.resume)
        self.live(second, 4)  # the answer to a heartbeat shows that it has the new one
        _, _, other = self.session(0, first.resume)
        self.assertNotEqual(other.port, first.port)
        self.assertEqual(self.session(0, opened.resume)[2].port, first.port)

    def test_theFormerTokenIsValidUntilTheClientHasTheNewOne(self) -> None:
        """A connection can be lost with the answer on its way."""
        _, _, first = self.session()
        for _ in range(3):
            lost, _, opened = self.session(0, first.resume)
            self.assertEqual(opened.port, first.port)
            lost.sendHeartbeat()
            self.lose(lost)

    def test_anAnswerToAnEarlierHeartbeatShowsNothing(self) -> None:
        _, _, first = self.session()
        second, transport = self.begin()
        second.dataReceived(encode(Open(1, 0)))
        second.sendHeartbeat()
        unanswered = second.unanswered
        second.dataReceived(encode(Open(2, 0, first.resume)))
        transport.takeWritten()
        second.dataReceived(ALIVE * unanswered)
        self.assertEqual(self.session(0, first.resume)[2].port, first.port)

    def test_theEndOfTheOldConnectionChangesNothing(self) -> None:
        protocol, _, opened = self.session()
        again, _, _ = self.session(0, opened.resume)
        self.lose(protocol)
        self.live(again, 100)
        self.assertTrue(isOpen(self.host, opened.port))

    def test_anotherPortThanTheTunnelsIsANewTunnel(self) -> None:
        _, old, opened = self.session()
        wanted = freePort(self.host)
        _, _, reopened = self.session(wanted, opened.resume)
        self.assertEqual(reopened.port, wanted)
        self.assertNotEqual(reopened.resume, opened.resume)
        self.assertEqual(self.refusal(old), "taken-over")
        self.assertFalse(isOpen(self.host, opened.port))

    def test_anUnknownTokenIsIgnored(self) -> None:
        port = freePort(self.host)
        _, _, opened = self.session(port, "f" * 32)
        self.assertEqual(opened.port, port)
        self.assertNotEqual(opened.resume, "f" * 32)

    def test_aTunnelCountsForTheAddressOfItsClient(self) -> None:
        _, _, opened = self.session(source="192.0.2.1")
        self.session(0, opened.resume, source="198.51.100.7")
        self.assertEqual([self.server.tunnels.hasSome(s) for s in ("192.0.2.1", "198.51.100.7")], [False, True])

    def test_theTokenIsInvalidAfterGoodbye(self) -> None:
        protocol, _, opened = self.session()
        protocol.dataReceived(encode(Goodbye()))
        _, _, reopened = self.session(0, opened.resume)
        self.assertNotEqual(reopened.resume, opened.resume)


class DrainingTests(SessionCase):
    """A server that stops."""

    def test_itSendsTheReasonAndFreesThePorts(self) -> None:
        _, transport, opened = self.session()
        self.server.shutDown()
        self.assertEqual(self.refusal(transport), "draining")
        self.assertFalse(isOpen(self.host, opened.port))

    def test_waitingVisitorsAreClosed(self) -> None:
        _, _, opened = self.session()
        visitor = self.visit(opened.port)
        self.server.shutDown()
        self.assertEqual(visitor.recv(1), b"")
