"""A server and a tunnel in one program; its visitors talk to a protocol of this program."""

from __future__ import annotations

import sys

from twisted.internet.defer import ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import react

from bore import Server, Tunnel


class Echo(Protocol):
    """Sends back what it receives."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        print("visitor from", self.transport.getPeer())

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


async def main(reactor: IReactorTime) -> None:
    server = await Server.open(reactor)
    tunnel = await Tunnel.open(reactor, local=Factory.forProtocol(Echo), to=f"127.0.0.1:{server.address[1]}")
    print("nc", *tunnel.address)
    sys.stdout.flush()
    async for event in tunnel.events():
        print(event)


if __name__ == "__main__":
    react(lambda reactor: ensureDeferred(main(reactor)))
