"""How much is done in one turn, whatever comes, and who is next."""

from __future__ import annotations

import socket

from bore.relay import loop
from bore.relay.interface import Stream
from bore.relay.lane import Lane
from bore.timing.turns import MIN_COST
from tests.relay.lanecase import Hand, LaneCase, data
from tests.relay.plugs import fill, reset, take

#: The reads and frames that fit in one turn.
TURN = loop._TURN // MIN_COST

#: The same, where turns are small.
SMALL_TURN = 64


class LaneShareTests(LaneCase):
    """Lanes full of tiny frames."""

    def flooded(self, count: int) -> list[tuple[socket.socket, Lane, Hand]]:
        """Visitors on lanes whose other sides send much in tiny frames."""
        visits = [self.visit(proved=True) for _ in range(count)]
        for _, _, hand in visits:
            hand.socket.send(data(b"x") * 5000)
        return visits

    def test_allTogetherHaveABoundInOneTurn(self) -> None:
        visits = self.flooded(60)
        for turn in range(1, 6):
            self.relay.loop.doRead()
            self.assertLessEqual(sum(lane.received for _, lane, _ in visits), turn * TURN)

    def test_eachHasItsTurn(self) -> None:
        visits = self.flooded(60)
        for _ in range(20):
            self.relay.loop.doRead()
        counts = [lane.received for _, lane, _ in visits]
        self.assertGreater(min(counts), 0)
        self.assertLess(max(counts), 4 * sum(counts) / len(counts))

    def test_nothingIsLost(self) -> None:
        visits = self.flooded(20)
        received = dict.fromkeys(range(len(visits)), 0)
        while sum(received.values()) < 20 * 5000:
            self.turn(5)
            for number, (visitor, _, _) in enumerate(visits):
                received[number] += len(take(visitor))
        self.assertEqual(set(received.values()), {5000})

    def test_aStreamWithFewBytesIsNotHeldUpByThem(self) -> None:
        quiet, _, hand = self.visit(proved=True)
        visits = self.flooded(100)
        self.relay.loop.doRead()
        for _ in range(10):
            hand.send(data(b"hello"))
            for _ in range(3):
                self.relay.loop.doRead()
            self.assertEqual(take(quiet), b"hello")
            self.assertTrue(all(lane.received < 5000 for _, lane, _ in visits))


class StreamShareTests(LaneCase):
    """Streams without lanes, and small turns: else there would have to be many of them."""

    def setUp(self) -> None:
        self.patch(loop, "_TURN", SMALL_TURN * MIN_COST)
        self.patch(loop, "_EVENTS", SMALL_TURN // 4)
        super().setUp()

    def pairs(self, count: int) -> list[tuple[socket.socket, socket.socket]]:
        pairs = []
        for _ in range(count):
            (left, near), (right, far) = self.stream(), self.stream()
            self.relay.join(Stream(near), Stream(far), self.endings.append)
            pairs.append((left, right))
        self.turn()
        return pairs

    def moved(self) -> int:
        return sum(pair.moved for pair in self.relay._pairs)

    def test_readsOfAFewBytesCount(self) -> None:
        pairs = self.pairs(2 * SMALL_TURN)
        for left, right in pairs:
            left.send(b"x")
            right.send(b"x")
        for turn in range(1, 4):
            self.relay.loop.doRead()
            self.assertLessEqual(self.moved(), turn * SMALL_TURN)
        self.turn(20)
        self.assertEqual(self.moved(), 4 * SMALL_TURN)

    def test_endsCount(self) -> None:
        pairs = self.pairs(2 * SMALL_TURN)
        for left, _ in pairs:
            reset(left)
        self.relay.loop.doRead()
        self.assertLess(len(self.endings), SMALL_TURN)
        self.turn()
        self.assertEqual(len(self.relay), 0)

    def test_manySmallStreamsDoNotStarveALargeOne(self) -> None:
        [(left, right), *others] = self.pairs(1 + SMALL_TURN)
        fill(left)
        received = 0
        for _ in range(20):
            for other, end in others:
                take(end)
                other.send(b"x")
            self.relay.loop.doRead()
            received += len(take(right))
        self.assertGreater(received, 1 << 19)
