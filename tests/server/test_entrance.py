"""Where visitors come in."""

from __future__ import annotations

import socket
from typing import cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.events import Event, Sink, VisitorEnd
from bore.events.server import VisitorCame, VisitorLeft, VisitorOffLane, VisitorServed, VisitorsHeldBack, VisitorsLetIn
from bore.relay.interface import Ending, Reason
from bore.server.custody import Waiting
from bore.server.entrance import Entrance, EntranceUser
from bore.server.entrances import Entrances
from bore.server.places import Places
from bore.server.registry import Grant
from bore.server.settings import Bounds, ServerSettings
from bore.server.tunnel import Owner, Tunnel
from bore.server.unaccepted import UnacceptedVisitors
from bore.server.users import NAMELESS, Login
from bore.server.visitor import Visitor
from bore.streams.listener import ListenerGroup
from bore.streams.reactor import IReactor
from bore.system.descriptors import Descriptors
from bore.wire.errors import Refusal
from bore.wire.publicaddress import PublicAddress
from tests.fakes import FakeReactor
from tests.ports import freePort, loopbackHost
from tests.support import connect

ADDRESS = ("192.0.2.7", 4711)


class NameEntrance:
    """A name on a port that many tunnels share: it has read what a visitor said first, and has no listening socket."""

    address = 443

    def __init__(self) -> None:
        self.tunnel: EntranceUser | None = None
        self.steps: list[str] = []

    def open(self, tunnel: EntranceUser) -> None:
        self.tunnel = tunnel

    def pause(self) -> None:
        self.steps.append("pause")

    def resume(self) -> None:
        self.steps.append("resume")

    def release(self) -> None:
        self.steps.append("release")

    def finish(self) -> None:
        self.close()

    def close(self) -> None:
        self.steps.append("close")


class FakeOwner:
    """A session that serves nobody at once."""

    def __init__(self) -> None:
        self.user = NAMELESS
        self.peer, self.source = "192.0.2.1:4711", "192.0.2.1"
        self.login = Login(NAMELESS, self.peer, None, encrypted=False)
        self.announced: list[Visitor] = []

    def serve(self, visitor: Visitor) -> bool:
        return False

    def announce(self, visitor: Visitor) -> None:
        self.announced.append(visitor)

    def takeAway(self, tunnel: Tunnel, refusal: Refusal) -> None: ...

    def inDoubt(self) -> bool:
        return False


class AnyEntranceTests(SynchronousTestCase):
    """A tunnel needs nothing of its entrance but what the interface says."""

    def setUp(self) -> None:
        self.clock = clock = Clock()
        self.sink, self.events = Sink(), list[Event]()
        self.sink.subscribe(self.events.append, visitors=True)
        self.unaccepted = UnacceptedVisitors(clock, self.sink, Descriptors(clock, 0), lambda: 0, lambda: False)
        self.entrance, self.owner = NameEntrance(), FakeOwner()
        self.tunnel = self.make(self.entrance, self.owner, Bounds(waiting=2))
        self.addCleanup(self.unaccepted.close)

    def make(self, entrance: Entrance, owner: Owner, bounds: Bounds) -> Tunnel:
        return Tunnel(self.clock, self.sink, entrance, self.unaccepted, bounds, Grant(443, NAMELESS, "", 1), owner)

    def come(self, early: bytes = b"") -> socket.socket:
        """Have a visitor brought by the entrance."""
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        assert self.entrance.tunnel is not None
        self.entrance.tunnel.visitorCame(ours, ADDRESS, early)
        return theirs

    def test_itsAddressIsTheEntrances(self) -> None:
        self.assertEqual(self.tunnel.address, 443)

    def test_whatTheEntranceHasReadIsTheVisitorsFirst(self) -> None:
        self.come(b"GET / HTTP/1.1\r\n")
        [visitor] = self.owner.announced
        self.assertEqual((visitor.early, visitor.source), (b"GET / HTTP/1.1\r\n", ADDRESS))

    def test_itIsPausedWhileTooManyWaitAndResumedWhenSomeWereTaken(self) -> None:
        self.tunnel.owner = None
        for _ in range(2):
            self.assertTrue(self.tunnel.mayAccept())
            self.come()
        self.assertFalse(self.tunnel.mayAccept())
        self.assertEqual(self.entrance.steps, ["pause"])
        visitor = self.tunnel.takeFirst()
        assert visitor is not None
        self.assertEqual(self.entrance.steps, ["pause", "resume"])
        held = [event for event in self.events if isinstance(event, VisitorsHeldBack | VisitorsLetIn)]
        self.assertEqual(held, [VisitorsHeldBack(443, 2), VisitorsLetIn(443)])
        visitor.socket.close()

    def test_itIsClosedWithTheTunnelAndWhoComesAllTheSameIsClosed(self) -> None:
        waiting = self.come()
        self.tunnel.close()
        self.assertEqual(self.entrance.steps, ["close"])
        late = self.come()
        self.assertEqual((waiting.recv(1), late.recv(1)), (b"", b""))
        self.assertEqual(len(self.unaccepted), 0)

    def test_aVisitorCountsAsServedUntilItHasLeft(self) -> None:
        self.come()
        visitor = self.tunnel.takeFirst()
        assert visitor is not None
        ended = self.tunnel.serve(visitor, visitor.socket)
        self.assertEqual(list(self.tunnel.serving), [visitor])
        ended(Ending(Reason.FINISHED, 1, 2))
        self.assertEqual(list(self.tunnel.serving), [])

    def test_eachStepOfAVisitorIsAnEvent(self) -> None:
        self.come()
        visitor = self.tunnel.takeFirst()
        assert visitor is not None
        self.clock.advance(1.5)
        self.tunnel.serve(visitor, visitor.socket)(Ending(Reason.LEFT_CUT, 10, 20))
        visitor.socket.close()
        self.assertEqual(
            self.events,
            [
                VisitorCame(visitor.name, 443, "192.0.2.7:4711"),
                VisitorServed(visitor.name, 443, None),
                VisitorLeft(visitor.name, 443, 10, 20, 1.5, VisitorEnd.VISITOR_CUT, "192.0.2.7:4711"),
            ],
        )

    def test_whoComesIsFollowedByOneEndWhateverBecomesOfIt(self) -> None:
        for _ in range(3):
            self.come()
        self.clock.advance(11)
        self.come()
        self.assertTrue(self.unaccepted.closeNewest())
        self.come()
        self.tunnel.close()
        self.come()
        ends = [event.reason for event in self.events if isinstance(event, VisitorLeft)]
        self.assertEqual(len([event for event in self.events if isinstance(event, VisitorCame)]), len(ends))
        self.assertEqual(
            ends,
            [VisitorEnd.NOT_TAKEN] * 3 + [VisitorEnd.NO_DESCRIPTOR] + [VisitorEnd.TUNNEL_CLOSED] * 2,
        )

    def test_noEventOfAVisitorIsMadeThatNobodyWants(self) -> None:
        self.sink.visitors = self.sink.ends = False
        self.come()
        visitor = self.tunnel.takeFirst()
        assert visitor is not None
        self.tunnel.serve(visitor, visitor.socket)(Ending(Reason.FINISHED, 10, 20))
        visitor.socket.close()
        self.assertEqual(self.events, [])

    def test_whatWaitsLeavesWithTheTunnelAndWhatWaitsAgainFollows(self) -> None:
        self.come(b"served")
        served = self.tunnel.takeFirst()
        assert served is not None
        self.tunnel.serve(served, served.socket)
        waiting = self.come(b"waits")
        self.clock.advance(2)
        late: list[Waiting] = []
        [left] = self.tunnel.handOver(late.append)
        self.assertEqual((left.address, left.early, left.age), (ADDRESS, b"waits", 2))
        self.assertEqual((self.entrance.steps, len(self.unaccepted)), (["release"], 0))
        self.tunnel.takeBack(served, b"served")
        self.tunnel.enqueue(served, first=True)
        self.assertEqual([each.early for each in late], [b"served"])
        ends = [event.reason for event in self.events if isinstance(event, VisitorLeft)]
        self.assertEqual(ends, [VisitorEnd.HANDED_OVER] * 2)
        left.socket.send(b"open")
        self.assertEqual(waiting.recv(4), b"open")

    def test_whatHasWaitedElsewhereIsInFrontOfTheOthers(self) -> None:
        self.come(b"second")
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        self.tunnel.takeIn(Waiting(ours, ADDRESS, b"first", 3.0))
        first = self.tunnel.takeFirst()
        assert first is not None
        self.assertEqual((first.early, first.since), (b"first", -3.0))
        first.socket.close()

    def test_aVisitorThatIsTakenBackDoesNotCountAndHasLostNothing(self) -> None:
        self.come(b"GET ")
        visitor = self.tunnel.takeFirst()
        assert visitor is not None
        self.tunnel.serve(visitor, visitor.socket)
        self.tunnel.takeBack(visitor, b"GET / HTTP")
        self.assertEqual((list(self.tunnel.serving), visitor.early, visitor.lanesLost), ([], b"GET / HTTP", 1))
        self.assertEqual(self.events[-1], VisitorOffLane(visitor.name, 443))
        visitor.socket.close()


class TcpEntranceTests(SynchronousTestCase):
    """A TCP port as an entrance."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        reactor, self.host = cast(IReactor, self.reactor), loopbackHost()
        settings = ServerSettings(bindTunnels=self.host)
        self.places = Places(reactor, settings)
        self.entrances = Entrances(reactor, ListenerGroup(Sink()), Descriptors(reactor, 0), lambda: False)
        self.came: list[socket.socket] = []
        self.may = True

    def enter(self, address: PublicAddress) -> Entrance:
        return self.entrances.at(self.places.open(address))

    def visitorCame(self, sock: socket.socket, address: object, early: bytes = b"") -> None:
        self.addCleanup(sock.close)
        self.assertEqual(early, b"")
        self.came.append(sock)

    def mayAccept(self) -> bool:
        return self.may

    def visit(self, port: PublicAddress) -> socket.socket:
        visitor = connect(self.host, port)
        self.addCleanup(visitor.close)
        for listener in self.reactor.getReaders():
            listener.doRead()
        return visitor

    def test_theKernelHoldsThoseThatComeBeforeItIsOpen(self) -> None:
        entrance = self.enter(freePort(self.host))
        self.addCleanup(entrance.close)
        self.visit(entrance.address)
        self.assertEqual(self.came, [])
        entrance.open(self)
        self.visit(entrance.address)
        self.assertEqual(len(self.came), 2)

    def test_theKernelHoldsThoseThatComeWhileItIsPaused(self) -> None:
        entrance = self.enter(freePort(self.host))
        self.addCleanup(entrance.close)
        entrance.open(self)
        entrance.pause()
        entrance.pause()
        self.visit(entrance.address)
        self.assertEqual(self.came, [])
        entrance.resume()
        self.visit(entrance.address)
        self.assertEqual(len(self.came), 2)

    def test_itsPortIsFreeWhenItIsClosedOpenOrNot(self) -> None:
        port = freePort(self.host)
        self.enter(port).close()
        entrance = self.enter(port)
        entrance.open(self)
        entrance.close()
        self.enter(port).close()
        self.assertEqual(self.reactor.getReaders(), [])
