"""A server is given to another process, whose place a test takes."""

from __future__ import annotations

import errno
import os
import socket

from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThread

from bore.client.tunnelspec import TunnelSpec
from bore.events import Sink
from bore.events.server import ServerNotHandedOver
from bore.inheritance import Inheritance, receive
from bore.server.registry import Grant
from bore.server.service import ServerService
from bore.server.users import NAMELESS
from bore.streams import channel
from bore.wire import workermessages as wm
from bore.wire.workermessages import SupervisorMessage, WorkerMessage
from bore.wire.workersession import SupervisorEnd
from bore.workers.conversation import Conversation
from bore.workers.giving import CannotGive, Giving
from tests.support import temporaryFolder
from tests.tunnelscase import TunnelsCase
from tests.workers.supervised import REACTOR


class Program:
    """See :class:`bore.workers.giving.Giver`."""

    statusSocket: int | None = None

    def __init__(self, service: ServerService) -> None:
        self._service = service
        self.ended = False

    def given(self, pid: int) -> None:
        pass

    def stop(self) -> Deferred[object]:
        return succeed(None)

    def end(self) -> None:
        self.ended = True


class Copies:
    """
    Copies of descriptors, which are not possible any more after some.

    :param left: how many are possible.
    """

    def __init__(self, left: int) -> None:
        self.left = left
        self._dup = os.dup

    def dup(self, fd: int) -> int:
        if not self.left:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        self.left -= 1
        return self._dup(fd)


class GivingTests(TunnelsCase):
    """What is asked of custody while the server is given away, and what becomes of that when it is not."""

    def listener(self) -> tuple[str, socket.socket]:
        """Where the other process listens."""
        place = str(temporaryFolder(self) / "socket")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(listener.close)
        listener.bind(place)
        listener.listen()
        return place, listener

    def serverSink(self) -> Sink:
        sink = Sink()
        sink.subscribe(self.events.append)
        return sink

    def limitCopies(self, left: int) -> None:
        """Have this process have no descriptors left when it has made some copies."""
        self.patch(os, "dup", Copies(left).dup)

    async def test_withoutDescriptorsNothingIsGivenAndNothingIsLost(self) -> None:
        service = self.server()
        client = self.client(service.controlPort, [TunnelSpec(await self.service(b"a"), name=str(n)) for n in range(3)])
        client.startService()
        for n in range(3):
            await client.whenOpened(str(n))
        place, _ = self.listener()
        ended: list[bool] = []
        before = len(os.listdir("/proc/self/fd"))
        self.limitCopies(3)  # a control port, and two of the three tunnels
        with self.assertRaisesRegex(CannotGive, "Too many open files"):
            Giving(REACTOR, self.serverSink(), service, Program(service), place, lambda: ended.append(True))
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
        self.assertEqual(ended, [True])
        late = self.client(service.controlPort, [TunnelSpec(await self.service(b"b"), name="late")])
        late.startService()
        await self.assertShows(await late.whenOpened("late"), b"b")

    async def test_whatWasNotSentIsNotCopiedAtTheEnd(self) -> None:
        """The other process ends when it has read a part: the server goes on, without a descriptor left."""
        service = self.server()
        client = self.client(service.controlPort, [TunnelSpec(await self.service(b"a"), name="a")])
        client.startService()
        await client.whenOpened("a")
        place, listener = self.listener()
        self.patch(channel, "MAX_DESCRIPTORS", 1)  # it is full with the control port
        local = service.server.tunnels.custody
        Giving(REACTOR, self.serverSink(), service, Program(service), place, lambda: None)
        self.assertIsNot(service.server.tunnels.custody, local)
        self.limitCopies(0)
        sock, _ = listener.accept()
        sock.close()
        await self.eventually(lambda: self.seen(ServerNotHandedOver) == 1)
        self.assertIs(service.server.tunnels.custody, local)

    async def test_itIsAskedWhenTheOtherProcessCanAnswer(self) -> None:
        service = self.server()
        place, listener = self.listener()
        giver = Program(service)
        Giving(REACTOR, self.serverSink(), service, giver, place, lambda: None)
        sock, _ = listener.accept()
        inheritance = Inheritance(os.getpid(), sock)
        await deferToThread(receive, inheritance)
        service.server.tunnels.custody.confirm(Grant(7, NAMELESS, "token", 1))
        received: list[WorkerMessage] = []
        talk: Conversation[WorkerMessage, SupervisorMessage] = Conversation(
            REACTOR, inheritance.channel, SupervisorEnd(), lambda m, d: received.append(m), lambda reason: None
        )
        self.addCleanup(talk.close)
        inheritance.settle()
        talk.send(wm.Welcome("0.3.0", 1, 1, 1), [os.open(os.devnull, os.O_RDONLY)])
        await self.eventually(lambda: len(received) == 2)
        self.assertEqual([type(each) for each in received], [wm.Ready, wm.Confirm])
