"""How many connections are handed on to a node at the same time, and which wait."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import cast

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.client.dataconnections import DataConnections
from bore.cluster.handingon import AT_ONCE, WAITING, HandingOn
from bore.relay.interface import Ending, Relay, Stream
from bore.streams.reactor import IReactor
from bore.wire.extension import HandedOn
from bore.wire.limits import ACCEPT_TIMEOUT


class FakeConnections:
    """
    Connections to a node.

    :ivar opening: those that are not open yet.
    :ivar refuses: whether each fails at once.
    """

    def __init__(self) -> None:
        self.opening: list[Deferred[Stream]] = []
        self.refuses = False

    def open(self, request: HandedOn) -> Deferred[Stream]:
        if self.refuses:
            return fail(ConnectionRefusedError())
        self.opening.append(Deferred())
        return self.opening[-1]


class FakeSocket:
    """
    A socket.

    :ivar closed: whether it is closed.
    """

    closed = False

    def close(self) -> None:
        self.closed = True


class TurnsTests(SynchronousTestCase):
    """Nodes 1 and 2, of which the first one does not answer until it is told to."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.nodes = {1: FakeConnections(), 2: FakeConnections()}
        self.joined: list[object] = []
        find = cast(Callable[[int], DataConnections | None], self.nodes.get)
        self.handingOn = HandingOn(cast(IReactor, self.clock), cast(Relay, self), find)

    def join(self, left: Stream, right: Stream, ended: Callable[[Ending], None]) -> None:
        """See :class:`bore.relay.interface.Relay`."""
        self.joined.append(left.socket)

    def handOn(self, count: int, node: int = 1) -> list[FakeSocket]:
        sockets = [FakeSocket() for _ in range(count)]
        for each in sockets:
            self.handingOn(node, cast(socket.socket, each), ("192.0.2.1", 5), b"", None)
        return sockets

    def answer(self, count: int) -> None:
        for _ in range(count):
            self.nodes[1].opening.pop(0).callback(Stream(cast(socket.socket, FakeSocket())))

    def test_whatIsTooMuchAtOnceWaitsInItsOrder(self) -> None:
        sockets = self.handOn(AT_ONCE + 10)
        self.assertEqual(len(self.nodes[1].opening), AT_ONCE)
        self.answer(5)
        self.assertEqual(self.joined, sockets[:5])
        self.assertEqual(len(self.nodes[1].opening), AT_ONCE)
        self.answer(AT_ONCE + 5)
        self.assertEqual(self.joined, sockets)
        self.assertFalse(any(each.closed for each in sockets))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_theQueueHasASize(self) -> None:
        sockets = self.handOn(AT_ONCE + WAITING + 1)
        self.assertEqual([each.closed for each in sockets].index(True), AT_ONCE + WAITING)

    def test_anotherNodeIsNotWaitedFor(self) -> None:
        self.handOn(AT_ONCE + WAITING)
        self.handOn(1, node=2)
        self.assertEqual(len(self.nodes[2].opening), 1)

    def test_whatHasWaitedForTooLongIsClosed(self) -> None:
        first = self.handOn(AT_ONCE)
        self.clock.advance(1)
        later = self.handOn(WAITING)
        self.clock.advance(ACCEPT_TIMEOUT - 1)
        self.assertTrue(all(each.closed for each in first))
        self.clock.advance(1)
        self.assertEqual(sum(each.closed for each in later), 0)
        self.clock.advance(ACCEPT_TIMEOUT - 1)
        self.assertTrue(all(each.closed for each in later))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_manyThatFailAtOnceAreNoDeepRecursion(self) -> None:
        sockets = self.handOn(AT_ONCE + WAITING)
        self.nodes[1].refuses = True
        self.nodes[1].opening.pop().errback(ConnectionRefusedError())
        self.assertEqual(sum(each.closed for each in sockets), WAITING + 1)

    def test_aNodeThatIsGoneGetsNothing(self) -> None:
        sockets = self.handOn(AT_ONCE + 1)
        opening = self.nodes.pop(1).opening
        opening.pop().callback(Stream(cast(socket.socket, FakeSocket())))
        self.assertTrue(sockets[-1].closed)
        self.assertTrue(self.handOn(1)[0].closed)

    def test_aStopClosesAll(self) -> None:
        sockets = self.handOn(AT_ONCE + 10)
        self.handingOn.stop()
        self.assertTrue(all(each.closed for each in sockets))
        self.assertEqual(self.clock.getDelayedCalls(), [])
