"""Orders to workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bore.wire.workermessages import Done, Order, SupervisorMessage
from bore.workers.crew import Crew, Line, Member, Phase
from bore.workers.orders import TIMEOUT, Orders


class FakeLine:
    """The channel to a worker, which takes orders when it is ready."""

    full = False

    def __init__(self) -> None:
        self.ready = False
        self.orders: list[Order] = []

    def send(self, message: SupervisorMessage, descriptors: Sequence[int] = ()) -> None:
        assert isinstance(message, Order)
        self.orders.append(message)

    def maySend(self, kind: type[SupervisorMessage]) -> bool:
        return self.ready

    def close(self) -> None:
        pass


class OrdersTests(SynchronousTestCase):
    """Orders to one worker that is ready, and one that starts."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.lines = [FakeLine(), FakeLine()]
        self.members_ = [self.member(number, line) for number, line in enumerate(self.lines, 1)]
        self.makeReady(0)
        self.orders = Orders(self.clock, cast(Crew, self))

    def tearDown(self) -> None:
        for each in self.members_:
            self.orders.gone(each)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def members(self) -> list[Member]:
        """See :class:`bore.workers.crew.Crew`."""
        return self.members_

    def member(self, number: int, line: FakeLine) -> Member:
        member = Member(number, 1, 0.0)
        member.line = cast(Line, line)
        return member

    def makeReady(self, index: int) -> None:
        self.lines[index].ready = True
        self.members_[index].phase = Phase.READY

    def given(self, index: int) -> list[str]:
        return [each.order for each in self.lines[index].orders]

    def test_whoIsReadyAnswers(self) -> None:
        answers = self.orders.giveAll("kick", "ada")
        [order] = self.lines[0].orders
        done = Done(order.id, (1, 2, 3), (), None)
        self.orders.done(self.members_[0], done)
        self.assertEqual(self.successResultOf(answers), [(1, done)])

    def test_whoDoesNotAnswerInTimeIsNotWaitedFor(self) -> None:
        answers = self.orders.giveAll("reload")
        self.clock.advance(TIMEOUT)
        self.assertEqual(self.successResultOf(answers), [(1, None)])

    def test_whoEndsMeanwhileIsLeftOut(self) -> None:
        """As at a reload by which there are fewer workers."""
        self.makeReady(1)
        answers = self.orders.giveAll("reload")
        [order] = self.lines[0].orders
        done = Done(order.id, (), (), None)
        self.orders.done(self.members_[0], done)
        self.members_[1].line = None
        self.orders.gone(self.members_[1])
        self.assertEqual(self.successResultOf(answers), [(1, done)])

    def test_oneThatStartsReadsItsFilesAgainWhenItIsReady(self) -> None:
        """It may have read them before they were changed: a user whose rights were withdrawn has none anywhere."""
        for order in ("reload", "rotate", "reload", "kick"):
            self.orders.giveAll(order)
        self.assertEqual(self.given(1), [])
        self.makeReady(1)
        for _ in range(2):
            self.orders.ready(self.members_[1])
        self.assertEqual(self.given(1), ["reload", "rotate"])

    def test_oneThatEndsBeforeItIsReadyIsForgotten(self) -> None:
        self.orders.giveAll("reload")
        self.orders.gone(self.members_[1])
        self.makeReady(1)
        self.orders.ready(self.members_[1])
        self.assertEqual(self.given(1), [])
