"""A lane goes from state to state as its table has it, and not otherwise."""

from __future__ import annotations

import re
import sys
from typing import ClassVar

if sys.platform != "linux":
    from twisted.trial.unittest import SkipTest

    raise SkipTest("there are no lanes on this system")

from bore.relay import fromlane, lane, lanes
from bore.relay.lane import Lane
from bore.wire.lane import END_FRAME, RESET
from tests.relay.lanecase import OPENING, LaneCase
from tests.relay.laneworld import World
from tests.relay.plugs import reset

STATES = ("IDLE", "SETTLING", "JOINED", "OPENED", "SETTLED", "CLOSED")
NAMES = {getattr(fromlane, name): name for name in STATES}

Steps = set[tuple[str, str]]


def table() -> Steps:
    """The steps in the docstring of the lane's module."""
    assert lane.__doc__ is not None
    lines = lane.__doc__.splitlines()
    rulers = [number for number, line in enumerate(lines) if line.startswith("===")]
    state, _, then = re.finditer("=+", lines[rulers[0]])
    rows = lines[rulers[1] + 1 : rulers[2]]
    steps = {
        (row[: state.end()].strip(), after) for row in rows for after in re.findall("[A-Z]{2,}", row[then.start() :])
    }
    assert {name for step in steps for name in step} == set(NAMES.values())
    return steps


class TracedLane(Lane):
    """Records the steps of all lanes."""

    steps: ClassVar[Steps] = set()

    _state: int | None = None

    @property
    def state(self) -> int:
        assert self._state is not None
        return self._state

    @state.setter
    def state(self, state: int) -> None:
        if self._state is not None and state != self._state:
            self.steps.add((NAMES[self._state], NAMES[state]))
        self._state = state


class StatesTests(LaneCase):
    """Lanes whose steps are recorded."""

    def setUp(self) -> None:
        self.steps: Steps = set()
        self.patch(TracedLane, "steps", self.steps)
        self.patch(lanes, "Lane", TracedLane)
        super().setUp()

    def test_eachStepOfTheTableHappens(self) -> None:
        self._carriesAStream()
        self._isRefused()
        self._closesWhereverItIs()
        self.assertEqual(self.steps, table())

    def _carriesAStream(self) -> None:
        visitor, _, hand = self.visit()
        visitor.close()
        hand.send(END_FRAME)
        self.turn()
        service, _, hand = self.served()
        hand.send(END_FRAME)
        service.close()
        self.turn()

    def _isRefused(self) -> None:
        lane, hand = self.lane(False)
        hand.send(OPENING)
        self.turn()
        lane.refuse()
        self.turn()
        self.assertEqual(hand.receiveKinds(), [RESET])

    def _closesWhereverItIs(self) -> None:
        idle, _ = self.lane()
        opened, hand = self.lane(False)
        hand.send(OPENING)
        visitor, settling, _ = self.visit(proved=True)
        reset(visitor)
        self.turn()
        settled, _ = self.lane()
        outer, inner = self.stream()
        reset(outer)
        self.join(inner, settled)
        for each in (idle, opened, settling, settled):
            each.end(reset=True)
        self.turn()

    def test_nothingElseHappensByChance(self) -> None:
        for seed, bulk in ((400, 0.0), (401, 0.3)):
            world = World(seed, 40, lanes=4, kills=0.003, bulk=bulk)
            try:
                world.run()
            finally:
                world.close()
        self.assertEqual(self.steps - table(), set())
        self.assertGreater(len(self.steps), 6)
