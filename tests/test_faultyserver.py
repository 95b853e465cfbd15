"""A server that answers some requests too late, or never, on real sockets."""

from __future__ import annotations

from typing import cast

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import Factory, Protocol

from bore.client import kepttunnels
from bore.client.target import Target
from bore.client.tunnelspec import TunnelSpec
from bore.events.client import Connected, ServerLost
from bore.streams.reactor import IReactor
from bore.wire.extension import (
    Close,
    Closed,
    Extended,
    Open,
    Opened,
    decodeClientMessage,
    encode,
)
from bore.wire.framing import FrameDecoder
from tests.test_clientservice import ServiceCase

TOKEN = "t" * 32


class FaultyServer(Protocol):
    """Answers the first request for the port 9002 when it is given up, and everything else at once."""

    transport: ITransport

    def __init__(self) -> None:
        self._decoder = FrameDecoder()
        self._agreed = False
        self.received: list[object] = []
        self.late = 0

    def dataReceived(self, data: bytes) -> None:
        self._decoder.feed(data)
        while (frame := self._decoder.nextFrame()) is not None:
            if not self._agreed:
                self._agreed = True
                self.transport.write(encode(Extended(1)))
                continue
            self._answer(decodeClientMessage(frame))

    def _answer(self, message: object) -> None:
        self.received.append(message)
        match message:
            case Open(number, 9002) if not self.late:
                self.late = number
            case Open(number, address):
                self.transport.write(encode(Opened(number, address, TOKEN, 60)))
            case Close(number):
                self.transport.write(encode(Opened(number, 9002, TOKEN, 60)) + encode(Closed(number)))


class FaultyServerTests(ServiceCase):
    """A client with two tunnels."""

    async def test_aRequestWithoutAnAnswerIsGivenUpAndRepeatedInTheSameSession(self) -> None:
        self.patch(kepttunnels, "ANSWER_TIMEOUT", 0.3)
        server = FaultyServer()
        factory = Factory.forProtocol(lambda: server)
        port = await TCP4ServerEndpoint(cast(IReactor, reactor), 0, interface=self.host).listen(factory)
        self.addCleanup(port.stopListening)
        specs = [TunnelSpec(Target(number), 9000 + number, name=str(number)) for number in (1, 2)]
        client = self.client(port.getHost().port, specs)
        client.startService()
        opened = client.whenOpened("2")
        self.assertEqual(await client.whenOpened("1"), 9001)
        self.assertEqual(await opened, 9002)
        self.assertEqual(
            server.received, [Open(1, 9001), Open(2, 9002), Close(2), Open(3, 9002)], "and no token of the late answer"
        )
        self.assertEqual((self.seen(Connected), self.seen(ServerLost)), (1, 1))
