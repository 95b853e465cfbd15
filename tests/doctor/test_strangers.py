"""Others may visit the tunnels that are opened for the examination, too."""

from __future__ import annotations

import socket

from twisted.internet.threads import deferToThread

from bore.doctor import endtoend
from bore.doctor.endtoend import _ECHOED
from bore.events import Event
from bore.events.server import TunnelOpened
from tests.doctor.test_examination import ExaminationCase


class StrangerTests(ExaminationCase):
    """A visitor that is not the examination's own."""

    async def test_aStrangerThatVisitsMeanwhileAndStaysIsNotWaitedFor(self) -> None:
        strangers: list[socket.socket] = []

        def happened(event: Event) -> None:
            if isinstance(event, TunnelOpened) and isinstance(event.address, int):
                strangers.append(socket.create_connection((self.host, event.address)))
                strangers[-1].sendall(bytes(_ECHOED + 1))

        self.patch(endtoend, "_FAREWELL", 0.2)
        self.sink.subscribe(happened)
        self.assertWell(await self.examine(self.server()))
        [stranger] = strangers
        received = 0
        while data := await deferToThread(stranger.recv, 1 << 16):
            received += len(data)
        stranger.close()
        self.assertEqual(received, _ECHOED)
