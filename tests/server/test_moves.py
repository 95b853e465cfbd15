"""A server gives sessions away: their tunnels are kept, whatever the old session sends."""

from __future__ import annotations

from bore.events import Event
from bore.events.server import Loss, SessionLost, TunnelLost
from bore.wire.extension import Alive, Close, Goodbye, Moved, Open, Opened, encode
from bore.wire.messages import Hello
from bore.wire.messages import encode as encodeBase
from tests.server.test_manytunnels import ManyCase


class MoveTests(ManyCase):
    """A session with three tunnels is given away."""

    def move(self, to: str | None = None) -> int:
        moved = self.server.moveSessions(to)
        self.assertEqual(self.said(self.transport), [Moved(to, 0.005)], "it is the only client")
        return moved

    def test_theClientIsSentWhereToGoAndTheConnectionIsClosed(self) -> None:
        self.assertEqual(self.move("tls://example.com"), 1)
        self.assertTrue(self.transport.disconnecting)
        self.assertEqual(self.isOpen(1, 2, 3), [True] * 3)

    def test_theTunnelsAreResumedByTheirTokens(self) -> None:
        self.move()
        protocol, transport = self.another()
        for number, opened in enumerate(self.opened, 1):
            protocol.dataReceived(encode(Open(number, opened.address, opened.resume)))
        answers = self.said(transport)
        self.assertEqual(
            [answer.address for answer in answers if isinstance(answer, Opened)],
            [opened.address for opened in self.opened],
        )

    def test_whatTheOldSessionSendsFreesNothing(self) -> None:
        self.move()
        self.protocol.dataReceived(
            b"".join(encode(each) for each in (Alive(), Close(1), Open(9, 0), Goodbye())) + b"junk\0"
        )
        self.lose(self.protocol)
        self.assertEqual(self.isOpen(1, 2, 3), [True] * 3)
        self.assertEqual(self.transport.takeWritten(), b"")
        self.reactor.advance(self.lease + 1)
        self.assertEqual(self.isOpen(1, 2, 3), [False] * 3, "it has not come again")

    def test_anOldSessionThatLeavesLateFreesNothingOfTheNewOne(self) -> None:
        self.move()
        protocol, transport = self.another()
        protocol.dataReceived(encode(Open(1, 0, self.opened[0].resume)))
        transport.takeWritten()
        self.protocol.dataReceived(encode(Goodbye()))
        self.lose(self.protocol)
        self.assertEqual(self.isOpen(1), [True])
        self.assertEqual(transport.takeWritten(), b"", "nothing is taken over")

    def test_aRequestThatIsUnderWayIsNotLost(self) -> None:
        """It was answered before Moved, or the client repeats it."""
        protocol, transport = self.another()
        self.server.moveSessions()
        self.assertIn(Moved(None, 0.01), self.said(transport))
        protocol.dataReceived(encode(Open(1, 0)))
        self.assertEqual(transport.takeWritten(), b"")

    def test_oneIsMovedOnce(self) -> None:
        self.move()
        self.assertEqual(self.server.moveSessions(), 0)

    def test_clientsOfTheBaseProtocolStay(self) -> None:
        self.move()
        protocol, transport = self.connect()
        protocol.dataReceived(encodeBase(Hello(0)))
        transport.takeWritten()
        self.assertEqual(self.server.moveSessions(), 0)
        self.assertEqual(transport.takeWritten(), b"")
        self.assertFalse(transport.disconnecting)

    def test_itIsReportedAsALossOfItsOwnKind(self) -> None:
        events: list[Event] = []
        self.sink.subscribe(events.append)
        self.move()
        lost = [event.why for event in events if isinstance(event, SessionLost | TunnelLost)]
        self.assertEqual(lost, [Loss.MOVED] * 4, "the session, and each tunnel")
