"""Several workers in this process, with the custody and the control ports of a real supervisor."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from bore.events import Sink
from bore.server.localcustody import LocalCustody
from bore.server.places import Places
from bore.server.registry import LocalRegistry
from bore.server.settings import ServerSettings
from bore.streams.descriptorframes import LOST, closeDescriptors, socketOf
from bore.streams.listener import bindSocket
from bore.wire import workermessages as wm
from bore.wire.workermessages import SupervisorMessage, WorkerMessage
from bore.wire.workersession import State, SupervisorEnd
from bore.workers.conversation import Conversation
from bore.workers.custodian import Custodian
from bore.workers.doorway import Doorway
from bore.workers.inside import Surroundings
from bore.workers.worker import Worker
from tests.tunnelscase import TunnelsCase
from tests.workers.supervised import REACTOR, PlainInside


class Member:
    """
    A worker, and the supervisor's end of its channel.

    :ivar received: its messages.
    """

    def __init__(self, staff: Staff, number: int, generation: int) -> None:
        self.number = number
        self.received: list[WorkerMessage] = []
        self._staff = staff
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.talk: Conversation[WorkerMessage, SupervisorMessage] = Conversation(
            REACTOR, ours, SupervisorEnd(), self._took, lambda reason: self.gone(), staff.doorway.changed
        )
        self.custodian = Custodian(staff.custody, self.send)
        self.inside: PlainInside

        def build(around: Surroundings) -> PlainInside:
            self.inside = PlainInside(around, staff.settings, staff.sink)
            return self.inside

        self.worker = Worker(REACTOR, its, build)
        self.talk.send(wm.Welcome("0.3.0", number, generation, 2), [os.memfd_create("counters")])

    @property
    def takesSessions(self) -> bool:
        return self.talk.end.state is State.READY

    @property
    def serves(self) -> bool:
        return self.talk.end.state in (State.READY, State.RETIRED)

    @property
    def hasRoom(self) -> bool:
        return not self.talk.full

    def send(self, message: SupervisorMessage, descriptors: Sequence[int] = ()) -> None:
        if self.talk.end.maySend(type(message)):
            self.talk.send(message, descriptors)
        else:
            closeDescriptors(descriptors)

    def gone(self) -> None:
        """Its channel is over."""
        if self in self._staff.members:
            self._staff.members.remove(self)
            self.custodian.gone()
            self._staff.doorway.gone(self.number)

    def _took(self, message: WorkerMessage, descriptors: Sequence[int]) -> None:
        self.received.append(message)
        if self.custodian.received(message, descriptors):
            return
        doorway = self._staff.doorway
        match message:
            case wm.Ready():
                doorway.changed()
            case wm.Load():
                doorway.loaded(self.number, message)
            case wm.Pending():
                doorway.reported(self.number, message)
            case wm.HandOn() if descriptors[0] != LOST:
                doorway.handOn(message, socketOf(descriptors[0], message.peer))
            case wm.BaseSession():
                target = next(each for each in self._staff.members if each.takesSessions)
                target.send(message, descriptors)
            case _:
                closeDescriptors(descriptors)


class Staff:
    """
    The workers of a server.

    :ivar members: those that are not gone.
    """

    def __init__(self, settings: ServerSettings, sink: Sink) -> None:
        self.settings = settings
        self.sink = sink
        self.members: list[Member] = []
        self._all: list[Member] = []
        registry = LocalRegistry(REACTOR, settings.lease)
        self.custody = LocalCustody(REACTOR, sink, settings, registry, Places(REACTOR, settings))
        self.doorway = Doorway(
            REACTOR, sink, settings.bounds, lambda: self.members, self.custody.hasSome, settings.secret is not None
        )
        plain, encrypted = bindSocket(settings.bindAddr, 0), bindSocket(settings.bindAddr, 0)
        self.port, self.tlsPort = plain.getsockname()[1], encrypted.getsockname()[1]
        self.doorway.listen(plain, False)
        if settings.tls is None:
            encrypted.close()
        else:
            self.doorway.listen(encrypted, True)

    def add(self) -> Member:
        """Start one more worker."""
        member = Member(self, len(self._all) + 1, 1)
        self.members.append(member)
        self._all.append(member)
        return member

    def close(self) -> Deferred[Any]:
        """End all."""
        self.doorway.close()
        ended = []
        for member in self._all:
            member.talk.close()
            member.gone()
            ended.append(member.worker.stop())
        self.custody.leave(self.custody.forHolder())
        return gatherResults(ended)


class StaffCase(TunnelsCase):
    """Workers, and clients."""

    async def staff(self, count: int = 2, **settings: Any) -> Staff:
        """So many workers, until the test ends."""
        made = ServerSettings(minPort=1024, bindAddr=self.host, bindTunnels=self.host, controlPort=0, **settings)
        sink = Sink()
        sink.subscribe(self.events.append)
        staff = Staff(made, sink)
        self.addCleanup(staff.close)
        for _ in range(count):
            staff.add()
        await self.eventually(lambda: all(member.takesSessions for member in staff.members))
        return staff
