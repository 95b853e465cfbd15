# Over 300 lines: all that happens in the world shares one order of chance, and its state.
"""
Two relays, lanes between them that pass through our hands, visitors and services, and chance.

All runs in one thread: the seed determines the order of all steps, and a failure comes again with the same seed.
"""
# Longer than 300 lines: one simulation, whose parts know one another.

from __future__ import annotations

import contextlib
import random
import socket
import time
from typing import Final, cast
from uuid import UUID

from bore.relay.flow import BUFFER_SIZE
from bore.relay.interface import Ending, LaneHandle, Stream
from bore.relay.lane import Lane
from bore.relay.lanes import LaneRelay
from bore.streams.reactor import IReactor
from bore.wire.extension import Visitor
from bore.wire.laneopen import openFrame, readOpen
from tests.fakes import FakeReactor
from tests.relay.lanecase import pairOn
from tests.relay.lanetalk import Endpoint, Talk, Wire
from tests.relay.laneusers import LaneSide
from tests.relay.plugs import SMALL, TINY, Plugs, reset

#: What a lane's side holds at most: what one read has given, once as frames that wait, once as bytes that are held.
_MOST: Final = 2 * (BUFFER_SIZE + 64)


class _Server(LaneSide):
    """The lanes as a server has them: the visitor who waits is next."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def idle(self, lane: LaneHandle) -> None:
        assert isinstance(lane, Lane)
        assert lane.session.idle and lane.on is None and lane not in self.ready, "an idle lane that is not idle"
        self._world.cleared(lane)
        if self._world.waiting:
            self._world.put(self._world.waiting.pop(0), lane)
        else:
            self.ready.append(lane)

    def gone(self, lane: LaneHandle) -> None:
        assert isinstance(lane, Lane)
        super().gone(lane)
        self._world.lost(lane)


class _Client(LaneSide):
    """The lanes as a client has them: each visitor's service is dialled, which takes its time."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def opened(self, lane: LaneHandle, visitor: bytes) -> None:
        assert isinstance(lane, Lane)
        assert lane.on is None
        talk = self._world.talkOf(UUID(readOpen(visitor).id).int)
        if self._world.random.random() < 0.5:
            self._world.dial(talk, lane)
        else:
            self._world.dialling.append((talk, lane))
            talk.dialling += 1

    def idle(self, lane: LaneHandle) -> None:
        assert isinstance(lane, Lane)
        assert lane.session.idle and lane.on is None, "an idle lane that is not idle"


class World:
    """
    What there is.

    :param seed: decides everything.
    :param visitors: how many come.
    :param lanes: how many lanes there are at most at a time.
    :param kills: how likely it is in each step that a lane is killed.
    :param bulk: how likely it is that a stream is large enough for RAW.
    """

    def __init__(
        self, seed: int, visitors: int, lanes: int = 4, kills: float = 0.0, bulk: float = 0.02, cuts: float = 0.3
    ) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self._plugs = Plugs()
        self.reactor = FakeReactor()
        self.near = LaneRelay(cast(IReactor, self.reactor), 600)
        self.far = LaneRelay(cast(IReactor, self.reactor), 600)
        self.server, self.client = _Server(self), _Client(self)
        self.talks: dict[int, Talk] = {}
        self._past: dict[int, Talk] = {}
        self.waiting: list[Talk] = []
        self.dialling: list[tuple[Talk, Lane]] = []
        self.wires: dict[Lane, Wire] = {}
        self.on: dict[Lane, Talk] = {}
        self.serving: dict[Lane, Talk] = {}
        self.made = self.tails = self.done = 0
        self._left = visitors
        self._next = 1
        self._lanes = lanes
        self._kills = kills
        self._bulk = bulk
        self._cuts = cuts

    def put(self, talk: Talk, lane: Lane) -> None:
        """Put a visitor on a lane."""
        self.on[lane] = talk
        talk.lane = lane
        talk.attempts += 1

        def giveBack(early: bytes, silent: bool) -> None:
            talk.lane = None
            assert talk.visitor.sock.fileno() < 0 or talk.inner.fileno() >= 0, "the visitor is gone"
            assert talk.up.startswith(early), f"{talk}: what was given back is not what was sent"
            talk.early = early
            self.waiting.append(talk)

        visitor = Visitor(1, UUID(int=talk.number), None)
        self.near.joinWithLane(
            Stream(talk.inner, talk.early),
            lane,
            lambda ending: self._hasLeft(talk, ending),
            openFrame(1, visitor.id, visitor.source),
            giveBack=giveBack,
        )

    def _hasLeft(self, talk: Talk, ending: Ending) -> None:
        assert talk.ending is None, f"{talk} has ended twice"
        talk.ending = ending

    def talkOf(self, number: int) -> Talk:
        """The client has received OPEN for a visitor, which may have left long ago."""
        talk = self._past.pop(number, None)
        if talk is not None:
            self.talks[number] = talk
        return self.talks[number]

    def dial(self, talk: Talk, lane: Lane) -> None:
        """The service has been reached, or not."""
        if lane.closed:
            return
        if self.random.random() < self._cuts / 10:
            talk.disturb("refused")
            lane.refuse()
            return
        outer, inner = self._pair()
        header = talk.header
        service = Endpoint(outer, talk.down, header + talk.up, self.random, f"{talk} service", self._cuts / 2)
        talk.services.append(service)
        state: list[Ending] = []

        def ended(ending: Ending) -> None:
            assert not state, f"{talk} has ended twice at the service"
            state.append(ending)
            talk.farEndings += 1
            if self.serving.get(lane) is talk:  # the lane may go on before the service has acknowledged all
                del self.serving[lane]

        self.serving[lane] = talk
        self.far.joinWithLane(Stream(inner), lane, ended, header=header)

    def cleared(self, lane: Lane) -> None:
        """A lane is idle."""
        self.on.pop(lane, None)

    def lost(self, lane: Lane) -> None:
        """A lane is gone."""
        talk = self.on.pop(lane, None)
        wire = self.wires[lane]
        tail = self.serving.get(wire.lanes[1])
        if tail is not None and tail is not talk:
            self.tails += 1
            tail.disturb("its lane was given away too early")
        if talk is not None and not talk.services:
            # The wire has acknowledged what was sent on it: the other side may have acted on it.
            talk.disturb("its lane was closed by the other side")

    def _pair(self) -> tuple[socket.socket, socket.socket]:
        return self._plugs.pair(self.random.choice((0, 0, 0, 0, 0, 0, SMALL, SMALL, SMALL, TINY)))

    def _addLane(self) -> None:
        size = self.random.choice((TINY, SMALL, SMALL, 0))
        pairs = [self._plugs.pair(size) for _ in range(2)]
        self.made += 1
        far = self.far.adopt(pairs[1][1], b"", False, self.client)
        lane = self.near.adopt(pairs[0][1], b"", True, self.server)
        self.wires[lane] = Wire(pairs[0][0], pairs[1][0], self.random)
        self.wires[lane].lanes = lane, far
        self.server.idle(lane)

    def _come(self) -> None:
        self._left -= 1
        outer, inner = self._pair()
        talk = Talk(self._next, self.random, outer, inner, self._bulk, self._cuts)
        self._next += 1
        self.talks[talk.number] = talk
        if self.server.ready:
            self.put(talk, self.server.ready.pop())
        else:
            self.waiting.append(talk)

    def _kill(self) -> None:
        lane = self.random.choice(list(self.wires))
        wire = self.wires[lane]
        raw = any(end.decoder.raw or end.session._usedUp for end in wire.lanes)
        wire.kill(raw or self.random.random() < 0.5)
        if lane in self.on:
            self.on[lane].disturb("killed")
        for talk in self.talks.values():
            if talk.lane is lane:
                talk.disturb("killed")

    def step(self) -> None:
        """One of all the things that could happen next."""
        random = self.random
        what = random.random()
        if what < 0.05 and self._left and len(self.talks) < 2 * self._lanes:
            self._come()
        elif what < 0.3:
            relay = self.near if random.random() < 0.5 else self.far
            relay.loop.doRead()
            self.reactor.advance(random.choice((0, 0, 0, 0.001)))
            self._look()
        elif what < 0.45:
            for lane in [lane for lane, wire in self.wires.items() if not wire.move()]:
                if lane.closed:
                    del self.wires[lane]
        elif what < 0.5:
            if self.dialling:
                talk, lane = self.dialling.pop(random.randrange(len(self.dialling)))
                talk.dialling -= 1
                self.dial(talk, lane)
        elif what < 0.55:
            if self.waiting and sum(not lane.closed for lane in self.wires) < self._lanes:
                self._addLane()
        elif what < 0.55 + self._kills:
            if self.wires:
                self._kill()
        elif self.talks:
            talk = random.choice(list(self.talks.values()))
            for end in talk.ends():
                for _ in range(random.randrange(4)):
                    end.step(talk)
            if talk.over:
                talk.check()
                self.done += 1
                self._past[talk.number] = self.talks.pop(talk.number)

    def _look(self) -> None:
        """No half holds more than what two reads give."""
        for lane, wire in self.wires.items():
            for end in wire.lanes:
                assert len(end.unsent) + end.decoder.kept <= _MOST, "a lane holds too much"
                assert len(end.outgoing) <= _MOST, "a lane holds too much of the last visitor"
            if lane.on is not None:
                assert len(pairOn(lane).plain.unsent) <= 2 * _MOST, "a stream holds too much"

    def run(self) -> None:
        """Let it all happen, and see that nothing is left."""
        idle = 0
        before: tuple[object, ...] = ()
        while self._left or self.talks:
            for _ in range(500):
                self.step()
            now = (self.done, self._left, *(talk.state() for talk in self.talks.values()))
            idle = idle + 1 if now == before else 0
            before = now
            if idle > 10:
                time.sleep(0.05)  # the kernel looks again after a while whether there is room
                self.reactor.advance(0.05)
            assert idle < 40, f"stuck: {list(self.talks.values())}"
        for _ in range(4):
            for _ in range(200):
                self.near.loop.doRead()
                self.far.loop.doRead()
                self.reactor.advance(0)
                for wire in self.wires.values():
                    wire.move()
            self.reactor.advance(11)
        left = [
            (len(r), len(r.deadlines.unproven), len(r.deadlines.unanswered), r.loop.pipes._used, len(r.loop.ready))
            for r in (self.near, self.far)
        ]
        assert left == [(0, 0, 0, 0, 0)] * 2, f"left behind: {left}"
        for relay in (self.near, self.far):
            for end in relay.loop._halves.values():
                assert isinstance(end, Lane) and end.session.idle and not end.outgoing, "a lane that is not idle"
        assert len(self.near.loop._halves) == len(self.server.ready) == len(self.far.loop._halves)

    def close(self) -> None:
        """Close everything."""
        self._plugs.close()
        for relay in (self.near, self.far):
            relay._cutAll()
            if not relay.loop.closed:
                relay.close()
        for wire in self.wires.values():
            wire.kill(True)
        for talk in self.talks.values():
            for sock in (talk.visitor.sock, talk.inner, *(service.sock for service in talk.services)):
                with contextlib.suppress(OSError):
                    reset(sock)
