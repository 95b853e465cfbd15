"""A server is given to another process, whose place a test takes."""

from __future__ import annotations

import os
import socket

from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThread

from bore.inheritance import Inheritance, receive
from bore.server.registry import Grant
from bore.server.service import ServerService
from bore.server.users import NAMELESS
from bore.wire import workermessages as wm
from bore.wire.workermessages import SupervisorMessage, WorkerMessage
from bore.wire.workersession import SupervisorEnd
from bore.workers.conversation import Conversation
from bore.workers.giving import Giving
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


class GivingTests(TunnelsCase):
    """What is asked of custody while the server is given away."""

    async def test_itIsAskedWhenTheOtherProcessCanAnswer(self) -> None:
        service = self.server()
        place = str(temporaryFolder(self) / "socket")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(listener.close)
        listener.bind(place)
        listener.listen()
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
