"""What a server's control port emits: each beginning has one end."""

from __future__ import annotations

from bore.events import Event, VisitorEvent
from bore.events.server import (
    ConnectionClosed,
    ConnectionRefused,
    FirstMessageTimedOut,
    Limit,
    LimitReached,
    Loss,
    SessionClosed,
    SessionLost,
    SessionOpened,
    TunnelBack,
    TunnelClaimed,
    TunnelClosed,
    TunnelEnd,
    TunnelLost,
    TunnelOpened,
    TunnelRefused,
    TunnelTaken,
)
from bore.server.settings import Bounds
from bore.wire.errors import (
    BrokenRule,
    InvalidSecret,
    PortNotAllowed,
    PresumedGone,
    ShuttingDown,
    TooManyTunnelsFromSource,
)
from bore.wire.extension import Goodbye, Open, encode
from bore.wire.limits import FIRST_MESSAGE_TIMEOUT
from bore.wire.messages import Authenticate, Hello
from bore.wire.messages import encode as encodeBase
from bore.wire.secret import Secret
from tests.server.case import SessionCase

PEER, NETWORK = "192.0.2.1:4711", "192.0.2.1"


class EventsCase(SessionCase):
    """Keeps the events, but for those of visitors."""

    def setUp(self) -> None:
        super().setUp()
        self.events: list[Event] = []
        self.sink.subscribe(self.events.append)

    def taken(self) -> list[Event]:
        """The events since the last call."""
        events = [event for event in self.events if not isinstance(event, VisitorEvent)]
        self.events.clear()
        return events


class LifeTests(EventsCase):
    """The life of sessions and tunnels."""

    def opening(self, port: int, asked: int, extended: bool = True) -> list[Event]:
        """What is emitted when a session is opened."""
        return [
            TunnelClaimed(PEER, NETWORK, asked),
            SessionOpened(PEER, NETWORK, extended),
            TunnelOpened(port, PEER, NETWORK),
        ]

    def test_aClientThatSaysGoodbye(self) -> None:
        protocol, _, opened = self.session()
        protocol.dataReceived(encode(Goodbye()))
        self.lose(protocol)
        self.assertEqual(
            self.taken(),
            [
                *self.opening(opened.port, opened.port),
                SessionClosed(PEER, NETWORK, None),
                TunnelClosed(opened.port, NETWORK, TunnelEnd.SESSION_CLOSED),
            ],
        )

    def test_aClientThatIsLostAndComesBackAndIsLostForGood(self) -> None:
        protocol, _, opened = self.session()
        self.taken()
        self.lose(protocol)
        lost = [SessionLost(PEER, NETWORK, Loss.GONE), TunnelLost(opened.port, PEER, NETWORK, Loss.GONE, 60)]
        self.assertEqual(self.taken(), lost)
        protocol, _ = self.begin()
        protocol.dataReceived(encode(Open(1, 0, opened.resume)))
        self.assertEqual(
            self.taken(),
            [
                TunnelClaimed(PEER, NETWORK, 0),
                SessionOpened(PEER, NETWORK, True),
                TunnelBack(opened.port, PEER, NETWORK),
            ],
        )
        self.lose(protocol)
        self.assertEqual(self.taken(), lost)
        self.reactor.advance(60)
        self.assertEqual(self.taken(), [TunnelClosed(opened.port, NETWORK, TunnelEnd.LEASE_OVER)])

    def test_aClientThatComesBackWhileItsOldSessionSeemsToLive(self) -> None:
        _, _, opened = self.session()
        self.taken()
        protocol, _ = self.begin()
        protocol.dataReceived(encode(Open(1, 0, opened.resume)))
        self.assertEqual(
            self.taken(),
            [
                TunnelClaimed(PEER, NETWORK, 0),
                TunnelTaken(opened.port, PEER, NETWORK),
                SessionOpened(PEER, NETWORK, True),
                TunnelBack(opened.port, PEER, NETWORK),
            ],
        )

    def test_aClientThatDoesNotAnswer(self) -> None:
        protocol, _, opened = self.session()
        self.taken()
        self.reactor.pump([0.5] * 40)
        self.lose(protocol)
        self.assertEqual(
            self.taken(),
            [
                SessionLost(PEER, NETWORK, Loss.NO_ANSWER),
                TunnelLost(opened.port, PEER, NETWORK, Loss.NO_ANSWER, 60),
            ],
        )

    def test_aClientThatDoesNotRead(self) -> None:
        protocol, _, opened = self.session()
        self.taken()
        protocol.pauseProducing()
        self.lose(protocol)
        self.assertEqual(
            self.taken(),
            [
                SessionLost(PEER, NETWORK, Loss.NOT_READING),
                TunnelLost(opened.port, PEER, NETWORK, Loss.NOT_READING, 60),
            ],
        )

    def test_anOriginalClientThatIsLostIsNotWaitedFor(self) -> None:
        protocol, _, port = self.openTunnel()
        self.lose(protocol)
        self.assertEqual(
            self.taken(),
            [
                *self.opening(port, port, extended=False),
                SessionLost(PEER, NETWORK, Loss.GONE),
                TunnelLost(port, PEER, NETWORK, Loss.GONE, 0),
                TunnelClosed(port, NETWORK, TunnelEnd.NOT_KEPT),
            ],
        )

    def test_aClientThatBreaksTheProtocol(self) -> None:
        protocol, _, opened = self.session()
        self.taken()
        protocol.dataReceived(b"junk\0")
        closed, tunnel = self.taken()
        assert isinstance(closed, SessionClosed)
        self.assertIsInstance(closed.error, BrokenRule)
        self.assertEqual(tunnel, TunnelClosed(opened.port, NETWORK, TunnelEnd.SESSION_CLOSED))

    def test_theEndOfTheServer(self) -> None:
        self.session()
        kept, _, second = self.session()
        self.lose(kept)
        self.taken()
        self.server.shutDown()
        closed, first, other, _ = self.taken()
        assert isinstance(closed, SessionClosed)
        self.assertIsInstance(closed.error, ShuttingDown)
        assert isinstance(first, TunnelClosed)
        self.assertEqual(first.reason, TunnelEnd.SESSION_CLOSED)
        self.assertEqual(other, TunnelClosed(second.port, NETWORK, TunnelEnd.STOPPED))


class RefusedTests(EventsCase):
    """What is refused has a code, and says whether it was a tunnel or a connection."""

    bounds = Bounds(pendingPerSource=2, tunnelsPerSource=1)

    def test_aTunnelThatCannotBeHad(self) -> None:
        protocol, _ = self.begin()
        protocol.dataReceived(encode(Open(1, 80, None)))
        claimed, refused = self.taken()
        self.assertEqual(claimed, TunnelClaimed(PEER, NETWORK, 80))
        assert isinstance(refused, TunnelRefused)
        self.assertEqual((refused.asked, refused.error.code), (80, PortNotAllowed.code))

    def test_aTunnelOverALimit(self) -> None:
        self.session()
        self.taken()
        protocol, _ = self.begin()
        protocol.dataReceived(encode(Open(1, 0, None)))
        _, limit, refused = self.taken()
        self.assertEqual(limit, LimitReached(Limit.TUNNELS_PER_SOURCE, 1, NETWORK))
        assert isinstance(refused, TunnelRefused)
        self.assertIsInstance(refused.error, TooManyTunnelsFromSource)

    def test_aConnectionThatSendsNoMessage(self) -> None:
        self.connect()
        self.reactor.advance(FIRST_MESSAGE_TIMEOUT)
        self.assertEqual(self.taken(), [FirstMessageTimedOut(PEER, NETWORK, FIRST_MESSAGE_TIMEOUT)])

    def test_connectionsOverALimit(self) -> None:
        for _ in range(4):
            self.connect()
        self.assertEqual(self.taken(), [LimitReached(Limit.UNCLASSIFIED_PER_SOURCE, 2, NETWORK)] * 2)

    def test_aConnectionThatBreaksTheProtocol(self) -> None:
        protocol, _ = self.connect()
        protocol.dataReceived(b"junk\0")
        [closed] = self.taken()
        assert isinstance(closed, ConnectionClosed)
        self.assertEqual((closed.peer, closed.network), (PEER, NETWORK))


class SecretTests(EventsCase):
    """A connection that does not prove the secret."""

    secret = Secret("right")

    def test_aWrongProof(self) -> None:
        protocol, _ = self.connect()
        protocol.dataReceived(encodeBase(Authenticate("ab" * 32)))
        [refused] = self.taken()
        assert isinstance(refused, ConnectionRefused)
        self.assertIsInstance(refused.error, InvalidSecret)


class DoubtTests(EventsCase):
    """An original client in doubt, whose place another one needs."""

    bounds = Bounds(tunnels=1)

    def test_itsSessionIsClosedAndItsTunnel(self) -> None:
        protocol, _, port = self.openTunnel()
        self.patch(protocol._session, "inDoubt", lambda: True)
        self.taken()
        other, _ = self.connect("192.0.2.2")
        other.dataReceived(encodeBase(Hello(0)))
        _, tunnel, taken, session, *opened = self.taken()
        self.assertEqual(tunnel, TunnelClosed(port, NETWORK, TunnelEnd.PRESUMED_GONE))
        self.assertEqual(taken, TunnelTaken(port, PEER, NETWORK))
        assert isinstance(session, SessionClosed)
        self.assertIsInstance(session.error, PresumedGone)
        self.assertEqual(opened[0], SessionOpened("192.0.2.2:4711", "192.0.2.2", False))
