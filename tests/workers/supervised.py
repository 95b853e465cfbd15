"""A worker in this process, and what a test does in the supervisor's place."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from bore.events import Sink
from bore.server.core import ServerCore
from bore.server.settings import ServerSettings
from bore.streams.addresses import SocketAddress
from bore.streams.descriptorframes import LOST
from bore.streams.listener import Listener, ListenerGroup, bindSocket
from bore.streams.reactor import IReactor
from bore.wire import workermessages as wm
from bore.wire.token import newToken
from bore.wire.workermessages import SupervisorMessage, WorkerMessage
from bore.wire.workersession import SupervisorEnd
from bore.workers.conversation import Conversation
from bore.workers.inside import Surroundings
from bore.workers.pending import ReportedConnections
from bore.workers.worker import Worker
from tests.tunnelscase import TunnelsCase

REACTOR = cast(IReactor, reactor)


class PlainInside:
    """See :class:`bore.workers.inside.Inside`: a server without files."""

    def __init__(self, around: Surroundings, settings: ServerSettings, sink: Sink) -> None:
        os.close(around.counters)
        unclassified = ReportedConnections(REACTOR, sink, settings.bounds, around.pendingChanged)
        self.core = ServerCore(
            REACTOR,
            settings,
            sink,
            custody=around.custody,
            worker=around.welcome.worker,
            unclassified=unclassified,
        )
        self.core.begin()
        self.calls: list[str] = []

    def makeReporter(self) -> None:
        """There is none."""

    def start(self) -> None:
        self.core.startService()

    def tick(self) -> None:
        self.calls.append("tick")

    def reload(self) -> tuple[Sequence[str], str | None]:
        self.calls.append("reload")
        return ["changed"], None

    def rotate(self) -> None:
        self.calls.append("rotate")

    def stop(self) -> Deferred[object]:
        self.calls.append("stop")
        return cast(Deferred[object], self.core.stopService())


class Supervised:
    """
    A worker, and the supervisor's end of its channel. It gets the connections to a port, and any address it asks for.

    :ivar received: its messages.
    """

    def __init__(self, settings: ServerSettings, sink: Sink, number: int = 1, generation: int = 1) -> None:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.number = number
        self.received: list[WorkerMessage] = []
        self.descriptors: list[list[int]] = []
        self.lost: list[str | None] = []
        self.talk: Conversation[WorkerMessage, SupervisorMessage] = Conversation(
            REACTOR, ours, SupervisorEnd(), self._took, self.lost.append
        )
        self.inside: PlainInside

        def build(around: Surroundings) -> PlainInside:
            self.inside = PlainInside(around, settings, sink)
            return self.inside

        self.worker = Worker(REACTOR, its, build)
        self.host = settings.bindAddr
        self.places: dict[object, socket.socket] = {}
        self._epoch = 0
        self.talk.send(wm.Welcome("0.3.0", number, generation, 2), [os.memfd_create("counters")])
        self.listener = Listener(REACTOR, bindSocket(self.host, 0), self._accepted, ListenerGroup(sink))
        self.encrypted = Listener(REACTOR, bindSocket(self.host, 0), self._acceptedTls, ListenerGroup(sink))

    def close(self) -> Deferred[None]:
        """End both."""
        self.listener.stop()
        self.encrypted.stop()
        self.talk.close()
        for each in self.places.values():
            each.close()
        for descriptors in self.descriptors:
            for descriptor in descriptors:
                os.close(descriptor)
        return self.worker.stop()

    def of(self, kind: type[Any]) -> list[Any]:
        """Its messages of one kind."""
        return [each for each in self.received if isinstance(each, kind)]

    def _accepted(self, sock: socket.socket, address: SocketAddress) -> None:
        self._pass(wm.Connection(False, address, b"", None), sock)

    def _acceptedTls(self, sock: socket.socket, address: SocketAddress) -> None:
        self._pass(wm.Connection(True, address, b"", None), sock)

    def _pass(self, message: wm.Connection, sock: socket.socket) -> None:
        if self.talk.end.maySend(wm.Connection):
            self.talk.send(message, [sock.detach()])
        else:
            sock.close()

    def _took(self, message: WorkerMessage, descriptors: Sequence[int]) -> None:
        self.received.append(message)
        self.descriptors.append([each for each in descriptors if each != LOST])
        match message:
            case wm.Claim(id, address, _, user):
                place = bindSocket(self.host, address if isinstance(address, int) else 0)
                port = place.getsockname()[1]
                self.places[port] = place
                self._epoch += 1
                granted = wm.Granted(id, port, user, newToken(), self._epoch, False, False)
                self.talk.send(granted, [os.dup(place.fileno())])
            case wm.Release(address, _):
                place = self.places.pop(address)
                place.close()
            case _:
                pass


class SupervisedCase(TunnelsCase):
    """A worker, and clients."""

    def supervised(self, **settings: Any) -> Supervised:
        """A worker, until the test ends."""
        made = ServerSettings(minPort=1024, bindAddr=self.host, bindTunnels=self.host, controlPort=0, **settings)
        sink = Sink()
        sink.subscribe(self.events.append)
        supervised = Supervised(made, sink)
        self.addCleanup(supervised.close)
        return supervised

    async def until(self, supervised: Supervised, kind: type[Any], count: int = 1) -> Any:
        """The last of so many messages of one kind."""
        await self.eventually(lambda: len(supervised.of(kind)) >= count)
        return supervised.of(kind)[-1]

    async def turn(self) -> None:
        """Let the reactor turn."""
        await deferLater(REACTOR, 0.01)
