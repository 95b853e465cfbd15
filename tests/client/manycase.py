"""What the tests of a link with many tunnels have in common."""

from __future__ import annotations

from typing import Any

from bore.client.control import ControlProtocol
from bore.client.target import Target
from bore.client.tunnelspec import TunnelSpec
from bore.wire.extension import Extended, Opened
from bore.wire.messages import Heartbeat
from tests.client.case import ControlCase
from tests.fakes import FakeTransport

TOKENS = [letter * 32 for letter in "abcd"]
IN_USE = "port-in-use", "port already in use", True


class ManyCase(ControlCase):
    """A client with the tunnels "", b and c."""

    def make(self, *hosts: str, **settings: Any) -> None:
        others = [TunnelSpec(Target(8001), 9001, name="b"), TunnelSpec(Target(8002), name="c")]
        super().make(*hosts, **{"others": others} | settings)

    def begin(self) -> tuple[ControlProtocol, FakeTransport]:
        """A session in which all were asked for."""
        protocol, transport = self.connect()
        self.hear(protocol, Extended(1))
        transport.takeWritten()
        return protocol, transport

    def session(self) -> tuple[ControlProtocol, FakeTransport]:
        """A session in which all are up."""
        protocol, transport = self.begin()
        for number in range(3):
            self.hear(protocol, Opened(number + 1, 20000 + number, TOKENS[number], 60))
        transport.takeWritten()
        self._events.clear()
        return protocol, transport

    def asked(self, transport: FakeTransport) -> list[bytes]:
        """The frames that were sent."""
        return transport.takeWritten().split(b"\0")[:-1]

    def live(self, protocol: ControlProtocol, seconds: int) -> None:
        """The server sends heartbeats."""
        for _ in range(seconds):
            self.reactor.advance(1)
            self.receive(protocol, Heartbeat())
