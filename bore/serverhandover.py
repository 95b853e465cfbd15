"""
A server of one process that another process takes over, and one that takes over.

Only imported where that happens.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred, succeed

from bore.events import Sink
from bore.events.server import ServerNotTakenOver, ServerTakenOver
from bore.handover.place import Belonging
from bore.server.custodystate import BadState, adopt
from bore.server.registry import LocalRegistry
from bore.server.service import ServerService
from bore.startup import IProgramReactor
from bore.status.questions import Answer, Question, Refused, jsonAnswer
from bore.system.signals import stop
from bore.workers.giving import CannotGive, Giving
from bore.workers.predecessor import THE_WORKER, Predecessor

if TYPE_CHECKING:
    from bore.inheritance import Inheritance
    from bore.statusprogram import WithStatusPort

__all__ = ["BadState", "HandOver", "TakingOver"]


class HandOver:
    """
    Gives a server to another process, when that asks for it.

    :param program: the whole program, which is stopped when nothing is left of it.
    :param belongings: what the other process has alone from then on.
    :param statusPort: the status port; None: there is none.
    :param predecessor: the process from which this one has taken over; None: there was none.
    :param drain: how long running streams may go on when the other process has ended first, in seconds.
    """

    def __init__(
        self,
        reactor: IProgramReactor,
        sink: Sink,
        service: ServerService,
        program: Service,
        belongings: Sequence[Belonging],
        statusPort: WithStatusPort | None,
        predecessor: Predecessor | None,
        drain: float,
    ) -> None:
        self._reactor = reactor
        self._sink = sink
        self._service = service
        self._program = program
        self._belongings = belongings
        self._statusPort = statusPort
        self._predecessor = predecessor
        self._drain = drain
        self._giving: Giving | None = None

    def __call__(self, question: Question) -> Answer:
        """
        Answer ``POST /take-over``.

        :raises bore.status.questions.Refused: if the server cannot be given.
        """
        path = question.json(socket=str).get("socket")
        if not isinstance(path, str) or "\0" in path:
            raise Refused(400, 'the body must name the socket of the other process, as in {"socket": "/run/..."}')
        if not self._program.running or self._service.state != "running":
            raise Refused(409, "the program is stopping")
        if self._service.ofCluster:
            raise Refused(409, "it is a node of a cluster: stop it, and its clients go to other nodes")
        if self._giving is not None:
            return jsonAnswer({"busy": "another process is taking over"})
        if self._predecessor is not None and self._predecessor.hasTunnels:
            return jsonAnswer({"busy": "it has taken over itself a moment ago, and clients are still on their way"})
        try:
            self._giving = Giving(self._reactor, self._sink, self._service, self, path, self._over)
        except CannotGive as e:
            raise Refused(409, str(e)) from e
        return jsonAnswer({})

    def _over(self) -> None:
        self._giving = None

    @property
    def statusSocket(self) -> int | None:
        """See :class:`bore.workers.giving.Giver`."""
        return None if self._statusPort is None else self._statusPort.listening.descriptor

    def given(self, pid: int) -> None:
        """See :class:`bore.workers.giving.Giver`."""
        for each in self._belongings:
            each.give(pid)

    def stop(self) -> Deferred[object]:
        """See :class:`bore.workers.giving.Giver`."""
        if not self._program.running:
            return succeed(None)
        if self._service.state == "running" and len(self._service.server.relay):
            self._service.drain(self._drain)  # the other process has ended first
        return maybeDeferred(self._program.stopService)

    def end(self) -> None:
        """See :class:`bore.workers.giving.Giver`."""
        stop(self._reactor)


class TakingOver:
    """
    Takes over from another process.

    :param drain: how long the streams of the other process may go on, in seconds.
    :ivar inheritance: what the other process has given.
    :ivar belongings: what this process has when the other one has given it.
    :raises bore.server.custodystate.BadState: if what the other process has cannot be read.
    :raises OSError: if that process has ended, or the system does not let this one watch it.
    """

    def __init__(
        self, reactor: IProgramReactor, sink: Sink, service: ServerService, inheritance: Inheritance, drain: int
    ) -> None:
        whole = service.server.whole
        assert whole is not None and isinstance(whole.registry, LocalRegistry)
        self._sink = sink
        self._whole = whole
        self.inheritance = inheritance
        self._drain = drain
        self.belongings: list[Belonging] = []
        self._reactor = reactor
        self.predecessor = Predecessor(
            reactor, sink, inheritance.channel, inheritance.pid, service, whole, drain, self._take, self._refused
        )
        try:
            state = json.loads(inheritance.state)
        except ValueError as e:
            raise BadState(f"the state is not JSON: {e}") from e
        holders = {THE_WORKER: self.predecessor.custodian}
        adopt(whole, whole.registry, whole.places, state, inheritance.descriptors, holders)
        self._count = len(whole)

    def begin(self) -> None:
        """
        Be the server: this process listens.

        :raises OSError: if the other process is not there any more, or there is no descriptor left.
        """
        self.predecessor.begin()  # behind settle, nothing may fail any more
        self.inheritance.settle()
        self._sink.emit(ServerTakenOver(self.inheritance.pid, self._count, self._drain))

    def _refused(self) -> None:
        """The other process goes on: this one ends, and leaves it what both have copies of."""
        self._sink.emit(ServerNotTakenOver(self.inheritance.pid))
        for each in self._whole.held():
            each.place.goesOn = True
        self.inheritance.failed = True
        stop(self._reactor)

    def _take(self) -> None:
        for each in self.belongings:
            each.take()
